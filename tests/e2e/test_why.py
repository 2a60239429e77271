"""The pages of why and why not in a real browser, over the real product after a demonstration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.component.app.commands import command, invoke
from tests.e2e.walk import fits

PHONE = 390


@dataclass
class Site:
    """A running cloud with what a demonstration left, and who may log in."""

    base: str
    password: str
    alarm: str


def told(*arguments: str | Path) -> str:
    """What a command says."""
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("why")
    data, recording = folder / "data", folder / "dip.csv"
    values = [(s, 85 if 20 <= s < 24 or 60 <= s < 90 else 97) for s in range(0, 120, 2)]
    recording.write_text("time,patient,metric,value\n" + "".join(f"{s},p1,spo2,{v}\n" for s, v in values))
    with command(folder, "demo", "--data", data, "demo", "--play", recording, "--speed", "8") as demo:
        assert demo.process.wait(120) == 0, demo.err[-3000:]
    added = told("--data", data, "users", "add", "chen", "--role", "nurse")
    password = added.rpartition("password (shown only now): ")[2].strip()
    moment = "2026-01-01T00:01:20Z"
    alarm = json.loads(told("--data", data, "why-not", "p1", "spo2-low", moment, "--json"))["alarm"]
    with command(folder, "cloud", "--data", data, "cloud", "--port", "0", "--event-clock") as cloud:
        cloud.wait_for("Pages")
        found = re.search(r"Pages\s+(http://\S+)", cloud.out)
        assert found is not None
        yield Site(found[1], password, alarm)


@pytest.fixture(scope="module")
def after(site: Site, request: pytest.FixtureRequest) -> Browser:
    """The browser, started after the commands that run in this process: it has an event loop."""
    del site
    browser: Browser = request.getfixturevalue("browser")
    return browser


@pytest.fixture(params=[("en", 1280), ("zh-CN", PHONE)], ids=str)
def page(request: pytest.FixtureRequest, after: Browser, site: Site) -> Iterator[Page]:
    """Logged in as a nurse, in a language, on a desk or a phone."""
    language, width = request.param
    browser = after
    context = browser.new_context(locale=language, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(f"{site.base}/login")
    page.locator("input[name=login]").fill("chen")
    page.locator("input[name=password]").fill(site.password)
    page.locator("form button.primary, form button").first.click()
    page.wait_for_url(re.compile("/ward"))
    yield page
    context.close()


def test_why_an_alarm_fired(page: Page, site: Site):
    page.goto(f"{site.base}/alarms/{site.alarm}/why")
    chinese = page.locator("html").get_attribute("lang") != "en"
    expect(page.locator(".tree")).to_contain_text("血氧 < 90 %" if chinese else "SpO2 < 90 %")
    expect(page.locator(".tree")).to_contain_text("成立" if chinese else "holds")
    expect(page.locator(".hops").first).to_contain_text("网关收到" if chinese else "received by the gateway")
    page.locator("main summary").click()
    expect(page.locator("pre.source")).to_contain_text("id: spo2-low")
    fits(page)
    page.locator("main a.button[href*='why-not']").click()
    expect(page.locator("select[name=rule]")).to_have_value("spo2-low")


def test_why_a_rule_did_not_fire(page: Page, site: Site):
    page.goto(f"{site.base}/patients/p1/why-not")
    chinese = page.locator("html").get_attribute("lang") != "en"
    page.locator("select[name=rule]").select_option("spo2-low")
    page.locator("input[name=at]").fill("2026-01-01T00:00:23Z")
    page.locator("form.fields button").click()
    words = "未达到延时 10 秒" if chinese else "lasted 4 s of the delay"
    expect(page.locator("main .notice")).to_contain_text(words)
    fits(page)
    page.locator("input[name=at]").fill("yesterday")
    page.locator("form.fields button").click()
    expect(page.locator("[role=alert]")).to_contain_text("yesterday")
