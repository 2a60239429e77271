"""Rows of the outbox, made with the transitions that say who is to be told, in the same transaction.

However many transitions there are, it takes a handful of statements: a hundred alarms in one second are
when it matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar, cast

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from cloud_ingest.records.alarms import ordinals
from cloud_ingest.records.models import DeliveryAttempt, Notification
from cloud_ingest.records.outbox import confirm
from cloud_ingest.telling.addresses import Contact, address, contacts_of, lacking
from cloud_ingest.telling.places import places_of
from cloud_ingest.telling.wording import Language, Place, Wording, body
from hearthward.core.ids import stable_id
from rules.model import Transition

__all__ = ["enqueue"]

T = TypeVar("T")

ANSWERED: Final = frozenset({"accept", "take_over", "acknowledge"})
"""Who does this has seen what was shown to them."""
CHUNK: Final = 500
"""Ids in one statement."""


@dataclass(frozen=True, slots=True)
class _Hop:
    """One notification to make."""

    transition: Transition
    ordinal: int
    channel: str
    who: str

    def ident(self, tenant: str) -> str:
        t = self.transition
        return stable_id("ntf", tenant, t.alarm, t.seq, self.ordinal, self.channel, self.who)


def enqueue(
    session: Session,
    tenant: str,
    transitions: Sequence[Transition],
    now: int,
    wording: Wording | None = None,
    *,
    wall: int | None = None,
) -> list[str]:
    """Add one notification for each hop in a transition's ``detail["told"]``; again changes nothing.

    To be called after ``apply_transitions`` with the same ``transitions``, in the same transaction; wake
    the notifier after the commit. ``now`` is the journal's time (UTC ns), ``wall`` the real one where that
    is a recording's: delays are counted from it. Returns the new rows' ids; they are due at once.

    Who cannot be reached by a channel gets a row that has failed already and says so: escalation is told.
    Nobody is told of what a rule on trial decides. What an accepted alarm has shown becomes confirmed.
    """
    for t in transitions:
        if t.kind in ANSWERED and t.actor and not t.shadow:
            session.flush()
            confirm(session, tenant, t.alarm, t.actor)
    hops = {hop.ident(tenant): hop for hop in _hops(transitions)}
    for known in _known(session, tenant, list(hops.values())):
        hops.pop(known, None)
    if not hops:
        return []
    contacts = contacts_of(session, tenant, {hop.who for hop in hops.values()})
    places = places_of(session, tenant, {hop.transition.patient for hop in hops.values()}, now)
    made = _Rows(tenant, contacts, places, wording or Wording(), now if wall is None else wall)
    rows = [made.row(ident, hop) for ident, hop in hops.items()]
    session.flush()
    session.execute(insert(Notification), rows)
    if failed := [made.attempt(row) for row in rows if row["state"] == "failed"]:
        session.execute(insert(DeliveryAttempt), failed)
    return list(hops)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What rows are made with."""

    tenant: str
    contacts: Mapping[str, Contact]
    places: Mapping[str, Place]
    wording: Wording
    created: int
    bodies: dict[tuple[str, int, int, str, str], str] = field(default_factory=dict)

    def body(self, hop: _Hop, language: Language) -> str:
        """The text; several people are told the same."""
        t = hop.transition
        key = t.alarm, t.seq, hop.ordinal, hop.channel, language
        if key not in self.bodies:
            self.bodies[key] = body(t, self.places[t.patient], hop.channel, language, self.wording)
        return self.bodies[key]

    def row(self, ident: str, hop: _Hop) -> dict[str, Any]:
        t, contact = hop.transition, self.contacts.get(hop.who)
        language = cast("Language", (contact and contact.language) or self.wording.language)
        target = address(hop.channel, hop.who, contact)
        why = None if target else lacking(hop.channel, contact)
        return {
            "tenant": self.tenant,
            "id": ident,
            "alarm": t.alarm,
            "seq": t.seq,
            "ordinal": hop.ordinal,
            "kind": t.kind,
            "priority": t.priority,
            "channel": hop.channel,
            "who": hop.who,
            "target": target or "",
            "step": t.detail.get("step"),
            "language": language,
            "body": self.body(hop, language),
            "state": "queued" if target else "failed",
            "reference": None,
            "message": None,
            "unreported": why,
            "attempts": 0,
            "next_at": 0,
            "lease_until": None,
            "created": self.created,
        }

    def attempt(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "notification": row["id"],
            "at": self.created,
            "outcome": "failed",
            "detail": row["unreported"],
            "latency_ms": 0.0,
            "after_ms": 0.0,
        }


def _hops(transitions: Sequence[Transition]) -> Iterator[_Hop]:
    """What is to be told; nothing of a rule on trial, and nothing that is about no alarm."""
    for transition, ordinal in zip(transitions, ordinals(transitions), strict=True):
        if transition.shadow or not transition.alarm:
            continue
        for channel, who in transition.detail.get("told", ()):
            yield _Hop(transition, ordinal, channel, who)


def _known(session: Session, tenant: str, hops: Sequence[_Hop]) -> Iterator[str]:
    """The ids of rows that there are already for these alarms and inputs."""
    seqs = {hop.transition.seq for hop in hops}
    for alarms in _chunks(dict.fromkeys(hop.transition.alarm for hop in hops)):
        yield from session.scalars(
            select(Notification.id).where(
                Notification.tenant == tenant, Notification.alarm.in_(alarms), Notification.seq.in_(seqs)
            )
        )


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
