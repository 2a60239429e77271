import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { DEAD_MS, RETRY_MS, openStream } from '../../../../dashboards/assets/js/stream.js';
import { FakeEventSource, goOn, stopTime } from './fakes.js';

globalThis.EventSource = FakeEventSource;
let got;
const kinds = () => got.map((m) => m.kind);
const start = () => openStream('/live', (message) => got.push(message));

beforeEach(() => {
  FakeEventSource.all = [];
  got = [];
  stopTime();
});
afterEach(goOn);

test('messages come through in order, with their data', () => {
  start();
  FakeEventSource.last.open();
  FakeEventSource.last.say('patch', { seq: 1 }, 'b-1');
  FakeEventSource.last.say('beat', { seq: 1 });
  assert.deepEqual(got, [
    { kind: 'open', data: null },
    { kind: 'patch', data: { seq: 1 } },
    { kind: 'beat', data: { seq: 1 } },
  ]);
});

test('heartbeats keep a stream that has nothing else to say', () => {
  start();
  FakeEventSource.last.open();
  for (let i = 0; i < 30; i += 1) {
    mock.timers.tick(2000);
    FakeEventSource.last.say('beat', {});
  }
  assert.equal(FakeEventSource.all.length, 1);
  assert.ok(!kinds().includes('lost'));
});

test('a silent stream is given up and opened again from the last message', () => {
  start();
  const first = FakeEventSource.last;
  first.open();
  first.say('patch', {}, 'boot/ä-7');
  first.say('beat', {});
  mock.timers.tick(DEAD_MS - 1);
  assert.equal(FakeEventSource.all.length, 1);
  mock.timers.tick(1);
  assert.equal(first.readyState, FakeEventSource.CLOSED);
  assert.equal(FakeEventSource.all.length, 2);
  assert.equal(FakeEventSource.last.url, '/live?after=boot%2F%C3%A4-7');
  assert.equal(kinds().at(-1), 'lost');
});

test('one that never opens is given up, too, and says so each time', () => {
  start();
  mock.timers.tick(DEAD_MS);
  mock.timers.tick(DEAD_MS);
  assert.equal(FakeEventSource.all.length, 3);
  assert.deepEqual(kinds(), ['lost', 'lost']);
});

test("the browser's own new attempt is left alone", () => {
  start();
  FakeEventSource.last.open();
  FakeEventSource.last.fail(false);
  mock.timers.tick(DEAD_MS - 1);
  assert.equal(FakeEventSource.all.length, 1);
  FakeEventSource.last.open();
  mock.timers.tick(DEAD_MS - 1);
  assert.equal(FakeEventSource.all.length, 1);
  assert.deepEqual(kinds(), ['open', 'lost', 'open']);
});

test('a refused stream is tried again after a while, once', () => {
  start();
  FakeEventSource.last.fail(true);
  mock.timers.tick(RETRY_MS - 1);
  assert.equal(FakeEventSource.all.length, 1);
  mock.timers.tick(RETRY_MS + 1);
  assert.equal(FakeEventSource.all.length, 2);
  assert.deepEqual(kinds(), ['lost']);
});

test('an ended stream stays ended', () => {
  const end = start();
  FakeEventSource.last.open();
  end();
  mock.timers.tick(10 * DEAD_MS);
  assert.equal(FakeEventSource.all.length, 1);
  assert.equal(FakeEventSource.last.readyState, FakeEventSource.CLOSED);
});
