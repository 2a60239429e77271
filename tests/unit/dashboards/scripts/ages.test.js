import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { ServerTime, ageText, duration, effectiveState } from '../../../../dashboards/assets/js/ages.js';
import { goOn, stopTime } from './fakes.js';

const strings = { age_s: '{n} s', age_min: '{n} min', age_h: '{n} h', age_d: '{n} d' };
const value = (state, at, interval) => ['97', state, at, interval, []];

beforeEach(stopTime);
afterEach(goOn);

test('a value is stale after three intervals, also when the server still says live', () => {
  assert.equal(effectiveState(value('live', 0, 1), 3000, false), 'live');
  assert.equal(effectiveState(value('live', 0, 1), 3001, false), 'stale');
  assert.equal(effectiveState(value('ageing', 0, 1), 2900, false), 'ageing');
  assert.equal(effectiveState(value('live', 0, 3600), 3600_000, false), 'live');
});

test('nothing is live while the server is not heard, and nothing gets better than it was', () => {
  assert.equal(effectiveState(value('live', 0, 1), 0, true), 'stale');
  for (const state of ['stale', 'sensor_off', 'device_offline', 'link_lost', 'never', 'none']) {
    assert.equal(effectiveState(value(state, 0, 1), 0, false), state);
    assert.equal(effectiveState(value(state, 0, 1), 0, true), state);
  }
});

test("the server's time goes on by the page's monotonic clock, unless it is a recording's", () => {
  const time = new ServerTime(1_000_000, 1);
  const recording = new ServerTime(1_000_000, 0);
  mock.timers.tick(2500);
  assert.equal(time.now(), 1_002_500);
  assert.equal(recording.now(), 1_000_000);
  time.set(5000);
  assert.equal(time.now(), 5000);
  mock.timers.tick(1);
  assert.equal(time.now(), 5001);
});

test('ages are told in the largest whole unit', () => {
  const told = [-5, 400, 59_400, 60_000, 3_599_000, 3_600_000, 86_399_000, 90_000_000, 200_000_000];
  assert.deepEqual(
    told.map((ms) => ageText(ms, strings)),
    ['0 s', '0 s', '59 s', '1 min', '59 min', '1 h', '23 h', '1 d', '2 d'],
  );
});

test('how long an alarm has been going on', () => {
  assert.deepEqual(
    [-1, 999, 42_000, 725_000, 3_725_000].map(duration),
    ['0:00', '0:00', '0:42', '12:05', '1:02:05'],
  );
});
