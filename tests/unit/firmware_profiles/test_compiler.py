from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_profiles import DecodedReading, load_catalog
from firmware_profiles.refusals import crc8, crc8_maxim, crc16_mcrf4xx
from hearthward.core.errors import DecodeError
from hearthward.core.model import Quality
from tests.unit.firmware_profiles import hand_written
from tests.unit.firmware_profiles.samples import frame_profile

CATALOG = load_catalog()
HEART = CATALOG.get("sig-heart-rate")
PRESSURE = CATALOG.get("sig-blood-pressure")

Outcome = tuple[DecodedReading, ...] | str


def outcome(decode: Callable[[bytes], tuple[DecodedReading, ...]], payload: bytes) -> Outcome:
    try:
        return decode(payload)
    except DecodeError as e:
        return e.reason


@st.composite
def heart_rate_bytes(draw: st.DrawFn) -> bytes:
    flags = draw(st.integers(0, 255))
    out = bytes([flags])
    out += struct.pack("<H" if flags & 1 else "<B", draw(st.integers(0, 400 if flags & 1 else 255)))
    if flags & 8:
        out += draw(st.binary(min_size=2, max_size=2))
    if flags & 16:
        out += b"".join(struct.pack("<H", x) for x in draw(st.lists(st.integers(0, 11_000), max_size=9)))
    return out


sfloats = st.integers(0, 0xFFFF) | st.integers(0, 400) | st.sampled_from([0x7FF, 0x800, 0x7FE, 0x801, 0x802])


@st.composite
def blood_pressure_bytes(draw: st.DrawFn) -> bytes:
    flags = draw(st.integers(0, 255))
    small = st.integers(0, 300) if draw(st.booleans()) else sfloats
    out = struct.pack("<BHHH", flags, *(draw(small) for _ in range(3)))
    if flags & 2:
        month, day = draw(st.integers(0, 13)), draw(st.integers(0, 31))
        out += struct.pack(
            "<HBBBBB", draw(st.sampled_from([0, 1582, 2024, 2261, 2262, 65535])), month, day, 23, 59, 7
        )
    if flags & 4:
        out += struct.pack("<H", draw(small))
    if flags & 8:
        out += b"\x01"
    if flags & 16:
        out += struct.pack("<H", draw(st.integers(0, 63) | st.integers(0, 0xFFFF)))
    return out


def bent(good: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    cut = st.tuples(good, st.integers(0, 20)).map(lambda pair: pair[0][: pair[1]])
    return (
        good | cut | st.tuples(good, st.binary(min_size=1, max_size=3)).map(b"".join) | st.binary(max_size=24)
    )


@settings(max_examples=500)
@given(bent(heart_rate_bytes()))
def test_heart_rate_as_by_hand(payload: bytes):
    assert outcome(lambda raw: HEART.decode("2a37", raw), payload) == outcome(
        hand_written.heart_rate, payload
    )


@settings(max_examples=500)
@given(bent(blood_pressure_bytes()))
def test_blood_pressure_as_by_hand(payload: bytes):
    compiled = outcome(lambda raw: PRESSURE.decode("2a35", raw), payload)
    assert compiled == outcome(hand_written.blood_pressure, payload)


RATE = {"name": "rate", "metric": "heart_rate", "unit": "/min"}


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ({"type": "u8"}, "48", 72),
        ({"type": "s8"}, "48", 72),
        ({"type": "u16"}, "4800", 72),
        ({"type": "u16", "endian": "big"}, "0048", 72),
        ({"type": "s16"}, "4800", 72),
        ({"type": "u24"}, "480000", 72),
        ({"type": "u24", "endian": "big"}, "000048", 72),
        ({"type": "u24"}, "2C0100", 300),
        ({"type": "u24", "endian": "big"}, "00012C", 300),
        ({"type": "u32"}, "48000000", 72),
        ({"type": "u32", "endian": "big"}, "00000048", 72),
        ({"type": "s32"}, "48000000", 72),
        ({"type": "sfloat"}, "D0F2", 72),
        ({"type": "sfloat", "endian": "big"}, "F2D0", 72),
        ({"type": "float32-11073"}, "D00200FF", 72),
        ({"type": "float32-11073", "endian": "big"}, "FF0002D0", 72),
        ({"type": "u16", "scale": {"times": 0.5}}, "9000", 72),
        ({"type": "u16", "scale": {"over": 10}}, "D002", 72),
        ({"type": "u8", "bits": [1, 7]}, "91", 72),
        ({"type": "u8", "nulls": [72]}, "48", None),
        ({"type": "u8", "nulls": [255]}, "48", 72),
        ({"type": "float32-11073"}, "FFFF7F00", None),
    ],
)
def test_types(tmp_path: Path, kind: dict[str, object], raw: str, value: float | None):
    profile = frame_profile(tmp_path, {"fields": [{**RATE, **kind}]})
    payload = bytes.fromhex(raw)
    values = [reading.value for reading in profile.decode("fff1", payload)]
    assert values == ([] if value is None else [value])
    for wrong, reason in ((payload[:-1], "truncated"), (payload + b"\0", "oversized")):
        with pytest.raises(DecodeError) as caught:
            profile.decode("fff1", wrong)
        assert caught.value.reason == reason


