"""The fake's answers to alarms: refusals and results of the real owner, without its timers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, Final

from cloud_ingest.life_words import happened
from cloud_ingest.records.staff import AT_WORK
from dashboards.alarm_query import AlarmQuery, is_equipment
from dashboards.alarm_views import hops_of
from dashboards.backend import DirectoryError, InactivationsChanged, LiveEvent
from dashboards.fake_people import FakePeople
from dashboards.fake_views import plain
from dashboards.fake_why import history_of
from dashboards.models import (
    Alarm,
    AlarmDetail,
    AlarmNote,
    AlarmTransition,
    Inactivation,
    InactivationKind,
    Kind,
)
from dashboards.patient_eyes import alarm_seen, off_seen
from dashboards.response_models import LONGEST_S, SECOND, Act, WallState
from hearthward.core.clock import Clock
from hearthward.core.errors import RuleError
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal, Scope

__all__ = ["FakeResponse", "refuse"]

WALL_S: Final = 10.0
"""A wall that has said nothing for so long is not there."""
KINDS: Final[dict[str, InactivationKind]] = {
    "audio_off": "audio_off",
    "pause_alarms": "alarm_paused",
    "alarms_off": "alarm_off",
    "maintenance": "maintenance",
}
OPEN: Final = frozenset({"active", "latched"})


REFUSALS: Final = {
    "no_alarm": "no active alarm {alarm!r}",
    "ended": "the condition has ended: acknowledge it",
    "taken": "already accepted by {by}",
    "not_owner": "only who has accepted it may do that",
    "unknown_user": "there is nobody {to!r}",
    "nothing": "there is nothing to do that with",
    "reason": "say why",
    "past": "the end has passed already",
    "too_long": "{limit_s} s at most",
}


def refuse(code: str, **details: Any) -> RuleError:
    """A refusal as the alarms' owner gives it."""
    return RuleError(REFUSALS[code].format(**details), code=code, **details)


