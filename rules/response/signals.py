"""The signal of each alarm: audio pauses, what is switched off for a subject, and what follows its end."""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush

from rules.model import TransitionKind
from rules.response.answers import SILENT
from rules.response.model import NEVER, Inactivation, Response, Responses
from rules.response.tree import Tree
from rules.rule import RuleSet

__all__ = ["Signals"]


class Signals(Tree):
    """Keeps every alarm's signal as it must be, and runs all timers."""

    def __init__(self, before: Responses, seq: int, now: int, rules: RuleSet) -> None:
        super().__init__(before, seq, now, rules)
        self._heap: list[tuple[int, int, int, tuple[str, str, str]]] | None = None
        self._soonest = before.wake
        """No timer ends before."""

    def resignal(self, response: Response, why: str, *, actor: str | None = None, note: str = "") -> Response:
        """Bring one alarm's signal up to date, and tell of it if it changed.

        What was paused or off altogether is told anew from the first step on.
        """
        signal, until = self.signal(response)
        if (signal, until) == (response.signal, response.until):
            return response
        before = response.signal
        after = self.put(replace(response, signal=signal, until=until))
        if (before in SILENT) != (signal in SILENT):
            after = self.rearm(after, "resumed")
        kind: TransitionKind = "continue" if signal == "on" and why == "resumed" else "signal"
        self.tell(kind, after, actor=actor, note=note, why=why)
        return after

    def pause_audio(self, response: Response, until: int, actor: str) -> None:
        """No sound of one alarm for a while; whatever else begins is heard."""
        if self.inactive(response) is not None or response.signal == "acknowledged":
            return
        after = self.put(replace(response, signal="audio_paused", until=until))
        self.tell("signal", after, actor=actor, why="audio_paused")

    def resume_audio(self, response: Response, actor: str) -> None:
        """Sound again, before the pause is over."""
        if response.signal == "audio_paused":
            self.put(replace(response, signal="on", until=0))
            self.tell("signal", self.open[response.alarm], actor=actor, why="resumed")

    def switch_off(self, switched: Inactivation) -> None:
        """Switch signals off for a subject; what was switched off before in the same way is replaced."""
        before = self.inactivations.get((switched.subject, switched.kind))
        if before is not None:
            self.subject_transition("resume", before, actor=switched.by, at=self.now, why="replaced")
        self.inactivations[switched.subject, switched.kind] = switched
        self.changed = True
        self.subject_transition("pause", switched, actor=switched.by, at=self.now, why="asked")
        for response in list(self.open.values()):
            if self.covers(switched, response):
                self.resignal(response, switched.kind, actor=switched.by, note=switched.reason)

    def switch_on(self, switched: Inactivation, *, actor: str | None, at: int, why: str) -> None:
        """Signals again: what is still present is told anew."""
        concerned = [r.alarm for r in self.open.values() if self.covers(switched, r)]
        del self.inactivations[switched.subject, switched.kind]
        self.changed = True
        self.subject_transition("resume", switched, actor=actor, at=at, why=why)
        for alarm in concerned:
            self.resignal(self.open[alarm], "resumed", actor=actor)

    # -- timers

    def run_timers(self) -> None:
        """End everything that ends by now, in order of time; at one time the older alarm's comes first."""
        if self._soonest > self.now:
            return
        self._heap = []
        for switched in self.inactivations.values():
            self._wait(switched.until, 0, switched.start, ("switched", switched.subject, switched.kind))
        for response in self.open.values():
            self._await(response)
        while self._heap:
            at, _, _, (kind, name, which) = heappop(self._heap)
            self.at = at
            if kind == "switched":
                switched_off = self.inactivations.get((name, which))
                if switched_off is not None and switched_off.until == at:
                    self.switch_on(switched_off, actor=None, at=at, why="expired")
            elif (found := self.open.get(name)) is not None:
                self._end(kind, at, found)
        self._heap, self.at, self._soonest = None, self.now, NEVER

    def put(self, response: Response) -> Response:
        """Keep a changed record, and mind its timers."""
        super().put(response)
        self._soonest = min(self._soonest, response.due, response.remind, response.until or NEVER)
        if self._heap is not None:
            self._await(response)
        return response

    def _await(self, r: Response) -> None:
        if r.until:
            self._wait(r.until, 1, r.started, ("until", r.alarm, ""))
        self._wait(r.due, 2, r.started, ("step", r.alarm, ""))
        self._wait(r.remind, 3, r.started, ("remind", r.alarm, ""))

    def _wait(self, at: int, order: int, started: int, timer: tuple[str, str, str]) -> None:
        if at <= self.now and self._heap is not None:
            heappush(self._heap, (at, order, started, timer))

    def _end(self, kind: str, at: int, response: Response) -> None:
        """A timer of an alarm has ended, unless it has been set anew meanwhile."""
        if kind == "until" and response.until == at:
            self._audio_again(response)
        elif kind == "step" and response.due == at:
            self.take_step(response)
        elif kind == "remind" and response.remind == at:
            self.remind(response)

    def _audio_again(self, response: Response) -> None:
        """An alarm's own timed pause is over (or that of its subject, which tells of it itself)."""
        signal, until = self.signal(response)
        if until and until <= self.at:
            signal, until = response.signal, 0  # its subject's: ends with that
        after = self.put(replace(response, signal=signal, until=until))
        if signal != response.signal:
            self.tell("continue", after, why="resumed")
