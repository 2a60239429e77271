// Alarm sounds: bursts of 5+5, 3 or 1 pulses every 10, 25 or 30 s, and a distinct technical tone.

/** @typedef {'high' | 'medium' | 'low' | 'technical'} Level */

/** @type {Record<Level, {every: number, tone: number, at: number[], length: number}>} */
export const BURSTS = {
  high: { every: 10, tone: 880, at: [0, 0.2, 0.4, 0.75, 0.95, 1.7, 1.9, 2.1, 2.45, 2.65], length: 0.13 },
  medium: { every: 25, tone: 660, at: [0, 0.3, 0.6], length: 0.2 },
  low: { every: 30, tone: 520, at: [0], length: 0.25 },
  technical: { every: 12, tone: 300, at: [0, 0.45], length: 0.4 },
};
const LOUD = 0.25;
const HARMONICS = [0, 1 / 2, 1 / 3, 1 / 4, 1 / 5]; // old ears and small loudspeakers lose one or the other

export class Sound {
  context = /** @type {AudioContext | undefined} */ (undefined);
  level = /** @type {Level | undefined} */ (undefined);
  next = 0;

  /** @param {() => void} changed  called when sound starts or stops to be audible */
  constructor(changed) {
    this.changed = changed;
    setInterval(() => this.#tick(), 200);
  }

  /** Whether the browser really lets sound out. */
  get audible() {
    return this.context?.state === 'running';
  }

  /** Must come from a real click or key: browsers keep sound off until then. */
  async enable() {
    this.context ??= new AudioContext();
    this.context.onstatechange = () => this.changed();
    await this.context.resume();
    this.#pulse(this.context, this.context.currentTime + 0.05, 660, 0.12);
    this.changed();
  }

  /**
   * Played at once: the timers of a hidden page come only once a minute.
   * @param {Level | undefined} level @param {boolean} fresh  something new has begun
   */
  set(level, fresh) {
    if (level !== this.level || fresh) this.next = 0;
    this.level = level;
    this.#tick();
  }

  #tick() {
    if (!this.context || !this.audible || !this.level) return;
    const now = this.context.currentTime;
    if (now < this.next) return;
    const { at, tone, length, every } = BURSTS[this.level];
    for (const t of at) this.#pulse(this.context, now + 0.05 + t, tone, length);
    this.next = now + every;
  }

  /** @param {AudioContext} context @param {number} at @param {number} tone @param {number} length */
  #pulse(context, at, tone, length) {
    const out = context.createGain();
    out.gain.setValueAtTime(0, at).linearRampToValueAtTime(LOUD, at + 0.02);
    out.gain.setValueAtTime(LOUD, at + length - 0.02).linearRampToValueAtTime(0, at + length);
    const wave = context.createOscillator();
    wave.setPeriodicWave(context.createPeriodicWave([0, 0, 0, 0, 0], HARMONICS, { disableNormalization: true }));
    wave.frequency.value = tone;
    wave.connect(out).connect(context.destination);
    wave.start(at);
    wave.stop(at + length);
  }
}
