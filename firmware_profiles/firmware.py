"""Firmware versions and ranges of them, such as ``>=4.6 <5``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

__all__ = ["FirmwareRange", "parse_version"]

Version = tuple[int, ...]

_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,7}")
_BOUND = re.compile(r"(>=|<=|==|>|<)(\d{1,9}(?:\.\d{1,9}){0,7})")


def parse_version(text: str) -> Version | None:
    """The first dotted number in a firmware text (``V4.6.0-rc1`` -> (4, 6)), None when there is none.

    Trailing zeros do not count: 4.6 and 4.6.0 are the same version.
    """
    found = _VERSION.search(text)
    return None if found is None else _stripped(found.group())


def _stripped(text: str) -> Version:
    parts = [int(part) for part in text.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class FirmwareRange:
    """An interval of versions; an end is None when open, and ``..._in`` says whether it belongs to it."""

    low: Version | None = None
    low_in: bool = True
    high: Version | None = None
    high_in: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Bounds separated by spaces, all of which hold; raises ValueError for anything else."""
        out = cls()
        for part in text.split():
            found = _BOUND.fullmatch(part)
            if found is None:
                msg = f"firmware bound {part!r} is not one of >=, >, <=, <, == and a version such as 4.6"
                raise ValueError(msg)
            sign, version = found.group(1), _stripped(found.group(2))
            bounds = {
                ">=": cls(low=version),
                ">": cls(low=version, low_in=False),
                "<=": cls(high=version),
                "<": cls(high=version, high_in=False),
                "==": cls(low=version, high=version),
            }
            out = out.meet(bounds[sign])
        if out.empty:
            msg = f"firmware range {text!r} holds no version"
            raise ValueError(msg)
        return out

    @property
    def everything(self) -> bool:
        """Whether both ends are open."""
        return self.low is None and self.high is None

    @property
    def empty(self) -> bool:
        """Whether no version can be in it."""
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and not (self.low_in and self.high_in))

    def meet(self, other: FirmwareRange) -> Self:
        """What is in both; may be empty."""
        low, low_in = self.low, self.low_in
        if other.low is not None and (low is None or other.low >= low):
            low_in = other.low_in and (other.low != low or low_in)
            low = other.low
        high, high_in = self.high, self.high_in
        if other.high is not None and (high is None or other.high <= high):
            high_in = other.high_in and (other.high != high or high_in)
            high = other.high
        return type(self)(low, low_in, high, high_in)

    def __contains__(self, version: Version) -> bool:
        if self.low is not None and (version < self.low or (version == self.low and not self.low_in)):
            return False
        return self.high is None or version < self.high or (version == self.high and self.high_in)