def test_a_negative_number_is_refused_where_it_is_not_plausible(tmp_path: Path):
    profile = frame_profile(tmp_path, {"fields": [{**RATE, "type": "s8"}]})
    with pytest.raises(DecodeError, match="rate is -1 /min") as caught:
        profile.decode("fff1", b"\xff")
    assert caught.value.reason == "out_of_range"


def test_a_narrower_range(tmp_path: Path):
    profile = frame_profile(tmp_path, {"fields": [{**RATE, "type": "u8", "range": [20, 250]}]})
    assert profile.decode("fff1", b"\x14")[0].value == 20
    with pytest.raises(DecodeError, match="rate is 19 /min, outside the plausible 20 to 250"):
        profile.decode("fff1", b"\x13")


def test_two_values_in_one_byte(tmp_path: Path):
    fields = [
        {"name": "packed", "type": "u16", "present_if": {"field": "flags", "bit": 0}},
        {**RATE, "type": "u16", "of": "packed", "bits": [0, 8]},
        {
            "name": "o2", "type": "u16", "of": "packed", "bits": [9, 15],
            "metric": "spo2", "unit": "%", "nulls": [127],
        },
    ]  # fmt: skip
    profile = frame_profile(tmp_path, {"fields": [{"name": "flags", "type": "u8"}, *fields]})
    packed = struct.pack("<BH", 1, 98 << 9 | 300)
    assert [(r.metric, r.value) for r in profile.decode("fff1", packed)] == [
        ("heart_rate", 300),
        ("spo2", 98),
    ]
    assert [r.metric for r in profile.decode("fff1", struct.pack("<BH", 1, 127 << 9 | 60))] == ["heart_rate"]
    assert profile.decode("fff1", b"\0") == ()


def test_enum_gives_texts_and_nothing_for_the_unlisted(tmp_path: Path):
    field = {"name": "model", "type": "u8", "metric": "device_model", "enum": {"1": "A", "0x10": "B"}}
    profile = frame_profile(tmp_path, {"fields": [field]})
    assert [r.code for r in profile.decode("fff1", b"\x01")] == ["A"]
    assert [r.code for r in profile.decode("fff1", b"\x10")] == ["B"]
    assert profile.decode("fff1", b"\x02") == ()


def test_a_record_number(tmp_path: Path):
    fields = [{"name": "sequence", "type": "u16"}, {**RATE, "type": "u8"}]
    profile = frame_profile(tmp_path, {"fields": fields}, dedupe={"record": "sequence"})
    assert profile.decode("fff1", bytes.fromhex("010248"))[0].record == 0x0201


def test_repeated_numbers_with_no_value_among_them(tmp_path: Path):
    profile = frame_profile(tmp_path, {"fields": [{**RATE, "type": "sfloat", "repeat": "end"}]})
    assert [r.value for r in profile.decode("fff1", bytes.fromhex("4800 FF07 4900"))] == [72, 73]
    assert profile.decode("fff1", b"") == ()


