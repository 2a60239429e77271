// One tile of the wall: text nodes that are written only when what they say changes.
import { STALE_INTERVALS, ageText, duration, effectiveState } from './ages.js';

/** @import { Alarm, Off, Patch, Shared, TileData } from './types' */

export const PRIORITIES = ['high', 'medium', 'low'];
/** Shape and text of each priority (the colour is the style sheet's). */
export const MARKS = { high: '▲ !!!', medium: '◆ !!', low: '● !' };
const MAX_ALARMS = 2;
const TREND_MS = 60_000;

/** @param {Element} node @param {string} text */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {Element} node @param {string} name @param {string} value */
function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A text with its `{fields}` filled in. @param {string} text @param {Record<string, string | number>} fields */
export const put = (text, fields) => text.replace(/\{(\w+)\}/g, (_, key) => String(fields[key]));

/** @param {Element} root @param {string} selector @returns {any} */
const within = (root, selector) => root.querySelector(selector);

/** The alarm that a row shows. @type {WeakMap<Element, Alarm>} */
export const shownIn = new WeakMap();

/** What has ended, or is shown under another, comes after all that is present. @param {Alarm} a */
const behind = (a) => (a.r ? 2 : a.c === 'latched' ? 1 : 0);

/** Worst first: priority, then nobody has it, then longest. @param {Alarm} a @param {Alarm} b */
export function worse(a, b) {
  return behind(a) - behind(b) || PRIORITIES.indexOf(a.p) - PRIORITIES.indexOf(b.p) || Number(!!a.by) - Number(!!b.by) || a.onset - b.onset;
}

/** Whether an alarm is heard. @param {Alarm} a */
export const sounds = (a) => !a.c && !a.s && !a.r;

/**
 * What is to be heard of alarms, worst first: the best priority; of that a patient's goes before what is technical.
 * @param {Alarm[]} all @param {boolean} stale  a technical alarm of high priority by itself
 */
export function toneOf(all, stale) {
  const on = all.filter(sounds);
  const best = stale ? 'high' : on[0]?.p;
  return on.some((a) => a.p === best && a.k !== 'technical') ? best : best && /** @type {const} */ ('technical');
}

/** Whether it is new: as a whole, as one more episode, or by a higher priority. @param {Alarm} a @param {Alarm} [before] */
export const begun = (a, before) => !before || (!a.c && (!!before.c || (a.e ?? 0) > (before.e ?? 0) || PRIORITIES.indexOf(a.p) < PRIORITIES.indexOf(before.p)));

/** @param {Alarm} alarm @param {string} language */
export const alarmText = (alarm, language) => alarm.text[language] ?? alarm.text.en ?? alarm.id;

