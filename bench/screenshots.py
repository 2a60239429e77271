"""``./dev screenshots``: the README's pictures, taken from the running product in a real browser."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.fleet_history import fill_history
from bench.processes import ROOT, hearthward, work_folder
from bench.web import get, log_in, logins_in, post
from hearthward.app.ward import VIRTUAL

__all__ = ["FLAGS", "PICTURES", "Picture", "browser_path", "main"]

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
FONT: Final = "fonts-wqy-microhei"
MOST_BYTES: Final = 250_000
READY_S: Final = 60.0
"""Until then the virtual ward has an alarm, each cuff has measured once, and trends can be seen."""
START_S: Final = 60.0
TREND_MS: Final = 35_000
ACCEPTED: Final = 202
SETTLE_MS: Final = 1500


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: whose page, how large, in which language and theme.

    ``{alarm}`` in its path stands for the first SpO2 alarm, ``{patient}`` for its patient, ``{trial}`` for a
    trial of a lower limit, ``{device}`` for the device whose battery is weakest; ``acts`` (role, act, note)
    are done to the alarm first.
    """

    file: str
    role: str
    path: str
    size: tuple[int, int] = (1920, 1080)
    lang: str = "en-GB"
    theme: str = "day"
    acts: tuple[tuple[str, str, str], ...] = ()


PICTURES: Final = (
    Picture("ward-en.png", "nurse", "/ward"),
    Picture(
        "alarm-en.png",
        "doctor",
        "/alarms/{alarm}",
        size=(1280, 1240),
        acts=(("nurse", "reject", "with another patient"), ("doctor", "accept", "on my way")),
    ),
    Picture("ward-zh.png", "nurse", "/ward", lang="zh-CN"),
    Picture("ward-night.png", "nurse", "/ward", theme="night"),
    Picture("ward-phone.png", "nurse", "/ward", size=(390, 844)),
    Picture("admin-en.png", "admin", "/admin", size=(1280, 900)),
    Picture("devices-en.png", "engineer", "/devices", size=(1280, 900)),
    Picture("fleet-en.png", "engineer", "/fleet", size=(1280, 1180)),
    Picture("fleet-device-en.png", "engineer", "/fleet/devices/{device}", size=(1280, 1060)),
    Picture("rules-en.png", "doctor", "/rules", size=(1280, 900)),
    Picture("why-en.png", "nurse", "/alarms/{alarm}/why", size=(1280, 900)),
    Picture("escalation-en.png", "nurse", "/escalation/default", size=(1280, 900)),
    Picture("handover-en.png", "nurse", "/handover", size=(1280, 900)),
    Picture("staff-en.png", "nurse", "/staff", size=(1280, 900)),
    Picture("channels-en.png", "engineer", "/channels", size=(1280, 900)),
    Picture("burden-en.png", "nurse", "/burden", size=(1280, 900)),
    Picture("patient-en.png", "nurse", "/patients/{patient}", size=(1280, 1360)),
    Picture("what-if-en.png", "doctor", "/rules/spo2-low/try/{trial}", size=(1280, 900)),
    Picture("me-zh.png", "patient", "/me", size=(390, 844), lang="zh-CN"),
    Picture("me-en.png", "patient", "/me", size=(1024, 1100)),
    Picture("me-plan-en.png", "patient", "/me/plan", size=(390, 844), theme="night"),
)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def browser_path() -> str:
    """The path of Chromium; ends with advice where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("no Chromium here; on Debian: apt-get install chromium")
    return found


def _has_chinese_font() -> bool:
    try:
        listed = subprocess.run(["fc-list", ":lang=zh", "family"], capture_output=True, check=False)  # noqa: S607 - from PATH
    except FileNotFoundError:
        return False
    return bool(listed.stdout.strip())


def _install_chinese_font() -> bool:
    """Install one where this process may, saying so; returns whether there is one now."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    _say(f"no font with Chinese characters: installing the Debian package {FONT}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", FONT]
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(command, env=environment, capture_output=True, check=False)  # noqa: S603 - fixed words
        if done.returncode == 0 and command is install:
            break
    return _has_chinese_font()


def _worth_a_picture(tiles: list[dict[str, Any]]) -> bool:
    """Whether there is an alarm, no value is still to come, and the trends have some length."""
    missing = any(value[1] == "never" for tile in tiles for value in tile["v"].values())
    trends = [tile["t"][-1][0] - tile["t"][0][0] if tile["t"] else 0 for tile in tiles]
    return any(tile["a"] for tile in tiles) and not missing and min(trends) >= TREND_MS


@contextmanager
def _ward(*, past: bool) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """The product with its virtual ward, in a temporary folder and on a free port, once it has alarms.

    ``past``: its devices get a history, which engineers' pages live on.
    """
    with work_folder() as folder, hearthward(folder, "--data", "data", "run", "--port", "0") as run:
        url = run.wait_for(r"Ward wall\s+(http\S+)/ward", START_S)[1]
        run.wait_for(r"Ctrl-C", START_S)
        logins = logins_in(run.said)
        token = log_in(url, *logins["nurse"])
        _say(f"{url} is up; waiting for an alarm and trends (at most {READY_S:.0f} s)")
        deadline = time.monotonic() + READY_S
        while not _worth_a_picture(get(f"{url}/api/v1/wall", token)["tiles"]):
            if time.monotonic() > deadline:
                sys.exit(
                    f"screenshots: no alarm beside values of every device within {READY_S:.0f} s\n"
                    f"{run.log.read_text()[-2000:]}"
                )
            time.sleep(0.2)
        if past:
            fill_history(folder / "data" / VIRTUAL / "cloud" / "records.db")
        yield url, logins


