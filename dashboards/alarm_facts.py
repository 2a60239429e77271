"""An alarm with its history as one fact of the burden, for where there is no database to fold it."""

from __future__ import annotations

from typing import Final

from cloud_ingest.burden import Fact
from dashboards.models import AlarmDetail, AlarmTransition

__all__ = ["fact_of"]

TAKING: Final = ("accept", "take_over")
ACTS: Final = (*TAKING, "reject", "release", "redirect", "acknowledge", "note")
ENDING: Final = ("end", "reset")


def fact_of(alarm: AlarmDetail, ward: str | None, doctors: frozenset[str] = frozenset()) -> Fact:
    """What ``cloud_ingest.burden_record`` would read of an alarm; ``doctors`` are users' ids."""
    lines = alarm.transitions
    tells = [t for t in lines if t.kind == "tell"]
    calls = [t for t in lines if t.kind in TAKING or _risen(t)]
    unanswered = bool(calls) and _risen(calls[-1])
    told = {who for t in lines if t.kind not in ENDING for _, who in t.detail.get("told", [])}
    order = ("high", "medium", "low")
    return Fact(
        alarm=alarm.id,
        subject=alarm.patient or "",
        rule=alarm.rule,
        kind=alarm.kind,
        priority=min([t.priority for t in lines if t.priority] or [alarm.priority], key=order.index),
        ward=ward,
        started=alarm.started,
        ended=next((t.at for t in lines if t.kind in ENDING), alarm.ended),
        accepted=None if unanswered else next((t.at for t in lines if t.kind in TAKING), alarm.accepted_at),
        acted=any(t.kind in ACTS for t in lines) or alarm.accepted_at is not None,
        step=max((int(t.detail.get("step", 0)) for t in tells), default=0),
        doctor=bool(told & doctors),
        audio_pauses=sum(_paused(t.detail) for t in lines if t.kind == "signal" and t.actor),
        undelivered=sum(t.kind == "undelivered" for t in lines),
        rises=sum(map(_risen, lines)),
    )


def _risen(line: AlarmTransition) -> bool:
    return line.kind == "escalate" and line.detail.get("why") == "raised"


def _paused(detail: dict[str, object]) -> bool:
    axes = detail.get("axes")
    return isinstance(axes, dict) and axes.get("signal") == "audio_paused"
