// Pictures of trends: what the server has summed up, with limits and alarms drawn in; arrow keys go through it.
import { localise } from './page.js';
/** `data` is uPlot's: times (s), then low, high and mean of each line. A mark without a value is an alarm.
 * @typedef {{start: number, end: number, data: (number | null)[][], lines: {name: string, unit: string, dots: boolean}[], marks: {start: number, end: number, value: number | null, tone: string}[]}} Told
 * @typedef {{box: HTMLElement, told: Told, plot: any, asked: number}} Picture
 */
const Plot = /** @type {any} */ (globalThis).uPlot, root = document.documentElement; // uPlot is a plain script, loaded before
const format = (/** @type {Intl.DateTimeFormatOptions} */ o) => new Intl.DateTimeFormat(root.lang, { ...o, hour12: false });
const clock = format({ hour: '2-digit', minute: '2-digit' }), day = format({ month: 'short', day: 'numeric' }), stamp = format({ month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' });
const colour = (/** @type {string} */ name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
const pictures = /** @type {Map<Element, Picture>} */ (new Map());
/** Alarms as bands behind the lines, or limits as dashes over them. @param {any} u @param {Told} told @param {boolean} alarms */
function mark({ ctx, bbox, valToPos }, told, alarms) {
  const px = devicePixelRatio, mine = told.marks.filter((m) => (m.value === null) === alarms);
  ctx.save();
  for (const { start, end, value, tone } of mine) {
    const from = Math.max(valToPos(start, 'x', true), bbox.left), width = Math.max(Math.min(valToPos(end, 'x', true), bbox.left + bbox.width) - from, 2 * px);
    for (const [fill, height] of alarms ? [['2e', bbox.height], ['', 4 * px]] : []) {
      ctx.fillStyle = colour(tone) + fill;
      ctx.fillRect(from, bbox.top, width, height);
    }
    Object.assign(ctx, { strokeStyle: colour(tone), lineWidth: 1.5 * px }).setLineDash([6 * px, 4 * px]);
    if (!alarms) ctx.stroke(new Path2D(`M${from} ${valToPos(value, 'y', true)}h${width}`));
  }
  ctx.restore();
}
/** Say what stands at the cursor. @param {Picture} p */
function read({ box, told, plot }) {
  const i = plot?.cursor.idx ?? -1, at = (/** @type {number} */ column) => told.data[column]?.[i] ?? null;
  const span = (/** @type {number} */ n) => (at(n + 1) === at(n + 2) ? '' : ` (${at(n + 1)} – ${at(n + 2)})`);
  const said = told.lines.flatMap((l, n) => (at(3 * n + 3) === null ? [] : [`${l.name} ${at(3 * n + 3)} ${l.unit}${span(3 * n)}`]));
  const text = said.length ? [stamp.format((at(0) ?? 0) * 1000), ...said].join(' · ') : '–';
  for (const out of box.closest('figure')?.querySelectorAll('.readout') ?? []) out.textContent = said.length ? text : '';
  for (const [name, value] of [['now', i], ['text', text], ['min', -1], ['max', told.data[0]?.length]]) box.setAttribute(`aria-value${name}`, String(value));
}
/** @param {Picture} p */
function draw(p) {
  p.plot?.destroy();
  p.box.querySelector('svg')?.remove();
  const { box } = p, grid = { width: 1, stroke: colour('line') }, tones = p.told.lines.map((_, n) => colour(['accent', 'stale', 'good'][n] ?? 'muted'));
  const axis = { stroke: colour('muted'), grid, ticks: grid, font: '12px system-ui', size: 44 }, edge = { width: 0, points: { show: false } };
  const times = (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((t) => (p.told.end - p.told.start > 172800 ? day : clock).format(t * 1000));
  const range = (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => {
    const values = [low, high, ...p.told.marks.map((m) => m.value ?? low)], least = Math.min(...values), most = Math.max(...values), pad = (most - least) * 0.08 || 1;
    return [least - pad, most + pad];
  };
  p.plot = new Plot({
    width: box.clientWidth, height: box.clientHeight, padding: [12, 12, 0, 0], legend: { show: false }, cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { range: () => [p.told.start, p.told.end] }, y: { range } }, axes: [{ ...axis, size: 32, values: times }, axis],
    series: [{}, ...p.told.lines.flatMap((l, n) => [edge, edge, { stroke: tones[n], width: 2, points: { show: l.dots, size: 5 } }])],
    bands: p.told.lines.map((_, n) => ({ series: [3 * n + 2, 3 * n + 1], fill: `${tones[n]}33` })),
    hooks: { drawClear: [(/** @type {any} */ u) => mark(u, p.told, true)], draw: [(/** @type {any} */ u) => mark(u, p.told, false)], setCursor: [() => read(p)] },
  }, p.told.data, box);
}
/** @param {HTMLElement} box */
function begin(box) {
  const p = { box, told: JSON.parse(box.querySelector('script')?.textContent ?? ''), plot: /** @type {any} */ (null), asked: Date.now() };
  for (const [name, value] of [['role', 'slider'], ['tabindex', '0'], ['aria-label', box.dataset.label]]) box.setAttribute(name ?? '', value ?? '');
  pictures.set(box, p);
  [draw, read].forEach((step) => step(p));
  new ResizeObserver(() => p.plot.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
  box.addEventListener('keydown', (event) => {
    const times = p.told.data[0], last = times.length - 1, now = p.plot.cursor.idx ?? last + 1;
    const to = /** @type {Record<string, number>} */ ({ ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 10, PageDown: now + 10, Home: 0, End: last })[event.key];
    if (to !== undefined) event.preventDefault();
    if (to !== undefined) p.plot.setCursor({ left: p.plot.valToPos(times[Math.min(Math.max(to, 0), last)], 'x'), top: 0 });
  });
}
/** Ask again for what goes on; when that fails, say so. @param {Picture} p */
async function refresh(p) {
  const figure = p.box.closest('figure'), answer = await fetch(p.box.dataset.from ?? '', { headers: { 'HX-Request': 'true' }, signal: AbortSignal.timeout(8000) }).catch(() => null);
  const made = answer?.ok ? new DOMParser().parseFromString(await answer.text(), 'text/html') : null, data = made?.querySelector('.plot script')?.textContent;
  for (const old of figure?.querySelectorAll('.old') ?? []) old.toggleAttribute('hidden', Boolean(data));
  if (!figure || !data) return;
  for (const part of ['figcaption', '.beside ul', 'tbody']) figure.querySelector(part)?.replaceChildren(...made?.querySelector(part)?.childNodes ?? []);
  localise(figure);
  p.plot.setData((p.told = JSON.parse(data)).data);
}
function look() {
  document.querySelectorAll('.plot').forEach((box) => pictures.has(box) || begin(/** @type {HTMLElement} */ (box)));
  for (const [box, p] of pictures) if (!box.isConnected && pictures.delete(box)) p.plot.destroy();
}

new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
new MutationObserver(() => pictures.forEach(draw)).observe(root, { attributeFilter: ['data-theme'] });
const due = (/** @type {Picture} */ p) => !document.hidden && Number(p.box.dataset.poll) && Date.now() - p.asked >= Number(p.box.dataset.poll) * 1000;
setInterval(() => pictures.forEach((p) => due(p) && refresh(Object.assign(p, { asked: Date.now() }))), 1000);
look();
