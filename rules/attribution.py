"""Whose readings they are, and what the rules see of them: the same for cloud and edge.

The patient is found through association intervals, at a reading's own time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hearthward.core.codes import METRICS
from hearthward.core.model import ReadingBatch
from rules.model import Rows, subject_key

__all__ = ["Attribution", "Span", "rows_to_judge"]

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

    def shifted(self, by: int) -> Attribution:
        """The same by a clock that shows ``by`` ns more."""
        return Attribution(
            replace(s, start=s.start + by, end=None if s.end is None else s.end + by)
            for spans in self._spans.values()
            for s in spans
        )

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

    def of_device(self, device: str) -> list[Span]:
        """Whom a device was on, in order."""
        return list(self._spans.get(device, ()))

    def wearer(self, device: str, at: int) -> Span | None:
        """The span in which a device is at ``at``."""
        patient = self.patient(device, at)
        if patient is None:
            return None
        return self._spans[device][bisect_right(self._starts[device], at) - 1]


def rows_to_judge(
    batch: ReadingBatch, patients: Sequence[str | None], received: Sequence[int] | None = None
) -> Rows:
    """What the rules look at: values (coded ones by their place), and what devices say of themselves.

    What a device on nobody sends is the device's own: its battery or clock may be wrong there, too.
    ``received`` are the right receive times, where those of the batch may not be: as parts of keys they grow
    on where a gateway's clock was put back, and are never corrected.
    """
    rows = Rows()
    for patient, device, metric, value, code, time, came, quality in zip(
        patients,
        batch.device,
        batch.metric,
        batch.value,
        batch.code,
        batch.corrected,
        batch.received if received is None else received,
        batch.quality,
        strict=True,
    ):
        judged = value
        if judged is None and code is not None:
            judged = METRICS[metric].place(code)
            if judged is None:
                continue  # a name or number of the device: nothing to judge
        if judged is not None or quality:
            subject = patient or subject_key("device", device)
            rows.append(subject, device, metric, judged, time, came, quality)
    return rows
