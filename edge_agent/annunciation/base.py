"""The port by which a gateway itself tells of alarms, to who is at the bedside or at home."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rules.rule import Kind, Priority

__all__ = ["Annunciator", "Language", "LinkState", "LocalAlarm", "Signals"]

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class LocalAlarm:
    """An alarm that is present, as the rules at the edge decided it.

    ``place`` is where the patient is as people call it, else the patient's or device's id. Times are UTC ns.
    ``audible``: its sound is not paused.
    """

    id: str
    place: str
    rule: str
    kind: Kind
    priority: Priority
    onset: int
    started: int
    title: Mapping[str, str] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    limit: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    audible: bool = True


@dataclass(frozen=True, slots=True)
class LinkState:
    """Whether the hospital learns of what is measured here.

    ``since`` is since when it is (or is not) so and ``receipt`` when something was last confirmed (UTC ns;
    None: not since the start), ``backlog`` how many readings wait for that.
    """

    reached: bool
    since: int
    receipt: int | None = None
    backlog: int = 0


class Annunciator(Protocol):
    """One way of telling at the gateway: a line on a console, a page, a lamp.

    The fake is ``edge_agent.annunciation.fake``; what every one must do is in the conformance suite.
    """

    name: str

    def show(self, alarms: Sequence[LocalAlarm], link: LinkState) -> None:
        """These alarms are to be told now, the gravest first, and none besides; the link is as said.

        Called in the event loop at every change and every few seconds while there is something to tell; must
        return at once. What it raises is logged and counted, and keeps no other one from telling.
        """
        ...

    def close(self) -> None:
        """Nothing is told any more."""
        ...


class Signals(Protocol):
    """Where alarms are told at the gateway: what deciding needs of ``LocalAlarms``."""

    def update(self, alarms: Iterable[LocalAlarm]) -> None:
        """These alarms are present now."""
        ...

    def tells(self, alarm: str) -> bool:
        """Whether an alarm is told there."""
        ...

    async def run(self) -> None:
        """Tell until cancelled."""
        ...
