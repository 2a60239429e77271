"""Readings and clocks that are out of time: they mute nobody, and nothing old is told as new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.feed import TechnicalEvent
from cloud_ingest.records.models import Alarm, DeadLetter, TransitionRow
from hearthward.core.clock import SECOND
from rules import Context, Rule, RuleSet, load_rules
from tests.unit.cloud_ingest.test_deciding import agrees
from tests.unit.cloud_ingest.ward import T0, HandClock, Ward, block, enrol, live, reading, rule

DAY = 86_400
SHIPPED = load_rules().by_id


def of(*ids: str) -> tuple[Rule, ...]:
    return tuple(SHIPPED[i] for i in ids)


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    rules = RuleSet((rule(delay_s=3), *of("clock-wrong", "home-bp-high")))
    made = await Ward(tmp_path / "records.db", clock=HandClock(T0), rules=rules).start()
    await made.pipeline.know({p: Context(setting="home", adult=True) for p in ("pat_1", "pat_2")})
    yield made
    await made.close()


async def pass_time(ward: Ward, at: float) -> None:
    ward.clock.follow(T0 + round(at * SECOND))
    await ward.pipeline.tick()


async def alarms(ward: Ward) -> set[tuple[str, str]]:
    return {(a.patient, a.rule) for a in await ward.rows(Alarm) if a.condition == "active"}


async def test_a_reading_dated_tomorrow_mutes_nobody(ward: Ward):
    tomorrow = T0 + DAY * SECOND
    await ward.take(live(block(1, reading(0, 95, device_time=tomorrow, corrected=tomorrow)), at=0))
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["future"]
    assert {e.kind for e in ward.events() if isinstance(e, TechnicalEvent)} == {"future"}
    for n in (1, 2, 3, 4, 5):
        ward.clock.follow(T0 + n * SECOND)
        await ward.take(live(block(2 * n, reading(n, 84), reading(n, 84, device="dev_2")), at=n))
    assert await alarms(ward) == {
        ("pat_1", "clock-wrong"),
        ("pat_1", "spo2-low"),
        ("pat_2", "spo2-low"),
    }
    assert [r.value for r in await ward.stored("dev_1")] == [84] * 5
    await agrees(ward)


@pytest.mark.parametrize("days", [1, -1])
async def test_a_gateway_a_day_off_loses_nothing_and_its_alarms_come_at_once(ward: Ward, days: int):
    """Its readings are stored and judged at the time of their measurement, whatever it took it to be."""
    for n in range(6):
        ward.clock.follow(T0 + n * SECOND)
        await ward.take(live(block(n + 1, reading(n + days * DAY, 84)), at=n + days * DAY))
    assert await alarms(ward) == {("pat_1", "spo2-low")}
    stored = await ward.stored("dev_1")
    assert [r.corrected for r in stored] == [T0 + n * SECOND for n in range(6)]
    assert [r.received for r in stored] == [T0 + (n + days * DAY) * SECOND for n in range(6)]
    assert await ward.rows(DeadLetter) == []
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.signalled, alarm.late, alarm.onset) == (True, False, T0)
    assert [e.kind for e in ward.events() if isinstance(e, TechnicalEvent)] == ["gateway_clock"]
    await agrees(ward)


async def test_what_a_device_with_a_right_clock_measured_is_not_late_for_its_gateway_s_clock(ward: Ward):
    for n in range(6):
        ward.clock.follow(T0 + n * SECOND)
        moment = T0 + n * SECOND
        row = reading(n + DAY, 84, device_time=moment, corrected=moment)
        await ward.take(live(block(n + 1, row), at=n + DAY))
    assert [r.corrected for r in await ward.stored("dev_1")] == [T0 + n * SECOND for n in range(6)]
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.rule, alarm.signalled, alarm.late) == ("spo2-low", True, False)


async def test_a_gateway_a_day_off_mutes_nobody_else(ward: Ward):
    enrol(ward.records, "gw-2", ("dev_3",))
    for n in range(6):
        ward.clock.follow(T0 + n * SECOND)
        await ward.take(
            live(block(n + 1, reading(n + DAY, 99, device="dev_3")), at=n + DAY, gateway="gw-2"),
            live(block(n + 1, reading(n, 84)), at=n),
        )
    assert await alarms(ward) == {("pat_1", "spo2-low")}
    assert max(wall for wall, _ in ward.pipeline.state.sources.values()) <= T0 + 5 * SECOND


async def test_a_clock_that_jumps_there_and_back_leaves_no_trace_in_the_times(ward: Ward):
    """A day ahead, a day behind, right again: receive times only grow, as they are keys."""
    received = T0
    for n, days in enumerate((0, 0, 1, 1, -1, -1, 0, 0)):
        ward.clock.follow(T0 + n * SECOND)
        shown = n + days * DAY
        received = max(T0 + shown * SECOND, received + 1)
        row = reading(shown, 84, received=received)
        await ward.take(live(block(n + 1, row), at=shown, mono=n * SECOND))
    stored = await ward.stored("dev_1")
    assert [r.corrected for r in stored] == [T0 + n * SECOND for n in range(8)]
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.condition, alarm.late, alarm.onset) == ("active", False, T0)
    assert await ward.rows(DeadLetter) == []


async def test_a_gateway_whose_clock_is_not_synchronised_is_corrected_however_little(ward: Ward):
    """It thinks that it is a quarter of a minute ago."""
    for n in range(6):
        ward.clock.follow(T0 + n * SECOND)
        slow = n - 15
        await ward.take(live(block(n + 1, reading(slow, 84)), at=slow, synchronised=False))
        await ward.take(live(block(n + 1, reading(n, 84, device="dev_2")), at=n, gateway="gw-2"))
    assert await alarms(ward) == {("pat_1", "spo2-low"), ("pat_2", "spo2-low")}
    stored = await ward.stored("dev_1")
    assert [r.corrected for r in stored] == [T0 + n * SECOND for n in range(6)]


@pytest.mark.parametrize("device", ["dev_1", "dev_9"])
async def test_a_clock_that_is_wrong_is_told_of_until_it_is_right_again(ward: Ward, device: str):
    """Of a device on nobody, too."""
    owner = "pat_1" if device == "dev_1" else "device:dev_9"
    tomorrow = T0 + DAY * SECOND
    await ward.take(live(block(1, reading(0, 95, device=device, corrected=tomorrow)), at=0))
    assert await alarms(ward) == {(owner, "clock-wrong")}
    ward.clock.follow(T0 + 60 * SECOND)
    await ward.take(live(block(2, reading(60, 95, device=device)), at=60))
    await pass_time(ward, 700)
    assert await alarms(ward) == set()


def pressure(at: float, received: float, systolic: float, diastolic: float) -> tuple[Any, Any]:
    moment, came = T0 + round(at * SECOND), T0 + round(received * SECOND)
    more = {"device_time": moment, "corrected": moment, "received": came, "group": 7}
    return (
        reading(at, systolic, metric="nibp_systolic", **more),
        reading(at, diastolic, metric="nibp_diastolic", **more, ordinal=1),
    )


async def test_a_200_120_that_arrives_three_hours_late_signals(ward: Ward):
    """The cuff kept it: measured at 02:10, received at 05:10, and both are said."""
    ward.clock.follow(T0 + 3 * 3600 * SECOND)
    await ward.take(live(block(1, *pressure(0, 3 * 3600, 200, 120)), at=3 * 3600))
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.rule, alarm.condition, alarm.signalled, alarm.late) == (
        "home-bp-high",
        "active",
        True,
        True,
    )
    assert alarm.onset == T0
    (start,) = await ward.rows(TransitionRow)
    assert {(i["time"], i["received"]) for i in start.inputs} == {(T0, T0 + 3 * 3600 * SECOND)}
    assert start.detail["why"] == "critical"
    await agrees(ward)


async def test_a_200_120_that_waited_three_hours_at_its_gateway_signals(ward: Ward):
    """The uplink was cut: the patient's readings of the meantime come first, the old one after them."""
    ward.clock.follow(T0 + 3 * 3600 * SECOND)
    await ward.take(live(block(9, reading(3 * 3600, 97)), at=3 * 3600))
    await ward.take(live(block(1, *pressure(0, 0, 200, 120)), at=3 * 3600))
    (alarm,) = await ward.rows(Alarm)
    assert (alarm.rule, alarm.condition, alarm.onset) == ("home-bp-high", "active", T0)
    assert (await ward.rows(TransitionRow))[0].recorded == T0 + 3 * 3600 * SECOND


async def test_a_200_120_that_is_more_than_a_day_late_goes_to_the_worklist(ward: Ward):
    ward.clock.follow(T0 + 25 * 3600 * SECOND)
    await ward.take(live(block(1, *pressure(0, 25 * 3600, 200, 120)), at=25 * 3600))
    (entry,) = await ward.rows(Alarm)
    assert (entry.rule, entry.worklist, entry.signalled, entry.condition) == (
        "home-bp-high",
        True,
        False,
        "inactive",
    )


async def test_a_late_reading_of_before_the_newest_is_told_late_not_new(ward: Ward):
    """A breach that newer readings have overtaken goes to the worklist: an old one never alarms as new."""
    ward.clock.follow(T0 + 7300 * SECOND)
    await ward.take(live(block(2, *pressure(7200, 7300, 120, 80)), at=7300))
    await ward.take(live(block(4, *pressure(3600, 7300, 205, 125)), at=7300))
    (entry,) = await ward.rows(Alarm)
    assert (entry.worklist, entry.onset) == (True, T0 + 3600 * SECOND)
