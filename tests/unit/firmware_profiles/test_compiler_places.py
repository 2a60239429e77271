"""Frames of fixed places, rows of records, samples, joined numbers, roles, and frames worth keeping."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles import DecodedWave, Profile
from firmware_profiles.compiler import compile_waves
from firmware_profiles.refusals import crc16_mcrf4xx, sum8
from firmware_profiles.schema_fields import Frame
from hearthward.core.clock import parse_iso
from hearthward.core.errors import DecodeError
from hearthward.core.model import Quality
from tests.unit.firmware_profiles.samples import frame_profile

RATE = {"name": "rate", "metric": "heart_rate", "unit": "/min"}
FLAGS = {"name": "flags", "type": "u8"}


def reason(profile: Profile, payload: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        profile.decode("fff1", payload)
    return caught.value.reason


def values(profile: Profile, payload: str) -> list[tuple[str, float | str | None]]:
    return [
        (r.metric, r.code if r.value is None else r.value)
        for r in profile.decode("fff1", bytes.fromhex(payload))
    ]


def test_fields_at_their_places(tmp_path: Path):
    fields = [
        {**RATE, "type": "u16", "endian": "big", "at": 4},
        {"name": "low", "type": "u8", "at": 5},
        {"name": "mean", "type": "sfloat", "at": 1, "metric": "nibp_mean", "unit": "mm[Hg]"},
        {
            "name": "warm",
            "type": "s24",
            "at": 6,
            "scale": {"over": 1000},
            "metric": "ambient_temperature",
            "unit": "Cel",
        },
    ]
    profile = frame_profile(tmp_path, {"length": 9, "fields": fields})
    payload = (
        b"\xaa"
        + struct.pack("<H", 93)
        + b"\xaa"
        + struct.pack(">H", 300)
        + (-5000 & 0xFFFFFF).to_bytes(3, "little")
    )
    assert values(profile, payload.hex()) == [
        ("heart_rate", 300), ("nibp_mean", 93), ("ambient_temperature", -5),
    ]  # fmt: skip
    assert reason(profile, payload[:-1]) == "truncated"
    assert reason(profile, payload + b"\0") == "oversized"


def test_many_single_bytes(tmp_path: Path):
    fields = [{"name": f"b{i}", "type": "u8", "at": 2 * i} for i in range(6)]
    joined = {
        **RATE,
        "type": "u16",
        "join": [{"field": "b5", "bits": [0, 0]}, {"field": "b2", "bits": [0, 7]}],
    }
    profile = frame_profile(tmp_path, {"length": 11, "fields": [*fields, joined]})
    assert values(profile, "00 00 00 00 2C 00 00 00 00 00 FF") == [("heart_rate", 300)]


def test_a_check_at_the_end_of_fixed_places(tmp_path: Path):
    profile = frame_profile(
        tmp_path, {"length": 3, "integrity": "sum8", "fields": [{**RATE, "type": "u8", "at": 1}]}
    )
    assert values(profile, "01 48 49") == [("heart_rate", 72)]
    assert reason(profile, b"\x01\x48\x48") == "integrity"


def test_a_field_at_its_place_that_may_mean_nothing(tmp_path: Path):
    fields = [{**FLAGS, "at": 1}, {**RATE, "type": "u8", "at": 0, "present_if": {"field": "flags", "bit": 3}}]
    profile = frame_profile(tmp_path, {"length": 2, "fields": fields})
    assert values(profile, "48 08") == [("heart_rate", 72)]
    assert values(profile, "48 00") == []


@given(st.integers(0, 511), st.integers(0, 255), st.integers(0, 255))
def test_a_number_joined_of_bits(tmp_path_factory: pytest.TempPathFactory, number: int, high: int, low: int):
    profile = joining(tmp_path_factory)
    msb, lsb = high & ~3 | number >> 7, low & 0x80 | number & 0x7F
    expected = [] if number == 511 else [("heart_rate", float(number))]
    if number > 350 and number != 511:
        assert reason(profile, bytes([msb, lsb])) == "out_of_range"
    else:
        assert values(profile, bytes([msb, lsb]).hex()) == expected


_JOINING: list[Profile] = []


def joining(factory: pytest.TempPathFactory) -> Profile:
    if not _JOINING:
        parts = [{"field": "msb", "bits": [0, 1]}, {"field": "lsb", "bits": [0, 6]}]
        fields = [
            {"name": "msb", "type": "u8"},
            {"name": "lsb", "type": "u8"},
            {**RATE, "type": "u16", "join": parts, "nulls": [511]},
        ]
        _JOINING.append(frame_profile(factory.mktemp("joining"), {"fields": fields}))
    return _JOINING[0]


def packet(count: int = 5) -> dict[str, object]:
    return {
        "length": 3 * count,
        "fields": [
            {
                "name": "status", "type": "u8", "at": 0, "any_in": {"every": 3, "count": count},
                "quality": [{"any_bit": [6], "flag": "sensor_off"}],
            },
            {
                "name": "pleth", "type": "u8", "at": 1,
                "wave": {"metric": "pleth", "rate_hz": 75, "every": 3, "count": count},
            },
            {**RATE, "type": "u8", "at": 2},
        ],
    }  # fmt: skip


def test_samples_and_the_bits_of_any_part(tmp_path: Path):
    profile = frame_profile(tmp_path, packet())
    payload = bytearray(15)
    payload[1::3] = bytes([9, 8, 7, 255, 0])
    payload[2] = 72
    assert profile.wave_decoders["fff1"](bytes(payload)) == (
        DecodedWave("pleth", 75.0, (9, 8, 7, 255, 0), 1.0, "1", Quality(0)),
    )
    payload[9] = 0x40
    assert profile.wave_decoders["fff1"](bytes(payload))[0].quality == Quality.SENSOR_OFF
    assert profile.decode("fff1", bytes(payload))[0].quality == Quality.SENSOR_OFF
    assert reason(profile, bytes(payload[:-1])) == "truncated"
    with pytest.raises(DecodeError):
        profile.wave_decoders["fff1"](bytes(payload[:-1]))


@pytest.mark.parametrize(
    ("kind", "layout", "samples"),
    [
        ({"type": "u16"}, "<H", (1, 65535, 300)),
        ({"type": "s16", "endian": "big"}, ">h", (-1, 32767, -32768)),
        ({"type": "s8"}, "<b", (-1, 127, -128)),
        ({"type": "u8", "bits": [0, 6]}, "<B", (1, 127, 0)),
        ({"type": "u8", "bits": [4, 7]}, "<B", (1, 15, 0)),
    ],
)
def test_samples_of_each_type(tmp_path: Path, kind: dict[str, object], layout: str, samples: tuple[int, ...]):
    shift = 4 if kind.get("bits") == [4, 7] else 0
    words = [struct.pack(layout, sample << shift) for sample in samples]
    wave = {"metric": "ecg", "rate_hz": 250, "scale": {"over": 200}}
    endless = frame_profile(tmp_path, {"fields": [FLAGS, {"name": "ecg", **kind, "wave": wave}]})
    (found,) = endless.wave_decoders["fff1"](b"\0" + b"".join(words))
    assert (found.samples, found.scale, found.unit, found.rate_hz) == (samples, 1 / 200, "mV", 250.0)
    assert endless.decode("fff1", b"\0" + b"".join(words)) == ()
    assert endless.wave_decoders["fff1"](b"\0")[0].samples == ()
    every = len(words[0]) + 2
    placed = {"name": "ecg", **kind, "at": 1, "wave": {**wave, "every": every, "count": 3}}
    fixed = frame_profile(tmp_path, {"length": 3 * every, "fields": [placed]})
    payload = b"\xee" + b"\xee\xee".join(words)
    assert fixed.wave_decoders["fff1"](payload.ljust(3 * every, b"\xee"))[0].samples == samples


def test_half_a_sample_is_refused(tmp_path: Path):
    fields = [FLAGS, {"name": "ecg", "type": "s16", "wave": {"metric": "ecg", "rate_hz": 250}}]
    profile = frame_profile(tmp_path, {"fields": fields})
    assert reason(profile, b"\0\1\2\3") == "truncated"


@given(st.binary(max_size=20))
def test_any_bytes_give_samples_or_a_refusal(payload: bytes):
    decode = compile_waves({"x": Frame.model_validate(_tuples(packet()))})["x"]
    try:
        assert len(decode(payload)[0].samples) == 5
    except DecodeError as e:
        assert e.reason in {"truncated", "oversized"}  # noqa: PT017


def _tuples(data: object) -> object:
    if isinstance(data, dict):
        return {key: _tuples(value) for key, value in data.items()}
    return tuple(map(_tuples, data)) if isinstance(data, list) else data


def rows(**frame: object) -> dict[str, object]:
    fields = [{"name": "size", "type": "u8", "role": "size"}, FLAGS, {**RATE, "type": "u8"}]
    more = {"name": "more", "type": "u8", "present_if": {"field": "flags", "bit": 0}}
    return {"records": True, "fields": [*fields, more], **frame}


def test_a_row_of_records(tmp_path: Path):
    profile = frame_profile(tmp_path, rows())
    assert values(profile, "03 00 48 04 01 49 FF") == [("heart_rate", 72), ("heart_rate", 73)]
    for wrong, why in {
        "": "truncated",
        "00 00 48": "truncated",
        "02 00 48": "truncated",
        "03 01 48": "truncated",
        "04 00 48 00": "oversized",
        "03 00 48 04 01 49": "truncated",
        "03 00 48 00": "truncated",
    }.items():
        assert reason(profile, bytes.fromhex(wrong)) == why


@pytest.mark.parametrize("optional", [True, False])
def test_each_record_has_its_check(tmp_path: Path, optional: bool):  # noqa: FBT001
    profile = frame_profile(tmp_path, rows(integrity="crc16-mcrf4xx", integrity_optional=optional))
    body = bytes.fromhex("05 00 48")
    checked, bare = body + crc16_mcrf4xx(body), bytes.fromhex("03 00 49")
    assert values(profile, (checked + checked).hex()) == [("heart_rate", 72)] * 2
    assert reason(profile, checked[:-1] + b"\0") == "integrity"
    if optional:
        assert values(profile, (bare + checked).hex()) == [("heart_rate", 73), ("heart_rate", 72)]
    else:
        assert reason(profile, bare) == "truncated"


def test_a_check_that_may_be_missing(tmp_path: Path):
    frame = {"integrity": "sum8", "integrity_optional": True, "fields": [FLAGS, {**RATE, "type": "u8"}]}
    profile = frame_profile(tmp_path, frame)
    body = b"\x01\x48"
    assert values(profile, body.hex()) == values(profile, (body + sum8(body)).hex()) == [("heart_rate", 72)]
    assert reason(profile, body + b"\0") == "integrity"
    assert reason(profile, body + sum8(body) + b"\0") == "oversized"
    assert reason(profile, body[:1]) == "truncated"


def test_what_stands_for_a_check_that_is_not_made(tmp_path: Path):
    frame = {"integrity": "sum8", "integrity_none": "FF", "fields": [FLAGS, {**RATE, "type": "u8"}]}
    placed = {**frame, "length": 3, "fields": [{**FLAGS, "at": 0}, {**RATE, "type": "u8", "at": 1}]}
    body = b"\x01\x48"
    for profile in (frame_profile(tmp_path, frame), frame_profile(tmp_path, placed)):
        for check in (sum8(body), b"\xff"):
            assert values(profile, (body + check).hex()) == [("heart_rate", 72)]
        for check in (b"\0", b"\xfe", b"\x48"):
            assert reason(profile, body + check) == "integrity"
        assert reason(profile, body[:1]) == "truncated"


def test_frames_that_say_nothing_worth_keeping(tmp_path: Path):
    settled = [{"field": "flags", "bit": 5}, {"field": "flags", "bit": 7, "is": 0}]
    running = frame_profile(tmp_path, {"only_if": settled, "fields": [FLAGS, {**RATE, "type": "u8"}]})
    placed = [{**FLAGS, "at": 0}, {**RATE, "type": "u16", "at": 1}]
    fixed = frame_profile(tmp_path, {"only_if": settled, "length": 3, "fields": placed})
    for profile, rest in ((running, "48"), (fixed, "4800")):
        assert values(profile, f"20{rest}") == [("heart_rate", 72)]
        assert (
            values(profile, f"00{rest}") == values(profile, f"A0{rest}") == values(profile, f"80{rest}") == []
        )
        assert reason(profile, b"\x00") == "truncated"
    assert values(fixed, "00 FFFF") == [], "what wanders about may be implausible"
    assert reason(fixed, b"\x20\xff\xff") == "out_of_range"


def test_a_frame_of_another_kind_is_refused(tmp_path: Path):
    mark = {"name": "mark", "type": "u16", "must_be": 0x01EB}
    running = frame_profile(tmp_path, {"fields": [mark, {**RATE, "type": "u8"}]})
    assert values(running, "EB 01 48") == [("heart_rate", 72)]
    assert reason(running, b"\xeb\x00\x48") == "malformed"
    placed = [{**RATE, "type": "u8", "at": 0}, {**mark, "at": 1}]
    assert values(frame_profile(tmp_path, {"length": 3, "fields": placed}), "48 EB 01") == [
        ("heart_rate", 72)
    ]
    with pytest.raises(DecodeError, match="mark is 0x0, and 0x1eb in every frame of this kind"):
        running.decode("fff1", bytes(3))


def test_a_field_under_two_flags(tmp_path: Path):
    both = {"present_if": {"field": "flags", "bit": 0}, "also_if": {"field": "flags", "bit": 1, "is": 0}}
    other = {"present_if": {"field": "flags", "bit": 0}, "also_if": {"field": "flags", "bit": 1}}
    weight = {"name": "weight", "type": "u8", "metric": "body_weight", "unit": "kg", **other}
    profile = frame_profile(tmp_path, {"fields": [FLAGS, {**RATE, "type": "u8", **both}, weight]})
    assert values(profile, "01 48") == [("heart_rate", 72)]
    assert values(profile, "03 48") == [("body_weight", 72)]
    assert values(profile, "02") == values(profile, "00") == []
    assert reason(profile, b"\x02\x48") == "oversized"


STAMP = {"name": "time", "type": "dt7"}
NOON = "E807060F0C0000"


def test_minutes_are_added_to_the_clock(tmp_path: Path):
    offset = {"name": "offset", "type": "s16", "role": "clock_offset_min", "nulls": [32767]}
    profile = frame_profile(tmp_path, {"fields": [STAMP, offset, {**RATE, "type": "u8"}]})

    def when(minutes: int, stamp: str = NOON) -> tuple[int | None, Quality]:
        payload = bytes.fromhex(stamp) + struct.pack("<hB", minutes, 72)
        reading = profile.decode("fff1", payload)[0]
        return reading.device_time, reading.quality

    assert when(90) == (parse_iso("2024-06-15T13:30:00"), Quality(0))
    assert when(-721) == (parse_iso("2024-06-14T23:59:00"), Quality(0))
    assert when(32767) == when(5, "00" * 7) == (None, Quality.CLOCK_UNSET)


def test_a_time_of_its_own_is_not_the_readings(tmp_path: Path):
    fields = [{**STAMP, "role": "start"}, {**RATE, "type": "u8"}]
    profile = frame_profile(tmp_path, {"fields": fields})
    reading = profile.decode("fff1", bytes.fromhex(NOON + "48"))[0]
    assert (reading.device_time, reading.quality) == (None, Quality(0))


@pytest.mark.parametrize(
    ("zone", "dst", "text"),
    [
        (4, 4, "2024-06-15T12:00:00+02:00"),
        (0, 0, "2024-06-15T12:00:00+00:00"),
        (-38, 0, "2024-06-15T12:00:00-09:30"),
        (-2, 0, "2024-06-15T12:00:00-00:30"),
        (22, 2, "2024-06-15T12:00:00+06:00"),
        (-128, 0, "2024-06-15T12:00:00"),
        (4, 255, "2024-06-15T12:00:00"),
        (4, 3, "2024-06-15T12:00:00"),
        (100, 0, "2024-06-15T12:00:00"),
    ],
)
def test_a_start_with_its_zone(tmp_path: Path, zone: int, dst: int, text: str):
    fields = [
        {**STAMP, "role": "start", "metric": "sensor_session_start"},
        {"name": "zone", "type": "s8", "role": "utc_offset_quarters"},
        {"name": "dst", "type": "u8", "role": "dst"},
    ]
    profile = frame_profile(tmp_path, {"fields": fields})
    (start,) = profile.decode("fff1", bytes.fromhex(NOON) + struct.pack("<bB", zone, dst))
    assert (start.code, start.device_time) == (text, parse_iso("2024-06-15T12:00:00"))
    assert profile.decode("fff1", bytes(7) + b"\0\0") == ()


@pytest.mark.parametrize("stamp", ["14 18 06 0F 0C 00 00 32", "20 24 06 15 12 00 00 50"])
def test_a_time_of_eight_bytes_in_binary_or_bcd(tmp_path: Path, stamp: str):
    profile = frame_profile(tmp_path, {"fields": [{"name": "time", "type": "time8"}, {**RATE, "type": "u8"}]})
    reading = profile.decode("fff1", bytes.fromhex(stamp + "48"))[0]
    assert reading.device_time == parse_iso("2024-06-15T12:00:00")
    assert profile.decode("fff1", bytes(8) + b"\x48")[0].quality == Quality.CLOCK_UNSET
    assert reason(profile, bytes.fromhex("20 24 0A 15 12 00 00 50 48")) == "malformed"
    assert reason(profile, bytes.fromhex("14 18 0D 0F 0C 00 00 32 48")) == "malformed"


@pytest.mark.parametrize(
    ("metric", "kind", "unit", "raw", "value"),
    [
        ("body_temperature", "float32-11073", "[degF]", "DA0300FF", 37),
        ("body_temperature", "u16", "[degF]", "6400", 340 / 9),
        ("ambient_temperature", "u16", "K", "2C01", 26.85),
        ("body_weight", "u16", "[lb_av]", "6400", 45.359237),
        ("body_weight", "u16", "g", "6400", 0.1),
        ("body_height", "u16", "[in_i]", "4600", 177.8),
        ("body_height", "u8", "m", "02", 200),
        ("energy_expended", "u8", "kcal", "0A", 41.84),
        ("carbohydrates", "sfloat", "kg", "2DD0", 45),
        ("medication_volume", "sfloat", "L", "01C0", 0.1),
        ("medication_mass", "sfloat", "kg", "19A0", 25),
        ("blood_glucose", "u8", "mmol/L", "05", 90.078),
        ("exercise_duration", "u8", "min", "02", 120),
        ("rr_interval", "u8", "s", "02", 2000),
    ],
)
def test_units_are_converted_exactly(
    tmp_path: Path, metric: str, kind: str, unit: str, raw: str, value: float
):
    profile = frame_profile(
        tmp_path, {"fields": [{"name": "x", "type": kind, "metric": metric, "unit": unit}]}
    )
    assert [r.value for r in profile.decode("fff1", bytes.fromhex(raw))] == [value]


def test_another_unit_may_have_another_step(tmp_path: Path):
    weight = {
        "name": "weight", "type": "u16", "nulls": [65535], "scale": {"over": 200},
        "metric": "body_weight", "unit": "kg",
        "unit_if": {"field": "flags", "bit": 0, "unit": "[lb_av]", "scale": {"over": 100}},
    }  # fmt: skip
    profile = frame_profile(tmp_path, {"fields": [FLAGS, weight]})
    assert values(profile, "00 B036") == [("body_weight", 70)]
    assert values(profile, "01 983A") == [("body_weight", 68.0388555)]
    assert values(profile, "01 FFFF") == values(profile, "00 FFFF") == []


def test_lists_of_24_bits(tmp_path: Path):
    for kind, order in (("u24", "little"), ("s24", "big")):
        field = {**RATE, "type": kind, "endian": order, "repeat": "end"}
        profile = frame_profile(tmp_path, {"fields": [field]})
        raw = (72).to_bytes(3, order) + (300).to_bytes(3, order)  # type: ignore[arg-type]
        assert [value for _, value in values(profile, raw.hex())] == [72, 300]
        assert reason(profile, raw[:-1]) == "truncated"


def test_bytes_as_digits(tmp_path: Path):
    field = {"name": "id", "type": "bytes", "metric": "device_system_id"}
    profile = frame_profile(tmp_path, {"fields": [FLAGS, field]})
    assert values(profile, "00 00FE") == [("device_system_id", "00fe")]
    assert values(profile, "00") == []
    assert reason(profile, bytes(514)) == "oversized"
