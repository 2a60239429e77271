"""A device that is only there becomes a patient's: heard, found on the page, adopted, and its values come.

All of it real: a virtual device and radio, gateway, broker, cloud and a browser; on a loop of their own,
since the browser's needs this thread.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.access import COOKIE
from edge_agent.uplink.around import SightingTeller
from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.edge import background, edge_running
from hearthward.app.seed import enter_plan
from hearthward.app.start import broker_running
from hearthward.app.twins import open_ward
from hearthward.app.ward import PlannedDevice, PlannedPatient, WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.errors import LinkError
from hearthward.core.settings import load_settings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role
from tests.e2e.walk import fits

PATIENT = "Quirine Zuckschwert"
TOKEN = "an admin's token"  # noqa: S105 - of this test's own cloud


@dataclass
class Site:
    """Where it is served, and the device's address."""

    url: str
    address: str


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Site]:
    """A home with a patient, and a strap that no directory knows."""
    settings = load_settings(data=folder, web={"port": 0}, cloud={"tick_s": 0.1})
    person = PlannedPatient("p1", PATIENT, None, (PlannedDevice("strap", "heart-rate", 1.0),))
    plan = WardPlan("W", settings.edge.gateway, (person,))
    telemetry, clock = Telemetry(), SystemClock()
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings))
        broker = await stack.enter_async_context(broker_running(settings, telemetry))
        ward = await stack.enter_async_context(open_ward(plan))
        without = replace(plan, patients=(replace(person, devices=()),))
        await enter_plan(records, without, clock.now_ns() - SECOND)
        cloud = await stack.enter_async_context(
            cloud_running(settings, records, broker_url=broker, clock=clock, telemetry=telemetry)
        )
        who = Principal("admin", "admin", "main", frozenset({Role.ADMIN}), kind="service")
        cloud.app.state.services[TOKEN] = who
        await stack.enter_async_context(
            edge_running(
                settings, broker_url=broker, clock=clock, telemetry=telemetry, virtual=ward.world.virtual
            )
        )
        strap = ward.twins["strap"]

        async def measure() -> None:
            while True:
                if strap.ready():
                    with suppress(LinkError):
                        await strap.send({"heart_rate": 72})
                await asyncio.sleep(0.2)

        await stack.enter_async_context(background(measure, "strap"))
        yield Site(cloud.url, strap.address)


@contextmanager
def beside(folder: Path) -> Iterator[Site]:
    """The same on a loop in a thread of its own; what fails in it is raised here."""
    there, done = threading.Event(), threading.Event()
    made: list[Site] = []
    failed: list[BaseException] = []

    async def run() -> None:
        async with served(folder) as site:
            made.append(site)
            there.set()
            await asyncio.to_thread(done.wait)

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)
        there.set()

    running = threading.Thread(target=thread, name="site")
    running.start()
    try:
        assert there.wait(30)
        assert not failed, failed
        yield made[0]
    finally:
        done.set()
        running.join(30)
    assert not failed, failed


def admin(browser: Browser, site: Site) -> Page:
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    context.add_cookies([{"name": COOKIE, "value": TOKEN, "url": site.url}])
    return context.new_page()


def test_a_strap_is_heard_found_and_adopted_and_its_values_appear(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(SightingTeller.__init__.__kwdefaults__, "every_s", 0.2)
    with beside(tmp_path) as site:
        page = admin(browser, site)
        page.goto(f"{site.url}/devices/find")
        page.get_by_role("button", name="Listen now").click()
        expect(page.get_by_role("button", name="Listening...")).to_be_disabled()
        row = page.locator("tr", has_text=site.address)
        expect(row).to_contain_text("fits:", timeout=15_000)  # the page renews itself
        fits(page)
        row.get_by_role("link", name="Adopt").click()
        page.get_by_label("Patient").select_option(label=PATIENT)
        page.get_by_text("asks for consent").click()
        page.get_by_label("User on the device").fill("2")
        page.get_by_label("Code of that user").fill("0471")
        fits(page)
        page.get_by_role("button", name="Adopt").dblclick()
        page.wait_for_url("**/adopted")
        expect(page.locator("#coming")).to_contain_text("Heart rate 72 /min", timeout=15_000)
        kept = json.loads((tmp_path / "edge" / "consents.json").read_text())
        assert kept == {site.address: [2, 471]}, "by the gateway, and the cloud's answer is later"
        page.goto(f"{site.url}/devices/find")
        expect(page.locator("tr", has_text=site.address)).to_contain_text("configured", timeout=10_000)
        page.goto(f"{site.url}/patients/p1")
        expect(page.locator("main")).to_contain_text("72")
        page.context.close()
