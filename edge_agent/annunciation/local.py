"""Which alarms are told at the gateway itself, and when: while the hospital is reached, it tells of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal, Protocol

from edge_agent.annunciation.base import Annunciator, LinkState, LocalAlarm
from hearthward.core.clock import SECOND, Clock
from hearthward.core.telemetry import Telemetry

__all__ = ["LINK_LOST_S", "PAUSE_S", "LinkWatch", "LocalAlarms", "When"]

log = logging.getLogger(__name__)

LINK_LOST_S: Final = 10.0
"""No receipt for so long though readings wait for one: the hospital is not reached."""
AWAY_S: Final = 3.0
"""So is the broker away when it is not connected for so long."""
PAUSE_S: Final = 120.0
"""The sound is paused for so long at most; a new alarm ends the pause."""
LOOK_S: Final = 0.5
REPEAT_S: Final = 5.0
"""What is told is shown again this often."""
LINK: Final = "link"
"""Of what cannot be asked whether the hospital is reached, in ``annunciation_failed_total``."""
_GRAVEST: Final = ("high", "medium", "low")

When = Literal["always", "offline", "never"]


class Link(Protocol):
    """What is asked of the uplink and the outbox."""

    def connected(self) -> bool:
        """Whether the broker is reached."""
        ...

    def receipted(self) -> float:
        """A number that grows with each receipt."""
        ...

    def backlog(self) -> int:
        """How many readings wait for a receipt."""
        ...


class LinkWatch:
    """Tells from receipts, not from the broker's word, whether the hospital is reached.

    Where nothing waits for a receipt, none is missed. At the start it counts as reached until it is missed.
    """

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link, self._clock = link, clock
        self._receipted = link.receipted()
        self._good = self._connected = clock.monotonic_ns()
        self.state = LinkState(reached=True, since=clock.now_ns())

    def look(self) -> LinkState:
        """How it is now."""
        mono, now = self._clock.monotonic_ns(), self._clock.now_ns()
        backlog, receipted = self._link.backlog(), self._link.receipted()
        came = receipted != self._receipted
        if came or not backlog:
            self._receipted, self._good = receipted, mono
        if self._link.connected():
            self._connected = mono
        away, missed = mono - self._connected, mono - self._good
        reached = away < AWAY_S * SECOND and missed < LINK_LOST_S * SECOND
        before = self.state
        self.state = LinkState(
            reached=reached,
            since=before.since if reached is before.reached else now,
            receipt=now if came else before.receipt,
            backlog=backlog,
        )
        return self.state

    def cut(self) -> None:
        """It cannot be known how it is: it is not reached."""
        if self.state.reached:
            self.state = replace(self.state, reached=False, since=self._clock.now_ns())


class LocalAlarms:
    """What the rules have open, and of that what is told here.

    ``when`` says when: ``always``; ``offline``: while the hospital is not reached, and of what began then
    until it ends; ``never``. That the hospital is not reached is told itself, unless ``never``.
    """

    def __init__(
        self,
        when: When,
        link: Link,
        annunciators: Iterable[Annunciator],
        *,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._when = when
        self._clock, self._telemetry = clock, telemetry
        self._watch = LinkWatch(link, clock)
        self._annunciators = list(annunciators)
        self._present: dict[str, LocalAlarm] = {}
        self._kept: set[str] = set()
        self._quiet: dict[str, int] = {}
        self._last: tuple[tuple[LocalAlarm, ...], bool] | None = None
        self._last_at = 0
        self._failing: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def link(self) -> LinkState:
        """Whether the hospital was reached when last looked."""
        return self._watch.state

    @property
    def present(self) -> Sequence[LocalAlarm]:
        """All that is present, told here or not; the gravest first, then the newest."""
        return self._ordered(self._present.values())

    @property
    def told(self) -> Sequence[LocalAlarm]:
        """What is told here, the gravest first, then the newest."""
        return self._ordered(a for a in self._present.values() if self.tells(a.id))

    @property
    def quiet_until(self) -> int | None:
        """When the pause of the sound ends (monotonic ns); None: there is none."""
        ends = [end for end in self._quiet.values() if end > self._clock.monotonic_ns()]
        return max(ends, default=None)

    def tells(self, alarm: str) -> bool:
        """Whether an alarm is told here, or was when it was last present."""
        if self._when == "offline":
            return not self.link.reached or alarm in self._kept
        return self._when == "always"

    def update(self, alarms: Iterable[LocalAlarm]) -> None:
        """These are the alarms that are present now; they are told at once."""
        before, self._present = self._present, {a.id: a for a in alarms}
        self._look()
        if not self.link.reached:
            self._kept |= self._present.keys() - before.keys()
        self._kept &= self._present.keys()
        if any(self.tells(a) for a in self._present.keys() - before.keys()):
            self._quiet.clear()
        self._tell()

    def pause(self) -> None:
        """Pause the sound of what is told now."""
        end = self._clock.monotonic_ns() + round(PAUSE_S * SECOND)
        self._quiet = {a.id: end for a in self.told}
        log.info("the sound of %d local alarms is paused for %.0f s", len(self._quiet), PAUSE_S)
        self._tell()

    async def run(self) -> None:
        """Look after the link and the pause until cancelled."""
        try:
            while True:
                self._look()
                self._tell()
                await asyncio.sleep(LOOK_S)
        finally:
            for annunciator in self._annunciators:
                self._call(annunciator.name, annunciator.close)

    def _look(self) -> None:
        """Look after the link; one that cannot be asked counts as cut, so that alarms are told here."""
        before = self._watch.state
        self._call(LINK, self._watch.look)
        if LINK in self._failing:
            self._watch.cut()
        if self._watch.state.reached is not before.reached:
            log.warning("the hospital is %s", "not reached" if before.reached else "reached again")
            self._telemetry.gauge("edge_hospital_reached", float(not before.reached))

    def _ordered(self, alarms: Iterable[LocalAlarm]) -> tuple[LocalAlarm, ...]:
        mono = self._clock.monotonic_ns()
        heard = [replace(a, audible=self._quiet.get(a.id, 0) <= mono) for a in alarms]
        return tuple(sorted(heard, key=lambda a: (_GRAVEST.index(a.priority), -a.started, a.id)))

    def _tell(self) -> None:
        """Show what is told: at a change, and again now and then."""
        told, mono = tuple(self.told), self._clock.monotonic_ns()
        state = told, self.link.reached
        again = bool(told) and mono - self._last_at >= REPEAT_S * SECOND
        if state == self._last and not again:
            return
        self._last, self._last_at = state, mono
        self._telemetry.gauge("edge_alarms_told", len(told))
        link = self.link if self._when != "never" else replace(self.link, reached=True)
        for annunciator in self._annunciators:
            self._call(annunciator.name, lambda a=annunciator: a.show(told, link))  # type: ignore[misc]

    def _call(self, name: str, do: Callable[[], object]) -> None:
        try:
            do()
        except Exception:
            self._telemetry.count("annunciation_failed_total", annunciator=name)
            if name not in self._failing:
                self._failing.add(name)
                log.exception("alarms cannot be told by %s", name)
        else:
            self._failing.discard(name)
