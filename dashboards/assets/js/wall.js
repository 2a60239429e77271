// The ward wall: takes the live stream, keeps the tiles, the strip, the header and the sound.
import { SILENT_MS, ServerTime } from './ages.js';
import { connect } from './live.js';
import { act, report } from './answer.js';
import { call, localise } from './page.js';
import { Sound } from './sound.js';
import { PRIORITIES, Tile, alarmText, begun, fillAlarm, newRow, put, say, shownIn, sounds, toneOf, worse } from './tile.js';

/** @import { Alarm, Shared } from './types' */

/** @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);
const read = (/** @type {string} */ id) => JSON.parse(byId(id).textContent);

/** @param {string} tag @param {string} className @param {string} [text] */
function el(tag, className, text = '') {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

const strings = /** @type {Record<string, string>} */ (read('strings'));
const top_ = byId('top');
const lang = document.documentElement.lang;
const clock = new Intl.DateTimeFormat(lang, { hour: '2-digit', minute: '2-digit', hour12: false });
const clockLong = new Intl.DateTimeFormat(lang, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const REFETCH_MS = 1000, DRAW_MS = 250, TOAST_MS = 8000;
const STRIP = 6, MAX_WAITING = 500;
const REPORT_MS = 3000; // walls silent for 10 s are a technical alarm
const STILL_MS = 4000; // so long after a touch no tile moves

let touched = -STILL_MS;
const still = () => performance.now() - touched < STILL_MS;
/** @type {Shared} */
const shared = { strings, clock, language: lang.split('-')[0], assets: top_.dataset.assets, mayAccept: top_.dataset.accept === 'yes', still };

const tiles = /** @type {Map<string, Tile>} */ (new Map());
let loose = /** @type {Alarm[]} */ ([]);
let gateways = [0, 0], off = 0, mail = 0, seq = 0, why = '';
let heard = performance.now(), streaming = false;
let waiting = /** @type {any[] | undefined} */ (undefined);
let fetching = false, refetchTimer = 0, toastTimer = 0;
let known = /** @type {Map<string, Alarm> | undefined} */ (undefined);
const time = new ServerTime(0, 1);
const sound = new Sound(soundChanged);

/** @param {any} snapshot */
function load(snapshot) {
  ({ seq, why, gw: gateways, loose, off, mail } = snapshot);
  time.rate = snapshot.rate;
  time.set(snapshot.now);
  const focused = /** @type {HTMLElement | null} */ (document.activeElement?.closest('.tile'))?.dataset.patient;
  const before = new Map(tiles);
  tiles.clear();
  const groups = new Map();
  for (const data of snapshot.tiles) {
    const tile = new Tile(data, shared);
    tile.root.style.setProperty('--rank', before.get(data.id)?.root.style.getPropertyValue('--rank') ?? '');
    tiles.set(data.id, tile);
    const title = data.home ? strings.home : data.wardName || strings.unassigned;
    if (!groups.has(title)) groups.set(title, []);
    groups.get(title).push(tile);
  }
  const sections = [...groups].map(section);
  byId('tiles').replaceChildren(...(sections.length ? sections : [el('p', 'empty', strings.empty)]));
  const first = tiles.get(focused ?? '') ?? [...tiles.values()][0];
  if (first) first.root.tabIndex = 0;
  if (focused && tiles.has(focused)) first.root.focus();
  share();
  draw();
}

/** All tiles equally high; where wards do not fit the screen they are one list, and that worst first. */
function share() {
  const all = byId('tiles');
  const over = () => document.documentElement.scrollHeight > innerHeight + 1;
  all.classList.remove('flat', 'many');
  for (const grid of document.querySelectorAll('.grid')) {
    const columns = getComputedStyle(grid).gridTemplateColumns.split(' ').length;
    const group = /** @type {HTMLElement} */ (grid.parentElement);
    group.style.flexGrow = String(Math.ceil(grid.childElementCount / columns));
  }
  all.classList.toggle('flat', over());
  all.classList.toggle('many', over());
}
addEventListener('resize', share);

/** @param {[string, Tile[]]} group @param {number} i */
function section([title, members], i) {
  const [node, heading, grid] = [el('section', 'group'), el('h2', '', title), el('div', 'grid')];
  heading.id = `group-${i}`;
  node.setAttribute('aria-labelledby', heading.id);
  grid.append(...members.map((m) => m.root));
  node.append(heading, grid);
  return node;
}

async function refetch() {
  if (fetching) return;
  fetching = true;
  waiting ??= [];
  clearTimeout(refetchTimer);
  try {
    const { status, data } = await call('GET', 'wall');
    if (status === 401) return location.assign('/login?next=/ward');
    if (status !== 200) throw new Error(String(status));
    load(data);
    const later = waiting ?? [];
    waiting = undefined;
    fetching = false;
    later.forEach(patch);
  } catch {
    fetching = false;
    refetchTimer = setTimeout(refetch, REFETCH_MS);
  }
}

/** @param {any} data */
function patch(data) {
  if (waiting && waiting.length < MAX_WAITING) waiting.push(data);
  if (waiting || data.seq <= seq) return;
  if (data.seq !== seq + 1) return void refetch();
  seq = data.seq;
  time.set(data.now);
  const now = time.now();
  if (data.loose) ({ loose, off, mail } = data);
  for (const change of data.tiles) {
    const tile = tiles.get(change.id);
    tile?.take(change);
    tile?.render(now, silentSince());
  }
  header();
}

/** @param {import('./stream.js').Message} message */
function hear({ kind, data }) {
  streaming = kind !== 'lost';
  if (streaming) heard = performance.now();
  else refetch(); // is the server back, and does it still know this login?
  if (kind === 'patch') return patch(data);
  if (kind === 'refetch') refetch();
  if (kind === 'beat') {
    ({ why, gw: gateways } = data);
    if (!waiting && data.seq !== seq) refetch();
    time.set(data.now);
  }
  draw(); // the timers of a hidden page come only once a minute
}

const silent = () => performance.now() - heard > SILENT_MS || why !== '';
/** The server's time when it was last heard, if the wall is stale. */
const silentSince = () => (silent() ? time.at : null);

function draw() {
  const now = time.now();
  const stale = silentSince();
  for (const tile of tiles.values()) tile.render(now, stale);
  header();
}

function reason() {
  if (why || !streaming) return strings[`why_${why || 'lost'}`] ?? strings.why_source;
  return put(strings.why_silent, { s: Math.round((performance.now() - heard) / 1000) });
}

function header() {
  const now = time.now();
  const stale = silent();
  document.body.classList.toggle('wall-stale', stale);
  const link = byId('link');
  link.className = stale ? 'pill off' : 'pill on';
  say(link.querySelector('b'), stale ? strings.stale : strings.live);
  say(link.querySelector('span'), stale ? reason() : '');
  say(byId('clock'), clockLong.format(now));
  const all = [...tiles.values(), undefined].flatMap((tile) => (tile?.data.a ?? loose).map((alarm) => ({ alarm, tile })));
  all.sort((a, b) => worse(a.alarm, b.alarm));
  counts(all.map((a) => a.alarm).filter((a) => !a.r));
  const reporting = stale ? 0 : [...tiles.values()].filter((t) => t.reporting).length;
  const boxes = put(strings.gateways, { n: gateways[0], all: gateways[1] });
  say(byId('coverage'), `${put(strings.reporting, { n: reporting, all: tiles.size })} · ${boxes}`);
  strip(all, now, stale);
  const fresh = announce(all.filter(({ alarm }) => !alarm.r));
  const level = toneOf(all.map((a) => a.alarm), stale);
  document.body.dataset.heard = level ?? '';
  sound.set(level, fresh.some(({ alarm }) => sounds(alarm)));
}

/** @param {Alarm[]} alarms */
function counts(alarms) {
  const all = [...PRIORITIES.map((p) => [p, alarms.filter((a) => a.p === p && !a.c).length]), ['ended', alarms.filter((a) => a.c).length]];
  const parts = [...all, ['off', off], ['mail', mail]].filter(([, n]) => n);
  const node = byId('counts');
  const key = JSON.stringify(parts);
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.replaceChildren(
    ...parts.map(([p, n]) => {
      const href = p === 'off' ? '/inactivations' : p === 'mail' && top_.dataset.mail;
      const part = el(href ? 'a' : 'span', `n-${p}`, put(strings[`count_${p}`], { n }));
      if (href) part.setAttribute('href', href);
      return part;
    }),
  );
}

/** @param {{alarm: Alarm, tile: Tile | undefined}[]} all @param {number} now @param {boolean} stale */
function strip(all, now, stale) {
  const node = byId('strip');
  const shown = all.filter(({ alarm }, i) => i < STRIP || alarm.name); // who has no tile is seen here only
  const calm = !all.length && [...tiles.values()].some((t) => t.live && t.watched); // else it is not known
  const text = stale ? strings.alarms_unknown : calm ? strings.no_alarms : '';
  const key = JSON.stringify([text, all.length, shown.map((a) => [a.alarm.id, !a.tile])]);
  if (node.dataset.key !== key) {
    node.dataset.key = key;
    const items = shown.map(({ alarm, tile }) => stripItem(alarm, tile));
    const more = all.length > shown.length ? put(strings.more, { n: all.length - shown.length }) : '';
    const notes = [el('p', stale ? 'note warn' : 'note', text), ...items, el('p', 'note', more)];
    node.replaceChildren(...notes.filter((n) => n.textContent));
  }
  const rows = node.querySelectorAll('.alarm');
  shown.forEach(({ alarm, tile }, i) => fillAlarm(rows[i], alarm, now, shared, place(tile, alarm)));
}

/** @param {Alarm} alarm @param {Tile | undefined} tile */
function stripItem(alarm, tile) {
  const row = newRow();
  const item = el(tile ? 'button' : 'div', 'alarm');
  item.append(...row.querySelectorAll(tile ? '.line > *' : '.line > *, .alarm > :not(.line)'));
  item.children[1].after(el('span', 'where', place(tile, alarm)));
  if (tile) Object.assign(item, { type: 'button', onclick: () => focus(tile) });
  return item;
}

/** @param {Tile | undefined} tile @param {Alarm} alarm */
const place = (tile, alarm) => (tile ? tile.data.bed || tile.data.name : alarm.name || strings.system);

/** @param {{alarm: Alarm, tile: Tile | undefined}[]} all */
function announce(all) {
  const before = known;
  known = new Map(all.map(({ alarm }) => [alarm.id, alarm]));
  const fresh = before ? all.filter(({ alarm }) => begun(alarm, before.get(alarm.id))) : [];
  if (!fresh.length) return fresh;
  const spoken = fresh.map(({ alarm, tile }) => {
    const what = alarmText(alarm, shared.language);
    return put(strings.new_alarm, { priority: strings[`p_${alarm.p}`], where: place(tile, alarm), what });
  });
  byId('said').textContent = spoken.join('. ');
  return fresh;
}

/** @param {MouseEvent} event */
async function press({ target }) {
  const button = /** @type {HTMLButtonElement | null} */ (/** @type {Element} */ (target).closest('.alarm [data-act]'));
  const alarm = button && shownIn.get(/** @type {Element} */ (button.closest('.alarm')));
  if (!alarm || button.disabled) return;
  button.disabled = true;
  if (button.dataset.act === 'accept') button.textContent = strings.accepting;
  const why = await act(`alarms/${encodeURIComponent(alarm.id)}/${button.dataset.act}`, {}, strings);
  if (why) toast(put(strings.not_done, { why }));
  button.disabled = false;
}
document.addEventListener('click', press);

/** @param {string} text */
function toast(text) {
  const node = byId('toast');
  Object.assign(node, { hidden: false, textContent: text });
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (node.hidden = true), TOAST_MS);
}

/** @param {Tile} tile */
function focus(tile) {
  for (const other of tiles.values()) other.root.tabIndex = -1;
  tile.root.tabIndex = 0;
  tile.root.focus();
}

/** @param {Tile} tile */
async function detail(tile) {
  const { htmx } = /** @type {any} */ (window);
  try {
    await htmx.ajax('GET', `/ward/patient/${encodeURIComponent(tile.data.id)}`, { target: '#detail-body', swap: 'innerHTML' });
    localise(byId('detail-body'));
    if (!byId('detail').open) byId('detail').showModal();
  } catch {
    toast(strings.failed);
  }
}

/** @param {string} key */
function step(key) {
  const list = [...tiles.values()].map((t) => ({ t, box: t.root.getBoundingClientRect() }));
  const here = list.find(({ t }) => t.root === document.activeElement);
  const first = list.find(({ t }) => t.root.tabIndex === 0) ?? list[0];
  if (!here) return first && focus(first.t);
  const sideways = key === 'ArrowLeft' || key === 'ArrowRight';
  const sign = key === 'ArrowRight' || key === 'ArrowDown' ? 1 : -1;
  const [along, across] = /** @type {['x' | 'y', 'x' | 'y']} */ (sideways ? ['x', 'y'] : ['y', 'x']);
  const ahead = list
    .map(({ t, box }) => ({ t, far: sign * (box[along] - here.box[along]), off: Math.abs(box[across] - here.box[across]) }))
    .filter(({ far, off }) => far > 4 && (!sideways || off < 4))
    .sort((a, b) => a.far + 2 * a.off - (b.far + 2 * b.off));
  if (ahead.length) focus(ahead[0].t);
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const tile = tileAt(event);
  const key = event.key.toLowerCase();
  if (key.startsWith('arrow')) {
    event.preventDefault();
    step(event.key);
  } else if (key === '?') byId('help').showModal();
  else if (key === 'p') open('/ward/print', '_blank', 'noopener'); // the wall stays, and is heard
  else if (key === 'a' && tile) (tile.button('accept') ?? tile.button('acknowledge'))?.click();
  else if (key === 's' && tile) (tile.button('pause-audio') ?? tile.button('resume-audio'))?.click();
  else if (key === 'enter' && tile && event.target === tile.root) detail(tile);
});
byId('tiles').addEventListener('click', opened);
for (const kind of ['pointermove', 'pointerdown', 'keydown', 'focusin']) {
  byId('tiles').addEventListener(kind, () => (touched = performance.now()), { passive: true });
}
top_.querySelector('[data-do="help"]').addEventListener('click', () => byId('help').showModal());

