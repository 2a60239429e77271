"""What a batch came to: readings as stored and attributed, what the rules see of them, what was refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution
from cloud_ingest.intake import Dead, Part
from cloud_ingest.receipts import Source
from cloud_ingest.records.models import DeadLetter
from cloud_ingest.stores.base import Outcome
from hearthward.core.model import ReadingBatch
from rules import Rows

__all__ = ["Stored", "rows_to_judge", "write_dead"]

_MAX_TOPIC = 256


@dataclass(slots=True)
class Stored:
    """New readings by gateway and boot, with their patients; how many were new, and known already."""

    batches: defaultdict[Source, ReadingBatch] = field(default_factory=lambda: defaultdict(ReadingBatch))
    patients: defaultdict[Source, list[str | None]] = field(default_factory=lambda: defaultdict(list))
    now: dict[Source, int] = field(default_factory=dict)
    new: int = 0
    duplicate: int = 0

    def sort_in(
        self, parts: Sequence[Part], outcomes: Sequence[Sequence[Outcome]], attribution: Attribution
    ) -> None:
        """Add what the store said of some parts.

        ``SAME`` counts as new: its range was not committed, or the part would not be here.
        """
        for part, found in zip(parts, outcomes, strict=True):
            fresh = [i for i, outcome in enumerate(found) if outcome is not Outcome.DUPLICATE]
            self.duplicate += len(found) - len(fresh)
            if not fresh:
                continue
            batch = part.batch if len(fresh) == len(found) else part.batch.take(fresh)
            self.new += len(fresh)
            self.batches[part.source].extend(batch)
            self.patients[part.source].extend(attribution.column(batch))
            self.now[part.source] = max(part.now, self.now.get(part.source, 0))


def rows_to_judge(batch: ReadingBatch, patients: list[str | None]) -> Rows:
    """What the rules look at: numeric readings of devices that are on somebody."""
    rows = Rows()
    for patient, device, metric, value, time, received, quality in zip(
        patients,
        batch.device,
        batch.metric,
        batch.value,
        batch.corrected,
        batch.received,
        batch.quality,
        strict=True,
    ):
        if patient is not None and value is not None:
            rows.append(patient, device, metric, value, time, received, quality)
    return rows


def write_dead(session: Session, tenant: str, dead: Sequence[Dead], at: int) -> None:
    """Add dead letters within the caller's transaction."""
    session.add_all(
        DeadLetter(
            tenant=tenant,
            at=at,
            gateway=letter.gateway,
            topic=letter.topic[:_MAX_TOPIC],
            reason=letter.reason,
            detail=letter.detail,
            payload=letter.payload,
        )
        for letter in dead
    )
