"""How a patient's waveforms are read from their store: the same over the fake and over the real parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Final

from cloud_ingest.stores.base import FOREVER
from cloud_ingest.waves.base import MOST_SAMPLES, WaveStore, weight
from cloud_ingest.waves.runs import APART_NS, Envelope, Run, cut, runs_of
from dashboards.models import Item, Kind
from dashboards.wave_models import FULL_NS, MAX_POINTS, WaveHeld, WavePiece, WaveView
from dashboards.wave_views import envelope_pieces, gaps_between, in_order, piece_of
from hearthward.core.clock import SECOND
from hearthward.core.codes import METRICS
from hearthward.trust.access import Scope
from rules.attribution import Span

__all__ = ["WaveReads"]

AT_ONCE_NS: Final = FULL_NS
"""So much time of a long period is in memory at once."""


class WaveReads(ABC):
    """The part of a backend that is about waveforms."""

    @abstractmethod
    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """See the port."""

    @abstractmethod
    def _wave_store(self, scope: Scope) -> WaveStore:
        """Where the waveforms are."""

    @abstractmethod
    async def _devices_on(self, scope: Scope, patient: str) -> Sequence[Span]:
        """The devices that were on the patient, and when."""

    async def waves(self, scope: Scope, patient: str) -> Sequence[WaveHeld]:
        """See the port."""
        if await self.item(scope, "patient", patient) is None:
            return []
        found: dict[str, WaveHeld] = {}
        store, spans = self._wave_store(scope), await self._devices_on(scope, patient)
        there = await store.held(scope.tenant, sorted({s.device for s in spans}), 0, FOREVER)
        for span in spans:
            end = FOREVER if span.end is None else span.end
            if not any(h.device == span.device and h.first < end and h.last >= span.start for h in there):
                continue
            for held in await store.held(scope.tenant, [span.device], span.start, end):
                now = WaveHeld(metric=held.metric, device=held.device, first=held.first, newest=held.last)
                old = found.get(held.metric, now)
                newer = now if now.newest >= old.newest else old
                found[held.metric] = newer.model_copy(update={"first": min(old.first, now.first)})
        return [found[metric] for metric in sorted(found)]

    async def wave(
        self, scope: Scope, patient: str, metric: str, start: int, end: int, points: int = 1200
    ) -> WaveView:
        """See the port."""
        pieces: Sequence[WavePiece] = []
        newest: Run | None = None
        cut_off = False
        whole = end - start <= FULL_NS
        if await self.item(scope, "patient", patient) is not None:
            spans = await self._devices_on(scope, patient)
            if whole:
                runs, cut_off = await self._runs(scope, spans, metric, (start, end))
                pieces = in_order(piece_of(run) for run in runs)
                newest = _newest(runs, None)
            else:
                envelope = Envelope(start, end, -(-(end - start) // max(1, min(points, MAX_POINTS))))
                for at in range(start, end, AT_ONCE_NS):
                    runs, more = await self._runs(scope, spans, metric, (start, end), (at, at + AT_ONCE_NS))
                    cut_off = cut_off or more
                    for run in runs:
                        envelope.add(run)
                    newest = _newest(runs, newest)
                pieces = envelope_pieces(envelope)
        return WaveView(
            metric=metric,
            unit=_unit(metric, newest),
            start=start,
            end=end,
            envelope=not whole,
            pieces=list(pieces),
            gaps=gaps_between(pieces, start, end),
            cut_off=cut_off,
        )

    async def wave_samples(
        self, scope: Scope, patient: str, metric: str, start: int, end: int
    ) -> AsyncIterator[Sequence[WavePiece]]:
        """See the port."""
        if await self.item(scope, "patient", patient) is None:
            return
        spans = await self._devices_on(scope, patient)
        for at in range(start, end, AT_ONCE_NS):
            runs, many = await self._runs(scope, spans, metric, (start, end), (at, at + AT_ONCE_NS))
            if runs and not many:
                yield in_order(piece_of(run) for run in runs)
            for second in range(at, min(end, at + AT_ONCE_NS), SECOND) if many else ():
                runs, _ = await self._runs(scope, spans, metric, (start, end), (second, second + SECOND))
                if runs:
                    yield in_order(piece_of(run) for run in runs)

    async def _runs(
        self,
        scope: Scope,
        spans: Sequence[Span],
        metric: str,
        period: tuple[int, int],
        part: tuple[int, int] | None = None,
    ) -> tuple[list[Run], bool]:
        """The runs of a period, or of a part of it, and whether there were more samples than are read.

        In which part a sample is goes by when it came, so that none is in two. Evenly spaced it lies earlier:
        one that came when the device was on the patient and was taken before is left out.
        """
        found: list[Run] = []
        start, end = period
        begin, stop = part or period
        if stop >= end:
            stop = end + APART_NS
        store, many = self._wave_store(scope), False
        for span in spans:
            first, last = max(begin, span.start), stop if span.end is None else min(stop, span.end)
            if first >= last:
                continue
            chunks = await store.read(scope.tenant, span.device, metric, first, last)
            many = many or sum(map(weight, chunks)) >= MOST_SAMPLES
            parts = (cut(chunk, first, last) for chunk in chunks)
            for run in runs_of(part for part in parts if part is not None):
                inside = run.within(max(start, span.start), min(end, last))
                found += () if inside is None else (inside,)
        return found, many


def _newest(runs: Sequence[Run], before: Run | None) -> Run | None:
    return max(runs, key=lambda run: run.end, default=before)


def _unit(metric: str, newest: Run | None) -> str | None:
    if newest is not None and newest.unit is not None:
        return newest.unit
    return METRICS[metric].unit if metric in METRICS else None
