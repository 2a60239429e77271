// Notifications on this device: subscribes this browser, and ends that again.
import { call } from './page.js';

const box = /** @type {HTMLElement} */ (document.getElementById('push'));

/** @param {string} method @param {string} path @param {unknown} [body] */
async function ask(method, path, body) {
  const { status, data } = await call(method, `push/${path}`, body);
  return Math.floor(status / 100) === 2 ? data : Promise.reject(new Error(String(status)));
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
    await ask('POST', 'subscriptions', mine.toJSON());
  }
  const known = mine && (await ask('GET', 'subscriptions')).items.find((/** @type {any} */ d) => d.endpoint === mine?.endpoint);
  if (act === 'push-off' && known) await ask('DELETE', `subscriptions/${known.id}`).then(() => mine?.unsubscribe());
  if (act) location.replace('/notifications');
  return known ? 'on' : Notification.permission === 'denied' ? 'denied' : 'off';
}

const show = (/** @type {string} */ act) => run(act).then(say, () => say('failed'));
box?.addEventListener('click', (event) => {
  const act = /** @type {HTMLElement} */ (event.target).dataset.do;
  if (act) show(act);
});
if (box) show('');
