import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { BURSTS, Sound } from '../../../../dashboards/assets/js/sound.js';
import { goOn, stopTime } from './fakes.js';

let waves;

class FakeParam {
  setValueAtTime() {
    return this;
  }

  linearRampToValueAtTime() {
    return this;
  }
}

const node = () => ({ gain: new FakeParam(), connect: (to) => to });

class FakeAudioContext {
  state = 'suspended';
  destination = {};

  get currentTime() {
    return Date.now() / 1000;
  }

  async resume() {
    this.state = 'running';
  }

  createGain() {
    return node();
  }

  createOscillator() {
    const start = (at) => waves.push({ at, tone: wave.frequency.value });
    const wave = { ...node(), frequency: {}, setPeriodicWave() {}, start, stop() {} };
    return wave;
  }

  createPeriodicWave(real, imaginary) {
    assert.equal(real.length, imaginary.length);
    return {};
  }
}

/** Times and tones of the pulses since the last call. */
function heard() {
  const pulses = waves;
  waves = [];
  return pulses;
}

beforeEach(() => {
  globalThis.AudioContext = FakeAudioContext;
  waves = [];
  stopTime();
});
afterEach(goOn);

async function made() {
  const sound = new Sound(() => {});
  await sound.enable();
  heard();
  return sound;
}

test('nothing is heard, and nothing is called audible, before somebody has clicked', async () => {
  const changes = [];
  const sound = new Sound(() => changes.push(sound.audible));
  sound.set('high', true);
  mock.timers.tick(60_000);
  assert.equal(sound.audible, false);
  assert.deepEqual(heard(), []);
  await sound.enable();
  assert.equal(sound.audible, true);
  assert.deepEqual(changes, [true]);
  assert.equal(heard().length, 1, 'a pulse that proves it');
  mock.timers.tick(200);
  assert.equal(heard().length, 10, 'and the alarm that waited');
});

for (const [level, pulses, every] of [['high', 10, 10], ['medium', 3, 25], ['low', 1, 30], ['technical', 2, 12]]) {
  test(`${level}: ${pulses} pulses, again every ${every} s`, async () => {
    const sound = await made();
    sound.set(level, true);
    const burst = heard();
    assert.equal(burst.length, pulses);
    assert.ok(burst.every((p) => p.tone === BURSTS[level].tone));
    mock.timers.tick(every * 1000 - 200);
    assert.deepEqual(heard(), []);
    mock.timers.tick(400);
    assert.equal(heard().length, pulses);
  });
}

test('a new alarm is heard at once, without a timer: a hidden page has next to none', async () => {
  const sound = await made();
  sound.set('low', true);
  assert.equal(heard().length, 1);
  sound.set('low', false);
  assert.equal(heard().length, 0);
  sound.set('low', true);
  assert.equal(heard().length, 1);
  sound.set('high', false);
  assert.equal(heard().length, 10);
});

test('silence when nothing is present any more', async () => {
  const sound = await made();
  sound.set('medium', true);
  heard();
  sound.set(undefined, false);
  mock.timers.tick(120_000);
  assert.deepEqual(heard(), []);
});
