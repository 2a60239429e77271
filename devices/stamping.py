"""Decoded values -> readings with their times and identity (architecture.md, Reading and Identity)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Final

from devices.time import ClockVerdict, Correction, correct, utc_offset
from firmware_profiles import DecodedReading
from hearthward.core.clock import SECOND
from hearthward.core.ids import digest63
from hearthward.core.model import Quality, Reading, ReadingBatch, key_time

__all__ = ["SESSION_START", "Judge", "Stamped", "Stamper"]

SESSION_START: Final = "sensor_session_start"
"""The metric whose device time is the beginning of a sensor's session; ``elapsed`` counts from there."""
MINUTE_NS: Final = 60 * SECOND
Judge = Callable[[int, int], Correction | None]
"""(Device time, receive time) -> when it was measured; None: nothing more is known."""

PUT_BACK_NS: Final = SECOND
"""A clock that much behind the last reading's time has been put back."""


@dataclass(frozen=True, slots=True)
class _Dated:
    """The record that was told last, and when it was measured: what is told of it apart has no time."""

    record: int
    profile: str
    device_time: int | None
    quality: Quality
    corrected: Correction


@dataclass(frozen=True, slots=True)
class Stamped:
    """The readings of one payload, and the newest correction made to the device's clock in it, if any.

    ``undated`` are the rows that have no time of the device's that can be believed.
    """

    batch: ReadingBatch
    clock: Correction | None
    undated: tuple[int, ...] = ()

    @property
    def stored(self) -> bool:
        """Whether it is known to come out of the device's memory."""
        return any(q & Quality.FROM_STORE for q in self.batch.quality)

    def remembered(self) -> None:
        """It came out of the device's memory: what is undated was measured nobody knows when."""
        quality = self.batch.quality
        quality[:] = [q | Quality.FROM_STORE for q in quality]
        for i in self.undated:
            quality[i] |= Quality.TIME_UNKNOWN


@dataclass(frozen=True, slots=True)
class _SessionStart:
    """When a sensor's session began, by its own clock (naive ns).

    ``ahead``: by how much that clock's zone is ahead of UTC (ns); None: the sensor does not say.
    """

    at: int
    ahead: int | None = None


def _session_start(decoded: Sequence[DecodedReading]) -> _SessionStart | None:
    """When the sensor's session began, if these values say so."""
    for value in decoded:
        if value.metric != SESSION_START or value.quality & Quality.CLOCK_UNSET or value.device_time is None:
            continue
        zone = datetime.fromisoformat(value.code or "").utcoffset() if value.code else None
        return _SessionStart(
            value.device_time, None if zone is None else zone // timedelta(seconds=1) * SECOND
        )
    return None


def _anchored(value: DecodedReading, start: int | None) -> DecodedReading:
    """A value of so many minutes after its session's start, with its time (none without ``start``).

    The minutes are its record number, too, unless the device numbers its records otherwise.
    """
    if value.elapsed is None:
        return value
    at = value.device_time
    if at is None and start is not None:
        at = start + value.elapsed
    record = value.elapsed // MINUTE_NS if value.record is None else value.record
    return replace(value, device_time=at, record=record)


def _ordinals(values: Sequence[DecodedReading]) -> Iterator[int]:
    """Places within the payload; within its own record for values of which one payload brings several.

    So a record keeps its identity whichever others a device sends it together with.
    """
    first = 0
    for i, value in enumerate(values):
        if value.elapsed is not None and i and values[i - 1].record != value.record:
            first = i
        yield i - first


