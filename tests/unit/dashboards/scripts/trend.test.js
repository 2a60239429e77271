import assert from 'node:assert/strict';
import { before, beforeEach, mock, test } from 'node:test';

// What the browser would have: one figure with its picture, a plot that notes what it is told, a canvas.
const told = {
  start: 0,
  end: 400,
  data: [[100, 200, 300], [96, 84, null], [98, 86, null], [97, 85, null]],
  lines: [{ name: 'SpO2', unit: '%', dots: true }],
  marks: [
    { start: 0, end: 400, value: 90, tone: 'bad' },
    { start: 180, end: 260, value: null, tone: 'high' },
  ],
};
const parts = {};
let answer, drawn, looked, resized, plots, asked;

class Plot {
  constructor(options, data, box) {
    Object.assign(this, { options, data, box, cursor: { idx: null }, gone: false, sizes: [] });
    plots.push(this);
  }

  static get last() {
    return plots.at(-1);
  }

  valToPos(value) {
    return value;
  }

  setCursor({ left }) {
    this.cursor.idx = this.data[0].indexOf(left);
    this.options.hooks.setCursor.forEach((hook) => hook(this));
  }

  setData(data) {
    this.data = data;
  }

  setSize(size) {
    this.sizes.push(size);
  }

  destroy() {
    this.gone = true;
  }
}

const readout = { textContent: '' };
const warning = { hidden: true, toggleAttribute: (_, on) => (warning.hidden = on) };
const part = (name) => (parts[name] ??= { childNodes: [], replaceChildren: (...all) => (parts[name].childNodes = all) });
const figure = {
  querySelector: (what) => part(what),
  querySelectorAll: (what) => ({ '.readout': [readout], '.old': [warning] })[what] ?? [],
};
function picture() {
  const attributes = {};
  const listeners = {};
  return {
    attributes,
    listeners,
    clientWidth: 600,
    clientHeight: 200,
    isConnected: true,
    dataset: { label: 'SpO2, 1 hour', from: '/patients/p/trends/spo2', poll: '10' },
    querySelector: (what) => (what === 'script' ? { textContent: JSON.stringify(told) } : null),
    setAttribute: (name, value) => (attributes[name] = value),
    addEventListener: (kind, listener) => (listeners[kind] = listener),
    closest: () => figure,
    key(key) {
      let kept = true;
      listeners.keydown({ key, preventDefault: () => (kept = false) });
      return !kept;
    },
  };
}
let box = picture();
const changed = [];

before(async () => {
  mock.timers.enable({ apis: ['setInterval', 'Date'], now: 0 });
  plots = [];
  asked = [];
  Object.assign(globalThis, {
    uPlot: Plot,
    devicePixelRatio: 1,
    document: {
      hidden: false,
      body: {},
      documentElement: { lang: 'en', dataset: {} },
      querySelector: () => null,
      querySelectorAll: (what) => (what === '.plot' ? [box] : []),
      addEventListener() {},
    },
    getComputedStyle: () => ({ getPropertyValue: (name) => ` ${name.slice(2)} ` }),
    MutationObserver: class {
      constructor(act) {
        changed.push(act);
      }

      observe() {}
    },
    ResizeObserver: class {
      constructor(act) {
        resized = act;
      }

      observe() {}
    },
    Path2D: class {
      constructor(path) {
        this.path = path;
      }
    },
    DOMParser: class {
      parseFromString(text) {
        const made = JSON.parse(text);
        return {
          querySelector: (what) =>
            what === '.plot script' ? { textContent: JSON.stringify(made.told) } : { childNodes: [`${what} of then`] },
        };
      }
    },
    fetch: async (path, options) => {
      asked.push([path, options.headers]);
      return answer?.();
    },
  });
  await import('../../../../dashboards/assets/js/trend.js');
  [looked, drawn] = changed;
});
beforeEach(() => (answer = undefined));

const settle = () => new Promise(setImmediate);

test('the scale holds the values and every limit, with room beside them', () => {
  const { y, x } = Plot.last.options.scales;
  const [low, high] = y.range(null, 84, 97);
  assert.ok(low < 84 && high > 97);
  const [least, most] = y.range(null, 95, 97);
  assert.ok(least < 90, 'a limit that nothing came near is seen, too');
  assert.ok(most > 97);
  assert.notEqual(...y.range(null, 90, 90), 'a flat line has a height');
  assert.deepEqual(x.range(), [told.start, told.end], 'the whole period, whatever was measured in it');
});

