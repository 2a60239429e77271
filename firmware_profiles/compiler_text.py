"""The growing text of one generated function, and the names that it uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from firmware_profiles import numbers, refusals
from firmware_profiles.profile import DecodedReading, DecodedWave
from firmware_profiles.schema import FieldSpec, Frame
from firmware_profiles.types import CLOCKS, TAILS
from hearthward.core.model import Quality

__all__ = ["Code", "Presence"]


class _Qualities(dict[int, Quality]):
    """Bits -> their Quality, made once each: an Enum's own way takes longer than decoding a field."""

    def __missing__(self, bits: int) -> Quality:
        made = self[bits] = Quality(bits)
        return made


_BASE: Final[dict[str, Any]] = {
    "R": DecodedReading,
    "W": DecodedWave,
    "QUALITY": _Qualities(),
    "sfloat": numbers.sfloat,
    "float32": numbers.float32,
    "any_bits": numbers.any_bits,
    "dt7_ns": numbers.dt7_ns,
    "time8_ns": numbers.time8_ns,
    "seconds_ns": numbers.seconds_ns,
    "stamp_ns": numbers.stamp_ns,
    "moment_text": numbers.moment_text,
    "text_of": numbers.text_of,
    "hex_text": numbers.hex_text,
    "truncated": refusals.truncated,
    "oversized": refusals.oversized,
    "unlike": refusals.unlike,
    "wrong_length": refusals.wrong_length,
    "trailing_record": refusals.trailing_record,
    "out_of_range": refusals.out_of_range,
    "check_trailer": refusals.check_trailer,
    "check_end": refusals.check_end,
    "split_pairs": refusals.split_pairs,
    "decimal_of": refusals.decimal_of,
    "hex_of": refusals.hex_of,
    "inf": float("inf"),
}

Presence = tuple[tuple[str, int, int], ...]
"""What a field's being there hangs on: fields' names, their bits, and whether those are to be 1 or 0."""


class Code:
    """One function's text: ``f_x`` is field x's number on the wire, ``v_x`` its value or None."""

    def __init__(self, source: str, frame: Frame, record: str | None, *, traced: bool = False) -> None:
        self.source = source
        self.frame = frame
        self.traced = traced
        """Whether each field is told to ``X`` as soon as it is read (see ``anatomy``)."""
        self.lines: list[str] = []
        self.names: dict[str, Any] = dict(_BASE)
        self.specs = {spec.name: spec for spec in frame.fields}
        self.record = f"f_{record}" if record in self.specs else "None"
        self.at: int | None = 0
        """The offset while it is known beforehand; afterwards the variable ``o`` has it."""
        clocks = [spec for spec in frame.fields if spec.type in CLOCKS and spec.role != "start"]
        self.timed = bool(clocks or frame.stamp)
        """Whether the device's own time may be in it: the variable ``t``."""
        self.graded = self.timed or any(spec.quality for spec in frame.fields)
        """Whether anything can be known against the readings: the variable ``q``."""
        self.elapses = any(spec.role == "elapsed_min" for spec in frame.fields)
        """Whether there is a time since the session's start: the variable ``e``."""
        self._indent = 0

    def put(self, line: str) -> None:
        """Add a line at the present indentation."""
        self.lines.append("    " * self._indent + line)

    @contextmanager
    def under(self, line: str | None) -> Iterator[None]:
        """Indent what follows under ``line``; None: nothing to stand under."""
        if line is None:
            yield
            return
        self.put(line)
        self._indent += 1
        yield
        self._indent -= 1

    def const(self, stem: str, value: Any) -> str:
        """A name for a value in the function's namespace."""
        name = f"{stem}{len(self.names)}"
        self.names[name] = value
        return name

    def text(self, signature: str) -> str:
        """The whole function."""
        return f"def {signature}:\n" + "".join(f"    {line}\n" for line in self.lines)

    def presence(self, spec: FieldSpec) -> Presence:
        """When the field is there; nothing: always. A field ``of`` another is there when that is."""
        root = self.specs[spec.of] if spec.of else spec
        return tuple((flag.field, flag.bit, flag.is_) for flag in (root.present_if, root.also_if) if flag)

    def tell(self, spec: FieldSpec, at: object = None, size: object = None) -> None:
        """Of a traced function: tell of a field that was read ``at`` an offset; None: it has no bytes."""
        if not self.traced:
            return
        if spec.type in CLOCKS:
            value = f"s_{spec.name}" if spec.role == "start" else "t"
        elif spec.wave or (spec.of and not spec.metric):
            value = "None"
        else:
            value = f"{'v' if spec.metric or spec.type in TAILS else 'f'}_{spec.name}"
        base = "at + " if self.frame.records and at is not None else ""
        self.put(f"X({spec.name!r}, {base}{at}, {size}, {value})")

    @property
    def offset(self) -> str:
        """Where the next field begins."""
        return "o" if self.at is None else str(self.at)
