"""The numbers of a field, read without the decoder: words of the standard, then what the decoder reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.twins.wire import carried, word_of
from firmware_profiles.numbers import float32, sfloat
from firmware_profiles.schema_fields import FieldSpec


def field(kind: str) -> FieldSpec:
    return FieldSpec.model_validate(
        {"name": "trend", "type": kind, "metric": "glucose_trend", "range": (-1e300, 1e300)}
    )


@pytest.mark.parametrize(
    ("kind", "word", "value"),
    [
        ("sfloat", 0xF00E, 1.4),
        ("sfloat", 0xFFFF, -0.1),
        ("sfloat", 0xE803, -20.45),
        ("sfloat", 0x77FD, 20_450_000_000),
        ("sfloat", 0x0803, -2045),
        ("float32-11073", 0xFF00016C, 36.4),
        ("float32-11073", 0xFEFFFFFF, -0.01),
    ],
)
def test_words_of_the_standard(kind: str, word: int, value: float):
    assert carried(field(kind), word) == pytest.approx(value, rel=1e-15)
    assert carried(field(kind), word_of(field(kind), value)) == pytest.approx(value, abs=0.051)


@pytest.mark.parametrize("nth", range(5))
def test_words_that_are_no_number(nth: int):
    for kind, first in (("sfloat", 0x07FE), ("float32-11073", 0x7FFFFE)):
        with pytest.raises(ValueError, match="no value"):
            carried(field(kind), first + nth)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_the_decoder_reads_the_same(short: int, long: int):
    for kind, word, read in (("sfloat", short, sfloat(short)), ("float32-11073", long, float32(long))):
        try:
            mine: float | None = carried(field(kind), word)
        except ValueError:
            mine = None
        assert (mine is None) is (read is None)
        assert mine is None or mine == pytest.approx(read or 0.0, rel=1e-15)
