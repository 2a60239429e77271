import assert from 'node:assert/strict';
import { before, beforeEach, test } from 'node:test';

const PAGE = '<link href="/assets/d1/css/base.css"><use href="/assets/d1/icons.svg#hearth"></use>';
const origin = 'https://ward.test';
const on = {};
const stored = new Map();
let server;
let shown;

const cache = {
  addAll: async (paths) => {
    for (const path of paths) stored.set(path, await fetch(path));
  },
  put: async (path, answer) => stored.set(path, answer),
  keys: async () => [...stored.keys()].map((path) => ({ url: origin + path })),
  delete: async ({ url }) => stored.delete(new URL(url).pathname),
};
const answer = (text, ok = true) => ({ ok, text: async () => text, clone: () => answer(text, ok) });
const path = (request) => new URL(request.url ?? request, origin).pathname;

before(async () => {
  globalThis.self = {
    addEventListener: (kind, listener) => (on[kind] = listener),
    skipWaiting() {},
    registration: { showNotification: async (...what) => shown.push(what) },
    clients: { openWindow: async (link) => shown.push(link) },
  };
  globalThis.location = { origin };
  globalThis.caches = { open: async () => cache, match: async (request) => stored.get(path(request)) };
  globalThis.Response = { error: () => 'the browser says that there is no connection' };
  globalThis.fetch = async (request) => {
    if (!server) throw new TypeError('no connection');
    return answer(server[path(request)] ?? '', path(request) in server);
  };
  await import('../../../../dashboards/assets/js/service-worker.js');
});
beforeEach(() => {
  stored.clear();
  shown = [];
  server = { '/offline': PAGE, '/me': 'mine', '/assets/d1/css/base.css': 'css', '/assets/d1/icons.svg': 'svg' };
});

/** Let it answer a request, and do what it does afterwards. */
async function get(where, mode = 'navigate') {
  const later = [];
  let given = null;
  const event = { request: { url: origin + where, mode }, waitUntil: (p) => later.push(p), respondWith: (a) => (given = a) };
  on.fetch(event);
  const got = await given;
  await Promise.all(later);
  return got;
}

async function installed() {
  let done;
  on.install({ waitUntil: (promise) => (done = promise) });
  await done;
}

test('without a connection there is our own page, with all that it names', async () => {
  await installed();
  server = undefined;
  assert.equal(await (await get('/me')).text(), PAGE);
  assert.equal(await (await get('/assets/d1/css/base.css', 'no-cors')).text(), 'css');
  assert.equal(await (await get('/assets/d1/icons.svg', 'no-cors')).text(), 'svg');
});

test('with a connection every page is the server\'s, and ours is renewed without leaving old files', async () => {
  await installed();
  server = { '/me': 'mine', '/offline': '<link href="/assets/d2/css/base.css">', '/assets/d2/css/base.css': 'new' };
  assert.equal(await (await get('/me')).text(), 'mine');
  assert.deepEqual([...stored.keys()].sort(), ['/assets/d2/css/base.css', '/offline']);
});

test('a refusal is an answer: it is shown, and nothing is kept of it', async () => {
  server = { '/me': 'mine' };
  assert.equal((await get('/me/plan')).ok, false);
  assert.equal((await get('/me')).ok, true);
  assert.equal(stored.size, 0);
});

test('where nothing was kept the browser says it itself; pages of the staff and the API are never touched', async () => {
  server = undefined;
  assert.equal(await get('/me'), 'the browser says that there is no connection');
  for (const where of ['/ward', '/metrics', '/messages']) assert.equal(await get(where), null);
  assert.equal(await get('/api/v1/live', 'cors'), null);
});

test('a notification is shown once an alarm, and opens only pages of ours', async () => {
  const pushed = { subject: 'A-01', text: 'SpO2 84 < 90', language: 'en', priority: 'high', alarm: 'alm_1', link: '/alarms/alm_1' };
  const wait = { waitUntil() {} };
  on.push({ ...wait, data: { json: () => pushed } });
  on.push({ ...wait, data: null });
  assert.deepEqual(shown[0][1], {
    body: 'SpO2 84 < 90',
    lang: 'en',
    tag: 'alm_1',
    renotify: true,
    requireInteraction: true,
    data: '/alarms/alm_1',
  });
  assert.equal(shown[1][0], 'Hearthward');
  for (const data of ['/alarms/alm_1', 'https://elsewhere.test/x', undefined]) {
    on.notificationclick({ ...wait, notification: { close() {}, data } });
  }
  assert.deepEqual(shown.slice(2), [`${origin}/alarms/alm_1`, '/', `${origin}/`]);
});
