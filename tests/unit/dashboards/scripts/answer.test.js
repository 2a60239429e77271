import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, mock, test } from 'node:test';
import { goOn, stopTime } from './fakes.js';

const strings = { e_taken: 'taken', e_403: 'not allowed', failed: 'failed', e_wrong: 'wrong' };
const dialog = { form: { reset() {} }, wrong: { textContent: '' }, returnValue: '' };
const who = { hidden: true, firstElementChild: { replaceChildren: (name) => (who.name = name) } };
let asked;
let answers;
let script;

before(async () => {
  stopTime();
  Object.assign(dialog, {
    querySelector: (what) => ({ form: dialog.form, '[role="alert"]': dialog.wrong })[what] ?? null,
    showModal: () => (dialog.open = true),
    close(value = '') {
      Object.assign(dialog, { open: false, returnValue: value });
      dialog.onclose();
    },
  });
  who.querySelector = () => null;
  globalThis.document = {
    documentElement: { lang: 'en', dataset: {} },
    getElementById: (id) => ({ unlock: dialog, unlocked: who })[id],
    querySelector: () => ({ getAttribute: () => 'the token' }),
    querySelectorAll: () => [],
    addEventListener() {},
  };
  globalThis.FormData = class {
    *[Symbol.iterator]() {
      yield* [['badge', '04A1B2'], ['login', '']];
    }
  };
  globalThis.fetch = async (path, options) => {
    asked.push([path, options]);
    const [status, body] = answers.shift() ?? [0];
    if (!status) throw new TypeError('no network');
    return { status, json: async () => body };
  };
  script = await import('../../../../dashboards/assets/js/answer.js');
});
beforeEach(() => {
  asked = [];
  answers = [];
});
afterEach(() => mock.timers.tick(120_000));
process.on('exit', goOn);

const problem = (status, field, code) => [status, { status, errors: [{ field, code }] }];
const settle = () => new Promise(setImmediate);

test('what was done needs no words; the request proves where it comes from', async () => {
  answers = [[200, {}]];
  assert.equal(await script.act('alarms/a/accept', {}, strings), '');
  const [[path, { method, headers }]] = asked;
  assert.equal(`${method} ${path}`, 'POST /api/v1/alarms/a/accept');
  assert.equal(headers['X-CSRF-Token'], 'the token');
});

test('why it could not be done is said: by code, by status, or at least that it failed', async () => {
  answers = [problem(409, 'alarm', 'taken'), problem(403, '', ''), [500, {}], [0]];
  const said = [];
  for (let i = 0; i < 4; i += 1) said.push(await script.act('alarms/a/accept', { note: 'n' }, strings));
  assert.deepEqual(said, ['taken', 'not allowed', 'failed', 'failed']);
});

test('a shared wall asks who it is, says what is wrong, and then does it', async () => {
  answers = [problem(422, 'badge', 'required'), problem(422, 'badge', 'wrong'), [200, { name: 'Li Na', seconds: 60 }], [200, {}]];
  const done = script.act('alarms/a/accept', { note: 'n' }, strings);
  await settle();
  assert.ok(dialog.open);
  await dialog.form.onsubmit({ preventDefault() {} });
  assert.equal(dialog.wrong.textContent, 'wrong');
  assert.ok(dialog.open);
  await dialog.form.onsubmit({ preventDefault() {} });
  assert.equal(await done, '');
  assert.equal(who.name, 'Li Na');
  assert.deepEqual(asked.map(([, { body }]) => JSON.parse(body)), [{ note: 'n' }, { badge: '04A1B2' }, { badge: '04A1B2' }, { note: 'n' }]);
  mock.timers.tick(500);
  assert.equal(who.hidden, false);
  mock.timers.tick(60_000);
  assert.equal(who.hidden, true);
});

test('giving up the question does nothing and says nothing', async () => {
  answers = [problem(422, 'badge', 'required')];
  const done = script.act('alarms/a/accept', { note: 'n' }, strings);
  await settle();
  dialog.close();
  assert.equal(await done, '');
  assert.equal(asked.length, 1);
});

test('a wall reports itself under one name, and lives without an answer', async () => {
  answers = [[200, { wards: [{ name: 'Ward A', audible: 0 }] }], [0]];
  assert.deepEqual(await script.report(true, false), { wards: [{ name: 'Ward A', audible: 0 }] });
  assert.deepEqual(await script.report(false, true), { wards: [] });
  const [one, two] = asked.map(([, { body }]) => JSON.parse(body));
  assert.equal(one.wall, two.wall);
  assert.match(one.wall, /^w[a-z0-9]{8,79}$/);
  assert.deepEqual([one.audible, two.closed], [true, true]);
});
