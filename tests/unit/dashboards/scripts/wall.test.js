import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach, mock, test } from 'node:test';
import { FakeEventSource, goOn, stopTime } from './fakes.js';

const DAY = Date.UTC(2026, 0, 1);
const SCRIPTS = new URL('../../../../dashboards/assets/js/', import.meta.url);
const named = ['wall.js', 'tile.js'].flatMap((name) => [...readFileSync(new URL(name, SCRIPTS), 'utf8').matchAll(/strings\.(\w+)/g)]);
const STRINGS = {
  ...Object.fromEntries([...named.map(([, key]) => key), 'count_high', 'count_low', 'count_ended', 'age_s'].map((key) => [key, key])),
  no_alarms: 'No active alarms',
  alarms_unknown: 'alarms unknown',
  new_alarm: '{priority} {where} {what}',
  p_high: 'high',
  p_low: 'low',
};

/** As much of an element as the wall needs: whatever is looked for in it is there. */
class Node {
  constructor(className = '') {
    Object.assign(this, { className, dataset: {}, attributes: {}, found: {}, children: [], parts: {}, own: '', hidden: false, on: new Set(), style: { getPropertyValue: (name) => this.parts[name] ?? '', setProperty: (name, value) => (this.parts[name] = value) } });
    this.classList = { add() {}, remove() {}, contains: (name) => this.on.has(name), toggle: (name, on) => (on ? this.on.add(name) : this.on.delete(name)) };
  }

  get content() {
    return { firstElementChild: this };
  }

  get firstElementChild() {
    return this.querySelector(':first-child');
  }

  get textContent() {
    return [this.own, ...this.children.map((c) => c.textContent)].join('');
  }

  set textContent(text) {
    this.own = text;
  }

  cloneNode() {
    return new Node(this.className);
  }

  querySelector(what) {
    return (this.found[what] ??= new Node());
  }

  querySelectorAll(what) {
    if (what.startsWith('.line > *')) return ['mark', 'priority', 'what'].map((name) => Object.assign(new Node(name), { own: name }));
    return this.children.filter((c) => c.className === what.slice(1));
  }

  append(...nodes) {
    this.children.push(...nodes);
  }

  replaceChildren(...nodes) {
    this.children = nodes;
  }

  insertBefore(node) {
    this.children.push(node);
  }

  getAttribute(name) {
    return this.attributes[name] ?? null;
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  toggleAttribute() {}
  addEventListener() {}
  after() {}
  remove() {}
  closest() {
    return null;
  }
}

const alarm = (id, more) => ({ id, p: 'high', k: 'physiological', text: { en: id }, onset: DAY, by: null, late: false, ...more });
const value = (state, at = DAY) => ['97', state, at, 1, []];
const none = ['', 'none', 0, 0, []];
let seq = 1;
const tile = (state, alarms = [], at = Date.now() + DAY) => ({ v: { hr: none, spo2: value(state, at), rr: none, nibp: none }, a: alarms, q: [], i: [], n: false, m: 0, id: 'p', name: 'Wang', bed: 'A-01', ward: 'w', wardName: 'A', by: '', home: false, t: [] });
const snapshot = { boot: 'b', seq, now: DAY, rate: 1, why: '', gw: [1, 1], loose: [], off: 0, mail: 0, tiles: [tile('live', [], DAY)] };
const byId = {};
const body = new Node();

/** The server tells of the tile, and of what has none. */
function told(state, alarms, loose = []) {
  seq += 1;
  FakeEventSource.last.say('patch', { seq, now: Date.now() + DAY, tiles: [tile(state, alarms)], loose, off: 0, mail: 0 });
}
/** Time goes by, with the server's beats. */
function later(ms) {
  for (let gone = 0; gone < ms; gone += 1000) {
    mock.timers.tick(Math.min(1000, ms - gone));
    FakeEventSource.last.say('beat', { seq, now: Date.now() + DAY, why: '', gw: [1, 1] });
  }
}

before(async () => {
  stopTime();
  for (const id of ['snapshot', 'strings']) byId[id] = new Node();
  byId.snapshot.textContent = JSON.stringify(snapshot);
  byId.strings.textContent = JSON.stringify(STRINGS);
  byId.alarm = new Node('alarm');
  byId.top = Object.assign(new Node(), { dataset: { accept: 'yes', reports: 'no', user: 'u', assets: '' } });
  const document = Object.assign(new Node(), {
    body,
    documentElement: { lang: 'en', dataset: {}, scrollHeight: 0 },
    getElementById: (id) => (byId[id] ??= new Node()),
    createElement: () => new Node(),
  });
  Object.assign(globalThis, { document, EventSource: FakeEventSource, innerHeight: 100, addEventListener() {}, fetch: () => new Promise(() => {}) });
  await import('../../../../dashboards/assets/js/wall.js');
  FakeEventSource.last.open();
});
after(goOn);
beforeEach(() => {
  told('live', []);
  document.getElementById('said').textContent = '';
});

const strip = () => byId.strip.textContent;

test("a patient's alarm is heard as such beside a technical one of the same priority", () => {
  const silent = alarm('gateway', { k: 'technical', name: 'gateway', onset: DAY - 60_000 });
  told('live', [], [silent]);
  assert.equal(body.dataset.heard, 'technical');
  told('live', [alarm('spo2')], [silent]);
  assert.equal(body.dataset.heard, 'high');
});

test('that there is no alarm is said only while something is known', () => {
  assert.equal(strip(), 'No active alarms');
  told('stale', []);
  assert.equal(strip(), '', 'no alarm yet, but nothing is measured');
  told('live', []);
  assert.equal(strip(), 'No active alarms');
  later(5000);
  assert.equal(strip(), '', 'the page sees by itself that no value comes');
});

test('one more episode, and a higher priority, are spoken; that one ends is not', () => {
  told('live', [alarm('spo2', { p: 'low' })]);
  assert.match(byId.said.textContent, /low A-01 spo2/);
  const silent = (now) => {
    document.getElementById('said').textContent = '';
    told('live', [now]);
    assert.equal(byId.said.textContent, '');
  };
  silent(alarm('spo2', { p: 'low', by: 'Li Na' }));
  told('live', [alarm('spo2')]);
  assert.match(byId.said.textContent, /high A-01 spo2/);
  silent(alarm('spo2', { c: 'latched' }));
  told('live', [alarm('spo2', { e: 1 })]);
  assert.match(byId.said.textContent, /high A-01 spo2/);
});

test('a hidden page, whose timers hardly come, sees when the server is lost', () => {
  assert.ok(!body.classList.contains('wall-stale'));
  const now = Date.now() + 30_000; // and no timer came
  performance.now.mock.mockImplementation(() => now);
  FakeEventSource.last.fail(false);
  assert.ok(body.classList.contains('wall-stale'));
  assert.equal(body.dataset.heard, 'technical');
  assert.match(strip(), /alarms unknown/);
});