test('low and high of a bucket are a band about its mean; few values are dots', () => {
  const { series, bands } = Plot.last.options;
  assert.equal(series.length, 1 + 3 * told.lines.length);
  assert.deepEqual(bands.map((b) => b.series), [[2, 1]]);
  assert.equal(series[3].points.show, true);
  assert.ok(series.slice(1, 3).every((edge) => edge.width === 0));
});

test('alarms are bands behind the line, limits dashes over it, none wider than the picture', () => {
  const did = [];
  const ctx = {
    save() {},
    restore() {},
    setLineDash: (dash) => did.push(['dash', dash]),
    fillRect: (...at) => did.push(['fill', ctx.fillStyle, ...at]),
    stroke: ({ path }) => did.push(['stroke', ctx.strokeStyle, path]),
  };
  const u = { ctx, bbox: { left: 50, top: 0, width: 200, height: 100 }, valToPos: (v) => v };
  Plot.last.options.hooks.drawClear.forEach((hook) => hook(u));
  const bands = did.filter(([what]) => what === 'fill');
  assert.deepEqual(bands, [['fill', 'high2e', 180, 0, 70, 100], ['fill', 'high', 180, 0, 70, 4]]);
  assert.ok(!did.some(([what]) => what === 'stroke'));
  did.length = 0;
  Plot.last.options.hooks.draw.forEach((hook) => hook(u));
  assert.deepEqual(did.filter(([what]) => what !== 'dash'), [['stroke', 'bad', 'M50 90h200']]);
});

test('the axis of an hour says times', () => {
  const [{ values }] = Plot.last.options.axes;
  assert.match(values(null, [43_200])[0], /^\d\d:\d\d$/);
});

test('arrow keys go through the values, and what stands there is said', () => {
  assert.equal(box.attributes.role, 'slider');
  assert.equal(box.attributes['aria-label'], 'SpO2, 1 hour');
  assert.ok(box.key('Home'));
  assert.equal(box.attributes['aria-valuenow'], '0');
  assert.match(box.attributes['aria-valuetext'], /SpO2 97 % \(96 – 98\)$/);
  assert.equal(readout.textContent, box.attributes['aria-valuetext']);
  assert.ok(box.key('ArrowRight'));
  assert.match(box.attributes['aria-valuetext'], /SpO2 85 %/);
  assert.ok(box.key('End'));
  assert.equal(box.attributes['aria-valuetext'], '–', 'where nothing was measured nothing is said');
  assert.equal(readout.textContent, '');
  assert.ok(box.key('PageDown'), 'and it stays there');
  assert.equal(Plot.last.cursor.idx, 2);
  assert.ok(box.key('PageUp'));
  assert.equal(Plot.last.cursor.idx, 0);
  assert.ok(!box.key('Tab'), 'other keys are the browser’s');
});

test('what goes on is asked for again when it is due, and only while somebody can see it', async () => {
  answer = () => ({ ok: true, text: async () => JSON.stringify({ told: { ...told, data: [[400], [91], [93], [92]] } }) });
  mock.timers.tick(9_000);
  assert.equal(asked.length, 0);
  document.hidden = true;
  mock.timers.tick(5_000);
  assert.equal(asked.length, 0);
  document.hidden = false;
  mock.timers.tick(1_000);
  assert.deepEqual(asked, [['/patients/p/trends/spo2', { 'HX-Request': 'true' }]]);
  await settle();
  assert.deepEqual(Plot.last.data, [[400], [91], [93], [92]]);
  assert.equal(warning.hidden, true);
  assert.deepEqual(parts.tbody.childNodes, ['tbody of then'], 'the table says the same');
  mock.timers.tick(1_000);
  assert.equal(asked.length, 1, 'not again at once');
});

test('that it could not be asked for is said, and what is drawn stays', async () => {
  for (const failing of [() => Promise.reject(new TypeError('no network')), () => ({ ok: false })]) {
    warning.hidden = true;
    answer = failing;
    mock.timers.tick(10_000);
    await settle();
    assert.equal(warning.hidden, false);
    assert.deepEqual(Plot.last.data, [[400], [91], [93], [92]]);
  }
});

test('it is drawn anew for another theme and fits another width', () => {
  const before_ = Plot.last;
  drawn();
  assert.ok(before_.gone);
  assert.notEqual(Plot.last, before_);
  box.clientWidth = 320;
  resized();
  assert.deepEqual(Plot.last.sizes, [{ width: 320, height: 200 }]);
});

test('a picture that has left the page is given up, a new one is drawn', () => {
  const old = Plot.last;
  box.isConnected = false;
  box = picture();
  looked();
  assert.ok(old.gone);
  assert.notEqual(Plot.last, old);
  assert.equal(Plot.last.box, box);
});
