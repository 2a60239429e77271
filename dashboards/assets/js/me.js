// A patient's own page: reads it aloud, prints, and keeps a message that could not be sent until it is.
import { call, localise } from './page.js';

const AGAIN_MS = 15_000;
/** [key, text, written (ISO), whether one must log in again] @typedef {[string, string, string, boolean]} Letter */

document.cookie = `hearthward_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;max-age=31536000;samesite=lax`;
navigator.serviceWorker?.register('/service-worker.js').catch(() => undefined);

for (const button of document.querySelectorAll('[data-do="print"]')) {
  /** @type {HTMLElement} */ (button).hidden = false;
  button.addEventListener('click', () => print());
}

const voice = window.speechSynthesis;
for (const button of voice ? document.querySelectorAll('[data-do="read"]') : []) {
  const word = /** @type {HTMLElement} */ (button.querySelector('span'));
  const [start, stop] = [word.textContent, /** @type {HTMLElement} */ (button).dataset.stop ?? ''];
  /** @type {HTMLElement} */ (button).hidden = false;
  button.addEventListener('click', () => {
    const going = word.textContent === stop;
    voice.cancel();
    if (going) return;
    word.textContent = stop;
    const texts = [...document.querySelectorAll('[data-read]')].map((node) => node.textContent?.replace(/\s+/g, ' ') ?? '');
    const said = new SpeechSynthesisUtterance(texts.join('. '));
    Object.assign(said, { lang: document.documentElement.lang === 'en' ? 'en' : 'zh-CN', rate: 0.9 });
    said.onend = said.onerror = () => (word.textContent = start);
    voice.speak(said);
  });
}

const form = /** @type {HTMLFormElement | null} */ (document.getElementById('compose'));
const [area, why] = [/** @type {HTMLTextAreaElement} */ (document.getElementById('text')), /** @type {HTMLElement} */ (document.getElementById('why-text'))];
const place = `hearthward_unsent_${form?.dataset.user}`;
/** @returns {Letter[]} */
const kept = () => JSON.parse(localStorage.getItem(place) ?? '[]');

/** @param {Letter[]} letters */
function keep(letters) {
  localStorage.setItem(place, JSON.stringify(letters));
  document.getElementById('unsent')?.replaceChildren(...letters.map(([, text, written, ended]) => {
    const item = document.createElement('li');
    item.className = 'mine unsent';
    const words = [`${form?.dataset.you} · `, text, `✗ ${form?.dataset[ended ? 'ended' : 'kept']}`];
    item.append(...['from', 'text', 'state'].map((name, i) => Object.assign(document.createElement('p'), { className: name, textContent: words[i] })));
    item.firstElementChild?.append(Object.assign(document.createElement('time'), { dateTime: written }));
    localise(item);
    return item;
  }));
}

async function send() {
  for (const [client, text, written] of kept().filter(([, , , ended]) => !ended)) {
    const { status } = await call('POST', `patients/${form?.dataset.patient}/messages`, { client, text, written });
    if (status === 0 || status >= 500 || status === 429) break;
    const [rest, out] = [kept().filter(([key]) => key !== client), status === 401 || status === 403];
    keep(out ? [...rest, [client, text, written, true]] : rest);
    if (status === 201) document.getElementById('thread')?.dispatchEvent(new Event('sent'));
    else if (!out) [area.value, why.textContent] = [`${text}\n${area.value}`.trim(), form?.dataset.refused ?? ''];
  }
}

form?.addEventListener('submit', (event) => {
  event.preventDefault();
  keep([...kept(), [`${form.dataset.client}-${Date.now()}`, area.value, new Date().toISOString(), false]]);
  form.reset();
  why.textContent = '';
  send();
});
if (form) [keep(kept().map(([client, text, written]) => [client, text, written, false])), send(), setInterval(send, AGAIN_MS), addEventListener('online', send)];
