// What people do about alarms at the wall: sent to the server, at a shared wall with a badge or PIN.
import { call } from './page.js';

/** @typedef {Record<string, string>} Strings */

const wall = `w${performance.timeOrigin.toString(36)}${Math.random().toString(36).slice(2)}`.replace('.', '');
const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('unlock'));
const who = /** @type {HTMLElement} */ (document.getElementById('unlocked'));
let timer = 0;
const locked = () => (who.hidden = true);

/** @param {any} data  a problem @param {Strings} strings */
const reason = (data, strings) => strings[`e_${data?.errors?.[0]?.code}`] ?? strings[`e_${data?.status}`] ?? strings.failed;

/**
 * Do it; a shared wall asks who it is, unless somebody has just said so. Gives why it could not be done: nothing when
 * it was, or was given up.
 * @param {string} path @param {object} body @param {Strings} strings
 */
export async function act(path, body, strings) {
  let answer = await call('POST', path, body);
  if (answer.data?.errors?.[0]?.field === 'badge') {
    if (!(await unlock(strings))) return '';
    answer = await call('POST', path, body);
  }
  return answer.status >= 200 && answer.status < 300 ? '' : reason(answer.data, strings);
}

/** @param {Strings} strings @returns {Promise<boolean>} */
function unlock(strings) {
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector('form'));
  const wrong = /** @type {HTMLElement} */ (dialog.querySelector('[role="alert"]'));
  form.reset();
  wrong.textContent = '';
  dialog.showModal();
  form.onsubmit = async (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].filter(([, value]) => value);
    const answer = await call('POST', 'live/unlock', Object.fromEntries(given));
    wrong.textContent = answer.status === 200 ? '' : reason(answer.data, strings);
    if (wrong.textContent) return;
    who.firstElementChild?.replaceChildren(answer.data.name);
    who.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(locked, answer.data.seconds * 1000);
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
  locked();
  call('POST', 'live/lock', {});
});

/**
 * Tell the server that this wall is there, and whether it is heard; it says how the walls are, and what is due here.
 * @param {boolean} audible @param {boolean} closed
 * @returns {Promise<{wards: {name: string, audible: number}[], check?: {since: string, failed: boolean}}>}
 */
export async function report(audible, closed) {
  const { status, data } = await call('POST', 'live/wall', { wall, audible, closed });
  return status === 200 ? data : { wards: [] };
}
