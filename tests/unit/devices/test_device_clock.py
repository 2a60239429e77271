from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.device_clock import FLUSHED_NS, QUARTER_NS, DeviceClock
from devices.time import ClockVerdict, Correction, utc_offset
from hearthward.core.clock import SECOND, parse_iso
from tests.unit.devices.clockworld import RealClock

HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
T0 = parse_iso("2026-02-01T08:00:00Z")
BERLIN, SHANGHAI = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
# the last moment before each change: Europe, United States, southern hemisphere, half an hour only
SWITCHES = {
    "Europe/Berlin": ("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"),
    "America/New_York": ("2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"),
    "Australia/Sydney": ("2026-04-04T16:00:00Z", "2026-10-03T16:00:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"),
}


def live(clock: DeviceClock, real: RealClock, at: int, delay: int = 0) -> Correction:
    return clock.judge(real.shows(at), at + delay, live=True)


def stored(clock: DeviceClock, real: RealClock, at: int, received: int) -> Correction:
    return clock.judge(real.shows(at), received, live=False)


def learn(clock: DeviceClock, real: RealClock, since: int, n: int = 5, every: int = 60 * SECOND) -> int:
    """Live measurements, one a minute; when the last one was."""
    for i in range(n):
        live(clock, real, since + i * every, SECOND // 2)
    return since + (n - 1) * every


def right(found: Correction, at: int) -> bool:
    return found.error is not None and abs(found.at - at) <= found.error


# -- what is known


def test_nothing_is_known_of_a_clock_before_three_measurements():
    clock, real = DeviceClock(UTC), RealClock(T0)
    assert clock.skew(T0) is None
    for i in range(2):
        found = live(clock, real, T0 + i * SECOND)
        assert (found.error, found.verdict) == (None, ClockVerdict.USED)
    found = live(clock, real, T0 + 2 * SECOND)
    assert found.at == T0 + 2 * SECOND, "a clock that may be right is believed to the second"
    assert found.error is not None
    assert found.error <= 7 * SECOND


@pytest.mark.parametrize("minutes", [-200, -7, -1, 1, 7, 200])
def test_a_wrong_clock_is_corrected_by_what_live_measurements_tell(minutes: int):
    clock, real = DeviceClock(BERLIN), RealClock(T0, minutes * 60 * SECOND + 3 * SECOND, zone=BERLIN)
    last = learn(clock, real, T0)
    at = last + HOUR
    found = live(clock, real, at)
    assert right(found, at)
    assert found.error is not None
    assert found.error < 10 * SECOND
    skew = clock.skew(at)
    assert skew is not None
    assert abs(skew.ahead - real.ahead) <= skew.error


def test_one_late_packet_changes_nothing_and_is_dated_by_the_clock():
    clock, real = DeviceClock(UTC), RealClock(T0, 200 * SECOND)
    last = learn(clock, real, T0)
    before = clock.skew(last)
    late = live(clock, real, last + 60 * SECOND, delay=HOUR)
    assert right(late, last + 60 * SECOND)
    assert abs(late.at - (last + 60 * SECOND)) < 10 * SECOND
    found = live(clock, real, last + 2 * HOUR)
    assert right(found, last + 2 * HOUR)
    assert before is not None
    assert clock.skew(last) is not None
    assert abs(clock.skew(last).ahead - before.ahead) < SECOND  # type: ignore[union-attr]


def test_a_stalled_link_that_gives_out_all_at_once_is_no_step():
    clock, real = DeviceClock(UTC), RealClock(T0, 200 * SECOND)
    last = learn(clock, real, T0)
    for i in range(600):
        at = last + i * SECOND
        assert right(live(clock, real, at, delay=last + 600 * SECOND - at), at)
    found = live(clock, real, last + 700 * SECOND)
    assert found.error is not None
    assert found.error < 10 * SECOND


@pytest.mark.parametrize("by", [-2 * DAY, -2 * HOUR, -600 * SECOND, 600 * SECOND, 2 * HOUR, 2 * DAY])
def test_a_clock_that_is_set_starts_over_and_earlier_measurements_keep_the_former_estimate(by: int):
    clock, real = DeviceClock(UTC), RealClock(T0, 300 * SECOND)
    until = learn(clock, real, T0)
    new = RealClock(T0, 300 * SECOND + by)
    first = until + HOUR
    early = [live(clock, new, first + i * 20 * SECOND, SECOND // 2) for i in range(5)]
    assert all(found.error is None or right(found, first + i * 20 * SECOND) for i, found in enumerate(early))
    last = learn(clock, new, first + 200 * SECOND)
    assert live(clock, new, last + 60 * SECOND).error < 10 * SECOND  # type: ignore[operator]
    clock.connected()
    for at in (until - HOUR, until + 30 * SECOND):  # measured before it was set
        assert right(stored(clock, real, at, last + 120 * SECOND), at)
    for at in (first - 60 * SECOND, last + 60 * SECOND):  # and after
        assert right(stored(clock, new, at, last + 120 * SECOND), at)
    before = stored(clock, real, T0 - DAY, last + 120 * SECOND)
    assert right(before, T0 - DAY)


def test_a_clock_that_we_have_set_is_known_at_once():
    clock, real = DeviceClock(BERLIN), RealClock(T0, zone=BERLIN)
    learn(clock, RealClock(T0, 3 * HOUR, zone=BERLIN), T0 - DAY)
    clock.clock_set(T0, SECOND)
    found = live(clock, real, T0 + SECOND)
    assert right(found, T0 + SECOND)
    assert found.error is not None
    assert found.error <= 3 * SECOND
    assert clock.skew(T0) is not None
    assert abs(clock.skew(T0).ahead) < SECOND  # type: ignore[union-attr]


def test_a_device_that_did_not_take_the_time_is_found_out():
    clock, real = DeviceClock(BERLIN), RealClock(T0, 3 * HOUR, zone=BERLIN)
    clock.clock_set(T0, SECOND)
    last = learn(clock, real, T0 + 10 * SECOND)
    assert right(live(clock, real, last + 60 * SECOND), last + 60 * SECOND)
    skew = clock.skew(last)
    assert skew is not None
    assert abs(skew.ahead - 3 * HOUR) <= skew.error


def test_a_clock_that_is_read_is_known_at_once():
    clock, real = DeviceClock(BERLIN), RealClock(T0, -40 * 60 * SECOND, zone=BERLIN)
    clock.read(real.shows(T0), T0 + SECOND)
    clock.connected()
    assert right(stored(clock, real, T0 - DAY, T0 + 2 * SECOND), T0 - DAY)
    clock.read(real.shows(T0 + DAY), T0 + DAY)
    wrong = RealClock(T0, HOUR, zone=BERLIN)
    clock.read(wrong.shows(T0 + 2 * DAY), T0 + 2 * DAY)
    skew = clock.skew(T0 + 2 * DAY)
    assert skew is not None
    assert abs(skew.ahead - HOUR) <= skew.error
    clock.read(2**70, T0 + 2 * DAY)
    assert clock.skew(T0 + 2 * DAY) == skew


def test_our_own_clock_that_is_set_is_not_the_device_s():
    clock, real = DeviceClock(UTC), RealClock(T0, 100 * SECOND)
    learn(clock, real, T0)
    clock.gateway_set(DAY)
    skew = clock.skew(T0 + DAY + HOUR)
    assert skew is not None
    assert abs(skew.ahead - (100 * SECOND - DAY)) <= skew.error
    found = clock.judge(real.shows(T0 + HOUR), T0 + HOUR + DAY, live=True)
    assert right(found, T0 + HOUR + DAY)


def test_a_time_beyond_the_calendar_is_an_unset_clock():
    clock = DeviceClock(BERLIN)
    assert clock.judge(2**70, T0, live=True) == Correction(T0, ClockVerdict.UNSET)


def test_a_clock_years_behind_is_corrected_and_without_an_estimate_it_is_not_believed():
    clock, real = DeviceClock(UTC), RealClock(T0, -11 * 365 * DAY)
    assert live(clock, real, T0).verdict is ClockVerdict.ANCIENT
    last = learn(clock, real, T0 + SECOND)
    found = live(clock, real, last + SECOND)
    assert found.verdict is ClockVerdict.USED
    assert right(found, last + SECOND)


# -- zones


def test_without_a_zone_any_whole_quarter_of_an_hour_is_right():
    clock, real = DeviceClock(None), RealClock(T0, zone=SHANGHAI)
    last = learn(clock, real, T0)
    found = live(clock, real, last + SECOND)
    assert found.at == last + SECOND, "what its seconds say is kept"
    assert clock.skew(last) is not None
    assert abs(clock.skew(last).ahead) < 10 * SECOND  # type: ignore[union-attr]


def test_with_a_zone_an_hour_is_an_hour():
    clock, real = DeviceClock(BERLIN), RealClock(T0, HOUR, zone=BERLIN)
    last = learn(clock, real, T0)
    found = live(clock, real, last + SECOND)
    assert found.at == last + SECOND
    assert clock.skew(last) is not None
    assert abs(clock.skew(last).ahead - HOUR) < 10 * SECOND  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("which", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("how", ["put forward", "not put forward"])
def test_both_changes_of_summer_time_are_lived_through(name: str, which: int, how: str):
    zone, switch = ZoneInfo(name), parse_iso(SWITCHES[name][which])
    start = switch - 2 * DAY
    fixed = None if how == "put forward" else utc_offset(start, zone)
    clock, real = DeviceClock(zone), RealClock(start, 20 * SECOND, 30, zone, fixed)
    assert utc_offset(switch - SECOND, zone) != utc_offset(switch + SECOND, zone)
    for i in range(4 * 48):
        at = start + i * HOUR // 2 + 7 * 60 * SECOND
        found = live(clock, real, at, SECOND)
        assert found.error is None or right(found, at), i
        assert i < 3 or found.error is not None
        assert i < 3 or found.error < 20 * SECOND, i  # type: ignore[operator]
    skew = clock.skew(start + 4 * DAY)
    change = 0 if fixed is None else fixed - utc_offset(switch + DAY, zone)
    assert skew is not None
    assert abs(skew.ahead - change - 20 * SECOND) < 30 * SECOND
    clock.connected()
    now = start + 4 * DAY
    for at in range(start - DAY, start + 4 * DAY, HOUR // 3):
        assert right(stored(clock, real, at, now), at)


@pytest.mark.parametrize("how", ["put forward", "not put forward"])
def test_before_a_change_was_seen_the_error_has_the_hour(how: str):
    """The device was first met after the change; what it stored before may be of either."""
    switch = parse_iso(SWITCHES["Europe/Berlin"][0])
    fixed = None if how == "put forward" else utc_offset(switch + DAY, BERLIN)
    clock, real = DeviceClock(BERLIN), RealClock(switch, zone=BERLIN, fixed=fixed)
    last = learn(clock, real, switch + DAY)
    clock.connected()
    found = stored(clock, real, switch - DAY, last + SECOND)
    assert right(found, switch - DAY)
    assert found.error is not None
    assert HOUR <= found.error < HOUR + 60 * SECOND
    found = stored(clock, real, switch + DAY // 2, last + SECOND)
    assert right(found, switch + DAY // 2)
    assert found.error is not None
    assert found.error < 60 * SECOND


# -- what was stored


def test_a_cuff_that_only_hands_over_what_it_stored_is_understood_when_three_times_agree():
    clock, real = DeviceClock(BERLIN), RealClock(T0, -HOUR, zone=BERLIN)
    for i in range(3):
        at = T0 + i * DAY // 2
        clock.connected()
        for old in (3 * HOUR, 2 * HOUR, HOUR):
            stored(clock, real, at - old, at + 20 * SECOND)
        found = stored(clock, real, at, at + (10 + 15 * i) * SECOND)
    assert found.at == at, "an hour behind: it was not put forward"
    assert right(found, at)
    assert clock.skew(at) is not None
    assert abs(clock.skew(at).ahead + HOUR) < FLUSHED_NS  # type: ignore[union-attr]


def test_measurements_that_are_fetched_late_each_day_are_no_clock_that_is_behind():
    clock, real = DeviceClock(UTC), RealClock(T0)
    for i in range(10):
        at = T0 + i * DAY
        clock.connected()
        found = stored(clock, real, at, at + 7 * 60 * SECOND)
        assert found.at == at
    assert clock.skew(T0) is None


def test_the_error_grows_with_what_is_older():
    clock, real = DeviceClock(UTC), RealClock(T0, 0, 100)
    last = learn(clock, real, T0)
    clock.connected()
    errors = []
    for age in (HOUR, DAY, 30 * DAY):
        found = stored(clock, real, last - age, last + 10 * SECOND)
        assert right(found, last - age)
        errors.append(found.error or 0)
    assert errors == sorted(errors)
    assert errors[2] > 5 * errors[1] > 5 * errors[0]


def test_a_rate_that_was_seen_for_days_makes_the_error_small():
    clock, real = DeviceClock(UTC), RealClock(T0, HOUR + 77 * SECOND, 180)
    for day in range(11):
        learn(clock, real, T0 + day * DAY)
    clock.connected()
    now = T0 + 11 * DAY
    found = stored(clock, real, T0 - 5 * DAY, now)
    assert right(found, T0 - 5 * DAY)
    assert found.error is not None
    assert found.error < 30 * SECOND, "250 ppm of 16 days would be more than five minutes"


def test_live_measurements_soon_say_more_than_what_was_handed_over_before():
    clock, real = DeviceClock(UTC), RealClock(T0)
    clock.connected()
    stored(clock, real, T0, T0 + SECOND)
    errors = [live(clock, real, T0 + i * SECOND).error for i in range(2, 12)]
    assert errors[:2] == [None, None]
    assert all(error is not None and error < 10 * SECOND for error in errors[2:])
    cuff = DeviceClock(UTC)
    for i in range(3):
        cuff.connected()
        stored(cuff, real, T0 + i * HOUR, T0 + i * HOUR + 20 * SECOND)
    errors = [live(cuff, real, T0 + 3 * HOUR + i * SECOND).error for i in range(10)]
    assert errors[0] is not None
    assert errors[0] > 60 * SECOND
    assert errors[-1] is not None
    assert errors[-1] < 10 * SECOND


# -- whatever happens

DELAYS = st.one_of(st.integers(0, 4 * SECOND), st.integers(0, 2 * DAY))


@settings(max_examples=40)
@given(data=st.data())
def test_the_true_error_is_within_the_stated_one(data: st.DataObject):
    """Clocks off by anything and drifting, late packets, steps, both changes of the year, stored ones."""
    name = data.draw(st.sampled_from([*SWITCHES, "Asia/Shanghai", "UTC"]))
    zone, start = ZoneInfo(name), T0 + data.draw(st.integers(0, 330)) * DAY
    ahead = data.draw(st.one_of(st.integers(-300, 300), st.integers(-4 * 365 * 86_400, 10**8))) * SECOND
    fixed = data.draw(st.sampled_from([None, utc_offset(start, zone)]))
    resolution = data.draw(st.sampled_from([SECOND, 60 * SECOND]))
    real = RealClock(start, ahead, data.draw(st.integers(-200, 200)), zone, fixed, resolution)
    clock, now, last = DeviceClock(zone, resolution), start, [(start, real)]
    steps = data.draw(st.integers(0, 1))
    for part in range(steps + 1):
        if part:
            by = data.draw(st.integers(400, 10**6) | st.integers(-(10**6), -400)) * SECOND
            real = RealClock(start, ahead + by, real.ppm, zone, fixed, resolution)
        gap = data.draw(st.sampled_from([12 * SECOND if part else SECOND, 61 * SECOND, HOUR, 12 * HOUR]))
        for i in range(data.draw(st.integers(6, 12))):
            at = now + gap
            prompt = part == 1 and i < 6  # a step shows when three agree, or six after a late packet
            delay = data.draw(st.integers(0, 4 * SECOND) if prompt or i % 3 != 2 else DELAYS)
            found = live(clock, real, at, delay)
            assert found.error is None or right(found, at), (part, i)
            now = max(now, at + delay)
            last.append((at, real))
    clock.connected()
    for at, then in data.draw(st.lists(st.sampled_from(last), max_size=4)):
        found = stored(clock, then, at, now + HOUR)
        assert found.error is None or right(found, at)


def test_quarters_are_what_zones_differ_by():
    assert QUARTER_NS * 4 == HOUR
