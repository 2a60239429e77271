// The page's end of the live stream: the SharedWorker's port, or an own stream where there is none.
import { openStream } from './stream.js';

/**
 * @param {string} user  another person in the same browser gets another worker
 * @param {(message: import('./stream.js').Message) => void} emit
 */
export function connect(user, emit) {
  if (typeof SharedWorker === 'undefined') {
    openStream('/api/v1/live', emit);
    return;
  }
  const url = new URL('./live-worker.js', import.meta.url);
  const worker = new SharedWorker(url, { type: 'module', name: `hearthward ${user}` });
  let own = false;
  worker.onerror = () => {
    if (own) return;
    own = true;
    openStream('/api/v1/live', emit);
  };
  worker.port.onmessage = (event) => emit(event.data);
  worker.port.start();
  addEventListener('pagehide', () => worker.port.postMessage('bye'));
  addEventListener('pageshow', (event) => {
    if (event.persisted) location.reload();
  });
}
