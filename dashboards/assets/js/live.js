// The page's end of the live stream: the SharedWorker's port, or a stream of its own where there is none.
import { DEAD_MS, openStream } from './stream.js';

/** A worker says something, if only that it hears nothing, more often than this; else it is dead. */
export const WORKER_MS = 2.5 * DEAD_MS;

/**
 * @param {string} user  another person in the same browser gets another worker
 * @param {string} after  up to which message the page knows everything
 * @param {(message: import('./stream.js').Message) => void} emit
 */
export function connect(user, after, emit) {
  const own = () => openStream('/api/v1/live', emit, after);
  if (typeof SharedWorker === 'undefined') return void own();
  const url = new URL('./live-worker.js', import.meta.url);
  const worker = new SharedWorker(url, { type: 'module', name: `hearthward ${user}` });
  const { port } = worker;
  let timer = setTimeout(leave, WORKER_MS);
  function leave() {
    if (!port.onmessage) return;
    port.onmessage = null;
    clearTimeout(timer);
    port.postMessage('bye');
    own();
  }
  worker.onerror = leave;
  port.onmessage = ({ data }) => {
    clearTimeout(timer);
    timer = setTimeout(leave, WORKER_MS);
    emit(data);
  };
  port.postMessage(after);
  addEventListener('pagehide', () => port.postMessage('bye'));
  addEventListener('pageshow', (event) => event.persisted && location.reload());
}
