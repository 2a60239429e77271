"""Whose readings they are: the patient is found through association intervals, at a reading's own time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Association
from hearthward.core.model import ReadingBatch

__all__ = ["Attribution", "Span", "load_attribution"]

_OPEN: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """A device was on a patient from ``start`` (UTC ns) until before ``end`` (None: still is)."""

    device: str
    patient: str
    start: int
    end: int | None = None


class Attribution:
    """An index over the associations of one tenant; spans of one device do not overlap."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        by_device: defaultdict[str, list[Span]] = defaultdict(list)
        for span in sorted(spans, key=lambda s: (s.device, s.start)):
            by_device[span.device].append(span)
        self._starts = {d: [s.start for s in spans] for d, spans in by_device.items()}
        self._spans = dict(by_device)

    def patient(self, device: str, at: int) -> str | None:
        """Whose reading a device's reading measured at ``at`` is, or None when it was on nobody."""
        i = bisect_right(self._starts.get(device, ()), at) - 1
        if i < 0:
            return None
        span = self._spans[device][i]
        return span.patient if at < (_OPEN if span.end is None else span.end) else None

    def column(self, batch: ReadingBatch) -> list[str | None]:
        """The patients of a batch's rows, by corrected time."""
        return list(map(self.patient, batch.device, batch.corrected))

    def spans(self, patient: str) -> list[Span]:
        """The devices that were on a patient, and when."""
        return [s for spans in self._spans.values() for s in spans if s.patient == patient]

    def wearer(self, device: str, at: int) -> Span | None:
        """The span in which a device is at ``at``."""
        patient = self.patient(device, at)
        if patient is None:
            return None
        return self._spans[device][bisect_right(self._starts[device], at) - 1]


def load_attribution(session: Session, tenant: str) -> Attribution:
    """The associations in force; corrected ones are left out."""
    rows = session.scalars(
        select(Association).where(Association.tenant == tenant, Association.superseded_at.is_(None))
    )
    return Attribution(Span(r.device, r.patient, r.start, r.end) for r in rows)
