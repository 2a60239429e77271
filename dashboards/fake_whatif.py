"""The fake's trials of changed rules: by the same engine, over what was put in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from math import nan

from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.trying import Progress, TryAsked
from hearthward.core.model import Reading, ReadingBatch
from hearthward.trust.access import Scope
from rules.context import Context, Limit
from rules.replay import Track
from rules.whatif import Trial, try_one

__all__ = ["FakeWhatIf"]


class FakeWhatIf(ABC):
    """The part of ``FakeBackend`` that tries changes; of a patient it knows readings and limits."""

    @abstractmethod
    def _sees(self, scope: Scope, patient: str) -> bool:
        """Whether there is such a patient in scope."""

    @abstractmethod
    def _limits_of(self, scope: Scope, patient: str) -> tuple[Limit, ...]:
        """All limits ever set for a patient."""

    @abstractmethod
    def _readings_of(self, scope: Scope, patient: str) -> Sequence[Reading]:
        """All readings of a patient."""

    async def try_rule(self, scope: Scope, asked: TryAsked, progress: Progress) -> Trial:
        """See the port."""
        out = Trial(asked.start, asked.end)
        patients = [p for p in asked.patients if self._sees(scope, p)]
        for n, patient in enumerate(patients):
            progress(n, len(patients))
            track = _track(asked, patient, self._readings_of(scope, patient))
            if len(track):
                context = Context(limits=self._limits_of(scope, patient))
                try_one((asked.before, asked.after), track, context, out, zone=asked.zone)
        progress(len(patients), len(patients))
        out.settle()
        return out


def _track(asked: TryAsked, patient: str, readings: Sequence[Reading]) -> Track:
    wanted = [r for r in readings if r.metric in asked.metrics and asked.start <= r.corrected < asked.end]
    batch = ReadingBatch.of(sorted(wanted, key=lambda r: r.corrected))
    rows = rows_to_judge(batch, [patient] * len(batch))
    track = Track(
        patient,
        rows.device,
        rows.metric,
        array("d", [nan if v is None else v for v in rows.value]),
        array("q", rows.time),
        array("q", rows.received),
        array("q", rows.quality),
    )
    if len(track):
        track.seen(track.time[0])
        track.seen(track.time[-1])
    return track
