"""Findings that come and go, and days that are summed up again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cloud_ingest.device_health.findings import Finding
from cloud_ingest.device_health.ordering import RULES, OrderRule
from cloud_ingest.device_health.sums import DAY_NS, DaySums, day_of
from cloud_ingest.loss_ledger import LATE, STORED, Count
from cloud_ingest.records import Records
from cloud_ingest.records import fleet_days as kept
from cloud_ingest.records.ledger import write_tally
from cloud_ingest.records.models import DeviceFinding, WorkOrder
from hearthward.core.clock import EventClock

from .conftest import START, SYSTEM

TODAY = day_of(START)
pytestmark = pytest.mark.usefixtures("furnished")


def finding(kind: str = "offline", confidence: float = 1.0, proposed: int = START) -> Finding:
    return Finding(kind, {}, confidence, {"en": kind, "zh": kind}, proposed=proposed)  # type: ignore[arg-type]


@pytest.fixture
def keep(records: Records) -> Callable[..., list[str]]:
    """Keep findings of the device ``d-w1``; the ids of the orders that are opened."""

    def do(*found: Finding, settled: bool = True) -> list[str]:
        return records.run_now(
            lambda s: kept.keep_findings(records.fleet(s), "main", {"d-w1": found}, settled=settled)
        )

    return do


@pytest.fixture
def held(records: Records) -> Callable[[], list[DeviceFinding]]:
    """The findings of ``d-w1`` that hold."""

    def do() -> list[DeviceFinding]:
        return records.run_now(
            lambda s: [row for row in records.fleet(s).findings_of(SYSTEM, "d-w1") if row.gone is None]
        )

    return do


Keep = Callable[..., list[str]]
Held = Callable[[], list[DeviceFinding]]


def test_the_date_of_what_is_found_again_and_again_does_not_move_on(keep: Keep, held: Held):
    keep(finding("link", 0.9, START), finding("battery", 0.5, START))
    keep(finding("link", 0.9, START + DAY_NS), finding("battery", 0.5, START + DAY_NS))
    assert {row.kind: row.proposed for row in held()} == {"link": START, "battery": START + DAY_NS}


def test_a_device_that_is_ended_in_the_middle_of_a_round_has_no_findings(
    records: Records, keep: Keep, held: Held
):
    records.run_now(lambda s: records.directory(s).devices.end(SYSTEM, "d-w1"))
    assert keep(finding()) == []
    assert held() == []


def test_the_findings_of_a_device_that_is_ended_go_and_its_order_says_so(
    records: Records, keep: Keep, held: Held
):
    (order,) = keep(finding())
    records.run_now(lambda s: records.directory(s).devices.end(SYSTEM, "d-w1"))
    records.run_now(lambda s: kept.end_findings(records.fleet(s), "main"))
    assert held() == []
    notes = records.run_now(lambda s: records.fleet(s).notes(SYSTEM, [order])[order])
    assert [note.do for note in notes] == ["open", "gone"]


def test_nobody_is_newly_silent_while_backlogs_may_be_on_their_way(records: Records, keep: Keep, held: Held):
    assert keep(finding(), settled=False) == []
    assert held() == []
    (order,) = keep(finding())
    assert keep(finding(), settled=False) == []
    assert [row.work_order for row in held()] == [order]  # what was silent before still is
    row = records.run_now(lambda s: s.get(WorkOrder, ("main", order)))
    assert row is not None
    assert row.state == "open"


def test_a_weak_radio_opens_an_order_once_it_has_lasted_and_no_bad_day_does(
    records: Records, keep: Keep, clock: EventClock
):
    weak = finding("link", 0.99, START + 14 * DAY_NS)
    for _ in range(6):  # six days, then a good one
        assert keep(weak) == []
        clock.advance(86_400)
    assert keep() == []
    for _ in range(7):
        assert keep(weak) == []
        clock.advance(86_400)
    (order,) = keep(weak)
    row = records.run_now(lambda s: s.get(WorkOrder, ("main", order)))
    assert row is not None
    assert (row.kind, row.opened_by, row.due) == ("link", None, START + 14 * DAY_NS)
    assert keep(weak) == []


def test_what_falls_due_again_after_it_was_done_opens_an_order_again(records: Records, keep: Keep):
    first = finding("service", 1.0)
    (order,) = keep(replace(first, about=""))
    records.run_now(lambda s: records.fleet(s).finish(SYSTEM, order, "", "u"))
    assert keep(replace(first, about="")) == []  # called done, and found on: not opened again
    (again,) = keep(replace(first, about="2026-01-10"))
    assert again != order


def test_what_was_gone_and_is_found_again_is_noted_on_the_order_that_stands(records: Records, keep: Keep):
    (order,) = keep(finding("battery", 1.0))
    for found in (
        [],
        [],
        [finding("battery", 1.0)],
        [finding("battery", 1.0)],
        [],
        [finding("battery", 1.0)],
    ):
        assert keep(*found) == []
    notes = records.run_now(lambda s: records.fleet(s).notes(SYSTEM, [order])[order])
    assert [note.do for note in notes] == ["open", "gone", "again", "gone", "again"]


def test_a_site_s_own_rules_open_orders(records: Records):
    own = {**RULES, "firmware": OrderRule(0.9), "offline": OrderRule(1.0, opens=False)}
    found = {"d-w1": [finding("firmware", 0.9), finding()]}
    (order,) = records.run_now(
        lambda s: kept.keep_findings(records.fleet(s), "main", found, rules=own)  # type: ignore[arg-type]
    )
    row = records.run_now(lambda s: s.get(WorkOrder, ("main", order)))
    assert row is not None
    assert row.kind == "firmware"


def test_a_backlog_changes_a_day_long_gone(records: Records, clock: EventClock):
    day, source = TODAY - 20, ("gw-w1", "b1")

    def came(device: str, n: int) -> None:
        counts = [Count(*source, device, day * 24 + 7, kind, n) for kind in (STORED, LATE)]
        records.run_now(
            lambda s: write_tally(s, "main", counts, [source], clock.now_ns())  # type: ignore[arg-type]
        )

    def known() -> bool:
        return records.run_now(lambda s: kept.summed_up(s, "main", day))

    def sum_up(n: int) -> list[str]:
        sums = [DaySums("d-w1", day, hours=1 << 7, stored=n, late=n)]
        return records.run_now(lambda s: kept.set_counts(s, "main", sums))

    assert known()
    came("d-w1", 3)
    assert not known()
    assert sum_up(3) == ["d-w1"]
    assert known()
    assert sum_up(3) == []
    came("d-w1", 2)
    assert not known()
    assert sum_up(5) == ["d-w1"]
    came("stranger", 4)
    assert known()
