"""Alarms as lines on the gateway's own console, with its bell: one line a change.

The console is meant for who is at the bedside or at home. It names places, never patients; still, its lines
belong on a screen and not into a log: where the output is no terminal it is off unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from edge_agent.annunciation.base import Language, LinkState, LocalAlarm
from edge_agent.annunciation.words import LINK, PRIORITY, WORDS, said, says
from hearthward.core.clock import SECOND, Clock

__all__ = ["BELL_S", "Console"]

BELL: Final = "\a"
BELL_S: Final = {"high": 10.0, "medium": 25.0, "low": 30.0}
"""The bell rings again after so long (IEC 60601-1-8 gives ranges: these lie within them)."""


class Console:
    """Writes to ``write`` (a line, its end included)."""

    name = "console"

    def __init__(self, write: Callable[[str], object], language: Language, clock: Clock) -> None:
        self._write, self._language, self._clock = write, language, clock
        self._shown: dict[str, LocalAlarm] = {}
        self._reached = True
        self._rung: int | None = None

    def show(self, alarms: Sequence[LocalAlarm], link: LinkState) -> None:
        """See the port."""
        now = {a.id: a for a in alarms}
        if link.reached is not self._reached:
            self._reached = link.reached
            self._line(LINK[link.reached][self._language], "" if link.reached else BELL)
        for alarm in self._shown.values():
            if alarm.id not in now:
                self._line(f"{WORDS['over'][self._language]}  {alarm.place}  {self._title(alarm)}")
        news = [a for a in alarms if self._told(a) != self._told(self._shown.get(a.id))]
        bell = BELL if self._rings(alarms, new=any(a.id not in self._shown for a in news)) else ""
        for n, alarm in enumerate(news):
            self._line(self._said(alarm), bell if n == 0 else "")
        if bell and not news:
            self._write(bell)
        self._shown = now

    def close(self) -> None:
        """See the port."""
        self._shown = {}

    @staticmethod
    def _told(alarm: LocalAlarm | None) -> object:
        return None if alarm is None else (alarm.priority, dict(alarm.text), alarm.limit)

    def _rings(self, alarms: Sequence[LocalAlarm], *, new: bool) -> bool:
        """Whether the bell rings: at once for what is new, and again in the time of the gravest."""
        audible = [a for a in alarms if a.audible]
        if not audible:
            self._rung = None
            return False
        mono = self._clock.monotonic_ns()
        every = min(BELL_S[a.priority] for a in audible) * SECOND
        if new or self._rung is None or mono - self._rung >= every:
            self._rung = mono
            return True
        return False

    def _title(self, alarm: LocalAlarm) -> str:
        return alarm.title.get(self._language) or alarm.rule

    def _said(self, alarm: LocalAlarm) -> str:
        kind = f" ({says('technical', self._language)})" if alarm.kind == "technical" else ""
        head = f"{says('alarm', self._language)} {PRIORITY[alarm.priority][self._language]}{kind}"
        return f"{head}  {alarm.place}  {said(alarm, self._language)}"

    def _line(self, text: str, bell: str = "") -> None:
        at = datetime.fromtimestamp(self._clock.now_ns() // SECOND).astimezone()
        plain = "".join(c if c.isprintable() else " " for c in text)
        self._write(f"{bell}{at:%H:%M:%S}  {plain}\n")
