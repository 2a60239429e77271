"""Glucose meters and CGMs: the compiled decoders beside ones written by hand, and what their times mean."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_profiles import DecodedReading, load_catalog
from hearthward.core.clock import parse_iso
from hearthward.core.errors import DecodeError
from hearthward.core.model import Quality
from tests.unit.firmware_profiles import hand_written_stores as by_hand

CATALOG = load_catalog()
GLUCOSE = CATALOG.get("sig-glucose").decoders["2a18"]
CGM = CATALOG.get("sig-cgm").decoders["2aa7"]
SFLOATS = (
    st.integers(0, 0xFFFF) | st.integers(0, 400) | st.sampled_from([0x7FF, 0x800, 0x7FE, 0xC00C, 0xB1F4])
)

Outcome = tuple[DecodedReading, ...] | str


def outcome(decode: Callable[[bytes], tuple[DecodedReading, ...]], payload: bytes) -> Outcome:
    try:
        return decode(payload)
    except DecodeError as e:
        return e.reason


@st.composite
def glucose_bytes(draw: st.DrawFn) -> bytes:
    flags = draw(st.integers(0, 31))
    years = st.sampled_from([0, 1678, 2024, 2261, 2262])
    out = struct.pack(
        "<BHHBBBBB", flags, draw(st.integers(0, 0xFFFF)), draw(years), 2, draw(st.integers(0, 30)), 9, 8, 7
    )
    if flags & 1:
        out += struct.pack("<h", draw(st.integers(-0x8000, 0x7FFF) | st.sampled_from([-0x8000, 0x7FFF])))
    if flags & 2:
        out += struct.pack("<HB", draw(SFLOATS), draw(st.integers(0, 255)))
    if flags & 8:
        out += struct.pack("<H", draw(st.integers(0, 0xFFFF)))
    return out


@st.composite
def cgm_bytes(draw: st.DrawFn) -> bytes:
    out = b""
    for _ in range(draw(st.integers(1, 3))):
        flags = draw(st.integers(0, 255))
        body = struct.pack("<BHH", flags, draw(SFLOATS), draw(st.integers(0, 0xFFFF)))
        body += draw(st.binary(min_size=(n := (flags >> 5).bit_count()), max_size=n))
        for bit in (0, 1):
            if flags >> bit & 1:
                body += struct.pack("<H", draw(SFLOATS))
        checked = draw(st.sampled_from([0, 2]))
        wrong = draw(st.sampled_from([0, 0, 0, 0, 1, -1]))
        body = bytes([len(body) + 1 + checked + wrong]) + body
        out += body + (struct.pack("<H", by_hand.crc(body)) if checked else b"")
    return out


def bent(good: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    cut = st.tuples(good, st.integers(0, 20)).map(lambda pair: pair[0][: pair[1]])
    return (
        good | cut | st.tuples(good, st.binary(min_size=1, max_size=3)).map(b"".join) | st.binary(max_size=20)
    )


@settings(max_examples=300)
@given(bent(glucose_bytes()))
def test_glucose_as_by_hand(payload: bytes):
    assert outcome(GLUCOSE, payload) == outcome(by_hand.glucose, payload)


@settings(max_examples=300)
@given(bent(cgm_bytes()))
def test_cgm_as_by_hand(payload: bytes):
    assert outcome(CGM, payload) == outcome(by_hand.cgm, payload)


@pytest.mark.parametrize(
    ("word", "moles", "value"),
    [
        ("0CC0", False, 120),  # 0.0012 kg/L, not 119.99999999999999
        ("7EB0", False, 126),  # 0.00126
        ("46B0", False, 70),
        ("B4C0", False, 1800),
        ("37C0", True, 99.0858),  # 5.5 mmol/L
        ("64C0", True, 180.156),
        ("0AD0", True, 180.156),
    ],
)
def test_glucose_gives_clean_numbers(word: str, moles: bool, value: float):  # noqa: FBT001
    payload = bytes.fromhex(f"{'06' if moles else '02'} 0100 E807060F11111B {word} 11")
    assert GLUCOSE(payload)[0].value == value


def test_minutes_since_the_start_are_told_as_such():
    (reading,) = CGM(bytes.fromhex("06005A000A00"))
    assert (reading.elapsed, reading.record, reading.device_time) == (600 * 10**9, 10, None)


def test_a_session_start_is_a_reading_at_its_own_time():
    decode = CATALOG.get("sig-cgm").decoders["2aaa"]
    (start,) = decode(bytes.fromhex("E807060F11111B 04 04"))
    assert start.metric == "sensor_session_start"
    assert start.code == "2024-06-15T17:17:27+02:00"
    assert start.device_time == parse_iso("2024-06-15T17:17:27")
    assert start.value is None
    assert not start.quality & Quality.CLOCK_UNSET


def test_a_control_solution_is_never_a_patients():
    (reading, *_) = GLUCOSE(bytes.fromhex("02 0800 E807060F111100 0CC0 1A"))
    assert reading.metric == "blood_glucose"
    assert not reading.quality.clinical


@pytest.mark.parametrize(
    ("profile", "source", "payload"),
    [
        ("sig-pulse-oximeter", "2a5f", "04 6200 4E00 0004"),
        ("sig-pulse-oximeter", "2a5f", "04 6200 4E00 0008"),
        ("sig-pulse-oximeter", "2a5e", "02 6200 4E00 0004"),
        ("sig-pulse-oximeter", "2a5e", "02 6200 4E00 0008"),
    ],
)
def test_demonstrations_and_tests_are_not_clinical(profile: str, source: str, payload: str):
    readings = CATALOG.get(profile).decode(source, bytes.fromhex(payload))
    assert readings
    assert not any(reading.quality.clinical for reading in readings)


@pytest.mark.parametrize(
    ("profile", "source", "payload", "metric"),
    [
        ("sig-blood-pressure", "2a36", "00 9800 FF07 FF07", "cuff_pressure"),
        ("sig-health-thermometer", "2a1e", "00 1C000000", "intermediate_temperature"),
    ],
)
def test_what_leads_to_a_measurement_is_none(profile: str, source: str, payload: str, metric: str):
    readings = CATALOG.get(profile).decode(source, bytes.fromhex(payload))
    assert [(r.metric, r.quality) for r in readings] == [(metric, Quality.ONGOING)]
