import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeEventSource, fakePort, goOn, stopTime } from './fakes.js';

globalThis.EventSource = FakeEventSource;
globalThis.self = globalThis;
before(stopTime);
after(goOn);

function tab(after = 'boot-1') {
  const port = fakePort();
  globalThis.onconnect({ ports: [port] });
  port.onmessage({ data: after });
  return port;
}

test('all tabs share one stream, which ends with the last of them', async () => {
  await import('../../../../dashboards/assets/js/live-worker.js');
  const [one, two] = [tab(), tab('boot-3')];
  assert.equal(FakeEventSource.all.length, 1);
  const stream = FakeEventSource.last;
  assert.equal(stream.url, '/api/v1/live?after=boot-1', 'from where the first page is');
  stream.say('beat', { seq: 1 });
  assert.deepEqual(one.got, [{ kind: 'beat', data: { seq: 1 } }]);
  assert.deepEqual(two.got, one.got);

  one.onmessage({ data: 'bye' });
  stream.say('beat', { seq: 2 });
  assert.equal(one.got.length, 1);
  assert.equal(two.got.length, 2);
  two.onmessage({ data: 'bye' });
  assert.equal(stream.readyState, FakeEventSource.CLOSED);

  const three = tab();
  assert.equal(FakeEventSource.all.length, 2);
  FakeEventSource.last.say('beat', { seq: 3 });
  assert.equal(three.got.length, 1);
});
