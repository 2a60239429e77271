"""What the rules have open, as it is told at the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge_agent.annunciation.base import LocalAlarm
from rules.model import subject_key
from rules.state import State

__all__ = ["present"]

_DEVICE: Final = subject_key("device", "")


def present(state: State, places: Mapping[str, str]) -> dict[str, LocalAlarm]:
    """The alarms of a state that are present, by id; ``places`` is what patients' places are called."""
    rules = state.rules.by_id
    return {
        a.id: LocalAlarm(
            id=a.id,
            place=places.get(a.patient) or a.patient.removeprefix(_DEVICE),
            rule=a.rule,
            kind=a.kind,
            priority=a.priority,
            onset=a.onset,
            started=a.started,
            title=dict(rules[a.rule].title),
            text=a.text,
            limit=a.limit,
            values=a.values,
        )
        for a in state.active()
    }
