from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import reduce
from operator import or_

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_profiles.numbers import (
    FLOAT32_SPECIAL,
    SFLOAT_SPECIAL,
    any_bits,
    converter,
    dt7_ns,
    encode_float32,
    encode_sfloat,
    float32,
    hex_text,
    moment_text,
    sfloat,
    stamp_ns,
    text_of,
    time8_ns,
)
from hearthward.core.clock import naive_iso
from hearthward.core.errors import DecodeError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def test_every_sfloat_word_is_what_its_decimal_says_and_comes_back():
    for word in range(0x10000):
        value = sfloat(word)
        if word in SFLOAT_SPECIAL:
            assert value is None
            continue
        mantissa = (word & 0xFFF) - (0x1000 if word & 0x800 else 0)
        exponent = (word >> 12) - (16 if word & 0x8000 else 0)
        assert value == float(f"{mantissa}e{exponent}")
        if abs(mantissa) <= 2045:  # the rest cannot be written with exponent 0
            assert sfloat(encode_sfloat(value)) == value


@pytest.mark.parametrize("word", [0x07FE, 0x07FF, 0x0800, 0x0801, 0x0802])
def test_special_sfloats_mean_no_value(word: int):
    assert sfloat(word) is None


@pytest.mark.parametrize(
    ("word", "value"), [(0x0062, 98.0), (0xF024, 3.6), (0xFFFF, -0.1), (0x1001, 10.0), (0x07FD, 2045.0)]
)
def test_known_sfloats(word: int, value: float):
    assert sfloat(word) == value


@pytest.mark.parametrize("word", [0x007FFFFE, 0x007FFFFF, 0x00800000, 0x00800001, 0x00800002])
def test_special_floats_mean_no_value(word: int):
    assert float32(word) is None


@given(mantissa=st.integers(-0x7FFFFD, 0x7FFFFD), exponent=st.integers(-128, 127))
def test_float32_is_what_its_decimal_says_and_comes_back(mantissa: int, exponent: int):
    word = (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF
    assume(word not in FLOAT32_SPECIAL)
    value = float32(word)
    assert value == float(f"{mantissa}e{exponent}")
    assert float32(encode_float32(value)) == value


def test_a_known_float32():
    assert float32(0xFF00016C) == 36.4


@given(st.floats(-2045, 2045))
def test_encoding_keeps_three_digits(value: float):
    back = sfloat(encode_sfloat(value))
    assert back is not None
    assert abs(back - value) <= abs(value) * 0.003 + 1e-8


def test_no_value_is_encoded_as_nan():
    assert (encode_sfloat(None), encode_float32(None)) == (0x07FF, 0x007FFFFF)


@pytest.mark.parametrize("encode", [encode_sfloat, encode_float32])
def test_too_large_is_refused(encode: Callable[[float], int]):
    with pytest.raises(ValueError, match="does not fit"):
        encode(1e300 if encode is encode_float32 else 1e12)


@given(st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31)))  # noqa: DTZ001 - a device's own time
def test_dt7_is_the_naive_time(moment: datetime):
    moment = moment.replace(microsecond=0)
    at = dt7_ns(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    assert at is not None
    assert naive_iso(at) == moment.isoformat()
    assert -(2**63) <= at < 2**63
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at // 1000) == moment.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "date", [(0, 6, 15), (2024, 0, 15), (2024, 6, 0), (0, 0, 0), (1600, 1, 1), (3000, 1, 1)]
)
def test_an_unknown_or_absurd_date_is_none(date: tuple[int, int, int]):
    assert dt7_ns(*date, 1, 2, 3) is None


@pytest.mark.parametrize(
    "date",
    [
        (2023, 2, 29, 0, 0, 0),
        (2024, 13, 1, 0, 0, 0),
        (2024, 1, 1, 24, 0, 0),
        (2024, 1, 1, 0, 60, 0),
        (65535, 1, 1, 0, 0, 0),
    ],
)
def test_a_date_that_does_not_exist_is_malformed(date: tuple[int, ...]):
    with pytest.raises(DecodeError) as caught:
        dt7_ns(*date)
    assert caught.value.reason == "malformed"


