"""The numbers, times and texts of medical payloads; decoders raise DecodeError, and only that.

SFLOAT and FLOAT: ISO/IEEE 11073-20601; DT7, time zone and DST offset: the Bluetooth SIG's GATT Specification
Supplement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Final

from hearthward.core.clock import naive_iso
from hearthward.core.errors import DecodeError

__all__ = [
    "any_bits",
    "converter",
    "dt7_ns",
    "encode_float32",
    "encode_sfloat",
    "float32",
    "hex_text",
    "moment_text",
    "seconds_ns",
    "sfloat",
    "stamp_ns",
    "text_of",
    "time8_ns",
]

SFLOAT_SPECIAL: Final = frozenset({0x07FE, 0x07FF, 0x0800, 0x0801, 0x0802})
FLOAT32_SPECIAL: Final = frozenset({0x007FFFFE, 0x007FFFFF, 0x00800000, 0x00800001, 0x00800002})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1678, 2261  # whole years within signed 64-bit nanoseconds
_MAX_TEXT = 512  # of an ATT attribute's value
_STAMP = re.compile(r"(\d\d)/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)")


@lru_cache(maxsize=4096)
def sfloat(word: int) -> float | None:
    """A 16-bit SFLOAT's value, None for NaN, NRes, +INF, -INF and the reserved word."""
    if word in SFLOAT_SPECIAL:
        return None
    return _decimal(_signed(word & 0xFFF, 12), _signed(word >> 12, 4))


@lru_cache(maxsize=4096)
def float32(word: int) -> float | None:
    """A 32-bit FLOAT's value (11073, not IEEE 754), None for the special words."""
    if word in FLOAT32_SPECIAL:
        return None
    return _decimal(_signed(word & 0xFFFFFF, 24), _signed(word >> 24, 8))


_PARTS: Final[dict[str, tuple[frozenset[int], int]]] = {
    "sfloat": (SFLOAT_SPECIAL, 12),
    "float32-11073": (FLOAT32_SPECIAL, 24),
}


def converter(
    kind: str, times: Fraction, plus: Fraction, nulls: Collection[float] = ()
) -> Callable[[int], float | None]:
    """A function from the word of an SFLOAT or FLOAT to its value * times + plus, correctly rounded.

    None for the special words and for values (before the conversion) in ``nulls``.
    """
    special, bits = _PARTS[kind]
    rest = {12: 4, 24: 8}[bits]
    none = frozenset(nulls)

    @lru_cache(maxsize=1024)
    def convert(word: int) -> float | None:
        if word in special:
            return None
        mantissa, exponent = _signed(word & (1 << bits) - 1, bits), _signed(word >> bits, rest)
        if none and _decimal(mantissa, exponent) in none:
            return None
        top, bottom = mantissa * times.numerator, times.denominator
        if exponent < 0:
            bottom *= 10**-exponent
        else:
            top *= 10**exponent
        return (top * plus.denominator + plus.numerator * bottom) / (bottom * plus.denominator)

    return convert


def any_bits(parts: bytes, harmless: bytes) -> int:
    """The bits that are set in any of the bytes but the ``harmless`` ones, each looked at once."""
    rest, found = bytes(parts).translate(None, harmless), 0
    while rest:
        found |= rest[0]
        rest = rest.translate(None, rest[:1])
    return found


def encode_sfloat(value: float | None) -> int:
    """The SFLOAT nearest to ``value`` (None: NaN). Raises ValueError when it is too large."""
    if value is None:
        return 0x07FF
    mantissa, exponent = _scaled(value, 2045, range(-8, 8))
    return (exponent & 0xF) << 12 | mantissa & 0xFFF


