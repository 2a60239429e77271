"""What each byte of a payload was read as: for people who look at a device's frames, never for deciding.

The decoder's own text is compiled once more with a word at each field, so that what is shown is what was
read. Of a frame that is refused it tells the fields up to where that was noticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from firmware_profiles.compiler import Tell, compile_trace
from firmware_profiles.profile import Profile
from firmware_profiles.schema import FieldSpec, Frame
from firmware_profiles.types import CLOCKS
from hearthward.core.clock import SECOND
from hearthward.core.codes import METRICS
from hearthward.core.errors import DecodeError
from hearthward.core.raw_frames import FieldPart

__all__ = ["FieldPart", "dissect"]

MOST_KEPT: Final = 128
"""Compiled functions that are remembered."""
MOST_VALUES: Final = 8
"""Of a list of values so many are written out."""
MOST_TEXT: Final = 64
STAMP_BYTES: Final = 17
"""MM/DD/YY HH:MM:SS."""
_Trace = Callable[[bytes, Tell], Any]
_kept: dict[tuple[str, str], _Trace] = {}


def dissect(profile: Profile, source: str, payload: bytes) -> tuple[FieldPart, ...]:
    """The fields in the order in which they were read; none where the profile does not know the source."""
    part = profile.part_of(source)
    name = source if source in part.document.frames else source.lower()
    frame = part.document.frames.get(name)
    if frame is None:
        return ()
    told: list[FieldPart] = []
    specs = {spec.name: spec for spec in frame.fields}

    def tell(field: str, offset: int | None, length: int | None, value: Any) -> None:
        spec = specs[field]
        if offset is None or length is None:
            place = _place(spec, told, payload)
            if place is None:
                return
            offset, length = place
        told.append(_part(spec, offset, length, value))

    try:
        _trace_of(part.hash, name, frame)(payload, tell)
    except DecodeError:
        return tuple(told)
    return (*_stamp(frame, payload), *told, *_check(frame, told, payload))


def _trace_of(profile: str, source: str, frame: Frame) -> _Trace:
    key = profile, source
    if key not in _kept:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[key] = compile_trace(source, frame)
    return _kept[key]


def _place(spec: FieldSpec, told: list[FieldPart], payload: bytes) -> tuple[int, int] | None:
    """Where a field that has no bytes of its own takes its number from; None: it is not there."""
    if spec.key:
        found = re.search(rb"(?:^|\s)" + re.escape(spec.key.encode()) + rb"=(\S*)", payload)
        return None if found is None else (found.start(1), len(found[1]))
    roots = {spec.of} if spec.of else {part.field for part in spec.join}
    parts = [part for part in told if part.name in roots]
    if not parts:
        return None
    first = min(part.offset for part in parts)
    return first, max(part.offset + part.length for part in parts) - first


def _part(spec: FieldSpec, offset: int, length: int, value: Any) -> FieldPart:
    unit = METRICS[spec.metric].unit if spec.metric else None
    return FieldPart(spec.name, offset, length, _said(spec, value), unit or "", spec.metric or "")


def _said(spec: FieldSpec, value: Any) -> str:
    if value is None:
        return ""
    if spec.type in CLOCKS:
        seconds = int(value) // SECOND
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
    if isinstance(value, list | tuple):
        more = " ..." if len(value) > MOST_VALUES else ""
        return " ".join(_number(one) for one in value[:MOST_VALUES]) + more
    return _number(value)


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:MOST_TEXT]


def _stamp(frame: Frame, payload: bytes) -> list[FieldPart]:
    """The time before a line's pairs."""
    if frame.stamp is None:
        return []
    return [
        FieldPart(
            "stamp", 0, min(STAMP_BYTES, len(payload)), payload[:STAMP_BYTES].decode("ascii", "replace")
        )
    ]


def _check(frame: Frame, told: list[FieldPart], payload: bytes) -> list[FieldPart]:
    """The check behind the last field of a frame that is no row of records."""
    if frame.integrity is None or frame.records or not told:
        return []
    end = len(payload) - (2 if frame.integrity.startswith("crc16") else 1)
    if frame.length is None and end < max(part.offset + part.length for part in told):
        return []  # it need not be there
    return [FieldPart(frame.integrity, end, len(payload) - end, payload[end:].hex())]
