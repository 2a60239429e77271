"""What compiled decoders call: refusals of a frame, its integrity check, and lines of pairs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

from hearthward.core.errors import DecodeError

__all__ = [
    "INTEGRITY",
    "check_end",
    "check_trailer",
    "crc16_mcrf4xx",
    "decimal_of",
    "hex_of",
    "out_of_range",
    "oversized",
    "split_pairs",
    "sum7",
    "sum8",
    "trailing_record",
    "truncated",
    "unlike",
    "wrong_length",
    "xor8",
]

_PAIR = re.compile(r"([^= ]+)=([^= ]+)")
_DASHES = re.compile(r"[-+.]*-[-+.]*")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,9}(\.[0-9]{1,9})?")
_HEX = re.compile(r"[0-9a-fA-F]{1,8}")
_STAMP = re.compile(r"[0-9/]{8} [0-9:]{8}(?= |$)")
_MCRF4XX_POLY = 0x8408


def truncated(source: str, need: int, have: int) -> DecodeError:
    """A frame that ends before its fields do."""
    msg = f"{source}: {have} bytes, at least {need} needed"
    return DecodeError(msg, reason="truncated", offset=have, source=source, need=need)


def oversized(source: str, used: int, have: int) -> DecodeError:
    """A frame with bytes after its last field."""
    msg = f"{source}: {have} bytes, {have - used} more than its fields take"
    return DecodeError(msg, reason="oversized", offset=used, source=source)


def wrong_length(source: str, length: int, have: int) -> DecodeError:
    """A frame of fixed places that is not as long as it must be."""
    return truncated(source, length, have) if have < length else oversized(source, length, have)


def trailing_record(source: str, size: int, have: int) -> DecodeError:
    """A list to the end of the frame whose last element is incomplete."""
    msg = f"{source}: the last element of {size} bytes is incomplete in {have} bytes"
    return DecodeError(msg, reason="truncated", offset=have, source=source)


def unlike(source: str, field: str, found: int, wanted: int) -> DecodeError:
    """A frame of another kind than this one."""
    msg = f"{source}: {field} is {found:#x}, and {wanted:#x} in every frame of this kind"
    return DecodeError(msg, reason="malformed", source=source, field=field)


def out_of_range(source: str, field: str, value: float, low: float, high: float, unit: str) -> DecodeError:
    """A value that the instrument cannot mean."""
    msg = f"{source}: {field} is {value:g} {unit}, outside the plausible {low:g} to {high:g}"
    return DecodeError(
        msg, reason="out_of_range", source=source, field=field, value=value, low=low, high=high
    )


def sum8(data: bytes) -> bytes:
    """The low byte of the sum."""
    return bytes([sum(data) & 0xFF])


def sum7(data: bytes) -> bytes:
    """The low seven bits of the sum."""
    return bytes([sum(data) & 0x7F])


def xor8(data: bytes) -> bytes:
    """All bytes xor-ed."""
    check = 0
    for byte in data:
        check ^= byte
    return bytes([check])


def _mcrf4xx_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ _MCRF4XX_POLY if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_MCRF4XX = _mcrf4xx_table()


def crc16_mcrf4xx(data: bytes) -> bytes:
    """The E2E-CRC of the Bluetooth CGM service: reflected 0x1021, initially 0xFFFF, little-endian."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _MCRF4XX[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _crc8_table(poly: int, *, reflected: bool) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            if reflected:
                crc = crc >> 1 ^ poly if crc & 1 else crc >> 1
            else:
                crc = (crc << 1 ^ poly) & 0xFF if crc & 0x80 else crc << 1
        table.append(crc)
    return tuple(table)


_CRC8 = _crc8_table(0x07, reflected=False)
_CRC8_MAXIM = _crc8_table(0x8C, reflected=True)


def crc8(data: bytes) -> bytes:
    """CRC-8: polynomial 0x07, initially 0."""
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return bytes([crc])


def crc8_maxim(data: bytes) -> bytes:
    """CRC-8/MAXIM: polynomial 0x31 reflected, initially 0."""
    crc = 0
    for byte in data:
        crc = _CRC8_MAXIM[crc ^ byte]
    return bytes([crc])


