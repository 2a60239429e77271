import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alarmText, begun, sounds, toneOf, worse } from '../../../../dashboards/assets/js/tile.js';

let next = 0;
const alarm = (more) => ({ id: `a${(next += 1)}`, p: 'high', onset: 100, by: null, text: { en: 'low' }, ...more });

test('worst first: present, priority, nobody has it, longest', () => {
  const inOrder = [
    alarm({ onset: 50 }),
    alarm({ onset: 60 }),
    alarm({ by: 'Li Na', onset: 1 }),
    alarm({ p: 'medium' }),
    alarm({ p: 'low' }),
    alarm({ c: 'latched' }),
    alarm({ c: 'latched', p: 'low' }),
    alarm({ r: 'root' }),
  ];
  const mixed = [5, 2, 7, 0, 4, 6, 1, 3].map((i) => inOrder[i]);
  assert.deepEqual(mixed.sort(worse), inOrder);
});

test('only what is present, not paused and not under another is heard', () => {
  assert.ok(sounds(alarm()));
  assert.ok(sounds(alarm({ by: 'Li Na' })), 'accepted is not silenced');
  for (const quiet of [{ c: 'latched' }, { s: 'audio_paused' }, { s: 'alarm_off' }, { r: 'root' }]) {
    assert.ok(!sounds(alarm(quiet)));
  }
});

test("an alarm's text is the reader's, else English, never nothing", () => {
  assert.equal(alarmText(alarm({ text: { en: 'low', zh: '低' } }), 'zh'), '低');
  assert.equal(alarmText(alarm(), 'zh'), 'low');
  assert.equal(alarmText(alarm({ id: 'alm', text: {} }), 'zh'), 'alm');
});

test('heard: the best priority; of that a patient before what is technical, a stale wall as one of high priority', () => {
  const technical = (more) => alarm({ k: 'technical', ...more });
  for (const [all, stale, expected] of [
    [[], false, undefined],
    [[], true, 'technical'],
    [[technical()], false, 'technical'],
    [[technical(), alarm({ by: 'Li Na' })], false, 'high'],
    [[technical(), alarm({ p: 'medium' })], false, 'technical'],
    [[alarm({ p: 'medium' }), technical({ p: 'medium' })], false, 'medium'],
    [[alarm({ s: 'audio_paused' }), technical({ p: 'low' })], false, 'technical'],
    [[technical(), alarm({ by: 'Li Na' })], true, 'high'],
    [[alarm({ p: 'medium' })], true, 'technical'],
  ]) {
    assert.equal(toneOf(all.sort(worse), stale), expected, JSON.stringify([all, stale]));
  }
});

test('new is a new alarm, one more episode, or a higher priority; not what is accepted or has ended', () => {
  assert.ok(begun(alarm()));
  assert.ok(begun(alarm({ e: 1 }), alarm()));
  assert.ok(begun(alarm(), alarm({ c: 'latched' })));
  assert.ok(begun(alarm(), alarm({ p: 'low' })));
  assert.ok(!begun(alarm({ p: 'low' }), alarm()));
  assert.ok(!begun(alarm({ by: 'Li Na' }), alarm()));
  assert.ok(!begun(alarm({ c: 'latched', e: 1 }), alarm()));
});