export class Tile {
  /** @param {TileData} data @param {Shared} shared */
  constructor(data, shared) {
    this.data = data;
    this.shared = shared;
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById('tile'));
    this.root = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    this.root.dataset.patient = data.id;
    const heading = within(this.root, 'h3');
    heading.id = `tile-${data.id}`;
    this.root.setAttribute('aria-labelledby', heading.id);
    say(within(this.root, '.bed'), data.bed || shared.strings.home);
    say(within(this.root, '.name'), data.name);
    say(within(this.root, '.place'), data.home ? '' : data.wardName);
    say(within(this.root, '.by b'), data.by);
    this.verdict = within(this.root, '.verdict');
    this.list = within(this.root, '.alarms');
    this.rows = /** @type {Map<string, HTMLElement>} */ (new Map());
    this.more = Object.assign(document.createElement('li'), { className: 'more' });
    /** @type {[string, HTMLElement][]} */
    this.vitals = ['hr', 'spo2', 'rr', 'nibp'].map((key) => [key, within(this.root, `[data-vital="${key}"]`)]);
    this.live = /** @type {boolean | null} */ (null); // whether all that is measured is live; null: nothing is measured
    this.reporting = false;
    this.watched = true; // rules do not look at demo or test values
  }

  /** @param {Patch} patch */
  take(patch) {
    const [text, state, at] = patch.v.hr;
    if (state === 'live' && at > this.data.v.hr[2] && text) this.data.t.push([at, Number(text)]);
    if (this.data.t.length > 90) this.data.t.shift();
    Object.assign(this.data, patch);
  }

  /** @param {number} now  server's time, ms @param {number | null} silent  when it was last heard, if too long ago */
  render(now, silent) {
    const unknown = this.#vitals(now, silent);
    const alarms = [...this.data.a].sort(worse);
    this.#verdict(alarms, unknown, now);
    const asked = this.data.q.map((a) => alarmText(a, this.shared.language)).join(' · ');
    say(within(this.root, '.asked'), asked && put(this.shared.strings.asked, { what: asked }));
    this.#off();
    this.#alarms(alarms, now);
    this.#trend(now);
    within(this.root, '.vitals').classList.toggle('tight', alarms.length > 1 || (alarms.length > 0 && !this.live));
    this.#news();
    say(within(this.root, '.mail b'), this.data.m ? `✉ ${this.data.m}` : '');
    if (this.shared.still() && this.root.style.getPropertyValue('--rank')) return; // nothing moves away under a finger
    const [top] = alarms;
    const rank = !top || top.r ? (this.live && !asked ? 8 : 7) : top.c ? 6 : 2 * PRIORITIES.indexOf(top.p) + Number(!!top.by);
    if (this.root.style.getPropertyValue('--rank') !== String(rank)) this.root.style.setProperty('--rank', String(rank));
  }

  /** @param {number} now @param {number | null} silent */
  #vitals(now, silent) {
    const { strings, assets } = this.shared;
    /** @type {{since: number, label: string}[]} */
    const unknown = [];
    let measured = 0;
    this.reporting = false;
    const tags = new Set();
    for (const [key, node] of this.vitals) {
      const value = this.data.v[key];
      const state = effectiveState(value, now, silent !== null);
      const since = silent !== null && value[1] === 'live' ? silent : value[2];
      mark(node, 'data-state', state);
      const shown = within(node, '.value');
      say(shown, value[0]);
      // A value is never cut off: one with decimals is set smaller.
      shown.classList.toggle('long', value[0].length > (key === 'nibp' ? 7 : 3));
      mark(within(node, 'use'), 'href', `${assets}/icons.svg#${state}`);
      const old = !['live', 'none', 'never'].includes(state) && value[2] > 0;
      const age = old ? ` ${ageText(now - since, strings)}` : '';
      say(within(node, '.state span'), strings[`s_${state}`] + age);
      for (const flag of value[4]) if (flag === 'demo' || flag === 'test') tags.add(strings[flag]);
      if (state === 'none') continue;
      measured += 1;
      if (state === 'live') this.reporting = true;
      else unknown.push({ since, label: node.querySelector('dt')?.firstChild?.textContent?.trim() ?? key });
    }
    this.live = measured ? unknown.length === 0 : null;
    const tag = within(this.root, '.tag');
    tag.hidden = tags.size === 0;
    this.watched = tags.size === 0;
    say(tag, [...tags].join(', '));
    return unknown;
  }

  /** @param {Alarm[]} alarms @param {{since: number, label: string}[]} unknown @param {number} now */
  #verdict(alarms, unknown, now) {
    const { strings, assets, clock } = this.shared;
    const ok = this.live === true && this.watched && !alarms.length && !this.data.q.length;
    mark(this.root, 'data-s', ok ? 'ok' : this.live && this.watched ? 'alarm' : 'unknown');
    mark(this.root, 'data-p', alarms.length && !behind(alarms[0]) ? alarms[0].p : '');
    let text = '';
    if (this.live === null) text = strings.unknown_none;
    else if (unknown.length) {
      const since = Math.min(...unknown.map((u) => u.since).filter((at) => at > 0));
      text = strings.unknown_never;
      if (Number.isFinite(since)) text = put(strings.unknown, { time: clock.format(since), age: ageText(now - since, strings) });
      if (this.reporting) text += ` · ${unknown.map(({ label }) => label).join(', ')}`;
    } else if (!this.watched) text = strings.not_watched;
    else if (ok) text = strings.ok;
    this.verdict.hidden = !text;
    within(this.verdict, '.icon').toggleAttribute('hidden', !ok);
    mark(within(this.verdict, 'use'), 'href', `${assets}/icons.svg#live`);
    say(within(this.verdict, 'span'), text && !ok ? `? ${text}` : text);
  }

  /** @param {Alarm[]} alarms @param {number} now */
  #alarms(alarms, now) {
    const shown = alarms.slice(0, MAX_ALARMS);
    for (const [id, row] of this.rows) {
      if (shown.some((a) => a.id === id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    shown.forEach((alarm, place) => {
      const row = this.rows.get(alarm.id) ?? newRow();
      this.rows.set(alarm.id, row);
      if (this.list.children[place] !== row) this.list.insertBefore(row, this.list.children[place] ?? null);
      fillAlarm(row, alarm, now, this.shared, this.data.bed || this.data.name);
    });
    const hidden = alarms.length - shown.length;
    say(this.more, put(this.shared.strings.more, { n: hidden }));
    if (hidden > 0) this.list.append(this.more);
    else this.more.remove();
  }

  /** NEWS2, what is not known of it, and the learned risk. */
  #news() {
    const { strings, clock } = this.shared;
    const [chip, news] = [within(this.root, '.news'), this.data.n];
    chip.hidden = news === false;
    const [sum, worst, missing, at, scale] = news || [0, 0, [], 0, 1];
    say(within(chip, 'b'), news ? (missing.length ? '≥' : '') + sum : '–');
    const [beside, [how, risk, told]] = [within(chip, '.risk'), this.data.k ?? ['', '', 0]];
    say(beside, how && put(strings.risk, { risk }));
    mark(beside, 'data-k', how);
    mark(chip, 'data-risk', sum >= 7 ? 'high' : sum >= 5 || worst > 2 ? 'medium' : 'low');
    chip.classList.toggle('old', !this.reporting);
    const lacks = missing.length && put(strings.news_lacks, { what: missing.map((m) => strings[`n_${m}`]).join(', ') });
    const parts = [!news && strings.news_unknown, lacks, scale === 2 && strings.news_scale_2, at && put(strings.news_oldest, { time: clock.format(at) }), how && put(strings[`k_${how}`], { time: clock.format(told) })];
    const text = parts.filter(Boolean).join(' · ');
    mark(chip, 'title', text);
    say(within(chip, '.unseen'), text);
  }

  /** What is switched off for the patient or what measures them: always seen. */
  #off() {
    const { strings, clock } = this.shared;
    const parts = this.data.i.map((o) => `${strings[`off_${o.k}`]} ${put(strings.until, { time: clock.format(o.u) })}${o.of === this.data.id ? '' : ` (${o.name})`} · ${o.by}: ${o.why}`);
    say(within(this.root, '.off'), parts.join(' · '));
  }

  /** Painted anew once a second: four times would be too much of two hundred. @param {number} at */
  #trend(at) {
    const now = Math.ceil(at / 1000) * 1000;
    const points = this.data.t.filter(([t]) => now - t <= TREND_MS);
    const values = points.map(([, v]) => v);
    const low = Math.min(...values) - 3;
    const span = Math.max(...values) + 3 - low;
    const gap = STALE_INTERVALS * 1000 * (this.data.v.hr[3] || 1); // which no line bridges
    const line = points.map(([t, v], i) => {
      const x = 120 - ((now - t) / TREND_MS) * 120;
      return `${i && t - points[i - 1][0] <= gap ? 'L' : 'M'}${x.toFixed(1)} ${(24 - ((v - low) / span) * 24).toFixed(1)}`;
    });
    mark(within(this.root, '.trend path'), 'd', line.join(''));
  }

  /** The first button of a kind that can be pressed, for the keyboard. @param {string} act @returns {HTMLButtonElement | null} */
  button(act) {
    return this.root.querySelector(`[data-act="${act}"]:not([hidden])`);
  }
}

