from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.time import FUTURE_NS, OLDEST_NS, UNZONED_NS, ClockVerdict, correct, zone
from hearthward.core.clock import SECOND, parse_iso
from hearthward.core.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")
START, END = datetime(2001, 1, 1), datetime(2037, 1, 1)  # noqa: DTZ001 - hypothesis wants them naive
HOUR = 3600 * SECOND
ZONES = st.sampled_from(
    [
        "Europe/Berlin",
        "America/New_York",
        "Asia/Shanghai",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ]
)


def test_without_a_device_time_the_receive_time_stands():
    assert correct(None, 5, BERLIN).at == 5
    assert correct(None, 5, BERLIN).verdict is ClockVerdict.ABSENT


def test_an_unset_clock_is_not_believed():
    got = correct(parse_iso("2026-08-11T18:31"), 5, BERLIN, clock_set=False)
    assert (got.at, got.verdict, got.skew) == (5, ClockVerdict.UNSET, None)
    assert not got.verdict.skewed


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2026-07-01T12:00:00", "2026-07-01T10:00:00Z"),
        ("2026-01-01T12:00:00", "2026-01-01T11:00:00Z"),
        ("2026-01-01T12:00:00.250", "2026-01-01T11:00:00.250Z"),
    ],
)
def test_local_time_becomes_utc(local: str, utc: str):
    received = parse_iso("2026-07-02T00:00:00Z")
    got = correct(parse_iso(local), received, BERLIN)
    assert got.at == parse_iso(utc)
    assert got.verdict is ClockVerdict.USED


def test_the_repeated_hour_is_the_pass_that_is_not_in_the_future():
    local = parse_iso("2026-10-25T02:30:00")
    first, second = parse_iso("2026-10-25T00:30:00Z"), parse_iso("2026-10-25T01:30:00Z")
    assert correct(local, first + SECOND, BERLIN).at == first
    assert correct(local, second + SECOND, BERLIN).at == second
    assert correct(local, second + 8 * HOUR, BERLIN).at == second


def test_the_skipped_hour_is_a_clock_not_yet_put_forward():
    local = parse_iso("2026-03-29T02:30:00")
    at = parse_iso("2026-03-29T01:30:00Z")
    assert correct(local, at + SECOND, BERLIN).at == at


def test_a_clock_ahead_of_time_is_counted_as_skew():
    received = parse_iso("2026-07-01T10:00:00Z")
    device = parse_iso("2026-07-01T12:00:00")
    at_limit = correct(device + FUTURE_NS, received, BERLIN)
    assert (at_limit.at, at_limit.verdict) == (received + FUTURE_NS, ClockVerdict.USED)
    beyond = correct(device + FUTURE_NS + 1, received, BERLIN)
    assert (beyond.at, beyond.verdict) == (received, ClockVerdict.FUTURE)
    assert beyond.skew == FUTURE_NS + 1
    assert beyond.verdict.skewed


def test_stored_measurements_of_weeks_ago_keep_their_time():
    received = parse_iso("2026-07-01T10:00:00Z")
    assert correct(parse_iso("2026-05-01T12:00:00"), received, BERLIN).at == parse_iso("2026-05-01T10:00:00Z")


def test_a_clock_that_lost_its_battery_is_not_believed():
    received = parse_iso("2026-07-01T10:00:00Z")
    got = correct(parse_iso("2015-01-01T00:00:00"), received, BERLIN)
    assert (got.at, got.verdict) == (received, ClockVerdict.ANCIENT)
    assert got.skew is not None
    assert got.skew < -OLDEST_NS


def test_without_a_zone_only_a_time_near_the_receive_time_is_used():
    received = parse_iso("2026-07-01T10:00:00Z")
    near = received - UNZONED_NS
    assert correct(near, received, None).at == near
    assert correct(near - 1, received, None).verdict is ClockVerdict.UNZONED
    assert correct(near - 1, received, None).at == received


@given(device_time=st.integers(-(2**70), 2**70), received=st.integers(0, 2**62), name=ZONES | st.none())
def test_any_number_gives_an_answer_never_far_in_the_future(
    device_time: int, received: int, name: str | None
):
    got = correct(device_time, received, zone(name))
    assert received - OLDEST_NS <= got.at <= received + FUTURE_NS
    assert got.verdict.skewed is (got.verdict is not ClockVerdict.USED and got.skew is not None)


@given(
    moment=st.datetimes(START, END),
    name=ZONES,
    late=st.integers(0, 86_400),
)
def test_a_true_local_clock_gives_back_the_instant_or_its_twin_hour(moment: datetime, name: str, late: int):
    where = ZoneInfo(name)
    utc = moment.replace(tzinfo=UTC, microsecond=0)
    local = utc.astimezone(where).replace(tzinfo=None)
    at = int((utc - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND
    device_time = parse_iso(local.isoformat())
    got = correct(device_time, at + late * SECOND, where)
    shift = got.at - at
    assert got.verdict is ClockVerdict.USED
    assert shift == 0 or abs(shift) in {HOUR // 2, HOUR}
    if shift:
        both = {local.replace(tzinfo=where, fold=f).utcoffset() for f in (0, 1)}
        assert both != {timedelta()}
        assert len(both) == 2


def test_an_unknown_zone_is_named():
    with pytest.raises(ConfigError, match="Mars/Olympus"):
        zone("Mars/Olympus")
    with pytest.raises(ConfigError):
        zone("../etc/passwd")
    assert zone(None) is None
