"""The open alarms of one input while it is worked on, and the transitions that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from rules.model import Transition, TransitionKind
from rules.response.duty import Duty, channel_of, wall_of
from rules.response.model import INACTIVATIONS, Inactivation, Response, Responses, Signal, Told, wake_of
from rules.response.policy import Policy, Timetable
from rules.rule import RuleSet

__all__ = ["SILENT", "WALL", "Answers", "remote"]

WALL: Final[Told] = ("in_app", "wall")
SILENT: Final[frozenset[Signal]] = frozenset({"alarm_paused", "alarm_off"})
"""Signals with which nobody is told anything."""

JOINED_KEPT: Final = 4096
"""Conditions of alarms that are over whose alarms are remembered."""
_NO_POLICY: Final = Policy("none", 0, {}, {})


def remote(hops: Iterable[Told]) -> tuple[Told, ...]:
    """The hops that leave the house's own pages."""
    return tuple(h for h in hops if h[0] != "in_app")


class Answers:
    """A working copy of ``Responses``: the base of what may happen to them."""

    def __init__(self, before: Responses, seq: int, now: int, rules: RuleSet) -> None:
        self.open = dict(before.open)
        self.inactivations = dict(before.inactivations)
        self.aliases = dict(before.aliases)
        self.joined = dict(before.joined)
        self.duty: Duty = before.duty
        self.seq = seq
        self.now = now
        self.at = now
        """When what is being done happens: now, or at the time of the timer that ends."""
        self.rules = rules
        self.out: list[Transition] = []
        self.changed = False
        self._components: frozenset[str] | None = None
        self._silent: dict[str, str] | None = None

    def done(self) -> Responses:
        """The responses as they are now."""
        aliases = {alias: alarm for alias, alarm in self.aliases.items() if alarm in self.open}
        over = [part for part, alarm in self.joined.items() if alarm not in self.open]
        for part in over[:-JOINED_KEPT]:
            del self.joined[part]
        return Responses(
            self.open, self.inactivations, aliases, self.duty, self.now, self.wake(), self.joined
        )

    def wake(self) -> int:
        """When the next timer ends; NEVER when none runs."""
        return wake_of(self.open.values(), self.inactivations.values())

    def put(self, response: Response) -> Response:
        """Keep a changed record."""
        self.open[response.alarm] = response
        self.touched(response)
        return response

    def drop(self, response: Response) -> None:
        """It is not open any more."""
        del self.open[response.alarm]
        self.touched(response)

    def touched(self, response: Response) -> None:
        """What was derived from this alarm is to be looked up again."""
        self.changed = True
        if response.silence:
            self._silent = None
        if response.subject.startswith("component:"):
            self._components = None

    def components(self) -> frozenset[str]:
        """The parts of the system that something is wrong with now."""
        if self._components is None:
            self._components = frozenset(
                r.subject
                for r in self.open.values()
                if r.condition == "active" and r.subject.startswith("component:")
            )
        return self._components

    def silent(self) -> dict[str, str]:
        """What is silent now, and by which alarm."""
        if self._silent is None:
            self._silent = {
                r.subject: r.alarm for r in self.open.values() if r.silence and r.condition == "active"
            }
        return self._silent

    # -- what holds for an alarm

    def table(self, response: Response) -> Timetable:
        """The timetable that an alarm goes by."""
        policies = self.duty.policies
        policy = policies.get(response.policy) or policies.get("default") or _NO_POLICY
        return policy.timetable(response.kind, response.priority)

    def dead(self) -> frozenset[str]:
        """The channels that are known to fail."""
        wrong = self.components()
        return frozenset(c for c in self.duty.channels if channel_of(c) in wrong)

    def walled(self, response: Response) -> bool:
        """Whether the walls of its ward can be counted on."""
        ward = self.duty.ward_of(response.subject)
        return ward is None or wall_of(ward) not in self.components()

    def inactive(self, response: Response) -> Inactivation | None:
        """What switches an alarm's signal off; of several the strongest."""
        found = [i for i in self.inactivations.values() if self.covers(i, response)]
        return min(found, key=lambda i: (INACTIVATIONS.index(i.kind), -i.until), default=None)

    def covers(self, switched: Inactivation, response: Response) -> bool:
        """Whether an inactivation is about an alarm.

        Maintenance of a device or gateway is also about technical alarms that rest on nothing else.
        """
        if switched.subject == response.subject:
            return True
        if switched.kind != "maintenance" or response.kind != "technical":
            return False
        kind, _, name = switched.subject.partition(":")
        if kind == "gateway":
            return self.duty.gateways_of(response.subject, response.devices) == {name}
        return bool(response.devices) and all(
            ("device:" + d, "maintenance") in self.inactivations for d in response.devices
        )

    def signal(self, response: Response) -> tuple[Signal, int]:
        """The signal that an alarm has now, and until when (0: nothing timed)."""
        switched = self.inactive(response)
        if switched is not None:
            kind = switched.kind
            return ("alarm_paused" if kind == "maintenance" else kind), switched.until
        if response.signal == "audio_paused" and response.until > self.at:
            return "audio_paused", response.until
        return ("acknowledged" if response.signal == "acknowledged" else "on"), 0

    def tells(self, response: Response) -> bool:
        """Whether anybody is to be told of an alarm at all."""
        return response.condition == "active" and response.root is None and response.signal not in SILENT

    # -- transitions

    def tell(
        self,
        kind: TransitionKind,
        response: Response,
        *,
        at: int | None = None,
        actor: str | None = None,
        note: str = "",
        told: Iterable[Told] = (),
        gone: bool = False,
        **detail: Any,
    ) -> None:
        """Add a transition of an alarm; ``gone``: it is not open any more."""
        self.out.append(
            Transition(
                alarm=response.alarm,
                patient=response.subject,
                rule=response.rule,
                rule_hash=response.rule_hash,
                kind=kind,
                condition="inactive" if gone else response.condition,
                priority=response.priority,
                at=self.at if at is None else at,
                onset=response.onset,
                seq=self.seq,
                values=dict(response.values),
                limit=response.limit,
                text=dict(response.text),
                actor=actor,
                late=response.late,
                decided=self.now,
                note=note,
                detail={**detail, **_hops(told), "axes": response.axes()},
            )
        )

    def subject_transition(
        self, kind: TransitionKind, switched: Inactivation, *, actor: str | None, at: int, why: str
    ) -> None:
        """Add what concerns a whole subject: a pause, or its end."""
        detail = {"kind": switched.kind, "until": switched.until, "reason": switched.reason, "why": why}
        self.out.append(
            Transition(
                alarm="",
                patient=switched.subject,
                rule="",
                rule_hash="",
                kind=kind,
                condition="inactive",
                priority="low",
                at=at,
                onset=switched.start,
                seq=self.seq,
                values={},
                limit="",
                text={},
                actor=actor,
                decided=self.now,
                note=switched.reason,
                detail=detail,
            )
        )

    def complete(
        self, decided: Transition, response: Response, *, told: Iterable[Told] = (), **detail: Any
    ) -> None:
        """Add a decided transition, with the alarm's other axes."""
        full = {**decided.detail, **detail, **_hops(told), "axes": response.axes()}
        self.out.append(replace(decided, condition=self._condition(decided, response), detail=full))

    @staticmethod
    def _condition(decided: Transition, response: Response) -> Any:
        return response.condition if response.condition == "latched" else decided.condition


def _hops(told: Iterable[Told]) -> dict[str, Any]:
    """Who is to be told of a transition, as it stands there."""
    hops = [list(hop) for hop in told]
    return {"told": hops} if hops else {}
