from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.clock import (
    SECOND,
    Clock,
    EventClock,
    SystemClock,
    iso,
    naive_iso,
    parse_iso,
    told_by_device,
)
from hearthward.core.steady_clock import SteadyClock


@pytest.mark.parametrize("clock", [SystemClock(), EventClock(5), EventClock(5, frozen_monotonic=True)])
def test_every_clock_is_a_clock(clock: Clock):
    first = clock.now_ns(), clock.monotonic_ns()
    second = clock.now_ns(), clock.monotonic_ns()
    assert all(type(n) is int for n in first)
    assert second[1] >= first[1]
    assert clock.synchronised()
    assert clock.event_driven is not isinstance(clock, SystemClock)


def test_the_system_clock_is_the_machines():
    before = time.time_ns()
    assert before <= SystemClock().now_ns() <= time.time_ns()
    mono = time.monotonic_ns()
    assert mono <= SystemClock().monotonic_ns()


def test_a_machine_without_battery_clock_does_not_claim_to_know_the_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert not SystemClock().synchronised()


@given(st.lists(st.integers(-(10**18), 10**18), max_size=20))
def test_an_event_clock_never_goes_back(times: list[int]):
    clock = EventClock(0, frozen_monotonic=True)
    latest = 0
    for at in times:
        assert clock.follow(at) is (at > latest)
        latest = max(latest, at)
        assert clock.now_ns() == latest
        assert clock.monotonic_ns() == latest


def test_an_event_clock_stands_still_until_it_is_stepped():
    clock = EventClock(7 * SECOND)
    assert clock.now_ns() == clock.now_ns() == 7 * SECOND
    clock.advance(1.5)
    assert clock.now_ns() == 8_500_000_000
    assert EventClock().monotonic_ns() > 0  # transport timers stay real
    assert EventClock(frozen_monotonic=True).monotonic_ns() == 0


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_767_225_600 * SECOND, "2026-01-01T00:00:00Z"),
        (1_500_000_999, "1970-01-01T00:00:01.500000Z"),
        (-SECOND, "1969-12-31T23:59:59Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775Z"),
        (-(2**63), "1677-09-21T00:12:43.145224Z"),
    ],
)
def test_times_as_text(at: int, text: str):
    assert iso(at) == text
    assert naive_iso(at) == text[:-1]
    assert parse_iso(text) == at // 1000 * 1000


@given(st.integers(-(2**63) // 1000, 2**63 // 1000))
def test_text_goes_both_ways_to_the_microsecond(microseconds: int):
    assert parse_iso(iso(microseconds * 1000)) == microseconds * 1000


def test_zones_are_honoured_and_none_means_utc():
    assert parse_iso("2026-01-01T08:00:00+08:00") == parse_iso("2026-01-01T00:00:00Z")
    assert parse_iso("2026-01-01T00:00:00") == parse_iso("2026-01-01T00:00:00Z")
    assert parse_iso("2026-01-01") == int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * SECOND
    for text in ("", "yesterday", "2026-13-01T00:00:00Z", "1767225600"):
        with pytest.raises(ValueError):  # noqa: PT011 - the standard library's words
            parse_iso(text)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system does not tell how long it slept")
@pytest.mark.parametrize("clock", [SystemClock(), SteadyClock(), EventClock()])
def test_the_time_of_a_machine_s_sleep_has_passed(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    slept = 3600 * SECOND
    tell = time.clock_gettime_ns

    def told(which: int) -> int:
        return tell(which) + (slept if which == time.CLOCK_BOOTTIME else 0)

    before = clock.monotonic_ns()
    monkeypatch.setattr(time, "clock_gettime_ns", told)
    assert slept <= clock.monotonic_ns() - before < slept + 60 * SECOND


@pytest.mark.parametrize(
    ("dated", "own"),
    [
        (None, False),
        (1000, True),
        (1000 + 8 * 3600 * SECOND, True),
        (1001, False),
        (1000 - 90_000 * SECOND, False),
    ],
)
def test_whose_word_a_reading_s_time_is(dated: int | None, *, own: bool):
    assert told_by_device(dated, 1000) is own
