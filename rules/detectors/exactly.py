"""What Python's numbers do, for numpy's arrays, bit by bit: what the batched twins share.

Sums, products, quotients and roots of floating-point numbers are the same in both. A quotient of large whole
numbers, a decimal rounding and whatever ``math`` computes are not: these are here. The edge goes without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np

__all__ = ["Array", "mapped", "numbered", "parts", "quotient", "rounded", "rounds"]

Array: TypeAlias = Any
"""Of numpy, one item a reading; or a number that goes for all of them."""

_WHOLE: Final = 2**53
"""Whole numbers up to here are floating-point numbers, too."""
_DIGITS: Final = 6
_SHIFT: Final = 10.0**_DIGITS


def mapped(function: Callable[[float], float], values: Array) -> Array:
    """What a function of ``math`` gives for each."""
    return np.fromiter(map(function, values.tolist()), np.float64, len(values))


def quotient(above: Array, below: Array) -> Array:
    """``above / below`` of whole numbers (64 bits), as Python divides them: rounded once, however large.

    >>> quotient(np.array([1_700_000_000_123_456_789]), 1_000_000_000).tolist()
    [1700000000.1234567]
    """
    found = above / below
    large = (np.abs(above) > _WHOLE) | (np.abs(below) > _WHOLE)
    if large.any():
        each = np.broadcast_to(below, above.shape)[large].tolist()
        found[large] = [a / b for a, b in zip(above[large].tolist(), each, strict=True)]
    return found


def rounded(values: Array) -> Array:
    """``round(value, 6)`` of each, as Python rounds: to the nearest decimal, not to that of a product.

    >>> rounded(np.array([1.0000005, 2.5, 0.0078125])).tolist()
    [1.000001, 2.5, 0.007812]
    """
    large = values * _SHIFT
    whole = np.rint(large)
    found = whole / _SHIFT
    doubt = np.abs(np.abs(large - whole) - 0.5) <= np.abs(large) * 2.0**-51
    unsure = np.flatnonzero(doubt | ~(np.abs(large) < 2.0**50))
    for n in unsure.tolist():
        found[n] = round(float(values[n]), _DIGITS)
    return found


def numbered(streams: Array, count: int) -> Array:
    """The numbers of streams as numpy takes them. Raises ValueError for one that there is not."""
    streams = np.asarray(streams, np.intp)
    wrong = (streams < 0) | (streams >= count)
    if wrong.any():
        msg = f"stream {streams[wrong][0]}; there are {count}, numbered from 0"
        raise ValueError(msg)
    return streams


def rounds(streams: Array) -> list[Array]:
    """Places in the batch: in a round no stream occurs twice, and streams ascend as their states do."""
    if (streams[1:] > streams[:-1]).all():
        return [np.arange(len(streams))]
    order = np.argsort(streams, kind="stable")
    ordered = streams[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    nth = np.arange(len(streams)) - np.repeat(begins, np.diff(np.r_[begins, len(streams)]))
    by_round = np.argsort(nth, kind="stable")
    return np.split(order[by_round], np.cumsum(np.bincount(nth))[:-1])


def parts(streams: Array, most: int) -> Iterator[Array]:
    """The places of ``rounds``, at most so many at a time."""
    for chosen in rounds(streams):
        for start in range(0, len(chosen), most):
            yield chosen[start : start + most]
