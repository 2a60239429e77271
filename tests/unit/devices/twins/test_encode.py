"""The encoders against captured bytes, and back through an independent reading of the layouts."""

from __future__ import annotations

import math
import struct
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.twins import encode


def read_sfloat(word: int) -> float:
    """SFLOAT by the letter of the standard, apart from the encoder's own arithmetic."""
    if word in {0x07FF, 0x0800, 0x07FE, 0x0802, 0x0801}:
        return math.nan
    mantissa = word & 0xFFF
    exponent = word >> 12
    mantissa -= 0x1000 if mantissa & 0x800 else 0
    exponent -= 0x10 if exponent & 0x8 else 0
    return float(Decimal(mantissa).scaleb(exponent))


def test_sig_blood_pressure_as_captured():
    at = datetime(2024, 6, 15, 17, 17, 27)  # noqa: DTZ001 - a device's clock has no zone
    made = encode.blood_pressure(124, 86, mean=97, pulse_rate=51, at=at)
    assert made.hex() == "167c0056006100e807060f11111b33000000"


def test_bm85_as_captured():
    at = datetime(2026, 8, 11, 18, 31, 0)  # noqa: DTZ001
    made = encode.blood_pressure_bm85(106, 71, pulse_rate=63, at=at)
    assert made.hex() == "566a0047000000ea07080b121f00003f000000"


def test_oximeter_as_captured():
    made = encode.plx_continuous(98, 78, measurement_status=0x20, sensor_status=0)
    assert made.hex() == "0c62004e002000000000"


@pytest.mark.parametrize(
    ("rate", "expected"), [(60, "063c"), (255, "06ff"), (256, "070001"), (72.5, "0649"), (71.49, "0647")]
)
def test_heart_rate(rate: float, expected: str):
    assert encode.heart_rate(rate).hex() == expected


def test_heart_rate_with_intervals_and_no_contact():
    assert encode.heart_rate(60, contact=False, rr=(1024, 512)).hex() == "143c00040002"
    assert encode.heart_rate(60, contact=None).hex() == "003c"


@pytest.mark.parametrize("rate", [-1, 65536, math.nan, math.inf])
def test_heart_rate_refuses_what_it_cannot_carry(rate: float):
    with pytest.raises(ValueError, match=r"outside|no finite"):
        encode.heart_rate(rate)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (97.65, 97.7),
        (97.64, 97.6),
        (-0.25, -0.3),
        (204.5, 204.5),
        (204.55, 205.0),
        (300.4, 300.0),
        (0.0, 0.0),
    ],
)
def test_one_decimal_half_away_from_zero_and_integers_above(value: float, expected: float):
    assert encode.express_sfloat(value) == expected


def test_sfloat_refuses_and_never_clamps():
    with pytest.raises(ValueError, match="2045"):
        encode.sfloat(2046)
    with pytest.raises(ValueError, match="no finite"):
        encode.sfloat(math.nan)
    assert encode.sfloat(None) == 0x07FF


@given(st.floats(-2045, 2045), st.integers(0, 2))
def test_sfloat_round_trip(value: float, decimals: int):
    word = encode.sfloat(value, decimals)
    assert 0 <= word <= 0xFFFF
    back = read_sfloat(word)
    assert back == encode.express_sfloat(value, decimals)
    assert abs(back - value) <= 0.5
    if abs(value) <= 2.0 * 10.0 ** (3 - decimals):
        assert abs(back - value) <= 0.5 * 10.0**-decimals + 1e-9
    assert encode.express_sfloat(back, decimals) == back  # what was expressed is expressed as itself


@given(st.integers(0, 65535))
def test_heart_rate_round_trip(rate: int):
    made = encode.heart_rate(rate)
    back = struct.unpack_from("<H" if made[0] & 1 else "<B", made, 1)[0]
    assert back == rate
    assert len(made) == (3 if rate > 255 else 2)


pressure = st.none() | st.floats(0, 400)


@given(
    pressure,
    pressure,
    pressure,
    pressure,
    st.none() | st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001
    st.none() | st.integers(0, 255),
    st.none() | st.integers(0, 65535),
)
def test_blood_pressure_round_trip(
    systolic: float | None,
    diastolic: float | None,
    mean: float | None,
    pulse: float | None,
    at: datetime | None,
    user: int | None,
    status: int | None,
):
    made = encode.blood_pressure(
        systolic, diastolic, mean=mean, pulse_rate=pulse, at=at, user=user, status=status
    )
    flags, *words = struct.unpack_from("<BHHH", made)
    rest = made[7:]
    if flags & 2:
        assert at is not None
        fields = struct.unpack("<H5B", rest[:7])
        assert datetime(*fields) == at.replace(microsecond=0)  # noqa: DTZ001
        rest = rest[7:]
    else:
        assert at is None
    words.append(struct.unpack_from("<H", rest)[0])
    rest = rest[2:]
    for word, value in zip(words, (systolic, diastolic, mean, pulse), strict=True):
        back = read_sfloat(word)
        assert math.isnan(back) if value is None else back == encode.express_sfloat(value)
    assert rest == (bytes((user,)) if user is not None else b"") + (
        struct.pack("<H", status) if status is not None else b""
    )


def test_perfusion_index_is_flagged_and_has_two_decimals():
    made = encode.plx_continuous(97, None, perfusion_index=3.61)
    assert made[0] == 0x10
    assert struct.unpack_from("<HHH", made, 1) == (0x0061, 0x07FF, encode.sfloat(3.61, 2))
    assert read_sfloat(encode.sfloat(3.61, 2)) == 3.61


@given(st.text(max_size=40), st.lists(st.integers(0, 65535), min_size=1, max_size=4))
def test_advertisement_fits_and_is_well_formed(name: str, services: list[int]):
    made = encode.advertisement(name, services)
    assert len(made) <= 31
    at = 0
    while at < len(made):
        at += 1 + made[at]
    assert at == len(made)


def test_service_data_as_a_scale_sends_them():
    payload = bytes.fromhex("02a6ea07010203040500ffff40")[:13]
    made = encode.service_data("MIBFS", 0x181B, payload)
    assert made.hex() == "020106" + "03031b18" + "10161b18" + payload.hex() + "0609" + b"MIBFS".hex()
    with pytest.raises(ValueError, match="do not fit"):
        encode.service_data("", 0x181B, bytes(21))


def test_a_date_time_is_read_back():
    at = datetime(2026, 2, 28, 23, 59, 58)  # noqa: DTZ001
    assert encode.read_date_time(encode.date_time(at) + b"\x06\x00\x00") == at
    assert encode.read_date_time(bytes(7)) is None
    assert encode.read_date_time(b"\xea\x07") is None
