// Notifications on this device: subscribes this browser, and ends that again.
import { csrf } from './page.js';

const box = /** @type {HTMLElement} */ (document.getElementById('push'));

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function call(method, path, body) {
  const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': csrf() };
  const answer = await fetch(`/api/v1/push/${path}`, { method, headers, body: body ? JSON.stringify(body) : undefined });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.status === 204 ? null : answer.json();
}

/** @param {string} word */
function say(word) {
  /** @type {Element} */ (box.querySelector('[role="status"]')).textContent = box.dataset[word] ?? '';
  for (const name of ['on', 'off']) {
    const button = /** @type {HTMLElement} */ (box.querySelector(`[data-do="push-${name}"]`));
    button.hidden = word !== (name === 'on' ? 'off' : 'on');
  }
}

/** @param {string} act */
async function run(act) {
  if (!('serviceWorker' in navigator && 'PushManager' in window)) return 'none';
  if (act === 'push-on' && (await Notification.requestPermission()) !== 'granted') return 'denied';
  const worker = await navigator.serviceWorker.register('/service-worker.js').then(() => navigator.serviceWorker.ready);
  let mine = await worker.pushManager.getSubscription();
  if (act === 'push-on') {
    mine ??= await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: box.dataset.key });
    await call('POST', 'subscriptions', mine.toJSON());
  }
  const known = mine && (await call('GET', 'subscriptions')).items.find((/** @type {any} */ d) => d.endpoint === mine?.endpoint);
  if (act === 'push-off' && known) await call('DELETE', `subscriptions/${known.id}`).then(() => mine?.unsubscribe());
  if (act) location.replace('/notifications');
  return known ? 'on' : Notification.permission === 'denied' ? 'denied' : 'off';
}

const show = (/** @type {string} */ act) => run(act).then(say, () => say('failed'));
box?.addEventListener('click', (event) => {
  const act = /** @type {HTMLElement} */ (event.target).dataset.do;
  if (act) show(act);
});
if (box) show('');
