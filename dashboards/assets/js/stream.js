// One EventSource with its own recovery; used in the SharedWorker, or in the page where there is none.

/** What the server sends, and besides it `open` and `lost`. @typedef {{kind: string, data: any}} Message */
const KINDS = ['patch', 'beat', 'refetch'];
export const RETRY_MS = 1500;
/** Beats come every 2 s: a stream silent for so long is dead, though the browser may think otherwise. */
export const DEAD_MS = 6000;

/** Returns what ends it. @param {string} url @param {(message: Message) => void} emit @param {string} last  what is known already */
export function openStream(url, emit, last = '') {
  let source = /** @type {EventSource | undefined} */ (undefined);
  let timer = 0;

  /** @param {number} ms @param {() => void} then */
  function wait(ms, then) {
    clearTimeout(timer);
    timer = setTimeout(then, ms);
  }

  /** @param {string} kind @param {any} data */
  function heard(kind, data) {
    wait(DEAD_MS, dead);
    emit({ kind, data });
  }

  function dead() {
    emit({ kind: 'lost', data: null });
    open();
  }

  function open() {
    source?.close();
    const mine = (source = new EventSource(last ? `${url}?after=${encodeURIComponent(last)}` : url));
    mine.onopen = () => heard('open', null);
    mine.onerror = () => {
      // A refused stream (logged out, server gone behind a proxy) is not tried again by the browser itself.
      const refused = mine.readyState === EventSource.CLOSED;
      wait(refused ? RETRY_MS * (1 + Math.random()) : DEAD_MS, open);
      emit({ kind: 'lost', data: null });
    };
    for (const kind of KINDS) {
      mine.addEventListener(kind, (message) => {
        last = message.lastEventId || last;
        heard(kind, JSON.parse(message.data));
      });
    }
    wait(DEAD_MS, dead);
  }
  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
