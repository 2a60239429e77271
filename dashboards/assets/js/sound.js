// Alarm sounds: bursts of 5+5, 3 or 1 pulses every 10, 25 or 30 s, and a distinct technical tone.

/** @typedef {'high' | 'medium' | 'low' | 'technical'} Level */

/** @type {Record<Level, {every: number, tone: number, at: number[], length: number}>} */
const BURSTS = {
  high: { every: 10, tone: 880, at: [0, 0.2, 0.4, 0.75, 0.95, 1.7, 1.9, 2.1, 2.45, 2.65], length: 0.13 },
  medium: { every: 25, tone: 660, at: [0, 0.3, 0.6], length: 0.2 },
  low: { every: 30, tone: 520, at: [0], length: 0.25 },
  technical: { every: 12, tone: 300, at: [0, 0.45], length: 0.4 },
};
const LOUD = 0.25;

export class Sound {
  /** @param {() => void} changed  called when sound starts or stops to be audible */
  constructor(changed) {
    this.changed = changed;
    /** @type {AudioContext | undefined} */
    this.context = undefined;
    /** @type {Level | undefined} */
    this.level = undefined;
    this.next = 0;
    setInterval(() => this.#tick(), 200);
  }

  /** Whether the browser really lets sound out. */
  get audible() {
    return this.context?.state === 'running';
  }

  /** Must come from a real click or key: browsers keep sound off until then. */
  async enable() {
    if (!this.context) {
      this.context = new AudioContext();
      this.context.onstatechange = () => this.changed();
    }
    await this.context.resume();
    this.#pulse(this.context.currentTime + 0.05, 660, 0.12);
    this.changed();
  }

  /**
   * @param {Level | undefined} level
   * @param {boolean} fresh  something new has begun: it is heard at once
   */
  set(level, fresh) {
    if (level !== this.level || fresh) this.next = 0;
    this.level = level;
  }

  #tick() {
    if (!this.context || !this.audible || !this.level) return;
    const now = this.context.currentTime;
    if (now < this.next) return;
    const burst = BURSTS[this.level];
    for (const at of burst.at) this.#pulse(now + 0.05 + at, burst.tone, burst.length);
    this.next = now + burst.every;
  }

  /**
   * @param {number} at
   * @param {number} tone
   * @param {number} length
   */
  #pulse(at, tone, length) {
    const context = /** @type {AudioContext} */ (this.context);
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(LOUD, at + 0.02);
    gain.gain.setValueAtTime(LOUD, at + length - 0.02);
    gain.gain.linearRampToValueAtTime(0, at + length);
    gain.connect(context.destination);
    for (const harmonic of [1, 2, 3, 4]) {
      const wave = context.createOscillator();
      const part = context.createGain();
      part.gain.value = 1 / (harmonic + 1);
      wave.frequency.value = tone * harmonic;
      wave.connect(part).connect(gain);
      wave.start(at);
      wave.stop(at + length);
    }
  }
}