/** @param {Event} event */
const tileAt = ({ target }) => tiles.get(/** @type {Element} */ (target).closest('.tile')?.getAttribute('data-patient') ?? '');

/** @param {MouseEvent} event */
function opened(event) {
  const tile = tileAt(event);
  if (!tile || /** @type {Element} */ (event.target).closest('button')) return;
  focus(tile);
  detail(tile);
}

async function tellServer(closed = false) {
  if (top_.dataset.reports !== 'yes') return;
  const { wards, check } = await report(sound.audible, closed);
  const mute = wards.filter((w) => !w.audible).map((w) => w.name);
  say(byId('unheard'), mute.length ? put(strings.unheard, { wards: mute.join(', ') }) : '');
  const bar = byId('sound-check');
  bar.hidden = !check;
  const text = check?.failed ? strings.check_failed : strings.check_due;
  if (check) say(bar.querySelector('b'), put(text, { time: clock.format(Date.parse(check.since)) }));
}
addEventListener('pagehide', () => tellServer(true));

function soundChanged() {
  tellServer();
  byId('sound-bar').hidden = sound.audible;
  share();
  say(byId('sound-bar').firstElementChild, strings.sound_off);
  say(byId('sound-state'), sound.audible ? strings.sound_on : '');
}
byId('sound-bar').addEventListener('click', () => sound.enable());

/** Play the alarm tone, then tell whether it was heard. @param {MouseEvent} event */
async function checkSound(event) {
  const button = /** @type {Element} */ (event.target).closest('button');
  if (!button) return;
  const [play, ...answers] = byId('sound-check').querySelectorAll('button');
  if (button === play) await sound.enable();
  for (const other of answers) other.hidden = button !== play; // each check is heard anew
  if (button === play) return sound.set('high', true);
  const failure = await act('live/sound-check', { heard: button.value === 'yes' }, strings);
  if (failure) toast(put(strings.not_done, { why: failure }));
  tellServer();
}
byId('sound-check').addEventListener('click', checkSound);

const first = read('snapshot');
load(first);
soundChanged();
setInterval(draw, DRAW_MS);
setInterval(tellServer, REPORT_MS);
connect(top_.dataset.user, `${first.boot}-${first.seq}`, hear);
