from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cloud_ingest.stores.base import Origins, Outcome
from cloud_ingest.stores.fake import MemoryStore
from devices.stamping import Stamper
from devices.time import ClockVerdict
from devices.twins import encode
from firmware_profiles import DecodedReading, load_catalog
from hearthward.core.clock import parse_iso
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
