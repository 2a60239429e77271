"""Values -> the numbers of a profile's field and back, by the field's description alone (pure).

Numbers are read here a second time, apart from the decoder, so that each side proves the other.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import floor, isfinite
from typing import Final

from firmware_profiles.schema_fields import FieldSpec
from firmware_profiles.types import WIDTHS, conversion
from hearthward.core.codes import METRICS

__all__ = ["carried", "null_word", "width", "word_of"]

_FINE: Final = 8
"""Decimals of a decimal float whose value is scaled or in another unit: as many as its exponent allows."""
_FLOATS: Final = {"sfloat": (16, 2045, -8, 7), "float32-11073": (32, 0x7FFFFD, -128, 127)}
"""Type -> bits, largest mantissa that is no special value, least and largest exponent."""
_NAN: Final = {"sfloat": 0x07FF, "float32-11073": 0x007FFFFF}


def width(kind: str) -> int:
    """The bits of an integer or decimal float."""
    return _FLOATS[kind][0] if kind in _FLOATS else WIDTHS[kind]


def word_of(spec: FieldSpec, value: float, *, second_unit: bool = False) -> int:
    """The number on the wire (two's complement, as wide as the field) that is nearest to ``value``.

    ``value`` is in the metric's own unit; ``second_unit``: the wire has the unit of ``unit_if``. Rounded
    half away from zero, to the metric's decimals at least.

    Raises:
        ValueError: the field cannot hold it, or the number would mean "no value" or be refused.
    """
    if not isfinite(value):
        msg = f"{value!r} is no finite number"
        raise ValueError(msg)
    times, plus = _line(spec, second_unit)
    number = (_exact(value) - plus) / times
    if spec.type in _FLOATS:
        word = _decimal_float(spec, number, plain=times == 1 and not plus)
    else:
        word = _integer(spec, _nearest(number))
    carried(spec, word, second_unit=second_unit)
    return word


def carried(spec: FieldSpec, word: int, *, second_unit: bool = False) -> float:
    """The value that a reader makes of a word. Raises ValueError if it is none, or refused."""
    number = _read_decimal(spec.type, word) if spec.type in _FLOATS else Fraction(_signed(spec, word))
    if number is None or float(number) in spec.nulls:
        msg = f'{spec.name}: the wire\'s {word:#x} means "no value"'
        raise ValueError(msg)
    times, plus = _line(spec, second_unit)
    value = float(number * times + plus)
    row = METRICS[spec.metric or ""]
    low, high = spec.range or (row.low, row.high)
    if not low <= value <= high:
        msg = f"{spec.metric} {value:g} is outside {low:g}..{high:g}"
        raise ValueError(msg)
    return value


def null_word(spec: FieldSpec) -> int | None:
    """The word that means "no value"; None when the field cannot say so."""
    if spec.type in _NAN:
        return _NAN[spec.type]
    if spec.nulls:
        return int(spec.nulls[0]) & (1 << _bits(spec)) - 1
    if spec.enum is not None:
        taken = {int(key, 0) for key in spec.enum}
        return next((n for n in range(1 << _bits(spec)) if n not in taken), None)
    return None


def _bits(spec: FieldSpec) -> int:
    if spec.join:
        return sum(high - low + 1 for low, high in (part.bits for part in spec.join))
    return width(spec.type) if spec.bits is None else spec.bits[1] - spec.bits[0] + 1


def _signed(spec: FieldSpec, word: int) -> int:
    bits = _bits(spec)
    signed = spec.type.startswith("s") and spec.bits is None and not spec.join
    return word - (1 << bits) if signed and word >> (bits - 1) else word


def _integer(spec: FieldSpec, number: int) -> int:
    bits = _bits(spec)
    word = number & (1 << bits) - 1
    if _signed(spec, word) != number:
        msg = f"{spec.metric}: {number} is more than the {bits} bits of {spec.name} hold"
        raise ValueError(msg)
    return word


def _read_decimal(kind: str, word: int) -> Fraction | None:
    """A decimal float's value, exactly; None for the five words around the middle of exponent 0."""
    bits, limit, _, _ = _FLOATS[kind]
    size = bits - (4 if bits == 16 else 8)  # noqa: PLR2004 - SFLOAT
    exponent, mantissa = word >> size, word & (1 << size) - 1
    if exponent == 0 and limit < mantissa < (1 << size) - limit:
        return None
    if mantissa > limit + 2:
        mantissa -= 1 << size
    if exponent >= 1 << (bits - size - 1):
        exponent -= 1 << (bits - size)
    return mantissa * Fraction(10) ** exponent


def _decimal_float(spec: FieldSpec, number: Fraction, *, plain: bool) -> int:
    """Mantissa and exponent with as many decimals as fit, then without trailing zeros."""
    bits, limit, least, most = _FLOATS[spec.type]
    exponent_at = 12 if bits == 16 else 24  # noqa: PLR2004 - SFLOAT
    decimals = max(1, METRICS[spec.metric or ""].decimals) if plain else _FINE
    for places in range(min(decimals, -least), -most - 1, -1):
        mantissa = _nearest(number, places)
        if abs(mantissa) > limit:
            continue
        while places > 0 and mantissa % 10 == 0:
            mantissa //= 10
            places -= 1  # noqa: PLW2901 - the loop ends here
        return (-places << exponent_at | mantissa & (1 << exponent_at) - 1) & (1 << bits) - 1
    msg = f"{spec.metric}: {float(number):g} is more than the {spec.type} of {spec.name} holds"
    raise ValueError(msg)


def _line(spec: FieldSpec, second_unit: bool) -> tuple[Fraction, Fraction]:  # noqa: FBT001
    """(times, plus) from the number on the wire to the value, exactly."""
    other = spec.unit_if if second_unit else None
    scale = other.scale if other and other.scale else spec.scale
    times = _exact(scale.times) / _exact(scale.over) if scale else Fraction(1)
    unit = conversion(other.unit if other else spec.unit, METRICS[spec.metric or ""])
    return (times, Fraction(0)) if unit is None else (times * unit.times, unit.plus)


def _exact(number: float) -> Fraction:
    """The shortest decimal that is this number."""
    return Fraction(Decimal(repr(float(number))))


def _nearest(number: Fraction, places: int = 0) -> int:
    """``number * 10**places``, half away from zero."""
    scaled = abs(number) * Fraction(10) ** places
    whole = floor(scaled + Fraction(1, 2))
    return whole if number >= 0 else -whole
