"""An engineer's morning in a real browser, over the cloud's own records, store and webhooks."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from cloud_ingest.channels.webhook import Receiver, WebhookChannel
from cloud_ingest.channels.webhook_signature import verify
from cloud_ingest.device_health.asking import AskedOrders
from cloud_ingest.device_health.sums import DAY_NS
from cloud_ingest.reach import Reach
from dashboards import create_app
from dashboards.backend import GatewayChanged
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Status, topic
from hearthward.trust.access import Principal, Role
from tests.component.cloud_ingest.http_standin import HttpStandIn
from tests.component.dashboards.sides import (
    PASSWORD,
    SCOPE,
    T0,
    RealSide,
    S,
    furnish,
    lived,
    next_of,
)
from tests.e2e.walk import fits

SECRET = "shared with the works' system"  # noqa: S105 - of the test's own receiver
DAYS = 10


@dataclass
class Works:
    """The cloud with its pages in a loop of its own, and the hospital's system for work on devices."""

    folder: Path
    receiver: HttpStandIn
    base: str = ""
    ready: threading.Event = field(default_factory=threading.Event)
    failed: BaseException | None = None

    def run(self) -> None:
        """Serve until ``stop``."""
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.failed = error
            raise
        finally:
            self.ready.set()

    def do(self, step: Callable[[RealSide], Awaitable[Any]]) -> Any:
        """Something that happens behind the pages."""

        async def run() -> Any:
            return await step(self.side)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def stop(self) -> None:
        """End, and wait for it."""
        self.loop.call_soon_threadsafe(self.over.set)

    async def _serve(self) -> None:
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with lived(RealSide(self.folder)) as self.side:
            receivers = {"cmms": Receiver(f"{self.receiver.url}/orders", SECRET)}
            channel = WebhookChannel(receivers, self.side.clock)
            self.side.service.reach = Reach(channels={"webhook": channel}, endpoints={"webhook": ("cmms",)})
            await self._furnish()
            app = create_app(self.side.service, telemetry=Telemetry())
            listening = socket.create_server(("127.0.0.1", 0))
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]), name="serving")
            self.base = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self.ready.set()
            await self.over.wait()
            app.state.hub.close()
            server.should_exit = True
            await serving
            await channel.close()

    async def _furnish(self) -> None:
        """An oximeter whose battery falls, a cuff that fell silent, and a device that is well."""
        side = self.side
        ids = await furnish(side)
        for n, key in enumerate(("cuff", "well")):
            fields = {"id": key, "gateway": "gw-1", "transport": "ble", "address": f"C4:12:5D:00:AF:0{n}"}
            await side.backend.create(SCOPE, "device", fields)
        worn = {"device": "cuff", "patient": ids["second"], "start": T0}
        await side.backend.create(SCOPE, "association", worn)
        await side.person("eva", Role.ENGINEER)
        await side.measure("cuff", "nibp_systolic", 120, T0 + S)
        for day in range(DAYS):
            await side.measure("oxi", "battery_level", 50.0 - 3.0 * day, T0 + day * DAY_NS + 2 * S)
            await side.measure("well", "spo2", 97 - day % 2, T0 + day * DAY_NS + 3 * S)
        now = side.clock.now_ns()
        words = {
            "oxi": DeviceWord("streaming", since=now),
            "well": DeviceWord("streaming", since=now),
            "cuff": DeviceWord("backoff", Cause.OUT_OF_RANGE, since=T0 + 2 * S),
        }
        status = Status(online=True, devices=words, backlog=7)
        async with side.backend.subscribe() as events:
            side.source.deliver(topic("main", "gw-1", "status"), status.encode())
            await next_of(events, GatewayChanged)
        await side.service.health.look()
        await side.service.health.round()


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with HttpStandIn() as receiver:
        made = Works(tmp_path_factory.mktemp("works"), receiver)
        thread = threading.Thread(target=made.run, name="cloud")
        thread.start()
        made.ready.wait(60)
        try:
            assert made.failed is None
            yield made
        finally:
            if made.base:
                made.stop()
            thread.join(30)


