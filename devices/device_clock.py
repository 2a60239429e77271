"""When a device measured something, by its own clock as far as that is known, and how far that is off. Pure.

A clock is followed in two ways at once: as one of its zone, which is put forward and back, and as one that
nobody puts forward or back. As long as both explain what was seen, an estimate's error covers both; the
change to summer time shows which it is, and is not taken for a clock that was set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from devices.offset_track import SLACK_NS, OffsetTrack, Pair, Span
from devices.time import FUTURE_NS, OLDEST_NS, ClockVerdict, Correction, correct, instants, utc_offset
from hearthward.core.clock import SECOND

__all__ = ["FLUSHED_NS", "LIVE_NS", "QUARTER_NS", "DeviceClock", "Skew"]

LIVE_NS: Final = 5 * SECOND
"""What is measured while connected is received within such a time, one of three at least."""
FLUSHED_NS: Final = 90 * SECOND
"""What is sent after connecting was measured before: the newest of it, one time of three, so long at most."""
ROUNDED_NS: Final = 1_000_000
QUARTER_NS: Final = 15 * 60 * SECOND
FARTHEST_NS: Final = 14 * 3600 * SECOND
"""Of a zone from UTC."""


@dataclass(frozen=True, slots=True)
class Skew:
    """By how much a clock is ahead of what it should show (ns, negative: behind); ``error`` of that (ns)."""

    ahead: int
    error: int


@dataclass(slots=True)
class _Way:
    """One way to understand a clock: ``zone`` None takes what it shows as it is."""

    zone: tzinfo | None
    track: OffsetTrack
    before: OffsetTrack
    """As it was before this connection's stored measurements."""

    def shown(self, device_time: int, received: int) -> list[int]:
        """What the clock says as UTC; two in the hour that comes twice, the likeliest first."""
        found = instants(device_time, self.zone)
        known = self.track.bounds(received)
        ahead = 0 if known is None else known.middle
        return sorted(found, key=lambda at: (at - ahead > received + FUTURE_NS, received - at))