def encode_float32(value: float | None) -> int:
    """The 32-bit FLOAT nearest to ``value`` (None: NaN). Raises ValueError when it is too large."""
    if value is None:
        return 0x007FFFFF
    mantissa, exponent = _scaled(value, 0x7FFFFD, range(-128, 128))
    return (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def _decimal(mantissa: int, exponent: int) -> float:
    """Correctly rounded: 36 * 10^-1 is 3.6 and not 3.6000000000000001."""
    return mantissa / 10**-exponent if exponent < 0 else float(mantissa * 10**exponent)


def _scaled(value: float, limit: int, exponents: range) -> tuple[int, int]:
    """Mantissa within +-limit and the exponent that loses least (the one nearest 0 among equals)."""
    ratio = value.as_integer_ratio()
    best: tuple[float, int, int, int] | None = None
    for exponent in exponents:
        top, bottom = (
            (ratio[0], ratio[1] * 10**exponent) if exponent >= 0 else (ratio[0] * 10**-exponent, ratio[1])
        )
        mantissa = round(top / bottom) if abs(top) <= (limit + 1) * bottom else limit + 1
        if abs(mantissa) <= limit:
            candidate = abs(_decimal(mantissa, exponent) - value), abs(exponent), mantissa, exponent
            best = candidate if best is None else min(best, candidate)
    if best is None:
        msg = f"{value} does not fit"
        raise ValueError(msg)
    return best[2], best[3]


def dt7_ns(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    """A DT7 as naive nanoseconds; None when the device does not know its date.

    Year, month or day 0 mean "not known"; years that nanoseconds in 64 bits cannot hold are taken as such.
    Raises DecodeError (``malformed``) for a date that does not exist.
    """
    if not (year and month and day):
        return None
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as e:
        msg = f"no such date: {year}-{month}-{day} {hour}:{minute}:{second} ({e})"
        raise DecodeError(msg, reason="malformed", field="time") from e
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000


def time8_ns(*parts: int) -> int | None:
    """Century, year, month, day, hour, minute, second and a fraction (left out), a byte each, as ``dt7_ns``.

    In binary or in BCD: the century tells (20 is 0x14 or 0x20; no instrument means the 33rd century).
    Raises DecodeError (``malformed``) for a date that does not exist or a digit that is none.
    """
    if parts[0] in _BCD_CENTURIES:
        digits = bytes(parts[:7]).hex()
        if not digits.isdecimal():
            msg = f"{digits} is no date in decimal digits"
            raise DecodeError(msg, reason="malformed", field="time")
        parts = tuple(int(digits[i : i + 2]) for i in range(0, 14, 2))
    century, year, month, day, hour, minute, second = parts[:7]
    return dt7_ns(century * 100 + year, month, day, hour, minute, second)


def seconds_ns(count: int, epoch: int) -> int | None:
    """Seconds since ``epoch`` (s since 1970) as naive nanoseconds; None for 0: the clock is not set."""
    return (epoch + count) * 1_000_000_000 if count else None


_BCD_CENTURIES: Final = frozenset({0x19, 0x20, 0x21})
_DST_MINUTES: Final = {0: 0, 2: 30, 4: 60, 8: 120}
_FARTHEST: Final = (-48, 56)  # quarters of an hour


def moment_text(at: int | None, quarters: int | None, dst: int | None) -> str | None:
    """A device's local time as ISO 8601, with its zone when that is known; None for no time.

    ``quarters``: standard time's offset from UTC in 15 min (-128: unknown), ``dst``: Bluetooth's DST offset
    (255: unknown); a zone without knowing its summer time is taken as unknown.
    """
    if at is None:
        return None
    minutes = _DST_MINUTES.get(dst if dst is not None else -1)
    known = quarters is not None and _FARTHEST[0] <= quarters <= _FARTHEST[1]
    if quarters is None or not known or minutes is None:
        return naive_iso(at)
    total = quarters * 15 + minutes
    hours, rest = divmod(abs(total), 60)
    return f"{naive_iso(at)}{'-' if total < 0 else '+'}{hours:02}:{rest:02}"


def hex_text(raw: bytes, name: str) -> str | None:
    """Bytes as hexadecimal digits; None for none. Raises DecodeError (``oversized``) beyond 512 bytes."""
    if len(raw) > _MAX_TEXT:
        msg = f"{name} has {len(raw)} bytes, more than {_MAX_TEXT}"
        raise DecodeError(msg, reason="oversized", offset=_MAX_TEXT, field=name)
    return bytes(raw).hex() or None


def stamp_ns(text: str) -> int | None:
    """``MM/DD/YY HH:MM:SS`` of this century as naive nanoseconds; None when month or day are 00."""
    found = _STAMP.fullmatch(text)
    if found is None:
        msg = f"{text!r} is no time stamp MM/DD/YY HH:MM:SS"
        raise DecodeError(msg, reason="malformed", field="time")
    month, day, year, *clock = map(int, found.groups())
    return dt7_ns(2000 + year, month, day, *clock)


def text_of(raw: bytes, name: str) -> str | None:
    """A UTF-8 text without the padding around it; None when nothing is left.

    Raises DecodeError: ``oversized`` beyond 512 bytes, ``malformed`` for bytes that are no text.
    """
    if len(raw) > _MAX_TEXT:
        msg = f"{name} has {len(raw)} bytes, more than {_MAX_TEXT}"
        raise DecodeError(msg, reason="oversized", offset=_MAX_TEXT, field=name)
    try:
        text = bytes(raw).decode("utf-8").rstrip("\0").strip()
    except UnicodeDecodeError as e:
        msg = f"{name} is not UTF-8 text"
        raise DecodeError(msg, reason="malformed", offset=e.start, field=name) from e
    if not text.isprintable():
        msg = f"{name} holds control characters"
        raise DecodeError(msg, reason="malformed", field=name)
    return text or None
