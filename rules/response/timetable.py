"""Escalation: the steps of the timetable, reminders, and when the next of them is due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rules.response.answers import WALL, Answers, remote
from rules.response.model import NEVER, Response, Told
from rules.response.policy import Step, Timetable
from rules.rule import SECOND

__all__ = ["Escalation"]


def ns(seconds: float) -> int:
    """Seconds of a policy as nanoseconds."""
    return round(seconds * SECOND)


class Escalation(Answers):
    """Takes steps and reminds; knows when to."""

    # -- when

    def arm(self, response: Response, at: int, why: str = "") -> Response:
        """The timetable begins anew at ``at``, for those too who could not come before."""
        return self.put(
            replace(response, armed=at, step=0, due=at, why=why, pending=(), next_to=(), rejected=())
        )

    def disarm(self, response: Response) -> Response:
        """Nobody is told any more."""
        return self.put(replace(response, due=NEVER, why="", pending=(), next_to=()))

    def hasten(self, response: Response, why: str) -> Response:
        """The next step is due now: the one before will not bring anybody."""
        if response.owner is not None or not self.tells(response):
            return response
        return self.put(replace(response, due=self.at, why=why))

    def rearm(self, response: Response, why: str) -> Response:
        """Whether and when the timetable goes on after something else about the alarm has changed."""
        if not self.tells(response):
            return self.disarm(response)
        if response.owner is not None:
            return response
        return self.arm(response, self.at, why)

    def reschedule(self, response: Response) -> Response:
        """The next step's time by a timetable that may be another one now: it may go on again, or be over."""
        if response.why or response.owner is not None or not self.tells(response):
            return response
        table, over = self.table(response), response.due == NEVER
        step = min(response.step, len(table.steps))
        if step < len(table.steps):
            due = max(response.armed + ns(table.steps[step].after_s), self.at)
        elif not table.repeat_s:
            due = NEVER
        elif not over:
            due = response.due  # the last step is repeated then
        else:
            due = max(response.armed + ns(table.steps[-1].after_s + table.repeat_s), self.at)
        if (due, step) == (response.due, response.step):
            return response
        return self.put(replace(response, step=step, due=due))

    # -- what

    def take_step(self, response: Response) -> None:
        """Take the step that is due, and tell of it.

        That there is nobody to tell is said once, not at every repetition.
        """
        after, step = self.step(response)
        if step["told"] or response.step <= step["of"]:
            self.tell("tell", after, at=response.due, **step)

    def step(self, response: Response) -> tuple[Response, dict[str, Any]]:
        """Take the step that is due, and look when the next one is; returns what is to be told of it."""
        table, at = self.table(response), response.due
        last = len(table.steps) - 1
        number = min(response.step, last)
        told = self.hops(response, table.steps[number], at)
        why = response.why or ("repeated" if response.step > last else "timetable")
        after = replace(
            response,
            step=response.step + 1,
            why="",
            pending=remote(told) or told,
            told=tuple(dict.fromkeys((*response.told, *told))),
        )
        after = self._next(after, table, at, nobody=not told)
        return self.put(after), {"told": told, "step": number, "of": last + 1, "why": why, "due": at}

    def hops(self, response: Response, step: Step, at: int) -> tuple[Told, ...]:
        """Whom a step tells at ``at``, and by what; in the first round not those who cannot come."""
        found = self.duty.recipients(
            step,
            response.subject,
            at,
            audience=response.audience,
            dead=self.dead(),
            wall=self.walled(response),
        )
        again = response.step >= len(self.table(response).steps) and response.why != "rejected"
        return found if again else tuple(hop for hop in found if hop[1] not in response.rejected)

    def _next(self, response: Response, table: Timetable, at: int, *, nobody: bool) -> Response:
        number = response.step
        if number < len(table.steps):
            due = at if nobody else max(response.armed + ns(table.steps[number].after_s), at)
            why = "nobody" if nobody else ""
        elif table.repeat_s:
            every = ns(table.repeat_s)
            due = at + every * max(1, (self.now - at) // every)  # of those missed while away only the last
            why = ""
        else:
            due, why = NEVER, ""
        return replace(response, due=due, why=why, next_to=self.next_to(response, table, due))

    def next_to(self, response: Response, table: Timetable, due: int) -> tuple[str, ...]:
        """Who is told next: the persons, or else what the settings name."""
        if due == NEVER:
            return ()
        step = table.steps[min(response.step, len(table.steps) - 1)]
        return tuple(dict.fromkeys(who for _, who in self.hops(response, step, due)))

    def remind(self, response: Response) -> Response:
        """Whoever took it over is reminded that it goes on, unless nobody is told of it at all."""
        every, at = ns(self.table(response).remind_s), response.remind
        following = at + every * max(1, (self.now - at) // every) if every else NEVER
        if not self.tells(response):
            return self.put(replace(response, remind=following))
        signal = "on" if response.signal == "acknowledged" else response.signal
        after = self.put(replace(response, remind=following, signal=signal))
        self.tell("continue", after, at=at, told=self.owner_hops(after), why="reminder")
        return after

    def owner_hops(self, response: Response) -> tuple[Told, ...]:
        """How the one who is responsible is spoken to without a step: on the pages, and by push."""
        person = self.duty.people.get(response.owner or "")
        ways = () if person is None else person.channels
        quiet = ("in_app", "push")
        personal = (
            tuple((c, person.id) for c in quiet if c in ways and c in self.duty.channels) if person else ()
        )
        return (WALL, *personal)

    def reminder(self, response: Response, at: int) -> int:
        """When the first reminder after ``at`` is due."""
        every = ns(self.table(response).remind_s)
        return at + every if every else NEVER