class DeviceClock:
    """What is known of one device's clock; it outlives connections.

    Args:
        zone: whose time it should show; None: not known, any whole quarter of an hour is as good.
        resolution: of the times that it gives (ns).
    """

    def __init__(self, zone: tzinfo | None, resolution: int = SECOND) -> None:
        self.zone, self.resolution = zone, resolution
        zones = [None] if zone is None else [zone, None]
        self._ways = [_Way(z, OffsetTrack(), OffsetTrack()) for z in zones]
        self._flushed: int | None = None

    def connected(self) -> None:
        """What comes next was stored, until it is said to be live."""
        self._flushed = None
        for way in self._ways:
            way.before = way.track

    def clock_set(self, at: int, resolution: int) -> None:
        """The clock was set right at ``at`` (UTC ns), to within ``resolution`` ns."""
        self.connected()
        for way in self._ways:
            right = 0 if way.zone is not None or self.zone is None else utc_offset(at, self.zone)
            way.track = way.track.copy()
            way.track.start(Pair(at, right - resolution, right + resolution))
            way.before = way.track

    def gateway_set(self, by: int) -> None:
        """Our own clock was set by ``by`` ns; the device's was not."""
        for way in self._ways:
            for track in {id(t): t for t in (way.track, way.before)}.values():
                track.gateway_set(by)

    def judge(self, device_time: int, received: int, *, live: bool, learn: bool = True) -> Correction:
        """When something was measured that is dated ``device_time`` (naive ns) and received at ``received``.

        ``live``: it was not read from the device's memory. What it tells of the clock is kept if ``learn``.
        """
        ways = [(way, way.shown(device_time, received)) for way in self._ways]
        if not all(shown for _, shown in ways):
            return Correction(received, ClockVerdict.UNSET)
        if learn:
            self._learn(ways, received, live=live)
        plain = correct(device_time, received, self.zone)
        spans = self._spans(ways, received, live=live)
        if not spans:
            return plain
        return self._correction(plain, spans, ways[0][1], received, live=live)

    def skew(self, at: int) -> Skew | None:
        """By how much the clock is off at ``at`` (UTC ns), None: not known."""
        way = self._likely()[0]
        known = way.track.bounds(at)
        if known is None:
            return None
        ahead, error = known.middle, (known.high - known.low + 1) // 2
        whole = _quarters(ahead)
        if known.low <= whole <= known.high:  # rather a zone, or right, than off by a little
            ahead, error = whole, max(known.high - whole, whole - known.low)
        if self.zone is None and abs(ahead) <= FARTHEST_NS + FUTURE_NS:
            ahead -= _quarters(ahead)
        elif way.zone is None and self.zone is not None:
            ahead -= utc_offset(at, self.zone)
        return Skew(ahead, error)

    def read(self, device_time: int, at: int) -> None:
        """The clock itself was read at ``at`` (UTC ns): no measurement could say it better."""
        for way in self._ways:
            shown = way.shown(device_time, at)
            if not shown:
                return
            pair = self._pair(shown[0], at, LIVE_NS)
            way.track = way.before.copy()
            if way.track.since is None or way.track.surprise(pair):
                way.track.start(pair)
            else:
                way.track.seen(pair)
            way.before = way.track
        self._flushed = None

    # -- what is learned

    def _pair(self, shown: int, received: int, within: int) -> Pair:
        ahead = shown - received
        return Pair(received, ahead, ahead + self.resolution + within, within > LIVE_NS)

    def _learn(self, ways: Sequence[tuple[_Way, list[int]]], received: int, *, live: bool) -> None:
        if live:
            self._flushed = None
            for way, shown in ways:
                way.track.seen(self._pair(shown[0], received, LIVE_NS))
                way.before = way.track
            return
        newest = ways[0][1][0] - received
        if (self._flushed is not None and newest <= self._flushed) or not _telling(newest):
            return
        self._flushed = newest  # the newest so far: it takes the place of what was stored before it
        for way, shown in ways:
            way.track = way.before.copy()
            way.track.seen(self._pair(shown[0], received, FLUSHED_NS))

    # -- what follows

    def _likely(self) -> list[_Way]:
        """The ways that explain what was seen, the likeliest first: how long each has."""
        if len(self._ways) == 1:
            return self._ways
        local, fixed = self._ways
        a, b = local.track.since, fixed.track.since
        if a == b or a is None or b is None:
            return [local, fixed]
        return [local] if a < b else [fixed]

    def _spans(self, ways: Sequence[tuple[_Way, list[int]]], received: int, *, live: bool) -> list[Span]:
        """When it may have been measured, the likeliest first; none: nothing is known."""
        likely = self._likely()
        if live:  # a way that this very measurement contradicts is none
            fit = [
                way
                for way, shown in ways
                if way.track.since is not None
                and not way.track.surprise(self._pair(shown[0], received, LIVE_NS))
            ]
            likely = [way for way in likely if way in fit] or fit or likely
        found: list[Span] = []
        for way, shown in ways:
            if way in likely:
                for at in shown[:1] if live else shown:
                    found += way.track.spans(at, self.resolution, live=live)
        return found

    def _correction(
        self, plain: Correction, spans: Sequence[Span], shown: Sequence[int], received: int, *, live: bool
    ) -> Correction:
        """``plain`` is what its own clock alone says."""
        real = [span for span in spans if span.first <= received + SLACK_NS]
        if not real:  # it was set meanwhile, or the time is damaged
            return Correction(received, ClockVerdict.FUTURE, plain.skew)
        best = real[0]
        first, last = min(span.first for span in real), max(min(span.last, received) for span in real)
        if live and best.last < received - LIVE_NS - SLACK_NS:  # it came late, or the clock was put back
            last = received
        at = self._at(best, shown)
        if received - at > OLDEST_NS:
            return Correction(received, ClockVerdict.ANCIENT, plain.skew)
        error = max(abs(at - first), abs(last - at)) + ROUNDED_NS
        return Correction(at, ClockVerdict.USED, plain.skew, error)

    @staticmethod
    def _at(span: Span, shown: Sequence[int]) -> int:
        """The device's own time if it may be right, or right but for its zone; else what is likeliest."""
        for at in shown:
            ahead = at - (span.first + span.last) // 2
            zones = _quarters(ahead)
            if abs(zones) <= FARTHEST_NS and span.first <= at - zones <= span.last:
                return at - zones
        return (span.first + span.last) // 2


def _quarters(ahead: int) -> int:
    """The nearest whole number of quarters of an hour."""
    return (ahead + QUARTER_NS // 2) // QUARTER_NS * QUARTER_NS


def _telling(ahead: int) -> bool:
    """Whether what was stored may tell of the clock: one that is behind looks like a late measurement.

    Only one that is ahead does not, and a whole quarter of an hour is rather a zone than a delay.
    """
    return ahead >= -FLUSHED_NS or -ahead % QUARTER_NS <= FLUSHED_NS
