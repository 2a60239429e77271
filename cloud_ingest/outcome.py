"""What a batch came to: readings as stored and attributed, and what the rules see of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Final

from cloud_ingest.attribution import Attribution
from cloud_ingest.intake import Part
from cloud_ingest.receipts import Source
from cloud_ingest.stores.base import Outcome
from hearthward.core.model import Quality, ReadingBatch
from rules.attribution import rows_to_judge
from rules.model import Rows, subject_key

__all__ = ["Stored", "rows_to_judge"]

_COLUMNS: Final = tuple(f.name for f in fields(Rows))


@dataclass(slots=True)
class Stored:
    """New readings by gateway and boot, with their patients; how many were new, and known already.

    ``received`` are the receive times by a right clock.

    ``future`` has, as the rules see them, the readings that were put aside because they are dated in the
    future.
    """

    batches: defaultdict[Source, ReadingBatch] = field(default_factory=lambda: defaultdict(ReadingBatch))
    patients: defaultdict[Source, list[str | None]] = field(default_factory=lambda: defaultdict(list))
    received: defaultdict[Source, list[int]] = field(default_factory=lambda: defaultdict(list))
    future: defaultdict[Source, Rows] = field(default_factory=lambda: defaultdict(Rows))
    now: dict[Source, int] = field(default_factory=dict)
    new: int = 0
    duplicate: int = 0

    def sort_in(self, part: Part, outcomes: Sequence[Outcome], attribution: Attribution) -> None:
        """Add what the store said of a part.

        ``SAME`` counts as new: its range was not committed, or the part would not be here.
        """
        fresh = [i for i, outcome in enumerate(outcomes) if outcome is not Outcome.DUPLICATE]
        self.duplicate += len(outcomes) - len(fresh)
        if not fresh:
            return
        batch = part.batch if len(fresh) == len(outcomes) else part.batch.take(fresh)
        self.new += len(fresh)
        self.batches[part.source].extend(batch)
        self.patients[part.source].extend(attribution.column(batch))
        self.received[part.source].extend(min(max(0, at + part.offset), part.now) for at in batch.received)
        self._came(part.source, part.now)

    def put_aside(self, source: Source, batch: ReadingBatch, now: int, attribution: Attribution) -> None:
        """Add readings dated in the future: no value of theirs counts, but that a clock is wrong does.

        They are said to be of when they were received, at the latest of ``now``.
        """
        rows = self.future[source]
        for device, metric, received, quality in zip(
            batch.device, batch.metric, batch.received, batch.quality, strict=True
        ):
            at = min(received, now)
            subject = attribution.patient(device, at) or subject_key("device", device)
            rows.append(subject, device, metric, None, at, at, quality | Quality.FUTURE)
        self._came(source, now)

    def _came(self, source: Source, now: int) -> None:
        self.now[source] = max(now, self.now.get(source, 0))

    def to_judge(self) -> dict[Source, Rows]:
        """What the rules look at, by gateway and boot."""
        out: dict[Source, Rows] = {}
        for source in self.now:
            rows = rows_to_judge(self.batches[source], self.patients[source], self.received[source])
            for name in _COLUMNS:
                getattr(rows, name).extend(getattr(self.future[source], name))
            if len(rows):
                out[source] = rows
        return out
