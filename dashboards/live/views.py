"""What is told of an alarm, an inactivation and a number on the wall, as JSON: pure."""

from __future__ import annotations

from typing import Any, Final

from dashboards.models import Alarm, Inactivation
from dashboards.risk_models import Risk

__all__ = ["MS", "alarm_view", "inactive_view", "number", "risk_shown"]

MS: Final = 1_000_000


def number(value: float) -> str:
    """A value as people read it: no fraction unless there is one (89.5 must not look like 90)."""
    return f"{value:.1f}".removesuffix(".0")


def alarm_view(alarm: Alarm, under: int, root: str | None) -> dict[str, Any]:
    """An alarm; what does not differ from the usual is left out.

    ``under``: how many are shown under it. ``root``: what it is shown under, if that is there: what is shown
    under an alarm that is not there signals for itself.
    """
    usual: dict[str, tuple[Any, Any]] = {
        "c": (alarm.condition, "active"),
        "s": (alarm.signal, "on"),
        "su": (_ms(alarm.signal_until), None),
        "ended": (_ms(alarm.ended), None),
        "nx": (_ms(alarm.next_at), None),
        "to": (alarm.next_to, []),
        "n": (under, 0),
        "e": (alarm.episodes, 0),
        "r": (root, None),
    }
    return {
        "id": alarm.id,
        "p": alarm.priority,
        "k": alarm.kind,
        "text": alarm.text,
        "why": alarm.explanation,
        "onset": alarm.onset // MS,
        "by": alarm.accepted_name or alarm.accepted_by,
        "late": alarm.late,
        **{key: value for key, (value, normal) in usual.items() if value != normal},
    }


def inactive_view(row: Inactivation) -> dict[str, Any]:
    """Something that is switched off."""
    return {
        "k": row.kind,
        "of": row.subject,
        "name": row.name,
        "u": row.until // MS,
        "by": row.by_name,
        "why": row.reason,
    }


WENT: Final = 2
"""A tile says how NEWS2 went from so many points on: the names of patients want the room."""
ARROWS: Final = {"up": " ↑", "down": " ↓", "steady": "", None: ""}


def risk_shown(risk: Risk) -> list[Any]:
    """``[state, what a tile says, as of when in ms]``: ``["known", "34 % ↑ · NEWS2 +3", 1767225600000]``.

    With how NEWS2 went in the last hours, by two points or more; not beside what is too old.
    """
    went = risk.news2
    much = went is not None and abs(went.change or 0) >= WENT and risk.state != "stale"
    beside = f" · NEWS2 {went.signed}" if went is not None and much else ""
    if risk.value is None or risk.at is None:
        return [risk.state, f"–{beside}", 0]  # noqa: RUF001 - a dash
    return [risk.state, f"{risk.percent(risk.value)}{ARROWS[risk.trend]}{beside}", risk.at // MS]


def _ms(at: int | None) -> int | None:
    return None if at is None else at // MS
