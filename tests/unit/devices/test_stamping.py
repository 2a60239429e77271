from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cloud_ingest.stores.base import Origins, Outcome
from cloud_ingest.stores.fake import MemoryStore
from devices.stamping import SESSION_START, Stamper
from devices.time import ClockVerdict, Correction
from devices.twins import encode
from firmware_profiles import DecodedReading, load_catalog
from hearthward.core.clock import SECOND, parse_iso
from hearthward.core.model import Quality

AT = parse_iso("2026-07-01T12:00:00")
RUN, NEXT_RUN = b"run_1", b"run_2"
VALUE = DecodedReading("spo2", 97.0, None, "%", AT, Quality(0), None)


def test_values_of_one_measurement_share_a_group_and_others_do_not():
    stamper = Stamper("d", None, salt=RUN)
    earlier = replace(VALUE, device_time=AT - 1)
    batch = stamper.stamp("s", b"x", [VALUE, replace(VALUE, metric="pulse_rate"), earlier], "h", AT).batch
    assert batch.group[0] == batch.group[1] != batch.group[2]
    assert batch.ordinal == [0, 1, 2]
    again = Stamper("d", None, AT + 5, salt=RUN).stamp("s", b"x", [VALUE], "h", AT).batch
    assert again.group[0] == batch.group[0], "stored measurements sent twice are the same measurement"
    assert (
        Stamper("other", None, salt=RUN).stamp("s", b"x", [VALUE], "h", AT).batch.group[0] != batch.group[0]
    )


def test_an_unset_clock_keeps_the_receive_time_and_the_flag():
    unset = replace(VALUE, quality=Quality.CLOCK_UNSET)
    stamped = Stamper("d", None, salt=RUN).stamp("s", b"x", [unset], "h", AT + 99)
    assert stamped.batch.corrected == [AT + 99]
    assert stamped.batch.quality == [Quality.CLOCK_UNSET]
    assert stamped.batch.key_times() == [AT + 99]
    assert stamped.clock is None


def test_the_zone_corrects_and_the_device_time_stays_raw():
    stamped = Stamper("d", ZoneInfo("Europe/Berlin"), salt=RUN).stamp("s", b"x", [VALUE], "h", AT)
    assert stamped.batch.corrected == [parse_iso("2026-07-01T10:00:00Z")]
    assert stamped.batch.device_time == [AT]
    assert stamped.clock is not None
    assert stamped.clock.verdict is ClockVerdict.USED


def test_receive_times_grow_even_when_the_wall_clock_goes_back():
    stamper = Stamper("d", None, salt=RUN)
    times = [stamper.stamp("s", b"x", [VALUE], "h", now).batch.received[0] for now in (100, 100, 50, 200)]
    assert times == [100, 101, 102, 200]
    assert stamper.last == 200


def test_a_clock_that_is_put_back_dates_nothing_in_the_future():
    """Only the key goes on growing: what was measured after is not dated a day ahead for a day."""
    day, second = 86_400 * 10**9, 10**9
    stamper = Stamper("d", None, salt=RUN)
    value = replace(VALUE, device_time=None)
    clock = [AT, AT + day, AT + second, AT + second, AT + 2 * second]
    batches = [stamper.stamp("s", b"x", [value], "h", now).batch for now in clock]
    assert [b.corrected[0] for b in batches] == [AT, AT + day, AT + second, AT + second + 1, AT + 2 * second]
    assert [b.received[0] for b in batches] == [AT, AT + day, AT + day + 1, AT + day + 2, AT + day + 3]
    dated = replace(VALUE, device_time=AT + 3 * second)
    assert stamper.stamp("s", b"x", [dated], "h", AT + 3 * second).batch.corrected == [AT + 3 * second]


def test_an_estimate_corrects_with_its_error_and_the_device_time_stays_raw():
    asked: list[tuple[int, int]] = []

    def judge(device_time: int, received: int) -> Correction | None:
        asked.append((device_time, received))
        return None if len(asked) > 1 else Correction(AT - 7, ClockVerdict.USED, 5, error=42)

    values = [
        replace(VALUE, device_time=AT - 1),
        replace(VALUE, metric="pulse_rate", device_time=AT - 1),  # of the same moment: one measurement
        replace(VALUE, device_time=AT - 2),  # nothing is known: as if there were no estimate
        replace(VALUE, device_time=None),
        replace(VALUE, quality=Quality.CLOCK_UNSET),
        replace(VALUE, metric=SESSION_START, device_time=AT - 10**15),  # when it began, not when it was told
    ]
    batch = Stamper("d", UTC, salt=RUN).stamp("s", b"x", values, "h", AT, judge).batch
    assert asked == [(AT - 1, AT), (AT - 2, AT)]
    assert batch.corrected == [AT - 7, AT - 7, AT - 2, AT, AT, AT - 10**15]
    assert batch.error == [42, 42, None, None, None, None]
    assert batch.device_time[0] == AT - 1


