// One stream for all tabs of this browser: six of them over HTTP/1.1 would block every other request.
import { openStream } from './stream.js';

/** @type {Set<MessagePort>} */
const ports = new Set();
/** @type {(() => void) | undefined} */
let end;

/** @param {MessageEvent} event */
function connect(event) {
  const port = event.ports[0];
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data !== 'bye') return;
    ports.delete(port);
    if (ports.size) return;
    end?.();
    end = undefined;
  };
  end ??= openStream('/api/v1/live', (m) => ports.forEach((p) => p.postMessage(m)));
}

/** @type {any} */ (self).onconnect = connect;
