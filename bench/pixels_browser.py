"""A browser at the wall that notes when each alarm was painted: ``python -m bench.pixels_browser URL LOGIN``.

The password is read from stdin. It says ``ready`` once the wall is live, and at the next line on stdin prints
alarm -> milliseconds since 1970 as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from bench.screenshots import FLAGS, browser_path

__all__ = ["main"]

WATCH: Final = r"""
addEventListener('DOMContentLoaded', () => {
  const seen = (window.painted = {});
  const look = () => {
    for (const node of document.querySelectorAll('#tiles .alarm .what')) {
      const mark = /#(\d+)/.exec(node.textContent)?.[1];
      if (!mark || mark in seen) continue;
      seen[mark] = 0;
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => (seen[mark] = performance.timeOrigin + performance.now());
        port2.postMessage(0);
      });
    }
  };
  const tiles = document.getElementById('tiles');
  const all = { childList: true, subtree: true, characterData: true };
  if (tiles) new MutationObserver(look).observe(tiles, all);
});
"""
"""After the frame in which an alarm's text is first there, its time."""


def main(url: str, login: str) -> None:
    """Log in as a person does, watch, and tell."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(FLAGS))
        context = browser.new_context(viewport={"width": 1920, "height": 1080}, locale="en-GB")
        context.add_init_script(WATCH)
        page = context.new_page()
        page.goto(f"{url}/login?next=/ward")
        page.fill("#login", login)
        page.fill("#password", sys.stdin.readline().strip())
        page.click("button.primary")
        page.wait_for_selector("#link.on")
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(page.evaluate("window.painted")), flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
