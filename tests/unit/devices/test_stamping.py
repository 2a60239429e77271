from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from devices.stamping import Stamper
from devices.time import ClockVerdict
from firmware_profiles import DecodedReading
from hearthward.core.clock import parse_iso
from hearthward.core.model import Quality

AT = parse_iso("2026-07-01T12:00:00")
VALUE = DecodedReading("spo2", 97.0, None, "%", AT, Quality(0), None)


def test_values_of_one_measurement_share_a_group_and_others_do_not():
    stamper = Stamper("d", None)
    earlier = replace(VALUE, device_time=AT - 1)
    batch = stamper.stamp("s", b"x", [VALUE, replace(VALUE, metric="pulse_rate"), earlier], "h", AT).batch
    assert batch.group[0] == batch.group[1] != batch.group[2]
    assert batch.ordinal == [0, 1, 2]
    again = Stamper("d", None, AT + 5).stamp("s", b"x", [VALUE], "h", AT).batch
    assert again.group[0] == batch.group[0], "stored measurements sent twice are the same measurement"
    assert Stamper("other", None).stamp("s", b"x", [VALUE], "h", AT).batch.group[0] != batch.group[0]


def test_an_unset_clock_keeps_the_receive_time_and_the_flag():
    unset = replace(VALUE, quality=Quality.CLOCK_UNSET)
    stamped = Stamper("d", None).stamp("s", b"x", [unset], "h", AT + 99)
    assert stamped.batch.corrected == [AT + 99]
    assert stamped.batch.quality == [Quality.CLOCK_UNSET]
    assert stamped.batch.key_times() == [AT + 99]
    assert stamped.clock is None


def test_the_zone_corrects_and_the_device_time_stays_raw():
    stamped = Stamper("d", ZoneInfo("Europe/Berlin")).stamp("s", b"x", [VALUE], "h", AT)
    assert stamped.batch.corrected == [parse_iso("2026-07-01T10:00:00Z")]
    assert stamped.batch.device_time == [AT]
    assert stamped.clock is not None
    assert stamped.clock.verdict is ClockVerdict.USED


def test_receive_times_grow_even_when_the_wall_clock_goes_back():
    stamper = Stamper("d", None)
    times = [stamper.stamp("s", b"x", [VALUE], "h", now).batch.received[0] for now in (100, 100, 50, 200)]
    assert times == [100, 101, 102, 200]
    assert stamper.last == 200
