"""A compiled profile: what the device sessions hold and ask to decode bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from firmware_profiles.framing import Framer, framer_of
from firmware_profiles.schema import ProfileDocument
from firmware_profiles.steps import RacpStep, Step
from hearthward.core.errors import ConfigError, DecodeError
from hearthward.core.model import Quality

__all__ = [
    "DecodedReading",
    "DecodedWave",
    "Decoder",
    "Profile",
    "RacpStep",
    "SerialSettings",
    "Step",
    "Timings",
    "WaveDecoder",
]

Transport = Literal["ble", "advertisement", "serial"]


@dataclass(frozen=True, slots=True)
class DecodedReading:
    """One value out of one payload.

    ``value`` is in the metric's canonical unit (UCUM) and None for coded metrics, whose text is ``code``;
    ``device_time`` is the device's own clock as naive nanoseconds, ``record`` its own record number.
    """

    metric: str
    value: float | None
    code: str | None
    unit: str | None
    device_time: int | None
    quality: Quality
    record: int | None
    elapsed: int | None = None
    """Nanoseconds since the device's own session began (CGM), where its frames give no time but this."""


@dataclass(frozen=True, slots=True)
class DecodedWave:
    """Samples of a waveform out of one payload, evenly spaced; value = sample * ``scale`` in ``unit``."""

    metric: str
    rate_hz: float
    samples: tuple[int, ...]
    scale: float
    unit: str | None
    quality: Quality


WaveDecoder = Callable[[bytes], tuple[DecodedWave, ...]]
Decoder = Callable[[bytes], tuple[DecodedReading, ...]]


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds: to connect; of silence until the link is taken for dead (None: never); of back-off."""

    connect_timeout_s: float
    idle_s: float | None
    backoff_first_s: float
    backoff_max_s: float


@dataclass(frozen=True, slots=True)
class SerialSettings:
    """How to open the port; ``parity`` as pyserial spells it."""

    baudrate: int
    bytesize: int
    parity: Literal["N", "E", "O"]
    stopbits: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A device model and firmware range, ready to decode; immutable.

    ``hash`` covers the resolved content (16 hex digits; comments, key order and vectors do not count).
    ``sources`` are short characteristic ids (``2a35``) or frame names (``ascii1``).
    """

    id: str
    version: int
    title: str
    hash: str
    transport: Transport
    expected_interval_s: float | None
    timings: Timings
    serial: SerialSettings | None
    session: tuple[Step, ...]
    sources: tuple[str, ...]
    file: str
    document: ProfileDocument = field(repr=False, compare=False)
    decoders: Mapping[str, Decoder] = field(repr=False, compare=False)
    wave_decoders: Mapping[str, WaveDecoder] = field(default_factory=dict, repr=False, compare=False)
    """For the sources that carry waveforms too; called after ``decode`` took the payload."""
    own: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    """Its sources, without those that it includes (the battery)."""
    parts: tuple[Profile, ...] = field(default=(), repr=False, compare=False)
    """What it is joined of (see ``joining``); none for one that stands in a file."""

    def part_of(self, source: str) -> Profile:
        """Of what this is joined of, the one that reads a source; or this one."""
        reads = (*(p for p in self.parts if source in p.own), *(p for p in self.parts if source in p.sources))
        return next(iter(reads), self)

    def record_field(self, source: str) -> str | None:
        """The field that is the device's own record number in the frames of a source."""
        dedupe = self.part_of(source).document.dedupe
        return None if dedupe is None else dedupe.record

    def interval_s(self, source: str) -> float | None:
        """How often the device sends that, where its profile says so (s)."""
        return self.part_of(source).expected_interval_s

    @property
    def clock_resolution_s(self) -> float:
        """The steps in which the device tells its times (s): a minute where it counts those of a session."""
        doc = self.document
        if doc.time is not None and doc.time.resolution_s is not None:
            return doc.time.resolution_s
        counted = any(spec.role == "elapsed_min" for frame in doc.frames.values() for spec in frame.fields)
        return 60.0 if counted else 1.0

    def decode(self, source: str, payload: bytes) -> tuple[DecodedReading, ...]:
        """Readings of one payload, in the order of the frame's fields; a "no value" field gives none.

        Raises DecodeError only, for the frame as a whole, with the reason ``truncated``, ``oversized``,
        ``malformed``, ``out_of_range``, ``integrity`` or ``unknown_source``.
        """
        decoder = self.decoders.get(source) or self.decoders.get(source.lower())
        if decoder is None:
            msg = f"profile {self.id} has no source {source!r}; it has {', '.join(self.sources)}"
            raise DecodeError(msg, reason="unknown_source", profile=self.id, source=source)
        return decoder(payload)

    def framer(self) -> Framer:
        """A new framer for one connection. Raises ConfigError when the transport has frames of its own."""
        framing = self.document.framing
        if framing is None:
            msg = f"profile {self.id} has no framing: {self.transport} delivers whole payloads"
            raise ConfigError(msg, file=self.file)
        return framer_of(framing)
