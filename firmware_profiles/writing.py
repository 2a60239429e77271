"""Profiles as text: a first file from answers, and captured frames as vectors. Pure.

Every text is written as a quoted scalar, which YAML reads as JSON does, so nothing in it is taken for syntax.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firmware_profiles.profile import DecodedReading, Profile
from hearthward.core.clock import naive_iso
from hearthward.core.errors import DecodeError
from hearthward.core.model import quality_names

__all__ = ["BleDraft", "Captured", "Draft", "FieldDraft", "SerialDraft", "profile_text", "vectors_text"]


@dataclass(frozen=True, slots=True)
class Captured:
    """One frame of a real device and where it is from: (who, when, which device), in a sentence."""

    source: str
    payload: bytes
    origin: str


@dataclass(frozen=True, slots=True)
class FieldDraft:
    """One field in the order of the bytes; without a metric it is parsed over."""

    name: str
    type: str
    metric: str | None = None
    unit: str | None = None
    big_endian: bool = False


@dataclass(frozen=True, slots=True)
class BleDraft:
    """How a Bluetooth device is known and heard: its advertised name, its characteristic, how it sends."""

    name: str
    characteristic: str
    mode: str


@dataclass(frozen=True, slots=True)
class SerialDraft:
    """How a serial instrument talks: its line, and frames of ``length`` bytes that begin with ``start``."""

    baudrate: int
    bytesize: int
    parity: str
    stopbits: int
    length: int
    start: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What ``hearthward profiles new`` asked; ``extends`` names a profile whose frames it has, or None."""

    id: str
    title: str
    source: str
    line: BleDraft | SerialDraft
    fields: tuple[FieldDraft, ...] = ()
    extends: str | None = None
    interval_s: float | None = None

    @property
    def frame(self) -> str:
        """The name of its one frame."""
        return self.line.characteristic if isinstance(self.line, BleDraft) else "frame"


def profile_text(draft: Draft, vectors: str) -> str:
    """A profile file's text; ``vectors`` as ``vectors_text`` gives it."""
    lines = [
        f"# {draft.title}",
        "# A first draft: compare each field with the device's display before you rely on it.",
        "schema: 1",
        f"id: {draft.id}",
        "version: 1",
        f"title: {_text(draft.title)}",
        "provenance:",
        f"  source: {_text(draft.source)}",
        '  licence: "facts read from our own frames"',
        "  certainty: captured",
    ]
    if draft.extends is not None:
        lines.append(f"extends: {draft.extends}")
    lines += _match(draft)
    if draft.extends is None:
        lines += [*_transport(draft), *_frames(draft)]
    return "\n".join(lines) + "\n" + vectors


def _match(draft: Draft) -> list[str]:
    if isinstance(draft.line, BleDraft):
        return ["match:", "  ble:", f"    - {{name: {_text(draft.line.name)}}}", "  priority: 10"]
    return ["match: {}"]


def _transport(draft: Draft) -> list[str]:
    every = [] if draft.interval_s is None else [f"  expected_interval_s: {draft.interval_s:g}"]
    line = draft.line
    if isinstance(line, BleDraft):
        subscribe = f"  - {{subscribe: {_text(line.characteristic)}, mode: {line.mode}}}"
        return ["transport:", "  kind: ble", *every, "session:", subscribe]
    start = [f"  start: {_text(line.start)}"] if line.start else []
    return [
        "transport:",
        "  kind: serial",
        *every,
        f"  baudrate: {line.baudrate}",
        f"  bytesize: {line.bytesize}",
        f"  parity: {_text(line.parity)}",
        f"  stopbits: {line.stopbits}",
        "framing:",
        "  kind: fixed",
        f"  source: {draft.frame}",
        f"  length: {line.length}",
        *start,
    ]


def _frames(draft: Draft) -> list[str]:
    return ["frames:", f"  {_text(draft.frame)}:", "    fields:", *map(_field, draft.fields)]


def _field(spec: FieldDraft) -> str:
    parts = [f"name: {spec.name}", f"type: {spec.type}"]
    if spec.big_endian:
        parts.append("endian: big")
    if spec.metric is not None:
        parts.append(f"metric: {spec.metric}")
    if spec.unit is not None:
        parts.append(f"unit: {_text(spec.unit)}")
    return f"      - {{{', '.join(parts)}}}"


def vectors_text(profile: Profile | None, frames: Sequence[Captured]) -> str:
    """Captured frames as a ``vectors`` section with what ``profile`` makes of each now.

    What is written is what the decoder says, not what is right: a person compares it with the device's
    display. Without a profile each frame stands there as refused, so that a check fails until it is known.
    """
    lines = ["vectors:"]
    for frame in frames:
        lines += [
            f"  - origin: {_text(frame.origin)}",
            f"    source: {_text(frame.source)}",
            _bytes(profile, frame),
        ]
        lines += ["    evidence: captured", *_outcome(profile, frame)]
    return "\n".join(lines) + "\n"


def _bytes(profile: Profile | None, frame: Captured) -> str:
    known = None if profile is None else profile.document.frames.get(frame.source)
    if known is not None and known.format == "pairs" and frame.payload.isascii():
        return f"    text: {_text(frame.payload.decode('ascii'))}"
    return f'    hex: "{frame.payload.hex(" ").upper()}"'


def _outcome(profile: Profile | None, frame: Captured) -> list[str]:
    if profile is None:
        return ["    refused: malformed"]
    try:
        readings = profile.decode(frame.source, frame.payload)
    except DecodeError as error:
        return [f"    refused: {error.reason}"]
    return ["    readings:", *map(_reading, readings)] if readings else ["    readings: []"]


def _reading(reading: DecodedReading) -> str:
    parts = [f"metric: {reading.metric}"]
    if reading.value is not None:
        parts.append(f"value: {reading.value!r}".removesuffix(".0"))
    if reading.code is not None:
        parts.append(f"code: {_text(reading.code)}")
    if reading.device_time is not None:
        parts.append(f"time: {_text(naive_iso(reading.device_time))}")
    if names := quality_names(reading.quality):
        parts.append(f"quality: {_flow(names)}")
    if reading.record is not None:
        parts.append(f"record: {reading.record}")
    return f"      - {{{', '.join(parts)}}}"


def _flow(words: Iterable[str]) -> str:
    return f"[{', '.join(words)}]"


def _text(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
