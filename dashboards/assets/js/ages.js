// When the page itself decides that a value is no longer live: on a monotonic clock, only ever downwards.

/** [text, state, measured (ms), expected interval (s), quality flags] @typedef {[string, string, number, number, string[]]} Value */

export const STALE_INTERVALS = 3;
export const SILENT_MS = 4000; // the whole wall is stale then: beats come every 2 s
const UNITS = /** @type {[string, number][]} */ ([['age_d', 86400], ['age_h', 3600], ['age_min', 60], ['age_s', 0]]);

/** The server's time in ms, carried on between messages by this page's monotonic clock. */
export class ServerTime {
  /** @param {number} now @param {number} rate  1, or 0 where the server's clock is stepped by a recording */
  constructor(now, rate) {
    this.rate = rate;
    this.at = now;
    this.mono = performance.now();
  }

  /** @param {number} now */
  set(now) {
    this.at = now;
    this.mono = performance.now();
  }

  now() {
    return this.at + (performance.now() - this.mono) * this.rate;
  }
}

/**
 * The state to show: the server's, or worse when the page knows better.
 * @param {Value} value @param {number} now  server's time @param {boolean} silent  the server is not heard
 */
export function effectiveState([, state, at, interval], now, silent) {
  if (state !== 'live' && state !== 'ageing') return state;
  return silent || now - at > STALE_INTERVALS * interval * 1000 ? 'stale' : state;
}

/** @param {number} ms @param {Record<string, string>} strings */
export function ageText(ms, strings) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [key, unit] = /** @type {[string, number]} */ (UNITS.find(([, u]) => seconds >= u));
  return strings[key].replace('{n}', String(Math.floor(seconds / (unit || 1))));
}

/** How long an alarm has been going on: 0:42, 12:05, 1:02:05. @param {number} ms */
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes}:${two(s % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(s % 60)}`;
}
