"""What comes of deciding at the edge: what is present is told here, what has changed is told to the cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge_agent.annunciation.base import LocalAlarm, Signals
from edge_agent.annunciation.present import present
from edge_agent.edge_config import Knowledge
from edge_agent.keeping import Keeper
from edge_agent.rests import Rests
from hearthward.core.telemetry import Telemetry
from rules.model import Transition
from rules.state import State
from rules.travelling import PLAIN, Travelling

__all__ = ["SENT", "Telling"]

SENT: Final = frozenset({"start", "update", "escalate", "de-escalate", "end", "reset"})
_OVER: Final = frozenset({"end", "reset"})


class Telling:
    """Tells by ``signals`` (None: nobody is told here) and by way of ``keeper``."""

    def __init__(self, keeper: Keeper, rests: Rests, signals: Signals | None, telemetry: Telemetry) -> None:
        self._keeper, self._rests = keeper, rests
        self._signals, self._telemetry = signals, telemetry
        self._open: dict[str, LocalAlarm] = {}

    @property
    def alarms(self) -> list[LocalAlarm]:
        """What is present now, the oldest first."""
        return list(self._open.values())

    def look(self, state: State, knowledge: Knowledge | None) -> None:
        """Bring what is told here up to date with what is present."""
        places = {} if knowledge is None else knowledge.places
        self._open = present(state, places)
        self._telemetry.gauge("edge_alarms_open", len(self._open))
        if self._signals is not None:
            self._signals.update(self._open.values())

    def follow(self, transitions: Sequence[Transition], state: State, knowledge: Knowledge | None) -> None:
        """Tell what was decided, here and to the cloud.

        A second measurement that was asked for and proved the first one wrong ends what never was an alarm.
        """
        if not transitions:
            return
        known = set(self._open)
        told = {alarm for alarm in known if self._told(alarm)}
        self.look(state, knowledge)
        for t in transitions:
            if t.kind == "start":
                known.add(t.alarm)
            if t.kind in SENT and not t.shadow and t.alarm in known:
                self._send(t, knowledge, told=t.alarm in told if t.kind in _OVER else self._told(t.alarm))
            if t.kind in _OVER:
                known.discard(t.alarm)

    def _told(self, alarm: str) -> bool:
        return self._signals is not None and self._signals.tells(alarm)

    def _send(self, t: Transition, known: Knowledge | None, *, told: bool) -> None:
        self._telemetry.count("edge_decisions_total", kind=t.kind)
        digest, version = ("", PLAIN) if known is None else (known.digest, known.decisions)
        word = Travelling.of(t, config=digest, told=told, version=version)
        self._keeper.put(word, self._rests.of(t.inputs))
