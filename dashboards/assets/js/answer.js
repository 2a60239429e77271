// What people do about alarms at the wall: sent to the server, at a shared wall with a badge or PIN.
import { csrf } from './page.js';

const wall = `w${performance.timeOrigin.toString(36)}${Math.random().toString(36).slice(2)}`.replace('.', '');
const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('unlock'));
const who = /** @type {HTMLElement} */ (document.getElementById('unlocked'));
let until = 0;

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<{status: number, data: any}>}  status 0: the server did not answer
 */
async function post(path, body) {
  const headers = { 'X-CSRF-Token': csrf(), 'Content-Type': 'application/json' };
  try {
    const answer = await fetch(`/api/v1/${path}`, { method: 'POST', keepalive: true, headers, body: JSON.stringify(body) });
    return { status: answer.status, data: answer.status === 204 ? null : await answer.json() };
  } catch {
    return { status: 0, data: null };
  }
}

/**
 * @param {any} data  a problem
 * @param {Record<string, string>} strings
 * @returns {string}
 */
function reason(data, strings) {
  return strings[`e_${data?.errors?.[0]?.code}`] ?? strings[`e_${data?.status}`] ?? strings.failed;
}

/**
 * Do it; a shared wall asks who it is, unless somebody has just said so.
 * @param {string} alarm
 * @param {string} what  `accept`, `pause-audio`...
 * @param {Record<string, string>} strings
 * @returns {Promise<string>}  why it could not be done; empty when it was, or was given up
 */
export async function act(alarm, what, strings) {
  const path = `alarms/${encodeURIComponent(alarm)}/${what}`;
  let answer = await post(path, {});
  if (answer.data?.errors?.[0]?.field === 'badge') {
    if (!(await unlock(strings))) return '';
    answer = await post(path, {});
  }
  return answer.status === 200 ? '' : reason(answer.data, strings);
}

/** @param {Record<string, string>} strings */
function unlock(strings) {
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector('form'));
  const wrong = /** @type {HTMLElement} */ (dialog.querySelector('[role="alert"]'));
  form.reset();
  wrong.textContent = '';
  dialog.showModal();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].filter(([, value]) => value);
    const answer = await post('live/unlock', Object.fromEntries(given));
    if (answer.status !== 200) {
      wrong.textContent = reason(answer.data, strings);
      return;
    }
    until = performance.now() + answer.data.seconds * 1000;
    who.firstElementChild?.replaceChildren(answer.data.name);
    dialog.close('yes');
  };
  return new Promise((done) => {
    dialog.onclose = () => {
      done(dialog.returnValue === 'yes');
      dialog.returnValue = '';
    };
  });
}
dialog?.querySelector('[type="button"]')?.addEventListener('click', () => dialog.close());
who?.querySelector('button')?.addEventListener('click', () => {
  until = 0;
  post('live/lock', {});
});
setInterval(() => {
  if (who) who.hidden = performance.now() >= until;
}, 500);

/**
 * Tell the server that this wall is there, and whether it is heard.
 * @param {boolean} audible
 * @param {boolean} closed
 * @returns {Promise<{name: string, audible: number}[]>}
 */
export async function report(audible, closed) {
  const { data } = await post('live/wall', { wall, audible, closed });
  return data?.wards ?? [];
}
