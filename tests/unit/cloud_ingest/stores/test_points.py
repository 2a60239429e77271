"""A reading as a point, and back, in each server's format."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.stores.influxdb import InfluxDB2
from cloud_ingest.stores.points import Format, clean, key_of, unclean, usual_group
from cloud_ingest.stores.victoriametrics import VictoriaMetrics
from hearthward.core.errors import StoreRejected
from hearthward.core.model import Reading
from tests.component.cloud_ingest.influx_standin import parse_line
from tests.unit.cloud_ingest.stores.suite import T0, reading

FORMATS = [VictoriaMetrics.format, InfluxDB2.format]
ORIGIN = ("gw-1", "boot-1", 7)
int63 = st.integers(0, 2**63 - 1) | st.integers(T0 - 10**15, T0 + 10**15)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
readings = st.builds(
    Reading,
    device=texts,
    metric=texts,
    value=st.none()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0, 300).map(lambda v: round(v, 2)),
    code=st.none() | st.just("") | texts,
    device_time=st.none() | int63,
    received=int63,
    corrected=int63,
    record=st.none() | int63,
    digest=int63,
    ordinal=st.integers(0, 20) | int63,
    group=int63,
    source=st.integers(0, 2),
    author=st.none() | st.just("") | texts,
    quality=st.integers(0, 1023),
    profile=st.just("") | texts,
    error=st.none() | int63,
)


def stored(form: Format, row: Reading, lane: int = 0) -> tuple[dict[str, str], int, dict[str, Any]]:
    """What a server has after it was sent a line, by a parser that is not ours."""
    line = form.line(form.labels("main", row, ORIGIN), lane, form.time(row), form.numbers(row, ORIGIN[2]))
    assert "\n" not in line
    measurement, tags, fields, time = parse_line(line)
    assert measurement == "hearthward"
    return dict(tags), time, dict(fields)


@pytest.mark.parametrize("form", FORMATS)
@given(row=readings, lane=st.integers(0, 3))
def test_nothing_is_lost_on_the_way(form: Format, row: Reading, lane: int):
    labels, time, numbers = stored(form, row, lane)
    reader = form.reader(labels)
    found = reader.row(time, numbers)
    assert found == row
    assert reader.identity(time, numbers) == (key_of(row), ORIGIN)
    assert labels.get("lane", "0") == str(lane)
    assert repr(found.value) == repr(row.value if row.value is None else float(row.value))
    for name, number in numbers.items():
        assert name == "value" or (number == int(number) and abs(number) < form.whole)


@given(row=readings)
def test_a_rounding_server_gets_only_what_it_holds_exactly(row: Reading):
    _, _, numbers = stored(VictoriaMetrics.format, row)
    value = numbers.get("value")
    assert value is None or (abs(value) <= 1e6 and round(value, 4) == value)


@pytest.mark.parametrize("form", FORMATS)
@given(row=readings, missing=st.integers(0, 20))
def test_a_point_of_which_a_part_is_missing_is_no_row(form: Format, row: Reading, missing: int):
    labels, time, numbers = stored(form, row)
    gone = sorted(numbers)[missing % len(numbers)]
    del numbers[gone]
    assert form.reader(labels).row(time, numbers) is None
    assert form.reader(labels).identity(time, numbers) is None


@pytest.mark.parametrize("form", FORMATS)
def test_numbers_of_another_row_in_the_same_place_are_left_alone(form: Format):
    labels, time, numbers = stored(form, reading(0))
    assert form.reader(labels).row(time, {**numbers, "record": 5, "bits": 1}) == reading(0)


def test_a_gateway_s_group_is_not_stored():
    row = reading(0)
    usual = usual_group(row.device, row.key_time, row.digest)
    _, _, numbers = stored(VictoriaMetrics.format, Reading(**{**fields(row), "group": usual}))
    assert "group" not in numbers
    assert set(numbers) == {"value", "digest", "seq", "shape"}


def fields(row: Reading) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Reading.__slots__}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_cleaned_text_comes_back_and_ends_no_quotation(text: str):
    label = clean(text)
    assert unclean(label) == text
    assert not set(label) & set('"\\$\n\r\t\0')


@pytest.mark.parametrize("text", ["x" * 1025, "\ud800"])
def test_what_no_label_can_hold_is_refused(text: str):
    with pytest.raises(StoreRejected):
        clean(text)


def test_the_key_tells_a_record_from_a_digest():
    assert key_of(reading(0, record=11)) != key_of(reading(0, digest=11))