def test_an_equal_record_whose_clock_is_unset_is_no_part_of_the_one_before():
    stamper = Stamper("scale", UTC, salt=RUN)
    value = replace(VALUE, device_time=None, record=14_000, quality=Quality.CLOCK_UNSET)
    for now in (AT, AT + 86_400 * 10**9):
        assert stamper.stamp("s", b"x", [value], "h", now).batch.corrected == [now]


def test_what_the_gateway_says_of_a_device_is_a_payload_of_its_own():
    stamper = Stamper("d", None, salt=RUN)
    first = stamper.stamp("s", b"x", [VALUE], "h", AT).batch
    (own,) = stamper.own("clock_skew", 61.0, Quality.CLOCK_WRONG, "h", AT)
    assert (own.device, own.metric, own.value, own.device_time) == ("d", "clock_skew", 61, None)
    assert own.quality == Quality.CLOCK_WRONG
    assert own.received == own.corrected == first.received[0] + 1


@pytest.mark.parametrize(
    "value",
    [replace(VALUE, device_time=None), replace(VALUE, quality=Quality.CLOCK_UNSET)],
    ids=["without a time", "clock unset"],
)
async def test_equal_payloads_of_two_runs_at_one_standing_moment_are_two_readings(value: DecodedReading):
    runs = [
        Stamper("d", None, salt=salt).stamp("s", b"x", [value], "h", AT).batch for salt in (RUN, NEXT_RUN)
    ]
    assert runs[0].key_times() == runs[1].key_times() == [AT]
    assert runs[0].group != runs[1].group
    store = MemoryStore()
    outcomes = [
        (await store.append("main", batch, Origins("gw", f"boot-{i}", [1])))[0]
        for i, batch in enumerate(runs)
    ]
    assert outcomes == [Outcome.NEW, Outcome.NEW]
    again = Stamper("d", None, salt=RUN).stamp("s", b"x", [value], "h", AT).batch
    assert again.digest == runs[0].digest, "the salt alone makes the difference"


async def test_a_cuff_s_stored_measurement_is_known_again_in_another_run():
    profile = load_catalog().get("sig-blood-pressure")
    payload = encode.blood_pressure(124, 82, pulse_rate=66, at=datetime(2026, 7, 1, 11, 58, 7))  # noqa: DTZ001
    store = MemoryStore()
    outcomes = []
    for seq, salt, now in ((1, RUN, AT), (2, NEXT_RUN, AT), (3, b"run_3", AT + 10**12)):
        decoded = profile.decode("2a35", payload)
        batch = Stamper("d", None, salt=salt).stamp("2a35", payload, decoded, profile.hash, now).batch
        seqs = [100 * seq + n for n in range(len(batch))]
        outcomes.append(set(await store.append("main", batch, Origins("gw", "boot", seqs))))
    assert outcomes == [{Outcome.NEW}, {Outcome.DUPLICATE}, {Outcome.DUPLICATE}]


MINUTE = 60 * 10**9
GLUCOSE = DecodedReading("interstitial_glucose", 90.0, None, "mg/dL", None, Quality(0), None, 5 * MINUTE)
START = DecodedReading(SESSION_START, None, "2026-07-01T08:00:00", None, AT, Quality(0), None)


def test_minutes_since_the_start_of_a_session_are_a_time_and_a_number():
    stamper = Stamper("d", None, salt=RUN)
    stamper.stamp("2aaa", b"start", [START], "h", AT)
    trend = replace(GLUCOSE, metric="glucose_trend")
    later = replace(GLUCOSE, elapsed=10 * MINUTE)
    batch = stamper.stamp("2aa7", b"x", [GLUCOSE, trend, later], "h", AT + 60 * MINUTE).batch
    assert batch.device_time == [AT + 5 * MINUTE, AT + 5 * MINUTE, AT + 10 * MINUTE]
    assert batch.record == [5, 5, 10]
    assert batch.ordinal == [0, 1, 0]
    alone = stamper.stamp("2aa7", b"y", [later], "h", AT + 61 * MINUTE).batch
    same = (alone.key_times()[0], alone.record[0], alone.ordinal[0])
    assert same == (batch.key_times()[2], batch.record[2], batch.ordinal[2])


