import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { WORKER_MS, connect } from '../../../../dashboards/assets/js/live.js';
import { FakeEventSource, fakePort, goOn, stopTime } from './fakes.js';

globalThis.EventSource = FakeEventSource;
let got;
let page;
const workers = [];

class FakeSharedWorker {
  constructor(url, options) {
    Object.assign(this, { url: String(url), options, port: fakePort() });
    workers.push(this);
  }
}

beforeEach(() => {
  FakeEventSource.all = [];
  workers.length = 0;
  got = [];
  page = {};
  globalThis.SharedWorker = FakeSharedWorker;
  globalThis.addEventListener = (kind, listener) => {
    page[kind] = listener;
  };
  globalThis.location = { reload: () => got.push('reloaded') };
  stopTime();
});
afterEach(goOn);

const start = (user = 'usr_1') => connect(user, 'boot-7', (message) => got.push(message));

test('where there is no SharedWorker the page opens a stream of its own', () => {
  delete globalThis.SharedWorker;
  start();
  FakeEventSource.last.say('beat', { seq: 4 });
  assert.deepEqual(got, [{ kind: 'beat', data: { seq: 4 } }]);
  assert.equal(FakeEventSource.last.url, '/api/v1/live?after=boot-7', 'what the page has is not sent again');
});

test("the worker's messages are the page's; each person has a worker of their own", () => {
  start('usr_1');
  start('usr_2');
  assert.ok(workers[0].url.endsWith('/live-worker.js'));
  assert.notEqual(workers[0].options.name, workers[1].options.name);
  workers[0].port.onmessage({ data: { kind: 'beat', data: {} } });
  assert.deepEqual(got, [{ kind: 'beat', data: {} }]);
  assert.equal(FakeEventSource.all.length, 0);
});

test('a worker that cannot start is replaced once by an own stream', () => {
  start();
  workers[0].onerror();
  workers[0].onerror();
  mock.timers.tick(10 * WORKER_MS);
  assert.deepEqual(workers[0].port.got, ['boot-7', 'bye']);
  assert.equal(FakeEventSource.all[0].url, '/api/v1/live?after=boot-7');
  assert.ok(!got.some((m) => m.kind === 'beat'));
});

test('a worker that has died is noticed; one that speaks is kept', () => {
  start();
  const { port } = workers[0];
  for (let i = 0; i < 5; i += 1) {
    mock.timers.tick(WORKER_MS - 1);
    port.onmessage({ data: { kind: 'lost', data: null } });
  }
  assert.equal(FakeEventSource.all.length, 0);
  mock.timers.tick(WORKER_MS);
  assert.equal(FakeEventSource.all.length, 1);
  assert.equal(port.onmessage, null, 'it may come back: nothing is heard twice');
});

test('a page that goes says so, and one that comes out of the cache starts anew', () => {
  start();
  page.pagehide();
  assert.deepEqual(workers[0].port.got, ['boot-7', 'bye']);
  page.pageshow({ persisted: false });
  assert.deepEqual(got, []);
  page.pageshow({ persisted: true });
  assert.deepEqual(got, ['reloaded']);
});
