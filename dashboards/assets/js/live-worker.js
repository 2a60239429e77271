// One stream for all tabs of this browser: six of them over HTTP/1.1 would block every other request.
import { openStream } from './stream.js';

const ports = /** @type {Set<MessagePort>} */ (new Set());
let end = /** @type {(() => void) | undefined} */ (undefined);

/** @type {any} */ (self).onconnect = (/** @type {MessageEvent} */ { ports: [port] }) => {
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data !== 'bye') return void (end ??= openStream('/api/v1/live', (m) => ports.forEach((p) => p.postMessage(m)), data));
    ports.delete(port);
    if (ports.size) return;
    end?.();
    end = undefined;
  };
};
