"""What each reading is worth, before it is stored: the store then says what the rules will see.

The rules' own gate says it again when they take the readings (``rules.detectors.quality``), and only that
changes its state: here a copy is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from cloud_ingest.attribution import Attribution
from cloud_ingest.intake import Part
from hearthward.core.model import JUDGED, Quality, ReadingBatch, quality_names
from hearthward.core.telemetry import Telemetry
from rules.detectors.quality import refine
from rules.intake import FUTURE_SKEW
from rules.model import Rows, subject_key
from rules.state import State

__all__ = ["appraise", "count_verdicts"]

_UNCERTAIN = int(Quality.SUSPECT | Quality.BAD)


def appraise(state: State, parts: Iterable[Part], attribution: Attribution) -> None:
    """Put the gate's verdicts among the quality bits of parts, which come in order of their source.

    Parts of one source are looked at together, as the rules do. ``state`` is left as it is.
    """
    gate, keep = dict(state.gate), state.rules.memory_ns
    for _, found in groupby(parts, key=lambda part: part.source):
        rows, batches, until = Rows(), [], 0
        for part in found:
            _add(rows, part.batch, attribution)
            batches.append(part.batch)
            until = max(until, part.now + FUTURE_SKEW)
        refined = refine(gate, rows, keep, until, copying=True)
        if refined is rows:
            continue
        first = 0
        for batch in batches:
            batch.quality[:] = refined.quality[first : first + len(batch)]
            first += len(batch)


def _add(rows: Rows, batch: ReadingBatch, attribution: Attribution) -> None:
    """Rows by the subjects that the rules will know them under, column by column."""
    patients = zip(attribution.column(batch), batch.device, strict=True)
    rows.patient += [patient or subject_key("device", device) for patient, device in patients]
    rows.device += batch.device
    rows.metric += batch.metric
    rows.value += batch.value
    rows.time += batch.corrected
    rows.received += batch.corrected
    rows.quality += batch.quality


def count_verdicts(telemetry: Telemetry, batch: ReadingBatch) -> None:
    """Count new readings that are suspect or bad, by the gate's words for it."""
    for quality in batch.quality:
        if quality & _UNCERTAIN:
            verdict, *reasons = quality_names(quality & JUDGED)
            for reason in reasons:
                telemetry.count("readings_doubted_total", verdict=verdict, reason=reason)
