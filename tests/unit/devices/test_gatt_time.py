"""A local time on a Bluetooth clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.gatt_time import (
    LocalTime,
    current_time,
    date_time,
    local_time,
    local_time_information,
    naive_ns,
    parse_current_time,
    parse_date_time,
)
from hearthward.core.clock import parse_iso
from hearthward.core.errors import DecodeError

BERLIN, LORD_HOWE, KATHMANDU = map(ZoneInfo, ("Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"))
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31))  # noqa: DTZ001 - naive on purpose
ZONES = st.sampled_from([None, BERLIN, LORD_HOWE, KATHMANDU, ZoneInfo("America/St_Johns")])


def test_the_bytes_of_a_moment():
    at = datetime(2024, 6, 15, 17, 17, 27, 500_000)  # noqa: DTZ001 - a device's clock has no zone
    assert date_time(at) == bytes.fromhex("E807060F11111B")
    assert current_time(at) == bytes.fromhex("E807060F11111B 06 80 01")


@pytest.mark.parametrize(
    ("utc", "where", "shown", "information"),
    [
        ("2026-01-15T12:00:00Z", None, "2026-01-15T12:00", "0000"),
        ("2026-01-15T12:00:00Z", BERLIN, "2026-01-15T13:00", "0400"),
        ("2026-07-01T12:00:00Z", BERLIN, "2026-07-01T14:00", "0404"),
        ("2026-10-25T00:59:59Z", BERLIN, "2026-10-25T02:59:59", "0404"),
        ("2026-10-25T01:00:00Z", BERLIN, "2026-10-25T02:00", "0400"),
        ("2026-03-29T01:00:00Z", BERLIN, "2026-03-29T03:00", "0404"),
        ("2026-01-15T12:00:00Z", LORD_HOWE, "2026-01-15T23:00", "2A02"),
        ("2026-01-15T12:00:00Z", KATHMANDU, "2026-01-15T17:45", "1700"),
        ("2026-01-15T12:00:00Z", ZoneInfo("America/New_York"), "2026-01-15T07:00", "EC00"),
    ],
)
def test_a_zone_and_its_summer_time(utc: str, where: ZoneInfo | None, shown: str, information: str):
    time = local_time(parse_iso(utc), where)
    assert time.naive == datetime.fromisoformat(shown)
    assert local_time_information(time) == bytes.fromhex(information)


def test_an_offset_that_the_standard_cannot_say_is_unknown():
    odd = LocalTime(datetime(1900, 1, 1), timedelta(minutes=19, seconds=32), timedelta(minutes=20))  # noqa: DTZ001
    assert local_time_information(odd) == bytes.fromhex("80FF")


@given(MOMENTS, ZONES)
def test_the_time_shown_is_that_of_the_zone(utc: datetime, where: ZoneInfo | None):
    at = naive_ns(utc)
    time = local_time(at, where)
    there = utc.replace(tzinfo=UTC).astimezone(where or UTC)
    assert time.naive == there.replace(tzinfo=None, fold=0)
    assert time.naive_ns == at + (time.standard + time.dst) // timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    ("place", "day", "information"),
    [
        ("Europe/Dublin", "2026-01-10", "0000"),
        ("Europe/Dublin", "2026-07-10", "0400"),
        ("Africa/Casablanca", "2026-02-25", "0000"),
        ("Europe/Berlin", "2026-07-10", "0404"),
        ("Australia/Lord_Howe", "2026-01-10", "2a02"),
        ("Antarctica/Troll", "2026-07-10", "0008"),
        ("Pacific/Kiritimati", "2026-01-10", "3800"),
    ],
)
def test_zone_and_daylight_saving_add_up_to_what_the_clock_shows(place: str, day: str, information: str):
    noon = datetime.fromisoformat(day) + timedelta(hours=12)
    assert local_time_information(local_time(naive_ns(noon), ZoneInfo(place))).hex() == information


@given(MOMENTS)
def test_there_and_back(at: datetime):
    assert parse_date_time(date_time(at)) == at.replace(microsecond=0)
    back = parse_current_time(current_time(at))
    assert back is not None
    assert timedelta(0) <= at - back <= timedelta(seconds=1 / 256)


@given(st.binary(max_size=12))
def test_any_bytes_are_a_moment_an_unset_clock_or_refused(payload: bytes):
    for parse, size in ((parse_date_time, 7), (parse_current_time, 10)):
        try:
            parse(payload)
        except DecodeError as error:
            reason = error.reason
        else:
            reason = ""
        assert reason in {"", "truncated", "oversized", "malformed"}
        assert (reason in {"", "malformed"}) is (len(payload) == size)


@pytest.mark.parametrize("payload", ["00000000000000", "0000060F11111B", "E807000F11111B", "E8070600000000"])
def test_a_clock_without_a_date_is_not_set(payload: str):
    assert parse_date_time(bytes.fromhex(payload)) is None
