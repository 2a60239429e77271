"""Columns of numbers as few bytes: what blocks of readings are packed from (see ``hearthward.core.wire``)."""

from __future__ import annotations

import sys
from array import array
from itertools import accumulate, pairwise
from typing import Any, Final

__all__ = ["fits_int64", "pack_floats", "pack_ints", "unpack_floats", "unpack_ints"]

_INT64: Final = 2**63
_LIMITS: Final = (("b", 2**7), ("h", 2**15), ("i", 2**31))
_KINDS_OF_INTS: Final = frozenset("cbhiq")
_BIG: Final = sys.byteorder == "big"


def _raw(column: array[Any]) -> bytes:
    if _BIG:
        column.byteswap()
    return column.tobytes()


def pack_ints(values: list[int]) -> list[object]:
    """Column of integers -> constant, or first value and differences in the smallest type.

    Raises ValueError for an integer of more than 64 bits.
    """
    first = values[0]
    if not -_INT64 <= min(values) <= max(values) < _INT64:
        msg = "an integer does not fit into 64 bits"
        raise ValueError(msg)
    if values.count(first) == len(values):
        return ["c", first]
    deltas = [b - a for a, b in pairwise(values)]
    widest = max(*deltas, -min(deltas) - 1)
    for code, limit in _LIMITS:
        if widest < limit:
            return [code, first, _raw(array(code, deltas))]
    return ["q", _raw(array("q", values))]


def unpack_ints(packed: list[Any], n: int) -> list[int]:
    """The way back, ``n`` values if constant. Raises ValueError, TypeError or OverflowError on damage."""
    kind, first, *_ = packed
    if kind not in _KINDS_OF_INTS or (kind != "q" and not fits_int64(first)):
        msg = f"unknown kind of integers {kind!r}"
        raise ValueError(msg)
    if kind == "c":
        return [first] * n
    column = array(kind)
    column.frombytes(packed[-1])
    if _BIG:
        column.byteswap()
    if kind == "q":
        return column.tolist()
    out = list(accumulate(column, initial=first))
    if not (fits_int64(min(out)) and fits_int64(max(out))):
        msg = "an integer does not fit into 64 bits"
        raise ValueError(msg)
    return out


def fits_int64(value: object) -> bool:
    """Whether it is an integer (no bool) of 64 bits."""
    return type(value) is int and -_INT64 <= value < _INT64


def pack_floats(values: list[float | None]) -> list[object]:
    """Column of numbers -> the places of the missing ones, and IEEE 754 doubles."""
    missing = [i for i, v in enumerate(values) if v is None]
    return ["d", missing, _raw(array("d", [0.0 if v is None else v for v in values]))]


def unpack_floats(packed: list[Any]) -> list[float | None]:
    """The way back. Raises ValueError, TypeError or IndexError on damage."""
    column = array("d")
    column.frombytes(packed[2])
    if _BIG:
        column.byteswap()
    out: list[float | None] = [*column]
    for i in packed[1]:
        if i < 0:
            msg = "negative place of a missing value"
            raise ValueError(msg)
        out[i] = None
    return out