def logged_in(browser: Browser, works: Works, **more: Any) -> Page:
    context = browser.new_context(reduced_motion="reduce", **more)
    page = context.new_page()
    page.goto(f"{works.base}/login")
    page.fill("#login", "eva")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.wait_for_url("**/fleet")
    return page


def told(works: Works) -> list[tuple[str, str]]:
    """What the receiver took, each checked by its signature: kind and text."""
    now = works.side.clock.now_ns() / S
    found = []
    for posted in works.receiver.taken:
        assert verify(SECRET, posted.headers, posted.body, now)
        body = posted.json()
        found.append((body["kind"], body["text"]))
    return found


def taken_meanwhile(works: Works, device: str) -> None:
    """Ina takes on the work on a device, while Eva looks at a page of before."""

    async def take(side: RealSide) -> None:
        await side.person("ina", Role.ENGINEER)
        users = await side.backend.users(SCOPE)
        ina = next(u for u in users if u.login == "ina")
        (order,) = (await side.backend.work_orders(SCOPE, AskedOrders(device=device))).items
        who = Principal(ina.id, ina.name, "main", frozenset({Role.ENGINEER}))
        assert await side.backend.assign_work_order(who, order.id, ina.id) is not None
        side.clock.advance(1)

    works.do(take)


def both_are_done(works: Works, page: Page) -> None:
    """Eva does the work on both; that on the cuff she takes over from Ina."""
    page.goto(f"{works.base}/fleet/orders")
    rows = page.locator("section[aria-labelledby=rows] tbody tr")
    expect(rows).to_have_count(2)
    for device in ("oxi", "cuff"):
        row = rows.filter(has=page.locator(f"a[href='/fleet/devices/{device}']"))
        if device == "cuff":
            taken_meanwhile(works, device)
            row.get_by_role("button", name="I do it").click()
            expect(page.get_by_role("alert")).to_contain_text("Somebody else has it")
            expect(page.locator("section[aria-labelledby=what]")).to_contain_text("Ina · since")
            page.goto(f"{works.base}/fleet/orders")
            expect(row.get_by_role("button", name="I do it")).to_have_count(0)
            row.get_by_text("Take over").first.click()
            expect(row).to_contain_text("Ina has it since")
            row.get_by_role("button", name="Take over from Ina").click()
        else:
            row.get_by_role("button", name="I do it").click()
        expect(row).to_contain_text("Eva")
        row.get_by_role("button", name="Done").click()
        expect(row).to_have_count(0)
    page.goto(f"{works.base}/fleet/orders?state=done")
    expect(rows).to_have_count(2)


def test_from_what_needs_attention_to_work_that_is_done_and_told(browser: Browser, works: Works):
    page = logged_in(browser, works, locale="en-GB", viewport={"width": 1280, "height": 900})
    needs = page.locator(".needs")
    found = needs.locator("> li")
    expect(found).to_have_count(2)
    expect(found.nth(0)).to_contain_text("Not heard since 2026-01-01")
    expect(found.nth(1)).to_contain_text("Battery at 23 %")
    assert needs.bounding_box()["y"] < page.locator("#devices").bounding_box()["y"]  # type: ignore[index]
    expect(page.locator("section[aria-labelledby=sums]")).to_contain_text("2 of 3")
    silent, weak = found.nth(0), found.nth(1)
    # open: one click
    silent.locator(".what a").click()
    expect(page).to_have_url(re.compile("/fleet/devices/cuff$"))
    state = page.locator("section[aria-labelledby=now]")
    expect(state).to_contain_text("out of range")
    state.get_by_text("It was calibrated").click()
    save, card = state.get_by_role("button", name="Save").bounding_box(), state.bounding_box()
    assert save is not None
    assert card is not None
    assert save["x"] + save["width"] < card["x"] + card["width"]
    page.go_back()
    # acknowledge: one click
    silent.get_by_role("button", name="Acknowledge").click()
    expect(silent).to_contain_text("seen by Eva")
    # the rule has opened the work order for the battery, and told the hospital's system of it
    expect(weak.get_by_role("link", name="Work order")).to_be_visible()
    assert works.do(lambda side: side.service.health._orders.look()) == 1
    ((kind, text),) = told(works)
    assert kind == "work_order"
    assert text.startswith("oxi: Battery at 23 %")
    # a work order for the silent cuff: two clicks
    silent.get_by_role("link", name="Work order").click()
    page.get_by_role("button", name="Open a work order").click()
    expect(page).to_have_url(re.compile("/fleet/orders/wo"))
    expect(page.locator("main")).to_contain_text("Not heard since 2026-01-01")
    assert works.do(lambda side: side.service.health._orders.look()) == 1
    assert [text.split(":")[0] for _, text in told(works)] == ["oxi", "cuff"]
    # both are taken on and done
    both_are_done(works, page)
    assert works.do(lambda side: side.service.health._orders.look()) == 5
    assert [(kind, re.split("[:;] ", text)[0:2]) for kind, text in told(works)[2:]] == [
        ("work_order_assigned", ["oxi", "given to Eva"]),
        ("work_order_done", ["oxi", "done by Eva"]),
        ("work_order_assigned", ["cuff", "given to Ina"]),
        ("work_order_reassigned", ["cuff", "taken over by Eva from Ina"]),
        ("work_order_done", ["cuff", "done by Eva"]),
    ]
    assert works.do(lambda side: side.service.health._orders.look()) == 0  # each goes out once
    steps = works.do(lambda side: side.backend.audit_entries(SCOPE))
    acts = [(a.actor == "system", a.detail["do"]) for a in reversed(steps) if a.action == "maintain_device"]
    assert acts == [
        (True, "open"),
        (False, "acknowledge"),
        (False, "open"),
        *[(False, "assign"), (False, "done"), (False, "take"), (False, "done")],
    ]
    page.context.close()


