"""Plays a recording through twins, so that each value travels as the bytes of a device."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from devices.twins.base import Twin
from hearthward.app.recording import Moment, Recording
from hearthward.app.tracker import Acknowledgements, Tracker
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.codes import METRICS
from hearthward.core.errors import LinkError

__all__ = ["EPOCH_NS", "HOLD_S", "Books", "Player", "route"]

EPOCH_NS: Final = 1_767_225_600 * SECOND
"""Second 0 of any recording: 2026-01-01T00:00:00Z."""
AGAIN_S: Final = 0.02
HOLD_S: Final = 10.0
"""How long to hold the clock for an edge that is connected but does not take a payload."""


@dataclass(slots=True)
class Books:
    """What was sent: patient -> metric -> count and sum, as expressed by the wire; and what was not."""

    count: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    total: defaultdict[str, defaultdict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def enter(self, patient: str, metric: str, value: float) -> None:
        """One value went out."""
        self.count[patient][metric] += 1
        self.total[patient][metric] += value

    def sent(self) -> dict[str, dict[str, dict[str, float]]]:
        """The report's ``sent``."""
        return {
            patient: {
                metric: {"count": n, "sum": round(self.total[patient][metric], 6)}
                for metric, n in sorted(metrics.items())
            }
            for patient, metrics in self.count.items()
        }


def route(twins: Iterable[Twin]) -> dict[str, Twin]:
    """Metric -> the twin that carries it, the first in the list winning."""
    out: dict[str, Twin] = {}
    for twin in twins:
        for metric in twin.metrics:
            out.setdefault(metric, twin)
    return out


class Player:
    """Steps an event clock through a recording and sends each moment's values by the patients' twins.

    The clock stands at a moment's time until the edge has taken all payloads of that moment, and a payload
    is held until its twin has a subscriber. ``speed`` is recording seconds per real second at most.
    """

    def __init__(
        self,
        recording: Recording,
        twins: dict[str, dict[str, Twin]],
        *,
        clock: EventClock,
        speed: float,
        acks: Acknowledgements,
        tracker: Tracker,
        on_step: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._recording = recording
        self._twins = twins
        self._clock = clock
        self._speed = speed
        self._acks = acks
        self._tracker = tracker
        self._on_step = on_step
        self._stop: int | None = None
        self._unheard = False
        self.books = Books()
        self.complete = False

    async def play(self, seconds: float | None) -> None:
        """Play to the end, or for ``seconds`` of real time; ``books`` and ``complete`` tell what happened."""
        without = sum(self._recording.without_value.values())
        if without:
            self.books.rejected["no_value"] += without
        started = self._clock.monotonic_ns()
        self._stop = None if seconds is None else started + int(seconds * SECOND)
        first: float | None = None
        for moment in self._recording.moments():
            first = moment.at if first is None else first
            due = started + int((moment.at - first) / self._speed * SECOND)
            if self._stop is not None and max(due, self._clock.monotonic_ns()) >= self._stop:
                return
            await asyncio.sleep(max(0.0, (due - self._clock.monotonic_ns()) / SECOND))
            at = EPOCH_NS + round(moment.at * SECOND)
            self._clock.follow(at)
            self._tracker.stepped(at)
            if self._on_step is not None:
                await self._on_step(at)
            if not await self._send(moment):
                return
        self.complete = True

    async def _send(self, moment: Moment) -> bool:
        """Send all of a moment; False when the time was up before every twin had a subscriber."""
        payloads = self._payloads(moment)
        async with asyncio.TaskGroup() as group:
            for twin, of_twin in payloads.items():
                group.create_task(self._send_all(twin, of_twin))
        if not await self._acks.settled([twin.id for twin in payloads], HOLD_S):
            self._acks.lose_outstanding()
            self._tracker.forget()
        return not self._unheard

    def _payloads(self, moment: Moment) -> dict[Twin, list[tuple[str, dict[str, float]]]]:
        """Values -> payloads by twin; a metric that comes twice in one moment opens another payload."""
        out: dict[Twin, list[tuple[str, dict[str, float]]]] = {}
        for patient, metric, value in moment.rows:
            twin = self._twins.get(patient, {}).get(metric)
            if twin is None:
                self.books.skipped[metric] += 1
                continue
            try:
                expressed = twin.express(metric, value)
            except ValueError:
                self.books.rejected["inexpressible"] += 1
                continue
            if not METRICS[metric].low <= expressed <= METRICS[metric].high:
                # Its frame would be refused whole, with the good values beside it.
                self.books.rejected["out_of_range"] += 1
                continue
            payloads = out.setdefault(twin, [])
            if not payloads or metric in payloads[-1][1]:
                payloads.append((patient, {}))
            payloads[-1][1][metric] = expressed
        return out

    async def _send_all(self, twin: Twin, payloads: list[tuple[str, dict[str, float]]]) -> None:
        for patient, values in payloads:
            expressed = await self._send_one(twin, values)
            for metric, value in expressed.items():
                self.books.enter(patient, metric, value)

    async def _send_one(self, twin: Twin, values: dict[str, float]) -> dict[str, float]:
        while True:
            try:
                async with asyncio.timeout(self._left_s()):
                    await twin.wait_ready()
            except TimeoutError:
                self._unheard = True
                return {}
            self._tracker.sending(twin.id)
            self._acks.sent(twin.id)
            try:
                return dict(await twin.send(values))
            except ValueError:
                self._tracker.unsend(twin.id)
                self._acks.unsend(twin.id)
                self.books.rejected["incomplete"] += len(values)
                return {}
            except LinkError:
                self._tracker.unsend(twin.id)
                self._acks.unsend(twin.id)
                await asyncio.sleep(AGAIN_S)

    def _left_s(self) -> float | None:
        """Real seconds until the play must stop; None when it has no bound."""
        return None if self._stop is None else max(0.0, (self._stop - self._clock.monotonic_ns()) / SECOND)
