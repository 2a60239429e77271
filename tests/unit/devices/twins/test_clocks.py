"""A twin's own clock."""

from __future__ import annotations

from datetime import datetime

from devices.twins.clocks import TwinClock
from hearthward.core.clock import SECOND, EventClock, parse_iso

START = parse_iso("2026-03-29T00:30:00Z")


def at(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[misc,arg-type]  # noqa: DTZ001 - a device's clock has no zone


def test_it_shows_local_time_and_knows_nothing_of_daylight_saving():
    clock = EventClock(START)
    shown = TwinClock(clock, timezone="Europe/Berlin")
    assert shown.now() == at(2026, 3, 29, 1, 30)
    clock.advance(3600)
    assert shown.now() == at(2026, 3, 29, 2, 30)


def test_it_is_wrong_and_drifts_by_so_much():
    clock = EventClock(START)
    shown = TwinClock(clock, wrong_by_s=-7200, drift_ppm=100)
    assert shown.now() == at(2026, 3, 28, 22, 30)
    clock.advance(86_400)
    assert shown.now() == at(2026, 3, 29, 22, 30, 8)  # 8.64 s a day


def test_it_has_no_date_until_it_is_set():
    clock = EventClock(START)
    shown = TwinClock(clock, unset=True)
    assert shown.now() is None
    before = shown.running()
    clock.advance(60)
    assert (shown.running() - before).total_seconds() == 60
    shown.set(at(2026, 1, 1, 0, 0))
    clock.advance(1)
    assert shown.now() == at(2026, 1, 1, 0, 0, 1)
    assert shown.sets == [at(2026, 1, 1, 0, 0)]


def test_the_anchor_is_whole_nanoseconds():
    clock = EventClock(START + SECOND // 2)
    assert TwinClock(clock).now() == at(2026, 3, 29, 0, 30)