class FakeResponse(FakePeople, ABC):
    """The part of ``FakeBackend`` that is about answering alarms."""

    def __init__(self, clock: Clock, tenant: str, ids: Ids) -> None:
        FakePeople.__init__(self, clock, tenant, ids)
        self.badges: dict[str, str] = {}
        """Badge -> login."""
        self.pins: dict[str, str] = {}
        """Login -> PIN."""
        self.trials: dict[str, list[AlarmDetail]] = {}
        """Tenant -> what rules on trial would have signalled."""
        self._off: list[Inactivation] = []
        self._walls: dict[str, tuple[frozenset[str] | None, bool, int]] = {}

    @abstractmethod
    def put_alarm(self, tenant: str, alarm: AlarmDetail) -> None:
        """Set an alarm and publish it."""

    @abstractmethod
    async def item(self, scope: Scope, kind: Kind, key: str) -> Any:
        """See the port."""

    @abstractmethod
    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Any]:
        """See the port."""

    @abstractmethod
    def _publish(self, event: LiveEvent) -> None: ...

    @abstractmethod
    def _details(self, tenant: str) -> Sequence[AlarmDetail]: ...

    @abstractmethod
    def _ward_of(self, tenant: str, subject: str) -> str | None: ...

    @abstractmethod
    def _patient_visible(self, scope: Scope, patient: str | None) -> bool: ...

    # --- looking -----------------------------------------------------------------------------------
    async def alarms(self, scope: Scope, query: AlarmQuery) -> Sequence[Alarm]:
        """See the port."""
        if query.before is not None and all(a.id != query.before for a in self._details(scope.tenant)):
            raise DirectoryError(field="before", code="unknown", value=query.before)
        found = [
            alarm_seen(scope, plain(a))
            for a in (self.trials.get(scope.tenant, ()) if query.trial else self._details(scope.tenant))
            if query.takes(a) and self._subject_visible(scope, a.patient)
        ]
        if query.ward is not None:
            found = [a for a in found if self._ward_of(scope.tenant, a.patient or "") == query.ward]
        return query.page(found)

    def _subject_visible(self, scope: Scope, subject: str | None) -> bool:
        if not is_equipment(subject) or scope.wards is None or scope.patient is not None:
            return self._patient_visible(scope, subject)
        ward = self._ward_of(scope.tenant, subject or "")
        of_house = ward is None and (subject or "").startswith("component:")
        return of_house or ward in scope.wards

    async def alarm(self, scope: Scope, key: str) -> AlarmDetail | None:
        """See the port."""
        alarm = next((a for a in self._details(scope.tenant) if a.id == key), None)
        if alarm is None or not self._subject_visible(scope, alarm.patient):
            return None
        under = [a for a in self._details(scope.tenant) if a.root == key and a.condition != "inactive"]
        held = await self.inactivations(scope, subject=alarm.patient) if alarm.patient else ()
        names = self._names_for(scope)
        history = history_of(scope.tenant, alarm)
        lines = [
            t.model_copy(
                update={"text": happened(row, names), "actor_name": names.get(t.actor or "", t.actor)}
            )
            for t, row in zip(alarm.transitions, history.transitions, strict=True)
        ]
        more = {
            "transitions": lines,
            "hops": hops_of(history, names),
            "children": [plain(a) for a in under if self._subject_visible(scope, a.patient)],
            "inactivations": list(held),
        }
        return alarm_seen(scope, alarm.model_copy(update=more))

    async def notes(self, scope: Scope, alarms: Collection[str]) -> Sequence[AlarmNote]:
        """See the port."""
        names = self._names(scope.tenant)
        found = [
            AlarmNote(alarm=a.id, at=t.at, by=t.actor, by_name=names.get(t.actor, t.actor), note=t.note)
            for a in self._details(scope.tenant)
            if a.id in alarms and self._subject_visible(scope, a.patient)
            for t in a.transitions
            if t.note and t.actor
        ]
        return sorted(found, key=lambda n: n.at)

    # --- one alarm ---------------------------------------------------------------------------------
    async def answer(self, scope: Scope, alarm: str, act: Act) -> Alarm | None:
        """See the port."""
        found = await self.alarm(scope, alarm)
        if found is None:
            return None
        if found.condition not in OPEN:
            raise refuse(code="no_alarm", alarm=alarm)
        change, kind = self._change(found, act), act.kind
        if act.kind in {"pause_audio", "resume_audio"}:
            kind = "signal"  # type: ignore[assignment]
        line = AlarmTransition(
            kind=kind,
            condition=str(change.get("condition", found.condition)),
            at=self.clock.now_ns(),
            actor=act.actor,
            note=act.note,
        )
        change["transitions"] = [*found.transitions, line]
        self.put_alarm(scope.tenant, found.model_copy(update=change))
        changed = await self.alarm(scope, alarm)
        return None if changed is None else plain(changed)

    def _change(self, alarm: AlarmDetail, act: Act) -> dict[str, Any]:
        owner = alarm.accepted_by
        if alarm.condition == "latched" and act.kind not in {"acknowledge", "note"}:
            raise refuse(code="ended")
        if act.kind == "note" and not act.note.strip():
            raise refuse(code="nothing")
        if act.kind in {"accept", "reject"} and owner not in {None, act.actor}:
            raise refuse(code="taken", by=owner)
        if act.kind == "redirect" and self._name(self.tenant, act.to) is None:
            raise refuse(code="unknown_user", to=act.to)
        signal = self._signal_change(alarm, act)
        return signal if signal is not None else self._owner_change(alarm, act)

    def _signal_change(self, alarm: AlarmDetail, act: Act) -> dict[str, Any] | None:
        now = self.clock.now_ns()
        if act.kind == "acknowledge" and alarm.condition == "latched":
            return {"condition": "inactive", "ended": alarm.ended or now}
        if act.kind == "acknowledge":
            self._owned(alarm, act)
            return {"signal": "acknowledged"}
        if act.kind == "pause_audio":
            _within(act.kind, act.until, now)
            return {"signal": "audio_paused", "signal_until": act.until}
        return {"signal": "on", "signal_until": None} if act.kind == "resume_audio" else None

    def _owner_change(self, alarm: AlarmDetail, act: Act) -> dict[str, Any]:
        nobody = {"accepted_by": None, "accepted_at": None, "signal": "on"}
        if act.kind in {"accept", "take_over"}:
            now = self.clock.now_ns()
            return {"accepted_by": act.actor, "accepted_at": now, "next_at": None, "next_to": []}
        if act.kind == "redirect":
            return {**nobody, "next_to": [self._name(self.tenant, act.to)]}
        if act.kind == "reject":
            who = self._name(self.tenant, act.actor) or act.actor
            return {"rejected": [*alarm.rejected, who], **(nobody if alarm.accepted_by == act.actor else {})}
        if act.kind == "release":
            self._owned(alarm, act)
            return nobody
        return {}

    @staticmethod
    def _owned(alarm: AlarmDetail, act: Act) -> None:
        if alarm.accepted_by != act.actor:
            raise refuse(code="not_owner", by=alarm.accepted_by)

    # --- all alarms of a subject -------------------------------------------------------------------------
    async def switch(self, scope: Scope, subject: str, act: Act) -> bool:
        """See the port."""
        if not await self._there(scope, subject):
            return False
        now = self.clock.now_ns()
        present = [a for a in self._details(scope.tenant) if a.patient == subject and a.condition in OPEN]
        if act.kind == "resume":
            held = [i for i in self._off if i.subject == subject and self._present(i)]
            ended = [i for i in held if act.to in {"", i.kind}]
            if not ended:
                raise refuse(code="nothing")
            for old in ended:
                change = {
                    "ended": now,
                    "ended_by": act.actor,
                    "ended_name": self._name(self.tenant, act.actor),
                }
                self._off[self._off.index(old)] = old.model_copy(update=change)
        else:
            _within(act.kind, act.until, now)
        if act.kind == "pause_audio":
            for alarm in present:
                update = {"signal": "audio_paused", "signal_until": act.until}
                self.put_alarm(scope.tenant, alarm.model_copy(update=update))
            return True
        if act.kind in KINDS:
            _demand(act.note)
            self._off.append(self._made(subject, act, await self._called(scope, subject)))
        for alarm in present:
            self.put_alarm(scope.tenant, alarm.model_copy(update=self._signal_of(subject)))
        self._publish(InactivationsChanged(scope.tenant))
        return True

    def _made(self, subject: str, act: Act, name: str) -> Inactivation:
        return Inactivation(
            id=self.ids.new("off"),
            subject=subject,
            name=name,
            kind=KINDS[act.kind],
            by=act.actor,
            by_name=self._name(self.tenant, act.actor) or act.actor,
            reason=act.note,
            start=self.clock.now_ns(),
            until=act.until,
        )

    def _signal_of(self, subject: str) -> dict[str, Any]:
        held = [i for i in self._off if i.subject == subject and self._present(i)]
        if not held:
            return {"signal": "on", "signal_until": None}
        order = ("alarm_off", "maintenance", "alarm_paused", "audio_off")
        worst = min(held, key=lambda i: order.index(i.kind))
        kind = "alarm_paused" if worst.kind == "maintenance" else worst.kind
        return {"signal": kind, "signal_until": worst.until}

    def _present(self, row: Inactivation) -> bool:
        return row.ended is None and row.until > self.clock.now_ns()

    async def _there(self, scope: Scope, subject: str) -> bool:
        kind, _, key = subject.rpartition(":")
        if kind not in {"", "device", "gateway"}:
            return False
        return await self.item(scope, kind or "patient", key) is not None  # type: ignore[arg-type]

    async def _called(self, scope: Scope, subject: str) -> str:
        kind, _, key = subject.rpartition(":")
        found = await self.item(scope, kind or "patient", key)  # type: ignore[arg-type]
        return str(getattr(found, "name", "") or getattr(found, "label", "") or key)

    async def inactivations(
        self, scope: Scope, *, subject: str | None = None, ended: bool = False
    ) -> Sequence[Inactivation]:
        """See the port."""
        rows = [i for i in self._off[::-1] if (ended or self._present(i)) and subject in {None, i.subject}]
        if scope.tenant != self.tenant:
            return []
        return [off_seen(scope, i) for i in rows if await self._there(scope, i.subject)]

    # --- people and walls --------------------------------------------------------------------------------
    async def person_by_badge(self, badge: str, *, wall: str) -> Principal | None:
        """See the port."""
        del wall
        login = self.badges.get(badge)
        return None if login is None else self._people[self.tenant, login].principal

    async def person_by_pin(self, login: str, pin: str) -> Principal | None:
        """See the port."""
        known = self.pins.get(login)
        return self._people[self.tenant, login].principal if known is not None and known == pin else None

    async def person(self, user: str) -> Principal | None:
        """See the port."""
        known = (p for (tenant, _), p in self._people.items() if tenant == self.tenant)
        found = next((p for p in known if p.user.id == user), None)
        if found is None or found.user.disabled is not None or not AT_WORK & found.principal.roles:
            return None
        return found.principal

    async def wall_seen(
        self,
        wall: str,
        wards: frozenset[str] | None,
        *,
        audible: bool,
        closed: bool = False,
        counts: bool = True,
    ) -> Sequence[WallState]:
        """See the port."""
        now = self.clock.monotonic_ns()
        if counts and not closed:
            self._walls[wall] = wards, audible, now
        else:
            self._walls.pop(wall, None)
        there = [(w, a) for w, a, at in self._walls.values() if now - at < WALL_S * SECOND]
        return [
            WallState(
                ward=ward.id,
                name=ward.name,
                connected=sum(w is None or ward.id in w for w, _ in there),
                audible=sum(a and (w is None or ward.id in w) for w, a in there),
            )
            for ward in await self.items(Scope(self.tenant, wards), "ward")
        ]


def _demand(note: str) -> None:
    if not note.strip():
        raise refuse(code="reason")


def _within(kind: str, until: int, now: int) -> None:
    if until <= now:
        raise refuse(code="past")
    if until > now + LONGEST_S[kind] * SECOND:
        raise refuse(code="too_long", limit_s=LONGEST_S[kind])
