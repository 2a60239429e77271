"""By what a patient is reached: the browsers of their own logins, and a telephone number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Patient, User
from hearthward.trust.access import Role, Scope

if TYPE_CHECKING:
    from cloud_ingest.records.engine import Records

__all__ = ["CHANNELS", "ReachedBy", "reached_by"]

Channel = Literal["push", "sms"]
CHANNELS: Final = frozenset({"push", "sms"})
"""By what patients are reminded."""


@dataclass(frozen=True, slots=True)
class ReachedBy:
    """One way: ``target`` is a user for push, a number for SMS; ``language`` is that of the texts."""

    channel: Channel
    target: str
    language: Literal["en", "zh"]


def reached_by(
    records: Records, session: Session, tenant: str, patient: str, channels: Collection[str]
) -> list[ReachedBy]:
    """By which of ``channels`` a patient is reached, browsers first, then a number; none of who has gone.

    The number is that of their login, else that of their record.
    """
    person = session.get(Patient, (tenant, patient))
    if person is None or person.ended is not None:
        return []
    query = select(User).where(User.tenant == tenant, User.patient == patient, User.disabled.is_(None))
    own = [u for u in session.scalars(query.order_by(User.created)) if Role.PATIENT in u.roles]
    push, scope = records.push(session), Scope.system(tenant)
    found = [
        ReachedBy("push", user.id, _language(user.language or person.language))
        for user in own
        if "push" in channels and push.list(scope, user.id)
    ]
    numbers = [(user.phone, user.language or person.language) for user in own]
    number, language = next(
        ((phone, tongue) for phone, tongue in [*numbers, (person.phone, person.language)] if phone),
        (None, ""),
    )
    if number and "sms" in channels:
        found.append(ReachedBy("sms", number, _language(language)))
    return found


def _language(known: str | None) -> Literal["en", "zh"]:
    return "zh" if (known or "").startswith("zh") else "en"