INTEGRITY: Final[dict[str, tuple[int, Callable[[bytes], bytes]]]] = {
    "sum8": (1, sum8),
    "sum7": (1, sum7),
    "xor8": (1, xor8),
    "crc8": (1, crc8),
    "crc8-maxim": (1, crc8_maxim),
    "crc16-mcrf4xx": (2, crc16_mcrf4xx),
}


def check_trailer(source: str, kind: str, payload: bytes, none: bytes | None = None) -> bytes:
    """The payload without its trailing check, or without ``none``, which says that there is no check.

    Raises DecodeError (``truncated``, ``integrity``).
    """
    size, check = INTEGRITY[kind]
    if len(payload) <= size:
        raise truncated(source, size + 1, len(payload))
    body, found = payload[:-size], bytes(payload[-size:])
    if found != none:
        _same(source, kind, found, check(body), len(body))
    return body


def check_end(source: str, kind: str, payload: bytes, end: int) -> None:
    """Refuse a frame whose rest from ``end`` on is not its check.

    Raises DecodeError (``truncated``, ``oversized``, ``integrity``).
    """
    size, check = INTEGRITY[kind]
    if len(payload) != end + size:
        raise wrong_length(source, end + size, len(payload))
    _same(source, kind, bytes(payload[end:]), check(payload[:end]), end)


def _same(source: str, kind: str, found: bytes, expected: bytes, at: int) -> None:
    if found != expected:
        msg = f"{source}: {kind} is {found.hex()}, the bytes give {expected.hex()}"
        raise DecodeError(msg, reason="integrity", offset=at, source=source)


def _malformed(source: str, message: str, field: str | None = None) -> DecodeError:
    return DecodeError(f"{source}: {message}", reason="malformed", source=source, field=field)


def split_pairs(source: str, required: Collection[str], payload: bytes) -> tuple[str, dict[str, str]]:
    """A line's time stamp and its pairs. Raises DecodeError (``malformed``, ``truncated``)."""
    try:
        line = bytes(payload).decode("ascii").rstrip("\r\n ")
    except UnicodeDecodeError as e:
        raise _malformed(source, "holds bytes that are no ASCII") from e
    if not line.isprintable():
        raise _malformed(source, "holds control characters")
    stamp = _STAMP.match(line)
    if stamp is None:
        raise _malformed(source, "does not begin with a time stamp")
    pairs: dict[str, str] = {}
    for word in line[stamp.end() :].split(" "):
        if not word:
            continue
        found = _PAIR.fullmatch(word)
        if found is None:
            raise _malformed(source, f"{word!r} is no KEY=VALUE")
        if found.group(1) in pairs:
            raise _malformed(source, f"key {found.group(1)} stands there twice")
        pairs[found.group(1)] = found.group(2)
    if missing := [key for key in required if key not in pairs]:
        msg = f"{source}: the line lacks {', '.join(missing)}"
        raise DecodeError(msg, reason="truncated", offset=len(payload), source=source)
    return stamp.group(), pairs


def decimal_of(source: str, name: str, raw: str | None, suffix: str, digits: int) -> float | None:
    """A decimal number; None for a missing key or dashes. ``digits`` > 0: at least so many, no fraction."""
    if raw is None:
        return None
    text = raw.removesuffix(suffix) if suffix else raw
    if _DASHES.fullmatch(text):
        return None
    if not _DECIMAL.fullmatch(text) or (digits and not (len(text) >= digits and text.isdigit())):
        what = f"{digits} digits or more" if digits else "a decimal number"
        raise _malformed(source, f"{name} is {raw!r}, not {what}", field=name)
    return float(text)


def hex_of(source: str, name: str, raw: str | None, digits: int) -> int | None:
    """A hexadecimal number of up to 32 bits; None for a missing key or dashes. ``digits`` as above."""
    if raw is None or _DASHES.fullmatch(raw):
        return None
    if not _HEX.fullmatch(raw) or len(raw) < digits:
        what = f"{digits} hexadecimal digits or more" if digits else "a hexadecimal number"
        raise _malformed(source, f"{name} is {raw!r}, not {what}", field=name)
    return int(raw, 16)
