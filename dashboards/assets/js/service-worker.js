// Shows notifications while no page is open, and opens what they are about.
const worker = /** @type {any} */ (self);
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