def test_a_service_by_hours_of_use_from_the_interval_to_the_work_that_is_done(browser: Browser, works: Works):
    page = logged_in(browser, works, locale="en-GB", viewport={"width": 390, "height": 844})
    page.goto(f"{works.base}/fleet/devices/well")
    state = page.locator("section[aria-labelledby=now]")
    state.get_by_text("It was serviced").click()
    expect(state.get_by_label("On (empty: nobody knows)")).to_have_value("")
    state.get_by_label("Due again after so many hours of use").fill("9")
    state.locator("form[action$=serviced]").get_by_role("button", name="Save").click()
    expect(state).to_contain_text("nobody has said · due every 9 h of use")
    fits(page)
    assert works.do(lambda side: side.service.health.round()) == 1
    page.goto(f"{works.base}/fleet?kind=service")
    found = page.locator(".needs > li")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("Service was due on 2026-01-09: used 10 of 9 h")
    expect(found).to_contain_text("confidence 100 %")
    found.get_by_role("link", name="Work order").click()
    expect(page.get_by_label("It was serviced: its hours of use count anew")).to_be_checked()
    page.get_by_label("What was done").fill("new filter")
    page.get_by_role("button", name="Done").click()
    expect(page.locator("section[aria-labelledby=what]")).to_contain_text("done")
    page.goto(f"{works.base}/fleet/devices/well")
    expect(state).to_contain_text("0 h of use since · due every 9 h of use")
    assert works.do(lambda side: side.service.health.round()) == 0
    page.goto(f"{works.base}/fleet?kind=service")
    expect(found).to_have_count(0)
    works.do(lambda side: side.service.health._orders.look())
    steps = [kind for kind, text in told(works) if text.startswith("well: ")]
    assert steps == ["work_order", "work_order_done", "work_order_gone"][: len(steps)]
    assert len(steps) >= 2
    page.context.close()


def test_the_same_device_on_a_phone_in_chinese(browser: Browser, works: Works):
    page = logged_in(browser, works, locale="zh-CN", viewport={"width": 390, "height": 844})
    fits(page)
    page.locator(".needs a[href='/fleet/devices/oxi']").first.click()
    expect(page.locator("html")).to_have_attribute("lang", re.compile("^zh"))
    expect(page.locator("section[aria-labelledby=findings]")).to_contain_text("电池电量 23%")
    expect(page.locator(".histories figure").first).to_contain_text("电池")
    fits(page)
    page.goto(f"{works.base}/fleet/quality")
    expect(page.locator("table.graded tbody tr")).to_have_count(3)
    fits(page)
    page.context.close()