def test_stamps():
    assert naive_iso(stamp_ns("02/22/16 22:47:45") or 0) == "2016-02-22T22:47:45"
    assert stamp_ns("00/00/00 00:00:00") is None
    with pytest.raises(DecodeError, match="no time stamp"):
        stamp_ns("2016-02-22T22:47:45")


def test_texts():
    assert text_of("Beurer µ ".encode() + b"\0\0", "maker") == "Beurer µ"
    assert text_of(b" \0", "maker") is None
    for raw, reason in ((b"\xff", "malformed"), (b"a\x00b", "malformed"), (b"x" * 513, "oversized")):
        with pytest.raises(DecodeError) as caught:
            text_of(raw, "maker")
        assert caught.value.reason == reason


@given(
    st.integers(0, 0xFFFF),
    st.fractions(min_value=Fraction(1, 1000), max_value=100_000),
    st.fractions(min_value=-500, max_value=500),
)
def test_conversions_are_rounded_once(word: int, times: Fraction, plus: Fraction):
    found = converter("sfloat", times, plus)(word)
    if word in SFLOAT_SPECIAL:
        assert found is None
        return
    mantissa = (word & 0xFFF) - (0x1000 if word & 0x800 else 0)
    exponent = (word >> 12) - (16 if word & 0x8000 else 0)
    assert found == float(Fraction(f"{mantissa}e{exponent}") * times + plus)


@given(st.integers(-800, 800))
def test_fahrenheit_and_its_fives_are_clean(tenths: int):
    found = converter("float32-11073", Fraction(5, 9), Fraction(-160, 9))((tenths & 0xFFFFFF) | 0xFF << 24)
    assert found == float(Fraction(tenths - 320, 18))


def test_nulls_are_looked_for_before_the_conversion():
    convert = converter("sfloat", Fraction(1000), Fraction(0), (7.0,))
    assert convert(7) is None
    assert convert(8) == 8000


@given(st.binary(max_size=60), st.integers(0, 255))
def test_bits_of_any_byte(parts: bytes, mask: int):
    harmless = bytes(byte for byte in range(256) if not byte & mask)
    found = any_bits(parts, harmless)
    assert found & mask == reduce(or_, parts, 0) & mask
    assert any_bits(memoryview(parts), harmless) == found  # type: ignore[arg-type]


@given(st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)), st.booleans())  # noqa: DTZ001
def test_time8_in_binary_and_bcd(at: datetime, bcd: bool):  # noqa: FBT001
    parts = [at.year // 100, at.year % 100, at.month, at.day, at.hour, at.minute, at.second, 0]
    words = [int(str(part), 16) for part in parts] if bcd else parts
    assert time8_ns(*words) == int((at.replace(tzinfo=UTC, microsecond=0) - EPOCH).total_seconds()) * 10**9


@given(st.lists(st.integers(0, 255), min_size=8, max_size=8))
def test_any_eight_bytes_are_a_time_or_refused(parts: list[int]):
    try:
        found = time8_ns(*parts)
    except DecodeError as e:
        assert e.reason == "malformed"  # noqa: PT017 - either outcome is right
    else:
        assert found is None or -(2**63) <= found < 2**63


@given(st.integers(-128, 127), st.integers(0, 255))
def test_a_moments_zone_is_one_of_iso_8601(quarters: int, dst: int):
    text = moment_text(0, quarters, dst)
    assert text is not None
    offset = datetime.fromisoformat(text).utcoffset()
    known = -48 <= quarters <= 56 and dst in {0, 2, 4, 8}
    assert offset == (timedelta(minutes=quarters * 15 + dst * 15) if known else None)
    assert moment_text(None, quarters, dst) is None
    assert moment_text(0, None, None) == "1970-01-01T00:00:00"


def test_bytes_as_digits_have_an_end():
    assert hex_text(b"", "id") is None
    assert hex_text(b"\x00\xfe", "id") == "00fe"
    with pytest.raises(DecodeError, match="id has 513 bytes"):
        hex_text(bytes(513), "id")
