// Shows notifications while no page is open, opens what they are about, and shows a page of ours without a connection.
const worker = /** @type {any} */ (self);
const OFFLINE = '/offline';

/** Keep the page without a connection, in the reader's language, with the files that it names. */
async function keep() {
  const answer = await fetch(OFFLINE, { cache: 'no-store' });
  if (!answer.ok) return;
  const named = [...(await answer.clone().text()).matchAll(/(?:href|src)="(\/assets\/[^"#]+)/g)].map(([, path]) => path);
  const cache = await caches.open('offline');
  await cache.addAll([...new Set(named)]);
  await cache.put(OFFLINE, answer);
  const old = (await cache.keys()).filter(({ url }) => ![OFFLINE, ...named].includes(new URL(url).pathname));
  await Promise.all(old.map((request) => cache.delete(request)));
}

/** A patient's page, after which ours is kept anew; without a connection ours. @param {any} event */
async function open(event) {
  try {
    const answer = await fetch(event.request);
    event.waitUntil(keep().catch(() => undefined));
    return answer;
  } catch {
    return (await caches.match(OFFLINE)) ?? Response.error();
  }
}

worker.addEventListener('install', (/** @type {any} */ event) => event.waitUntil(keep().catch(() => undefined).then(() => worker.skipWaiting())));
worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const { request } = event;
  const { pathname } = new URL(request.url);
  if (request.mode === 'navigate' && /^\/me(\/|$)/.test(pathname)) event.respondWith(open(event));
  else if (pathname.startsWith('/assets/')) event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
});
worker.addEventListener('push', (/** @type {any} */ event) => {
  const { subject, text, language, priority, alarm, id, link } = event.data?.json() ?? {};
  const options = { body: text, lang: language, tag: alarm || id, renotify: true, requireInteraction: priority === 'high', data: link };
  event.waitUntil(worker.registration.showNotification(subject || 'Hearthward', options));
});
worker.addEventListener('notificationclick', (/** @type {any} */ event) => {
  event.notification.close();
  const link = new URL(event.notification.data || '/', location.origin);
  event.waitUntil(worker.clients.openWindow(link.origin === location.origin ? link.href : '/'));
});
