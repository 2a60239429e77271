"""What became of alarms, as people read it: each step, each message, by which channel, how late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Alarm, DeliveryAttempt, Notification, Patient, TransitionRow, User
from hearthward.core.clock import SECOND, iso
from rules.response.duty import channel_of

__all__ = ["Event", "Timeline"]

_CHANNEL: Final = channel_of("")
_NAMES: Final = {
    "start": "ALARM",
    "escalate": "WORSE",
    "end": "ENDED",
    "reset": "CLOSED",
    "accept": "ACCEPTED",
    "reject": "REJECTED",
    "tell": "STEP",
    "undelivered": "NOT DELIVERED",
}
_WHY: Final = {
    "timetable": "by the timetable",
    "repeated": "nobody has accepted: once more",
    "undelivered": "at once: the step before reached nobody",
    "no_wall": "at once: no wall can be heard",
    "rejected": "at once: rejected",
    "nobody": "at once: there was nobody to tell",
    "resumed": "signals again",
    "released": "given back: anew",
    "redirected": "whom it was passed on to has not answered",
}
_OUTCOMES: Final = {
    "handed_over": "handed over",
    "confirmed": "confirmed",
    "temporary": "failed, to be tried again",
    "failed": "failed",
    "abandoned": "given up",
    "superseded": "not tried again",
    "interrupted": "interrupted, to be sent again",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened at ``at`` (UTC ns).

    ``due`` is when a step was meant to be taken, ``late_ms`` how much later that was decided. Of a message:
    ``who``, ``channel``, ``outcome``, ``after_ms`` since it was decided and ``latency_ms`` in the channel.
    """

    at: int
    what: str
    text: str
    alarm: str = ""
    rule: str = ""
    patient: str = ""
    message: str = ""
    step: int | None = None
    due: int | None = None
    late_ms: float | None = None
    who: str = ""
    channel: str = ""
    outcome: str = ""
    after_ms: float | None = None
    latency_ms: float | None = None

    def line(self, started: int) -> str:
        """As it is printed: seconds from ``started`` (UTC ns), what, the rest."""
        return f"{(self.at - started) / SECOND:+7.1f} s  {self.what:13} {self.text}"

    def to_data(self, started: int) -> dict[str, Any]:
        """As it stands in a report: without what is not known of it."""
        data = {k: v for k, v in asdict(self).items() if v not in {None, ""}}
        for name in ("at", "due"):
            if name in data:
                data[name] = iso(data[name])
        return {"s": round((self.at - started) / SECOND, 3), **data}


class Timeline:
    """Reads what is new in the records each time it is asked, and keeps all of it in order."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._seen: set[tuple[object, ...]] = set()
        self.events: list[Event] = []

    def note(self, at: int, what: str, text: str) -> Event:
        """Add what is in no record: that somebody pressed a key, that the server was stopped."""
        return self._keep([Event(at, what, text)])[0]

    def read(self, session: Session) -> list[Event]:
        """What is new, in order. Call from one thread at a time."""
        known = _Names.of(session, self._tenant)
        found = [*self._transitions(session, known), *self._attempts(session, known)]
        return self._keep(sorted(found, key=lambda e: e.at))

    def _keep(self, found: list[Event]) -> list[Event]:
        self.events = sorted([*self.events, *found], key=lambda e: e.at)
        return found

    def _new(self, *key: object) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def _transitions(self, session: Session, known: _Names) -> list[Event]:
        query = select(TransitionRow, Alarm).join(
            Alarm, (Alarm.tenant == TransitionRow.tenant) & (Alarm.id == TransitionRow.alarm)
        )
        query = query.where(TransitionRow.tenant == self._tenant, ~TransitionRow.shadow)
        query = query.order_by(TransitionRow.seq, TransitionRow.ordinal)
        return [
            _transition(row, alarm, known)
            for row, alarm in session.execute(query)
            if row.kind in _NAMES and self._new(row.alarm, row.seq, row.ordinal)
        ]

    def _attempts(self, session: Session, known: _Names) -> list[Event]:
        query = select(DeliveryAttempt, Notification).join(
            Notification,
            (Notification.tenant == DeliveryAttempt.tenant)
            & (Notification.id == DeliveryAttempt.notification),
        )
        query = query.where(DeliveryAttempt.tenant == self._tenant).order_by(DeliveryAttempt.id)
        return [
            _attempt(attempt, note, known)
            for attempt, note in session.execute(query)
            if self._new(attempt.id)
        ]


@dataclass(frozen=True, slots=True)
class _Names:
    """Users and patients by id."""

    people: Mapping[str, str]
    patients: Mapping[str, str]

    @classmethod
    def of(cls, session: Session, tenant: str) -> _Names:
        people = session.execute(select(User.id, User.name).where(User.tenant == tenant)).all()
        patients = session.execute(select(Patient.id, Patient.name).where(Patient.tenant == tenant)).all()
        return cls({u.id: u.name for u in people}, {p.id: p.name for p in patients})

    def who(self, who: str) -> str:
        """A person, the wall, or an endpoint."""
        return "the ward wall" if who == "wall" else self.people.get(who, who)

    def subject(self, alarm: Alarm) -> str:
        """Whom or what an alarm is about."""
        subject = alarm.patient or ""
        if subject.startswith(_CHANNEL):
            return f"Channel {subject.removeprefix(_CHANNEL)}"
        return self.patients.get(subject, subject)


def _transition(row: TransitionRow, alarm: Alarm, known: _Names) -> Event:
    detail = row.detail
    about = f"{known.subject(alarm)}: {row.text_en}"
    match row.kind:
        case "start" | "escalate":
            text = f"{about} ({row.priority}); step 1 of {detail['of']}" if "of" in detail else about
        case "tell":
            number, of, why = detail["step"] + 1, detail["of"], _WHY.get(detail["why"], detail["why"])
            hops = _hops(detail.get("told", ()), known)
            text = f"{number} of {of} for {known.subject(alarm)}, {why}: {hops or 'nobody can be reached'}"
        case "undelivered":
            channel, who = detail["hop"]
            text = f"{known.who(who)} by {channel}: {row.note}"
        case _:
            text = f"{about} by {known.who(row.actor)}" if row.actor else about
    due = detail.get("due")
    return Event(
        at=row.recorded,
        what=_NAMES[row.kind],
        text=text,
        alarm=row.alarm,
        rule=alarm.rule,
        patient=alarm.patient or "",
        step=detail.get("step"),
        due=due,
        late_ms=None if due is None else (row.recorded - due) / 1e6,
        who=known.who(row.actor) if row.actor else "",
    )


def _hops(told: Sequence[Sequence[str]], known: _Names) -> str:
    by: dict[str, list[str]] = {}
    for channel, who in told:
        by.setdefault(known.who(who), []).append(channel)
    return "; ".join(f"{who} by {' and '.join(channels)}" for who, channels in by.items())


def _attempt(attempt: DeliveryAttempt, note: Notification, known: _Names) -> Event:
    who = known.who(note.who)
    outcome = _OUTCOMES.get(attempt.outcome, attempt.outcome)
    text = f"{who} by {note.channel}: {outcome}"
    if attempt.outcome == "handed_over" and attempt.after_ms is not None:
        text += f" {attempt.after_ms:.0f} ms after the decision"
    if attempt.detail:
        text += f" ({attempt.detail})"
    return Event(
        at=attempt.at,
        what="  message",
        text=text,
        alarm=note.alarm,
        message=note.id,
        step=note.step,
        who=who,
        channel=note.channel,
        outcome=attempt.outcome,
        after_ms=attempt.after_ms,
        latency_ms=attempt.latency_ms,
    )