@pytest.mark.parametrize(
    "start",
    [None, replace(START, device_time=None), replace(START, quality=Quality.CLOCK_UNSET)],
)
def test_without_the_start_of_its_session_they_have_no_time(start: DecodedReading | None):
    stamper = Stamper("d", None, salt=RUN)
    if start is not None:
        stamper.stamp("2aaa", b"start", [start], "h", AT)
    batch = stamper.stamp("2aa7", b"x", [GLUCOSE], "h", AT + 60 * MINUTE).batch
    assert batch.device_time == [None]
    assert batch.record == [5]
    assert batch.corrected == [AT + 60 * MINUTE]


@pytest.mark.parametrize(
    ("value", "unknown"),
    [
        (VALUE, False),
        (replace(VALUE, device_time=None), True),
        (replace(VALUE, quality=Quality.CLOCK_UNSET), True),
        (replace(VALUE, device_time=AT + 86_400 * SECOND), True),
    ],
    ids=["dated", "no-time", "unset", "future"],
)
def test_what_was_stored_and_has_no_time_to_be_believed_was_measured_nobody_knows_when(
    value: DecodedReading, *, unknown: bool
):
    said = replace(value, quality=value.quality | Quality.FROM_STORE)
    by_session = Stamper("d", UTC, salt=RUN).stamp("s", b"x", [value], "h", AT, stored=True).batch
    by_device = Stamper("d", UTC, salt=RUN).stamp("s", b"x", [said], "h", AT).batch
    live = Stamper("d", UTC, salt=RUN).stamp("s", b"x", [value], "h", AT)
    assert by_session == by_device
    assert bool(by_device.quality[0] & Quality.TIME_UNKNOWN) is unknown
    assert by_device.quality[0] & Quality.FROM_STORE
    assert not live.stored
    assert live.batch.quality[0] == value.quality
    live.remembered()  # found out afterwards: the same, and the same key
    assert live.batch == by_device


def test_what_belongs_to_a_record_is_of_the_same_service():
    """A device with two stores numbers its records twice: a meal is not dated by a sensor's minute."""
    stamper = Stamper("d", None, salt=RUN)
    glucose = replace(VALUE, metric="blood_glucose", record=7)
    meal = DecodedReading("meal", None, "fasting", None, None, Quality(0), 7)
    stamper.stamp("2a18", b"x", [glucose], "meter", AT + 99)
    other = stamper.stamp("2aa7", b"y", [replace(meal, metric="glucose_beyond")], "sensor", AT + 99).batch
    assert other.device_time == [None]
    assert stamper.stamp("2a34", b"z", [meal], "meter", AT + 99).batch.device_time == [AT]


@pytest.mark.parametrize(
    ("place", "code", "expected"),
    [
        ("Asia/Shanghai", "2026-03-29T01:30:00+01:00", "2026-03-29T05:30:00Z"),
        ("Europe/Berlin", "2026-03-29T01:30:00+01:00", "2026-03-29T05:30:00Z"),
        ("Europe/Berlin", "2026-03-29T01:30:00-09:30", "2026-03-29T16:00:00Z"),
        (None, "2026-03-29T01:30:00+01:00", "2026-03-29T05:30:00Z"),
        (None, "2026-03-29T01:30:00+00:00", "2026-03-29T06:30:00Z"),
        ("Europe/Berlin", "2026-03-29T01:30:00", "2026-03-29T04:30:00Z"),
        ("Asia/Shanghai", "2026-03-29T01:30:00", "2026-03-28T22:30:00Z"),
    ],
    ids=[
        "abroad",
        "over the change to summer time",
        "west",
        "nowhere",
        "nowhere, UTC",
        "no zone",
        "no zone, abroad",
    ],
)
def test_a_sensors_minutes_count_in_the_zone_that_its_session_began_in(
    place: str | None, code: str, expected: str
):
    began = parse_iso("2026-03-29T01:30:00")
    stamper = Stamper("d", None if place is None else ZoneInfo(place), salt=RUN)
    now = parse_iso("2026-04-02T00:00:00Z")
    stamper.stamp("2aaa", b"start", [replace(START, code=code, device_time=began)], "h", now)
    told = stamper.stamp("2aa7", b"x", [replace(GLUCOSE, elapsed=300 * MINUTE)], "h", now).batch
    assert told.corrected == [parse_iso(expected)]
    assert told.device_time == [began + 300 * MINUTE], "the key is the device's own time, as it was"