/** A row of an alarm, with its buttons. @returns {HTMLElement} */
export function newRow() {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById('alarm'));
  return /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
}

/** Who has it, or who is told next and when. @param {Alarm} alarm @param {number} now @param {Shared} shared */
function ownerText(alarm, now, { strings, clock }) {
  if (alarm.r) return strings.under;
  if (alarm.c) return put(strings.ended, { time: clock.format(alarm.ended ?? alarm.onset) });
  const quiet = alarm.s && alarm.s !== 'audio_paused' ? ` · ${strings[`off_${alarm.s}`]}` : '';
  if (alarm.by) return put(strings.accepted, { who: alarm.by }) + quiet;
  if (!alarm.nx || !alarm.to) return strings.nobody + quiet;
  const who = (alarm.to[0] === 'wall' ? strings.wall : alarm.to[0]) + (alarm.to.length > 1 ? ` +${alarm.to.length - 1}` : '');
  return put(strings.next, { who, time: duration(Math.max(0, alarm.nx - now)) }) + quiet;
}

/** @param {HTMLElement} row @param {Alarm} alarm @param {number} now @param {Shared} shared @param {string} where */
export function fillAlarm(row, alarm, now, shared, where) {
  const { strings, clock, language } = shared;
  shownIn.set(row, alarm);
  mark(row, 'data-p', alarm.p);
  mark(row, 'data-s', alarm.r ? 'under' : (alarm.c ?? alarm.s ?? 'on'));
  say(within(row, '.mark'), MARKS[alarm.p]);
  say(within(row, '.priority'), strings[`p_${alarm.p}`]);
  const late = alarm.late ? ` (${put(strings.late, { time: clock.format(alarm.onset) })})` : '';
  const again = alarm.e ? ` · ${put(strings.again, { n: alarm.e })}` : '';
  const below = alarm.n ? ` · ${put(strings.below, { n: alarm.n })}` : '';
  const what = alarmText(alarm, language);
  say(within(row, '.what'), what + late + again + below);
  say(within(row, '.since'), alarm.c ? '' : `· ${duration(now - alarm.onset)}`);
  const owner = within(row, '.owner');
  if (!owner) return;
  say(owner, ownerText(alarm, now, shared));
  const [accept, mute] = ['.accept', '.mute'].map((name) => within(row, name));
  const paused = alarm.s === 'audio_paused';
  accept.hidden = !shared.mayAccept || !!alarm.r || (!!alarm.by && !alarm.c);
  mark(accept, 'data-act', alarm.c ? 'acknowledge' : 'accept');
  if (!accept.disabled) say(accept, alarm.c ? strings.acknowledge : strings.accept);
  mark(accept, 'aria-label', put(alarm.c ? strings.acknowledge_for : strings.accept_for, { what: `${where} ${what}` }));
  mute.hidden = !shared.mayAccept || !(sounds(alarm) || paused);
  mark(mute, 'data-act', paused ? 'resume-audio' : 'pause-audio');
  mark(mute, 'aria-label', put(paused ? strings.sound_again : strings.pause_for, { what: `${where} ${what}` }));
  say(within(mute, 'span'), paused ? duration((alarm.su ?? now) - now) : '');
}
