// What every page needs: the reader's own time zone, the theme, and the security token for htmx.

const stamp = new Intl.DateTimeFormat(document.documentElement.lang || 'en', { dateStyle: 'medium', timeStyle: 'medium', hour12: false });

/** Put the times below `root` into the reader's zone and language. @param {ParentNode} root */
export function localise(root) {
  for (const node of root.querySelectorAll('time[datetime]')) {
    const at = new Date(node.getAttribute('datetime') ?? '');
    if (!Number.isNaN(at.getTime())) node.textContent = stamp.format(at);
  }
}

/** The token that proves a request comes from our own page. */
export const csrf = () => document.querySelector('meta[name="csrf"]')?.getAttribute('content') ?? '';

/**
 * Ask our own API. Status 0: the server did not answer; then, and where nothing was told, `data` is null.
 * @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<{status: number, data: any}>}
 */
export async function call(method, path, body) {
  const headers = { 'X-CSRF-Token': csrf(), 'Content-Type': 'application/json' };
  try {
    const answer = await fetch(`/api/v1/${path}`, { method, headers, keepalive: true, body: JSON.stringify(body) });
    return { status: answer.status, data: answer.status === 204 ? null : await answer.json() };
  } catch {
    return { status: 0, data: null };
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const night = root.dataset.theme === 'night' || (root.dataset.theme === 'auto' && dark);
  root.dataset.theme = night ? 'day' : 'night';
  document.cookie = `hearthward_theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax`;
}

/** Menus are open until something else is used. @param {Element} [used] */
function closeMenus(used) {
  for (const menu of document.querySelectorAll('.menu[open]')) if (!used || !menu.contains(used)) menu.removeAttribute('open');
}
document.addEventListener('keydown', ({ key }) => key === 'Escape' && closeMenus());
document.addEventListener('click', (event) => {
  const target = /** @type {Element} */ (event.target);
  closeMenus(target);
  if (target.closest('[data-do="theme"]')) switchTheme();
});
document.addEventListener('htmx:config:request', (event) => {
  const { request } = /** @type {CustomEvent} */ (event).detail.ctx;
  request.headers['X-CSRF-Token'] = csrf();
});
document.addEventListener('htmx:after:swap', () => localise(document));
document.querySelectorAll('input[name="zone"][value=""]').forEach((e) => e.setAttribute('value', stamp.resolvedOptions().timeZone));
localise(document);