def _path(picture: Picture, url: str, logins: dict[str, tuple[str, str]]) -> str:
    """The page's path with what stands for ids put in; what is to be done before is done."""
    if "{" not in picture.path:
        return picture.path
    token = log_in(url, *logins[picture.role])
    if "{device}" in picture.path:
        first = get(f"{url}/api/v1/fleet/attention?kind=battery&limit=1", token)["items"][0]["finding"]
        return picture.path.format(device=first["device"])
    found = get(f"{url}/api/v1/alarms?rule=spo2-low", token)["items"]
    first = min(found, key=lambda a: a["started"])
    alarm, trial = first["id"], ""
    for role, act, note in picture.acts:
        status, _ = post(f"{url}/api/v1/alarms/{alarm}/{act}", log_in(url, *logins[role]), {"note": note})
        _say(f"{picture.file}: {role} {act}: {status}")
    if "{trial}" in picture.path:
        trial = _tried(f"{url}/api/v1/rules/spo2-low/tries", token)
    return picture.path.format(alarm=alarm, patient=first["patient"], trial=trial)


def _tried(tries: str, token: str) -> str:
    """A trial of a lower limit, once it has ended."""
    status, begun = post(tries, token, {"moved": {"parameters/limit/value": 86}, "days": 1})
    if status != ACCEPTED:
        sys.exit(f"screenshots: the trial was refused: {status} {begun}")
    deadline = time.monotonic() + READY_S
    while get(f"{tries}/{begun['id']}", token)["state"] in {"waiting", "running"}:
        if time.monotonic() > deadline:
            sys.exit(f"screenshots: the trial has not ended within {READY_S:.0f} s")
        time.sleep(0.2)
    return str(begun["id"])


def main(arguments: list[str]) -> int:
    """Take the pictures; 1 when one is too large or could not be taken."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog="./dev screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", metavar="FOLDER")
    parser.add_argument("names", nargs="*", help="files to take (default: all)")
    options = parser.parse_args(arguments)
    wanted = [p for p in PICTURES if not options.names or p.file in options.names]
    if len(wanted) < len(options.names):
        parser.error(f"the pictures are {', '.join(p.file for p in PICTURES)}")
    chromium, worst = browser_path(), 0
    if any(p.lang.startswith("zh") for p in wanted) and not (_has_chinese_font() or _install_chinese_font()):
        _say(f"no font with Chinese characters here, so no Chinese picture; install one, such as {FONT}")
        wanted = [p for p in wanted if not p.lang.startswith("zh")]
        worst = 1
    options.out.mkdir(parents=True, exist_ok=True)
    past = any(p.path.startswith("/fleet") for p in wanted)
    with _ward(past=past) as (url, logins), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for picture in wanted:
            path = options.out / picture.file
            _take(browser, url, logins, picture, path)
            size = path.stat().st_size
            fits = size <= MOST_BYTES
            print(f"{path}: {size / 1000:.0f} kB{'' if fits else f', more than {MOST_BYTES / 1000:.0f}'}")
            worst = max(worst, int(not fits))
        browser.close()
    return worst


def _take(
    browser: object, url: str, logins: dict[str, tuple[str, str]], picture: Picture, path: Path
) -> None:
    """Log in as a person does, wait until the page is at rest, and take the picture."""
    from playwright.sync_api import Browser

    assert isinstance(browser, Browser)
    width, height = picture.size
    where = _path(picture, url, logins)
    login = logins[picture.role]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=picture.lang,
        reduced_motion="reduce",
        device_scale_factor=2 if width < 500 else 1,
    )
    context.add_cookies([{"name": "hearthward_theme", "value": picture.theme, "url": url}])
    page = context.new_page()
    page.goto(f"{url}/login?next={where}")
    page.fill("#login", login[0])
    page.fill("#password", login[1])
    page.click("button.primary")
    page.wait_for_url(f"**{where}")
    wanted = picture.lang.split("-")[0]
    if not (page.get_attribute("html", "lang") or "").startswith(wanted):
        page.click(f".tools a[hreflang^={wanted}]")
        page.wait_for_selector(f"html[lang^={wanted}]")
    if picture.path.startswith("/patients/"):
        page.wait_for_selector(".plot canvas")
    if picture.path == "/fleet":
        page.wait_for_selector("section[aria-labelledby=sums] .tiles")
    if picture.path == "/ward":
        page.wait_for_selector("#link.on")
        page.wait_for_selector(".tile .alarm")
        page.click("#sound-bar")
        page.wait_for_selector("#sound-bar", state="hidden")
    page.mouse.move(0, 0)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    context.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