class Stamper:
    """Stamps one device's payloads; receive times grow strictly from payload to payload.

    ``last`` is the last receive time given (UTC ns); hand it to the next stamper of the same device.
    ``salt`` is this process's own: receive times may come again after a restart (a clock that stands or
    starts over), so it tells this run's readings that have no other time from those of the runs before.
    """

    __slots__ = ("_at", "_dated", "_device", "_salt", "_start", "_where", "last")

    def __init__(self, device: str, where: tzinfo | None, last: int = 0, *, salt: bytes) -> None:
        self._device = device
        self._where = where
        self._salt = salt
        self.last = last
        self._at = last
        self._start: _SessionStart | None = None
        self._dated: _Dated | None = None

    def stamp(
        self,
        source: str,
        payload: bytes,
        decoded: Sequence[DecodedReading],
        profile_hash: str,
        now: int,
        judge: Judge | None = None,
        *,
        stored: bool = False,
    ) -> Stamped:
        """One payload's values, received at ``now`` (UTC ns); ``judge`` knows more of the device's clock.

        ``stored``: they come out of the device's memory, which the device itself need not say.
        """
        received = self.last = max(now, self.last + 1)
        # a clock that was put back: the key goes on growing, but nothing was measured in the future
        at = self._at = max(now, self._at + 1) if self._at - now < PUT_BACK_NS else now
        said = source.encode(), payload
        digests = digest63(*said), digest63(*said, self._salt)
        self._start = _session_start(decoded) or self._start
        values = [_anchored(value, self._start.at if self._start else None) for value in decoded]
        if stored:
            values = [replace(value, quality=value.quality | Quality.FROM_STORE) for value in values]
        batch = ReadingBatch()
        undated: list[int] = []
        clock: Correction | None = None
        once = None if judge is None else cache(judge)
        for ordinal, value in zip(_ordinals(values), values, strict=True):
            beside = self._beside(value, profile_hash)
            if beside is None:
                corrected = self._corrected(value, at, once)
                clock = clock if corrected.skew is None else corrected
                self._note(value, profile_hash, corrected)
            else:
                value, corrected = beside  # noqa: PLW2901 - of the record that was told just before
            if corrected.verdict is not ClockVerdict.USED:
                undated.append(len(batch))
                if value.quality & Quality.FROM_STORE:
                    value = replace(value, quality=value.quality | Quality.TIME_UNKNOWN)  # noqa: PLW2901
            batch.append(self._reading(value, ordinal, received, corrected, digests, profile_hash))
        return Stamped(batch, clock, tuple(undated))

    def _reading(
        self,
        value: DecodedReading,
        ordinal: int,
        received: int,
        corrected: Correction,
        digests: tuple[int, int],
        profile: str,
    ) -> Reading:
        """``digests`` of its payload: for what has a time of the device's own, and for what has none."""
        by_device = value.device_time is not None and not value.quality & Quality.CLOCK_UNSET
        digest = digests[not by_device]
        return Reading(
            device=self._device,
            metric=value.metric,
            value=value.value,
            code=value.code,
            device_time=value.device_time,
            received=received,
            corrected=corrected.at,
            record=value.record,
            digest=digest,
            ordinal=ordinal,
            group=self._group(key_time(value.device_time, received, value.quality), digest),
            quality=int(value.quality),
            profile=profile,
            error=corrected.error,
        )

    def own(self, metric: str, value: float, quality: Quality, profile_hash: str, now: int) -> ReadingBatch:
        """What the gateway itself says of the device."""
        word = DecodedReading(metric, value, None, None, None, quality, None)
        return self.stamp(metric, f"{value:g}".encode(), [word], profile_hash, now).batch

    def _beside(self, value: DecodedReading, profile: str) -> tuple[DecodedReading, Correction] | None:
        """What belongs to the record told last and has no time (a glucose's meal), with that record's."""
        dated = self._dated
        if dated is None or (value.record, profile) != (dated.record, dated.profile):
            return None
        if value.device_time is not None or value.quality & Quality.CLOCK_UNSET:
            return None
        quality = value.quality | dated.quality
        return replace(value, device_time=dated.device_time, quality=quality), dated.corrected

    def _note(self, value: DecodedReading, profile: str, corrected: Correction) -> None:
        unset = bool(value.quality & Quality.CLOCK_UNSET)
        if value.record is not None and (unset or value.device_time is not None):
            known = value.quality & (Quality.CLOCK_UNSET | Quality.FROM_STORE)
            self._dated = _Dated(value.record, profile, value.device_time, known, corrected)

    def _corrected(self, value: DecodedReading, at: int, judge: Judge | None) -> Correction:
        clock_set = not value.quality & Quality.CLOCK_UNSET
        shown, where = value.device_time, self._where
        if shown is not None and (ahead := self._ahead(value)) is not None:
            shown -= ahead  # UTC; and what a clock of the place showed then
            shown, where = (shown, UTC) if where is None else (shown + utc_offset(shown, where), where)
        known = None
        if judge is not None and clock_set and shown is not None and value.metric != SESSION_START:
            known = judge(shown, at)
        return known or correct(shown, at, where, clock_set=clock_set)

    def _ahead(self, value: DecodedReading) -> int | None:
        """By how much the zone of a sensor's session is ahead of UTC (ns), for what counts in it."""
        counts = value.elapsed is not None or value.metric == SESSION_START
        return self._start.ahead if counts and self._start is not None else None

    def _group(self, at: int, digest: int) -> int:
        return digest63(self._device.encode(), str(at).encode(), digest.to_bytes(8, "big"))
