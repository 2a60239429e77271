// One EventSource with its own recovery; used in the SharedWorker, or in the page where there is none.

const KINDS = ['patch', 'beat', 'refetch'];
const RETRY_MS = 1500;

/**
 * @typedef {{kind: string, data: any}} Message
 * @param {string} url
 * @param {(message: Message) => void} emit  also gets `{kind: 'open'}` and `{kind: 'lost'}`
 * @returns {() => void} ends it
 */
export function openStream(url, emit) {
  /** @type {EventSource | undefined} */
  let source;
  let timer = 0;
  let last = '';

  function open() {
    const address = last ? `${url}?after=${encodeURIComponent(last)}` : url;
    source = new EventSource(address);
    source.onopen = () => emit({ kind: 'open', data: null });
    source.onerror = () => {
      emit({ kind: 'lost', data: null });
      // A refused stream (logged out, server gone behind a proxy) is not retried by the browser itself.
      if (source?.readyState === EventSource.CLOSED) {
        clearTimeout(timer);
        timer = setTimeout(open, RETRY_MS);
      }
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        const message = /** @type {MessageEvent} */ (event);
        if (message.lastEventId) last = message.lastEventId;
        emit({ kind, data: JSON.parse(message.data) });
      });
    }
  }
  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
