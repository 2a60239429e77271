"""The fleet of the web's port: one suite over the fake and the real records and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.device_health.asking import AskedFleet, AskedOrders, AskedSpan, FindingKind
from cloud_ingest.device_health.kept_days import row_of_day
from cloud_ingest.device_health.ordering import RULES
from cloud_ingest.device_health.sums import DAY_NS, DaySums, SignalDay, day_of
from cloud_ingest.records import models as rows
from dashboards.backend import DirectoryError
from dashboards.fleet_models import FindingView, FrameValue, FrameView, OrderDraft, WorkOrder
from dashboards.models import Gateway
from hearthward.core.clock import iso
from hearthward.core.codes import METRICS
from hearthward.core.raw_frames import FieldPart, RawFrame, RawFrames
from hearthward.core.sightings import Ask
from hearthward.core.wire import Status, topic
from hearthward.trust.access import Principal, Role, Scope
from hearthward.trust.keys import verify
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    FakeSide,
    RealSide,
    S,
    furnish,
    lived,
)
from tests.component.dashboards.test_around_conformance import until

TODAY = day_of(T0)
WHO = Principal("usr_eva", "Eva", "main", frozenset({Role.ENGINEER}))
TEXT = {"en": "the battery lasts 5 days more", "zh": "电池还可用5天"}


def finding(key: str, device: str, kind: FindingKind, **more: Any) -> FindingView:
    fields: dict[str, Any] = {
        "id": key,
        "device": device,
        "kind": kind,
        "evidence": {"slope": -2.5, "since": "2025-12-01"},
        "confidence": 0.8,
        "text": TEXT,
        "opened": T0 - DAY_NS,
        "seen": T0,
    }
    return FindingView(**{**fields, **more})


class FakeFleetSide(FakeSide):
    """Health put into the fake."""

    async def engineer(self) -> Principal:
        self.backend.add_person("eva", "x" * 12, WHO)
        return WHO

    async def colleague(self) -> Principal:
        ina = Principal("usr_ina", "Ina", "main", frozenset({Role.ENGINEER}))
        self.backend.add_person("ina", "x" * 12, ina)
        return ina

    async def found(self, view: FindingView) -> None:
        self.backend.put_finding("main", view)

    async def day(self, sums: DaySums) -> None:
        self.backend.put_device_day("main", sums)

    async def stands(self, device: str, **facts: Any) -> None:
        self.backend.put_device_facts("main", device, **facts)

    async def online(self) -> None:
        self.backend.put_gateway("main", Gateway(id="gw-1", online=True, software="0.9"))

    async def tell(self, told: RawFrames) -> None:
        self.backend.put_raw_frames("main", told)

    async def frame(self, device: str, metrics: dict[str, float], at: int) -> None:
        values = [FrameValue(metric=m, value=v, unit=METRICS[m].unit) for m, v in sorted(metrics.items())]
        old = await self.backend.device_frames(SCOPE, device, values=True) or []
        self.backend.put_frames("main", device, [FrameView(received=at, measured=at, values=values), *old])


class RealFleetSide(RealSide):
    """The same in the records."""

    async def engineer(self) -> Principal:
        return await self._hand("eva")

    async def colleague(self) -> Principal:
        return await self._hand("ina")

    async def _hand(self, login: str) -> Principal:
        await self.person(login, Role.ENGINEER)
        user = await self.records.read(lambda s: self.records.users(s).by_login(SCOPE, login))
        assert user is not None
        return Principal(user.id, user.name, "main", frozenset({Role.ENGINEER}))

    async def found(self, view: FindingView) -> None:
        row = rows.DeviceFinding(tenant="main", about="", **view.model_dump())
        await self.records.run(lambda s: s.add(row))

    async def day(self, sums: DaySums) -> None:
        row = rows.DeviceDay(**row_of_day("main", sums))
        await self.records.run(lambda s: s.add(row))

    async def stands(self, device: str, **facts: Any) -> None:
        await self.records.run(
            lambda s: s.merge(rows.DeviceStanding(tenant="main", device=device, **facts)) and None
        )

    async def online(self) -> None:
        self.source.deliver(topic("main", "gw-1", "status"), Status(online=True, version="0.9").encode())
        await until(lambda: self.service.gateways.online("gw-1"))

    async def tell(self, told: RawFrames) -> None:
        (asked,) = [Ask.decode(m.payload) for m in self.source.published if m.topic.endswith("/ask")]
        assert verify(self.service.key.public, asked.signed_part(), asked.signature)
        assert (asked.gateway, asked.kind, asked.seconds, asked.device) == ("gw-1", "watch", 60, "oxi")
        self.source.deliver(topic("main", told.gateway, "raw"), told.encode())
        watch = self.service.frames.book.seen_by("oxi", "usr_eva")
        await until(lambda: watch is None or watch.told is not None)

    async def frame(self, device: str, metrics: dict[str, float], at: int) -> None:
        for metric, value in sorted(metrics.items()):
            await self.measure(device, metric, value, at)


FleetSide = FakeFleetSide | RealFleetSide


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FleetSide]:
    if request.param == "fake":
        yield FakeFleetSide()
        return
    async with lived(RealFleetSide(tmp_path)) as made:
        yield made


async def fleet_of(side: FleetSide) -> dict[str, str]:
    """Ward A: oxi and hub; ward B: cuff."""
    ids = await furnish(side)
    make = side.backend.create
    await make(SCOPE, "gateway", {"id": "gw-2", "label": "B", "ward": ids["other"]})
    for n, (key, gateway) in enumerate({"hub": "gw-1", "cuff": "gw-2"}.items()):
        address = f"C4:12:5D:00:AE:0{n}"
        fields = {"id": key, "gateway": gateway, "transport": "ble", "address": address, "label": key.title()}
        await make(SCOPE, "device", fields)
    return ids


async def test_the_bytes_of_a_device_are_asked_of_its_gateway_and_shown_to_who_asked(side: FleetSide):
    ids = await fleet_of(side)
    backend = side.backend
    for device, code in (("oxi", "state"), ("cuff", "state")):
        with pytest.raises(DirectoryError) as caught:
            await backend.watch_frames(WHO, device, 60)
        assert (caught.value.field, caught.value.code) == ("gateway", code)
    assert await backend.watch_frames(WHO, "nothing", 60) is None
    await side.online()
    other = Principal("usr_ina", "Ina", "main", frozenset({Role.ENGINEER}), frozenset({ids["other"]}))
    assert await backend.watch_frames(other, "oxi", 60) is None
    opened = await backend.watch_frames(WHO, "oxi", 60)
    assert opened is not None
    assert (opened.state, opened.gateway, opened.frames) == ("asked", "gw-1", [])
    frames = tuple(
        RawFrame(n, T0, "2a5f", bytes([n]), 1, "p", fields=(FieldPart("a", 0, 1),)) for n in (1, 2)
    )
    await side.tell(RawFrames("gw-1", "s", "oxi", T0, 60, frames))
    seen = await backend.watched_frames(WHO, "oxi")
    assert seen is not None
    assert (seen.state, [(f.number, f.hex) for f in seen.frames]) == ("live", [(2, "02"), (1, "01")])
    assert seen.frames[0].fields[0].name == "a"
    assert await backend.watched_frames(other, "oxi") is None
    assert await backend.watched_frames(WHO, "hub") is None


async def test_what_needs_attention_comes_by_date_then_by_confidence(side: FleetSide):
    ids = await fleet_of(side)
    soon = T0 + DAY_NS
    await side.found(finding("f1", "oxi", "link"))
    await side.found(finding("f2", "cuff", "calibration", proposed=soon, confidence=0.6))
    await side.found(finding("f3", "oxi", "battery", proposed=soon, confidence=0.9))
    await side.found(finding("f4", "oxi", "dropouts", gone=T0))
    page = await side.backend.needs_attention(SCOPE, AskedFleet())
    assert [a.finding.id for a in page.items] == ["f3", "f2", "f1"]
    assert (page.total, page.kinds) == (3, {"link": 1, "calibration": 1, "battery": 1})
    first = page.items[0]
    assert (first.gateway, first.ward, first.ward_name) == ("gw-1", ids["ward"], "Ward A")
    assert first.finding == finding("f3", "oxi", "battery", proposed=soon, confidence=0.9)
    second = await side.backend.needs_attention(SCOPE, AskedFleet(offset=1, limit=1))
    assert ([a.finding.id for a in second.items], second.total) == (["f2"], 3)
    only = await side.backend.needs_attention(SCOPE, AskedFleet(kind="link"))
    assert [a.finding.id for a in only.items] == ["f1"]
    confined = Scope("main", frozenset({ids["other"]}))
    assert [a.finding.id for a in (await side.backend.needs_attention(confined, AskedFleet())).items] == [
        "f2"
    ]
    patient = Scope("main", patient=ids["patient"])
    assert (await side.backend.needs_attention(patient, AskedFleet())).total == 0


async def test_devices_are_searched_filtered_sorted_and_paged(side: FleetSide):
    ids = await fleet_of(side)
    await side.stands("oxi", state="streaming", battery=40.0, firmware="1.2", last_seen=T0)
    await side.stands("cuff", state="trouble", cause="link_lost", battery=15.0, hours_of_use=9)
    await side.found(finding("f1", "cuff", "battery"))

    async def ids_of(scope: Scope = SCOPE, **asked: Any) -> list[str]:
        return [row.id for row in (await side.backend.fleet(scope, AskedFleet(**asked))).items]

    assert await ids_of() == ["cuff", "hub", "oxi"]
    assert await ids_of(sort="battery") == ["cuff", "oxi", "hub"]  # what is not known comes last
    assert await ids_of(sort="battery", down=True) == ["oxi", "cuff", "hub"]
    assert await ids_of(sort="ward", down=True) == ["cuff", "hub", "oxi"]
    assert await ids_of(sort="findings", down=True) == ["cuff", "hub", "oxi"]
    assert await ids_of(sort="firmware") == ["oxi", "cuff", "hub"]
    assert await ids_of(words="HU") == ["hub"]
    assert await ids_of(words="ae:91") == ["oxi"]
    assert await ids_of(ward=ids["other"]) == await ids_of(gateway="gw-2") == ["cuff"]
    assert await ids_of(kind="battery") == await ids_of(state="trouble") == ["cuff"]
    assert await ids_of(offset=1, limit=1) == ["hub"]
    assert await ids_of(Scope("main", frozenset({ids["ward"]}))) == ["hub", "oxi"]
    assert await ids_of(Scope("main", patient=ids["patient"])) == []
    page = await side.backend.fleet(SCOPE, AskedFleet(limit=1))
    assert (page.total, page.states) == (3, {"trouble": 1, "unknown": 1, "streaming": 1})
    row = page.items[0]
    assert (row.cause, row.battery, row.hours_of_use, row.findings) == ("link_lost", 15.0, 9, 1)


async def test_a_device_was_seen_when_its_newest_reading_came_not_when_a_round_last_looked(side: FleetSide):
    await fleet_of(side)
    await side.stands("oxi", state="streaming", last_seen=T0 - DAY_NS)
    await side.stands("cuff", state="idle", last_seen=T0 - 9 * S)
    await side.measure("oxi", "spo2", 97, T0 + S)
    await side.measure("oxi", "pulse_rate", 70, T0 + 5 * S)
    page = await side.backend.fleet(SCOPE, AskedFleet(sort="last_seen"))
    assert [(row.id, row.last_seen) for row in page.items] == [
        ("cuff", T0 - 9 * S),
        ("oxi", T0 + 5 * S),
        ("hub", None),
    ]
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    assert file.row.last_seen == T0 + 5 * S


async def test_a_device_s_file_has_its_days_findings_and_work(side: FleetSide):
    ids = await fleet_of(side)
    who = await side.engineer()
    battery = SignalDay(3, 51.0, 50.0, 52.0, 50.0)
    await side.day(DaySums("oxi", TODAY - 100, hours=1, stored=1))
    await side.day(
        DaySums(
            "oxi", TODAY - 1, hours=7, span=3, stored=20, late=4, dropouts=2, signals={"battery": battery}
        )
    )
    await side.found(finding("old", "oxi", "link", gone=T0))
    await side.found(finding("new", "oxi", "battery"))
    opened = await side.backend.open_work_order(who, OrderDraft(device="oxi", finding="new"))
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    assert [f.id for f in file.findings] == ["new", "old"]
    assert file.findings[0].work_order == file.row.work_order == opened.id
    assert file.orders == [opened]
    (day,) = file.days
    assert (day.day, day.readings, day.hours, day.dropouts, day.late) == ((TODAY - 1) * DAY_NS, 20, 3, 2, 4)
    assert day.battery is not None
    assert (day.battery.mean, day.battery.low, day.battery.high, day.battery.count) == (51.0, 50.0, 52.0, 3)
    assert day.rssi is None
    assert await side.backend.fleet_device(SCOPE, "none") is None
    assert await side.backend.fleet_device(Scope("main", frozenset({ids["other"]})), "oxi") is None


async def test_use_and_quality_by_device_and_by_ward(side: FleetSide):
    ids = await fleet_of(side)
    await side.day(DaySums("oxi", TODAY, hours=0b1111, span=8, stored=90, rejected=10, late=9))
    await side.day(DaySums("hub", TODAY - 1, hours=0b1, span=1, stored=10))
    await side.day(DaySums("cuff", TODAY - 30, hours=0b1, span=2, stored=10))
    asked = AskedSpan(by="device", days=6)
    used, total = await side.backend.utilisation(SCOPE, asked)
    assert [(u.key, u.hours, u.used) for u in used] == [("cuff", 0, 0), ("hub", 1, 1), ("oxi", 4, 1)]
    assert (total, used[2].possible, used[2].share) == (3, 145, 4 / 145)  # today has just begun
    wards, _ = await side.backend.utilisation(SCOPE, AskedSpan(days=6))
    assert [(u.name, u.devices, u.used, u.hours) for u in wards] == [("Ward B", 1, 0, 0), ("Ward A", 2, 2, 5)]
    board = await side.backend.data_quality(SCOPE, asked)
    assert [q.key for q in board.items] == ["oxi", "hub", "cuff"]  # worst first, nothing to judge by last
    worst = board.items[0]
    assert (worst.completeness, worst.plausibility, worst.timeliness, worst.consistency) == (0.5, 0.9, 0.9, 1)
    assert (worst.worst, worst.readings) == (0.5, 90)
    assert board.items[2].worst is None
    assert (worst.rejected, worst.late, worst.suspect, worst.reasons) == (10, 9, 0, {})
    ward = await side.backend.data_quality(SCOPE, AskedSpan(days=6, ward=ids["ward"], limit=1))
    assert [(q.name, q.completeness, q.devices) for q in ward.items] == [("Ward A", 5 / 9, 2)]
    second = await side.backend.data_quality(SCOPE, replace(asked, offset=1, limit=1))
    assert ([(q.key, q.name) for q in second.items], second.total) == ([("hub", "Hub")], 3)
    page, _ = await side.backend.utilisation(SCOPE, replace(asked, offset=1, limit=1))
    assert [u.key for u in page] == ["hub"]
    confined = Scope("main", frozenset({ids["other"]}))
    assert [q.key for q in (await side.backend.data_quality(confined, asked)).items] == ["cuff"]


async def test_the_quality_gate_s_verdicts_count_with_their_reasons_by_device_and_by_ward(side: FleetSide):
    await fleet_of(side)
    jumping = {"suspect": 30, "implausible": 30, "jump": 25, "zero": 10}
    await side.day(DaySums("oxi", TODAY, stored=100, doubts=jumping))
    both = {"suspect": 12, "bad": 2, "implausible": 4, "zero": 2, "dropout": 2, "disagrees": 10}
    await side.day(DaySums("hub", TODAY, stored=100, doubts=both))
    board = await side.backend.data_quality(SCOPE, AskedSpan(by="device"))
    told = {q.key: (q.plausibility, q.consistency, q.suspect, q.bad, q.reasons) for q in board.items}
    assert told["oxi"] == (0.7, 1.0, 30, 0, {"jump": 25, "zero": 10})
    assert told["hub"] == (0.96, 0.9, 12, 2, {"disagrees": 10, "dropout": 2, "zero": 2})
    assert [*told] == ["oxi", "hub", "cuff"]
    (ward, _) = (await side.backend.data_quality(SCOPE, AskedSpan(by="ward"))).items
    assert (ward.name, ward.plausibility, ward.consistency) == ("Ward A", 0.83, 0.95)
    assert list(ward.reasons.items()) == [("jump", 25), ("zero", 12), ("disagrees", 10), ("dropout", 2)]
    file = await side.backend.fleet_device(SCOPE, "oxi")
    assert file is not None
    assert [(d.suspect, d.bad, d.reasons) for d in file.days] == [(30, 0, {"jump": 25, "zero": 10})]


async def test_a_finding_is_acknowledged_once(side: FleetSide):
    ids = await fleet_of(side)
    who = await side.engineer()
    await side.found(finding("f1", "oxi", "link"))
    seen = await side.backend.acknowledge_finding(who, "f1")
    assert seen is not None
    assert (seen.acknowledged_by, seen.acknowledged_at) == (who.name, side.clock.now_ns())
    side.clock.follow(T0 + 60 * S)
    assert await side.backend.acknowledge_finding(who, "f1") == seen
    other = Principal(who.user, who.name, "main", who.roles, frozenset({ids["other"]}))
    assert await side.backend.acknowledge_finding(other, "f1") is None
    assert await side.backend.acknowledge_finding(who, "f9") is None


async def test_work_is_opened_given_to_somebody_and_done(side: FleetSide):
    await fleet_of(side)
    who = await side.engineer()
    await side.found(finding("f1", "oxi", "battery", proposed=T0 + DAY_NS))
    order = await side.backend.open_work_order(who, OrderDraft(device="oxi", finding="f1"))
    assert (order.kind, order.text, order.due) == ("battery", TEXT, T0 + DAY_NS)
    assert (order.state, order.opened_by, order.ward_name) == ("open", who.name, "Ward A")
    other = await side.backend.open_work_order(who, OrderDraft(device="cuff", text=" hose leaks "))
    assert (other.kind, other.text, other.finding) == (
        "other",
        {"en": "hose leaks", "zh": "hose leaks"},
        None,
    )
    given = await side.backend.assign_work_order(who, order.id, who.user)
    assert given is not None
    assert (given.state, given.assignee, given.assignee_name) == ("assigned", who.user, who.name)
    await side.backend.comment_work_order(who, order.id, "cell ordered")
    done = await side.backend.finish_work_order(who, order.id, "cell changed")
    assert done is not None
    assert (done.state, done.done, done.done_by) == ("done", side.clock.now_ns(), who.name)
    assert [(n.do, n.text, n.by) for n in done.notes] == [
        ("open", "", who.name),
        ("assign", who.name, who.name),
        ("comment", "cell ordered", who.name),
        ("done", "cell changed", who.name),
    ]
    assert await side.backend.work_order(SCOPE, order.id) == done
    page = await side.backend.work_orders(SCOPE, AskedOrders())
    assert ([o.id for o in page.items], page.states) == ([other.id], {"open": 1, "done": 1})
    every = await side.backend.work_orders(SCOPE, AskedOrders(state="all"))
    assert [o.id for o in every.items] == [other.id, order.id]
    mine = await side.backend.work_orders(SCOPE, AskedOrders(state="done", assignee=who.user))
    assert [o.id for o in mine.items] == [order.id]
    again = await side.backend.open_work_order(who, OrderDraft(device="oxi", finding="f1"))
    assert again.id != order.id  # the first is done


async def test_when_a_rule_opens_work_is_told(side: FleetSide):
    found = await side.backend.order_rules(SCOPE)
    assert [(r.kind, r.held_days) for r in found if r.held_days] == [("link", 7.0), ("firmware", 30.0)]
    assert [r.kind for r in found] == list(RULES)


async def test_what_another_has_is_taken_over_only_by_saying_from_whom(side: FleetSide):
    await fleet_of(side)
    who = await side.engineer()
    ina = await side.colleague()
    order = await side.backend.open_work_order(ina, OrderDraft(device="oxi", text="clip", assignee=ina.user))
    since = side.clock.now_ns()
    assert order.assigned == since
    for instead_of in (None, "usr_nobody", who.user):
        with pytest.raises(DirectoryError, match="Ina") as info:
            await side.backend.assign_work_order(who, order.id, who.user, instead_of)
        assert (info.value.field, info.value.code) == ("assignee", "held")
        assert f"since {iso(since)}" in info.value.value
    same = await side.backend.assign_work_order(ina, order.id, ina.user)
    assert same == order  # who has it already keeps it, and nothing is noted
    side.clock.advance(60)
    taken = await side.backend.assign_work_order(who, order.id, who.user, ina.user)
    assert taken is not None
    assert (taken.assignee, taken.assigned) == (who.user, side.clock.now_ns())
    assert [(n.do, n.by, n.text, n.before) for n in taken.notes[1:]] == [
        ("assign", "Ina", "Ina", ""),
        ("take", who.name, who.name, "Ina"),
    ]
    with pytest.raises(DirectoryError, match="Eva"):  # it has changed hands since Ina looked
        await side.backend.assign_work_order(ina, order.id, ina.user)
    handed = await side.backend.assign_work_order(who, order.id, ina.user)  # one's own is handed on freely
    assert handed is not None
    assert [(n.do, n.text, n.before) for n in handed.notes[-1:]] == [("assign", "Ina", who.name)]


async def test_of_two_who_take_work_on_at_once_one_has_it_and_the_other_is_told(side: FleetSide):
    await fleet_of(side)
    both = [await side.engineer(), await side.colleague()]
    order = await side.backend.open_work_order(both[0], OrderDraft(device="oxi", text="clip"))
    steps = [side.backend.assign_work_order(who, order.id, who.user) for who in both]
    done = await asyncio.gather(*steps, return_exceptions=True)
    (given,) = [one for one in done if isinstance(one, WorkOrder)]
    (refused,) = [one for one in done if isinstance(one, DirectoryError)]
    assert refused.code == "held"
    assert given.assignee_name in refused.value
    kept = await side.backend.work_order(SCOPE, order.id)
    assert kept == given


async def test_what_is_refused_of_work(side: FleetSide):
    ids = await fleet_of(side)
    who = await side.engineer()
    await side.found(finding("f1", "oxi", "battery"))
    order = await side.backend.open_work_order(who, OrderDraft(device="oxi", finding="f1"))

    async def refused(draft: OrderDraft) -> tuple[str, str]:
        with pytest.raises(DirectoryError) as info:
            await side.backend.open_work_order(who, draft)
        return info.value.field, info.value.code

    assert await refused(OrderDraft(device="none", text="x")) == ("device", "unknown")
    assert await refused(OrderDraft(device="oxi")) == ("text", "required")
    assert await refused(OrderDraft(device="oxi", text="a\0b")) == ("text", "invalid")
    assert await refused(OrderDraft(device="cuff", finding="f1")) == ("finding", "unknown")
    assert await refused(OrderDraft(device="oxi", finding="f1")) == ("finding", "taken")
    assert await refused(OrderDraft(device="oxi", text="x", assignee="nobody")) == ("assignee", "unknown")
    with pytest.raises(DirectoryError, match="assignee"):
        await side.backend.assign_work_order(who, order.id, "nobody")
    with pytest.raises(DirectoryError, match="text"):
        await side.backend.comment_work_order(who, order.id, "  ")
    await side.backend.finish_work_order(who, order.id)
    for again in (
        side.backend.finish_work_order(who, order.id),
        side.backend.assign_work_order(who, order.id, who.user),
    ):
        with pytest.raises(DirectoryError) as info:
            await again
        assert (info.value.field, info.value.code) == ("id", "state")
    elsewhere = Principal(who.user, who.name, "main", who.roles, frozenset({ids["other"]}))
    assert await side.backend.finish_work_order(elsewhere, order.id) is None
    assert await side.backend.work_order(Scope("main", elsewhere.wards), order.id) is None


async def test_a_calibration_is_noted(side: FleetSide):
    await fleet_of(side)
    who = await side.engineer()
    file = await side.backend.calibrate_device(who, "cuff", T0 - DAY_NS, 365)
    assert file is not None
    assert (file.calibrated, file.calibration_days) == (T0 - DAY_NS, 365)
    later = T0 + DAY_NS
    for calibrated, every, field, said in (
        (later, 365, "calibrated", f"{iso(later)} is still to come"),
        (T0, 0, "every_days", "must lie within 1 - "),
    ):
        with pytest.raises(DirectoryError) as info:
            await side.backend.calibrate_device(who, "cuff", calibrated, every)
        assert info.value.field == field
        assert said in str(info.value)
    assert await side.backend.calibrate_device(who, "none", T0, 1) is None


async def test_a_service_is_noted_and_its_hours_count_since(side: FleetSide):
    await fleet_of(side)
    who = await side.engineer()
    for ago in range(4):
        await side.day(DaySums("cuff", TODAY - ago, hours=0b111))
    before = await side.backend.fleet_device(SCOPE, "cuff")
    assert before is not None
    assert (before.serviced, before.service_hours, before.hours_since_service) == (None, None, 12)
    at = (TODAY - 1) * DAY_NS
    file = await side.backend.service_device(who, "cuff", at, 500)
    assert file is not None
    assert (file.serviced, file.service_hours, file.service_hours_own) == (at, 500, True)
    assert file.hours_since_service == 5  # two of that day, three of today
    noted = await side.backend.calibrate_device(who, "cuff", at, 365, 300)
    assert noted is not None
    assert (noted.calibration_days, noted.calibration_hours, noted.hours_since_calibration) == (365, 300, 5)
    again = await side.backend.calibrate_device(who, "cuff", at, 365)
    assert again is not None
    assert again.calibration_hours is None
    for serviced, every, field in (
        (T0 + DAY_NS, 5, "serviced"),
        (None, 0, "every_hours"),
        (0, 5, "serviced"),
    ):
        with pytest.raises(DirectoryError) as info:
            await side.backend.service_device(who, "cuff", serviced, every)
        assert info.value.field == field
    assert await side.backend.service_device(who, "none", None, 1) is None


async def test_work_for_a_service_that_is_done_counts_the_hours_anew(side: FleetSide):
    await fleet_of(side)
    who = await side.engineer()
    await side.day(DaySums("oxi", TODAY - 1, hours=0b111))
    await side.backend.service_device(who, "oxi", None, 2)
    for key, serviced in (("f1", False), ("f2", True)):
        await side.found(finding(key, "oxi", "service", gone=None if serviced else T0))
        order = await side.backend.open_work_order(who, OrderDraft(device="oxi", finding=key))
        await side.backend.finish_work_order(who, order.id, "filter", serviced=serviced)
        file = await side.backend.fleet_device(SCOPE, "oxi")
        assert file is not None
        expected = (side.clock.now_ns(), 0) if serviced else (None, 3)
        assert (file.serviced, file.hours_since_service) == expected
        assert file.service_hours == 2  # the interval stays


async def test_the_last_frames_show_no_patient_s_values_to_who_may_not_see_them(side: FleetSide):
    await fleet_of(side)
    await side.frame("oxi", {"battery_level": 80, "spo2": 97}, T0)
    await side.frame("oxi", {"spo2": 96}, T0 + S)
    frames = await side.backend.device_frames(SCOPE, "oxi", values=True)
    assert frames is not None
    assert [[(v.metric, v.value) for v in f.values] for f in frames] == [
        [("spo2", 96.0)],
        [("battery_level", 80.0), ("spo2", 97.0)],
    ]
    hidden = await side.backend.device_frames(SCOPE, "oxi", values=False, limit=2)
    assert hidden is not None
    assert [(v.metric, v.value, v.shown) for v in hidden[1].values] == [
        ("battery_level", 80.0, True),
        ("spo2", None, False),
    ]
    assert await side.backend.device_frames(SCOPE, "none", values=True) is None
