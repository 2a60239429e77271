"""What of a river dictionary is a number."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, TypeGuard

__all__ = ["is_number"]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is one, finite; those of numpy are, too.

    >>> [is_number(value) for value in (1, 2.5, None, "3", float("inf"))]
    [True, True, False, False, False]
    """
    return isinstance(value, Real) and math.isfinite(value)
