// What the browser would have around our scripts.
import { mock } from 'node:test';

/** Timers that go on only by `mock.timers.tick`, and with them the page's monotonic clock. */
export function stopTime() {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 0 });
  mock.method(performance, 'now', () => Date.now());
}

export function goOn() {
  mock.timers.reset();
  mock.restoreAll();
}

export class FakeEventSource {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  /** @type {FakeEventSource[]} */
  static all = [];

  constructor(url) {
    this.url = url;
    this.readyState = FakeEventSource.CONNECTING;
    this.listeners = {};
    FakeEventSource.all.push(this);
  }

  static get last() {
    return FakeEventSource.all.at(-1);
  }

  addEventListener(kind, listener) {
    this.listeners[kind] = listener;
  }

  close() {
    this.readyState = FakeEventSource.CLOSED;
  }

  open() {
    this.readyState = FakeEventSource.OPEN;
    this.onopen();
  }

  fail(refused) {
    this.readyState = refused ? FakeEventSource.CLOSED : FakeEventSource.CONNECTING;
    this.onerror();
  }

  say(kind, data, lastEventId = '') {
    this.listeners[kind]({ data: JSON.stringify(data), lastEventId });
  }
}

/** One end of a MessagePort; `got` is what was posted to it. */
export function fakePort() {
  const got = [];
  return { got, onmessage: null, postMessage: (data) => got.push(data), start() {} };
}
