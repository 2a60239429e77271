from __future__ import annotations

from dataclasses import fields

import pytest

from hearthward.core.model import COLUMNS, Quality, Reading, ReadingBatch, key_time, quality_names


def reading(i: int, **changes: object) -> Reading:
    row = {"device": f"d{i}", "metric": "spo2", "value": 90.0 + i, "code": None, "device_time": None}
    return Reading(**{**row, "received": i, "corrected": i + 1, **changes})  # type: ignore[arg-type]


def test_columns_and_rows_are_the_same_thing():
    rows = [reading(i, ordinal=i) for i in range(5)]
    batch = ReadingBatch.of(rows)
    assert list(batch) == rows
    assert [batch.row(i) for i in range(5)] == rows
    assert len(batch) == 5
    assert [f.name for f in fields(ReadingBatch)] == [f.name for f in fields(Reading)] == list(COLUMNS)
    assert batch.device == ["d0", "d1", "d2", "d3", "d4"]


def test_rows_are_taken_in_the_order_asked_for():
    batch = ReadingBatch.of(reading(i) for i in range(5))
    assert batch.take([3, 0, 3]).received == [3, 0, 3]
    assert len(batch.take([])) == 0
    assert len(batch) == 5


def test_batches_are_joined_and_share_nothing():
    first, second = ReadingBatch.of([reading(0)]), ReadingBatch.of([reading(1), reading(2)])
    first.extend(second)
    assert first.received == [0, 1, 2]
    first.append(reading(3))
    assert len(second) == 2
    assert ReadingBatch() == ReadingBatch()
    assert ReadingBatch().device is not ReadingBatch().device


def test_the_key_uses_the_devices_time_only_when_its_clock_is_set():
    assert key_time(7, 9, 0) == 7
    assert key_time(0, 9, 0) == 0
    assert key_time(None, 9, 0) == 9
    assert key_time(7, 9, Quality.CLOCK_UNSET | Quality.MOTION) == 9
    assert reading(5, device_time=3).key_time == 3
    assert ReadingBatch.of([reading(5), reading(6, device_time=2)]).key_times() == [5, 2]


@pytest.mark.parametrize(
    ("flag", "bit", "name", "clinical"),
    [
        (Quality.DEMO, 1, "demo", False),
        (Quality.TEST, 2, "test", False),
        (Quality.CLOCK_UNSET, 4, "clock_unset", True),
        (Quality.SENSOR_OFF, 8, "sensor_off", False),
        (Quality.POOR_SIGNAL, 16, "poor_signal", True),
        (Quality.MOTION, 32, "motion", True),
        (Quality.ONGOING, 64, "ongoing", True),
        (Quality.OUT_OF_RANGE, 128, "out_of_range", True),
        (Quality.FUTURE, 256, "future", False),
        (Quality.CLOCK_WRONG, 512, "clock_wrong", True),
        (Quality.FROM_STORE, 1024, "from_store", True),
        (Quality.TIME_UNKNOWN, 2048, "time_unknown", False),
        (Quality.INVALID, 4096, "invalid", False),
        (Quality.SUSPECT, 8192, "suspect", True),
        (Quality.BAD, 16_384, "bad", False),
        (Quality.IMPOSSIBLE, 32_768, "impossible", True),
        (Quality.DROPOUT, 65_536, "dropout", True),
        (Quality.ZERO, 131_072, "zero", True),
        (Quality.JUMP, 262_144, "jump", True),
        (Quality.SPIKES, 524_288, "spikes", True),
        (Quality.FLAT, 1_048_576, "flat", True),
        (Quality.DISAGREES, 2_097_152, "disagrees", True),
    ],
)
def test_quality_bits_are_stored_so_they_never_change(flag: Quality, bit: int, name: str, clinical: bool):  # noqa: FBT001
    assert flag == bit
    assert quality_names(flag) == [name]
    assert flag.clinical is clinical


def test_several_flags_are_named_in_order_and_one_unfit_is_enough():
    both = Quality.MOTION | Quality.DEMO
    assert quality_names(both) == ["demo", "motion"]
    assert not both.clinical
    assert Quality(0).clinical
    assert quality_names(0) == []
    assert len(Quality) == 22
