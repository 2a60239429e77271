"""A whole round over the real service: from frames and statuses to findings, work orders and the webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.device_health import rounds
from cloud_ingest.device_health.asking import AskedFleet, AskedOrders, AskedSpan
from cloud_ingest.device_health.sums import DAY_NS, day_of
from cloud_ingest.reach import Reach
from dashboards.backend import GatewayChanged
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.errors import ConfigError, DeliveryTemporary
from hearthward.core.settings import CloudSettings
from hearthward.core.wire import Status, topic
from hearthward.trust.access import Principal, Role
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    RealSide,
    S,
    furnish,
    lived,
    next_of,
)

HOUR = 3600 * S
TODAY = day_of(T0)


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[RealSide]:
    async with lived(RealSide(tmp_path)) as made:
        await furnish(made)
        yield made


async def test_a_falling_battery_becomes_a_work_order_that_is_told_and_a_new_cell_ends_the_finding(
    side: RealSide,
):
    channel = FakeChannel("webhook")
    side.service.reach = Reach(channels={"webhook": channel}, endpoints={"webhook": ("cmms",)})
    for day in range(10):  # 23 % on the tenth day
        await side.measure("oxi", "battery_level", 50.0 - 3.0 * day, T0 + day * DAY_NS)
    now = side.clock.now_ns()
    assert await side.service.health.round() == 1
    page = await side.backend.needs_attention(SCOPE, AskedFleet())
    (found,) = [a.finding for a in page.items]
    assert (found.kind, found.evidence["left"], found.evidence["days"]) == ("battery", 6.0, 10)
    orders = await side.backend.work_orders(SCOPE, AskedOrders())
    (order,) = orders.items
    assert (order.finding, order.opened_by, order.kind, order.due) == (
        found.id,
        "",
        "battery",
        found.proposed,
    )
    assert found.work_order == order.id
    row = (await side.backend.fleet(SCOPE, AskedFleet())).items[0]
    assert (row.battery, row.days_left, row.last_seen, row.hours_of_use) == (23.0, 6.0, now, 10)
    audit = await side.backend.audit_entries(SCOPE)
    assert [(a.actor, a.action, a.kind, a.target) for a in audit if a.kind == "work_order"] == [
        ("system", "maintain_device", "work_order", order.id)
    ]
    await told_once(side, channel, order.id)
    # another round finds the same, and opens nothing more
    assert await side.service.health.round() == 0
    again = await side.backend.needs_attention(SCOPE, AskedFleet())
    assert [a.finding.id for a in again.items] == [found.id]
    # a new cell ends it, and its order says so
    await side.measure("oxi", "battery_level", 100.0, now + DAY_NS)
    assert await side.service.health.round() == 0
    assert (await side.backend.needs_attention(SCOPE, AskedFleet())).total == 0
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    (gone,) = file.findings
    assert (gone.id, gone.gone) == (found.id, side.clock.now_ns())
    (order,) = file.orders
    assert order.state == "open"  # whether the work is done people say
    assert [note.do for note in order.notes] == ["open", "gone"]


async def told_once(side: RealSide, channel: FakeChannel, order: str) -> None:
    """The order goes out to the webhook, which is away at first."""
    telling = side.service.health._orders
    channel.fail(DeliveryTemporary("away", channel="webhook"))
    assert await telling.look() == 0
    assert await telling.look() == 1
    assert await telling.look() == 0
    (message,) = channel.taken
    assert (message.id, message.kind, message.target) == (order, "work_order", "@cmms")
    assert message.text.startswith("oxi: Battery at 23 %")


async def test_a_board_that_warms_and_a_supply_that_sags_become_findings_and_work_orders(side: RealSide):
    for n, name in enumerate(("near", "next")):
        values = {"id": name, "gateway": "gw-1", "transport": "ble", "address": f"C4:12:5D:00:AF:0{n}"}
        await side.backend.create(SCOPE, "device", values)
    for day in range(10):
        for name in ("near", "next"):  # the room is as ever
            await side.measure(name, "device_temperature", 24.0, T0 + day * DAY_NS)
        for metric, value in (
            ("device_temperature", 31 + 0.5 * day),
            ("device_supply_voltage", 5.0 - 0.04 * day),
            ("battery_voltage", 3.0),  # the supply is what counts where both are told
        ):
            await side.measure("oxi", metric, value, T0 + day * DAY_NS)
    assert await side.service.health.round() == 2
    page = await side.backend.needs_attention(SCOPE, AskedFleet())
    found = {a.finding.kind: a.finding for a in page.items}
    assert {kind: f.evidence["change"] for kind, f in found.items()} == {"temperature": 4.5, "voltage": -0.36}
    assert found["temperature"].evidence["others"] == 2
    assert all(f.work_order and f.proposed for f in found.values())
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    newest = file.days[-1]
    assert newest.temperature is not None
    assert newest.voltage is not None
    assert (newest.temperature.mean, newest.voltage.mean) == (35.5, 4.64)


async def test_the_voltage_of_a_cell_stands_where_no_supply_is_told(side: RealSide):
    for day in range(6):
        await side.measure("oxi", "battery_voltage", 3.0, T0 + day * DAY_NS)
    await side.service.health.round()
    assert (await side.backend.needs_attention(SCOPE, AskedFleet())).total == 0
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    assert [d.voltage.mean for d in file.days if d.voltage] == [3.0] * 6


async def test_days_have_hours_readings_and_what_the_device_told(side: RealSide):
    for hour in (0, 1, 5):
        await side.measure("oxi", "spo2", 97, T0 + hour * HOUR)
    await side.measure("oxi", "battery_level", 80.0, T0 + 5 * HOUR + S)
    await side.measure("stranger", "spo2", 97, T0 + 5 * HOUR + 2 * S)
    await side.measure("oxi", "spo2", 0, T0 + 5 * HOUR + 3 * S)  # no oximeter measures that
    await side.service.health.round()
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    (day,) = file.days
    assert (day.day, day.readings, day.hours, day.rejected) == (TODAY * DAY_NS, 5, 3, 0)
    assert (day.suspect, day.bad, day.reasons) == (0, 1, {"dropout": 1})
    assert day.battery is not None
    assert day.battery.mean == 80.0
    board = await side.backend.data_quality(SCOPE, AskedSpan(by="device"))
    (q,) = board.items
    assert (q.key, q.completeness, q.plausibility) == ("oxi", 0.5, 0.8)  # of six hours three; every 2 s
    assert (q.bad, q.reasons) == (1, {"dropout": 1})
    used, _ = await side.backend.utilisation(SCOPE, AskedSpan(by="device", days=0))
    assert [(u.key, u.hours, u.possible) for u in used] == [("oxi", 3, 6)]  # of today's six hours


async def test_a_backlog_of_days_long_gone_is_summed_up(side: RealSide):
    await side.measure("oxi", "spo2", 97, T0 + 9 * DAY_NS)
    await side.service.health.round()
    await side.measure("oxi", "spo2", 96, T0 + HOUR)  # its gateway was away for nine days
    await side.measure("oxi", "battery_level", 80.0, T0 + HOUR + S)
    await side.service.health.round()
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    assert [(d.day, d.readings, d.battery and d.battery.mean) for d in file.days] == [
        (TODAY * DAY_NS, 2, 80.0),
        ((TODAY + 9) * DAY_NS, 1, None),
    ]


async def test_hours_of_use_make_a_service_due_and_one_that_is_done_counts_anew(side: RealSide):
    await side.person("eva", Role.ENGINEER)
    (eva,) = [u for u in await side.backend.users(SCOPE) if u.login == "eva"]
    who = Principal(eva.id, eva.name, "main", frozenset({Role.ENGINEER}))
    for day in range(29):
        for hour in (8, 9):
            await side.measure("oxi", "spo2", 97, T0 + day * DAY_NS + hour * HOUR)
    await side.backend.service_device(who, "oxi", None, 70)
    assert await side.service.health.round() == 1
    (found,) = [a.finding for a in (await side.backend.needs_attention(SCOPE, AskedFleet())).items]
    assert (found.kind, found.evidence["hours"], found.evidence["every_hours"]) == ("service", 58, 70)
    assert (found.evidence["left"], found.evidence["left_low"], found.evidence["left_high"]) == (
        6.0,
        6.0,
        6.0,
    )
    assert found.proposed == (day_of(side.clock.now_ns()) + 6) * DAY_NS
    (order,) = (await side.backend.work_orders(SCOPE, AskedOrders())).items
    assert (order.kind, order.due, order.opened_by) == ("service", found.proposed, "")
    done = await side.backend.finish_work_order(who, order.id, "new filter")
    assert done is not None
    assert await side.service.health.round() == 0
    assert (await side.backend.needs_attention(SCOPE, AskedFleet())).total == 0
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    assert (file.serviced, file.hours_since_service, file.row.hours_of_use) == (done.done, 0, 58)


async def test_a_profile_s_interval_and_the_site_s_rules_are_those_of_the_settings(tmp_path: Path):
    own = {"service_hours": {"sig-pulse-oximeter": 4}, "work_orders": {"service": {"opens": False}}}
    settings = CloudSettings.model_validate({"event_clock": True, **own})
    async with lived(RealSide(tmp_path, settings=settings)) as side:
        await furnish(side)
        await side.backend.change(SCOPE, "device", "oxi", {"profile": "sig-pulse-oximeter"})
        for hour in range(5):
            await side.measure("oxi", "spo2", 97, T0 + hour * HOUR)
        assert await side.service.health.round() == 0
        (found,) = [a.finding for a in (await side.backend.needs_attention(SCOPE, AskedFleet())).items]
        assert (found.kind, found.evidence["hours"], found.work_order) == ("service", 5, None)
        file = await side.backend.fleet_device(SCOPE, "oxi")
        assert file is not None
        assert (file.service_hours, file.service_hours_own) == (4, False)
    none = CloudSettings.model_validate({"service_hours": {"no-such-profile": 4}})
    with pytest.raises(ConfigError, match=r"cloud\.service_hours\.no-such-profile: unknown profile"):
        RealSide(tmp_path, settings=none)


async def test_what_fails_here_does_not_end_the_cloud(side: RealSide, monkeypatch: pytest.MonkeyPatch):
    health, looked = side.service.health, asyncio.Event()

    async def failing() -> None:
        if side.service.telemetry.value("device_health_failed_total"):
            looked.set()
        msg = "an estimator that divides by nothing"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(rounds, "LOOK_S", 0.001)
    monkeypatch.setattr(health, "look", failing)
    running = asyncio.create_task(health.run())
    await asyncio.wait_for(looked.wait(), 5)  # it was asked again after it had failed
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_where_a_device_stands_and_how_often_its_link_is_lost(side: RealSide):
    async def told(word: DeviceWord, *, online: bool = True) -> None:
        status = Status(online=online, devices={"oxi": word, "stranger": word}, backlog=7)
        async with side.backend.subscribe() as events:
            side.source.deliver(topic("main", "gw-1", "status"), status.encode())
            await next_of(events, GatewayChanged)
        await side.service.health.look()

    words = [
        DeviceWord("streaming", since=T0),
        DeviceWord("backoff", Cause.LINK_LOST, since=T0 + S),
        DeviceWord("streaming", since=T0 + 2 * S),
        DeviceWord("streaming", since=T0 + 9 * S),  # lost and back between two looks
    ]
    for word in words:
        await told(word)
    row = (await side.backend.fleet(SCOPE, AskedFleet())).items[0]
    assert (row.id, row.state, row.backlog) == ("oxi", "streaming", 7)
    await side.service.health.write_links()
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    assert [d.dropouts for d in file.days] == [2]
    await told(words[1])
    page = await side.backend.fleet(SCOPE, AskedFleet(state="trouble"))
    assert [(r.id, r.cause) for r in page.items] == [("oxi", "link_lost")]
    await told(words[0], online=False)
    page = await side.backend.fleet(SCOPE, AskedFleet())
    assert page.states == {"offline": 1}


async def test_two_devices_on_a_patient_that_differ_are_both_told_of(side: RealSide):
    (worn,) = await side.backend.items(SCOPE, "association")
    await side.backend.create(
        SCOPE, "device", {"id": "ecg", "gateway": "gw-1", "transport": "ble", "address": "C4:12:5D:00:AE:92"}
    )
    await side.backend.create(SCOPE, "association", {"device": "ecg", "patient": worn.patient, "start": T0})  # type: ignore[union-attr]
    for n in range(20):
        await side.measure("oxi", "pulse_rate", 85 + n % 3, T0 + 60 * n * S)
        await side.measure("ecg", "heart_rate", 70 + n % 3, T0 + (60 * n + 5) * S)
    await side.service.health.round()
    page = await side.backend.needs_attention(SCOPE, AskedFleet(kind="bias"))
    told = {a.finding.device: a.finding for a in page.items}
    assert {d: (f.evidence["difference"], f.evidence["other"]) for d, f in told.items()} == {
        "oxi": (15.0, "ecg"),
        "ecg": (-15.0, "oxi"),
    }
    assert all("Rosa" not in f.text["en"] and worn.patient not in str(f.evidence) for f in told.values())  # type: ignore[union-attr]
