"""Of which patients' signals a new level has become the usual lately: read from the alarms' lives."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.alarm_models import Alarm, TransitionRow
from rules.detectors.novelty import LASTING
from rules.response.orders import RELEARN

__all__ = ["relearned"]

_ALARMS: Final = 3 * LASTING
"""Alarms that began so long ago are looked at: an unusual one is over a day after the level has changed."""


def relearned(session: Session, tenant: str, rules: Collection[str], now: int) -> dict[str, dict[str, int]]:
    """Patient -> signal -> when that was decided last (UTC ns), of what was decided within a day.

    ``rules`` are those by which an alarm may go that was told so. After a day a gateway has learned it by
    itself (``rules.detectors.novelty.LASTING``).
    """
    if not rules:
        return {}
    query = (
        select(Alarm.patient, TransitionRow.detail, TransitionRow.recorded)
        .join(TransitionRow, (TransitionRow.tenant == Alarm.tenant) & (TransitionRow.alarm == Alarm.id))
        .where(
            Alarm.tenant == tenant,
            Alarm.rule.in_(sorted(rules)),
            Alarm.started > now - _ALARMS,
            TransitionRow.kind == "note",
            TransitionRow.recorded > now - LASTING,
            TransitionRow.detail["why"].as_string() == RELEARN,
        )
        .order_by(TransitionRow.recorded)
    )
    found: dict[str, dict[str, int]] = {}
    for patient, detail, recorded in session.execute(query):
        if patient is not None:
            found.setdefault(patient, {})[str(detail["metric"])] = recorded
    return found