def test_kilopascals_by_default_and_by_flag(tmp_path: Path):
    fields = [
        {"name": "flags", "type": "u8"},
        {
            "name": "mean", "type": "u8", "metric": "nibp_mean", "unit": "kPa",
            "unit_if": {"field": "flags", "bit": 7, "unit": "mm[Hg]"},
        },
        {"name": "systolic", "type": "u8", "metric": "nibp_systolic", "unit": "kPa"},
    ]  # fmt: skip
    profile = frame_profile(tmp_path, {"fields": fields})
    kpa = 7.50061575845656
    assert [r.value for r in profile.decode("fff1", b"\x00\x0a\x0a")] == pytest.approx([10 * kpa, 10 * kpa])
    assert [r.value for r in profile.decode("fff1", b"\x80\x0a\x0a")] == pytest.approx([10, 10 * kpa])


def test_quality_rules(tmp_path: Path):
    rules = [
        {"any_bit": [0, 2], "flag": "motion"},
        {"bits": [4, 5], "is": [0], "flag": "test"},
        {"bits": [4, 5], "is": [1, 3], "flag": "ongoing"},
    ]
    fields = [{"name": "status", "type": "u8", "quality": rules}, {**RATE, "type": "u8"}]
    profile = frame_profile(tmp_path, {"fields": fields})
    for status, expected in {
        0x00: Quality.TEST,
        0x05: Quality.TEST | Quality.MOTION,
        0x10: Quality.ONGOING,
        0x20: Quality(0),
        0x34: Quality.ONGOING | Quality.MOTION,
    }.items():
        assert profile.decode("fff1", bytes([status, 72]))[0].quality == expected


@pytest.mark.parametrize(
    ("kind", "good", "wrong"),
    [
        ("sum8", "0048 48", "0048 49"),
        ("sum7", "C048 08", "C048 88"),
        ("xor8", "1148 59", "1148 58"),
        ("crc16-mcrf4xx", "", ""),
    ],
)
def test_integrity(tmp_path: Path, kind: str, good: str, wrong: str):
    fields = [{"name": "flags", "type": "u8"}, {**RATE, "type": "u8"}]
    profile = frame_profile(tmp_path, {"integrity": kind, "fields": fields})
    body = b"\x00\x48"
    right = bytes.fromhex(good) or body + crc16_mcrf4xx(body)
    assert profile.decode("fff1", right)[0].value == 72
    bad = bytes.fromhex(wrong) or body + b"\0\0"
    for payload, reason in ((bad, "integrity"), (right[:1], "truncated"), (b"", "truncated")):
        with pytest.raises(DecodeError) as caught:
            profile.decode("fff1", payload)
        assert caught.value.reason == reason


def test_e2e_crc_against_published_bytes():
    """NordicSemiconductor/Android-BLE-Common-Library, tests of the CGM parsers."""
    assert crc16_mcrf4xx(bytes.fromhex("08000C100600")).hex() == "596f"
    assert crc16_mcrf4xx(bytes.fromhex("0FE3D2E4050002 14FF02F0E5F3")).hex() == "8e3f"


def test_quirks_do_not_touch_their_base():
    """The BM85's frame read by the standard, and the standard's read as the BM85's: both refused."""
    bm85 = bytes.fromhex("566A0047000000EA07080B121F00003F000000")
    standard = bytes.fromhex("167C0056006100E807060F11111B33000000")
    assert len(CATALOG.get("beurer-bm85").decode("2a35", bm85)) == 3
    assert len(PRESSURE.decode("2a35", standard)) == 4
    for profile, payload in ((PRESSURE, bm85), (CATALOG.get("beurer-bm85"), standard)):
        with pytest.raises(DecodeError):
            profile.decode("2a35", payload)


def test_the_crc8s_are_those_of_published_bytes():
    assert crc8(bytes.fromhex("AA17E800000000")).hex() == "1b", "the command that asks an O2Ring"
    for frame in ("AA550F08015F55005700C0DA", "AA55F0030303F6", "AA550F07025A57D24C45A7"):
        *body, check = bytes.fromhex(frame)
        assert crc8_maxim(bytes(body)) == bytes([check]), "frames of a PC-60FW"
