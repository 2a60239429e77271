"""Where somebody can be reached: the address of each channel, from their account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import User
from rules.response.duty import ENDPOINT, WALL

__all__ = ["Contact", "address", "contacts_of", "lacking"]

_PHONE: Final = frozenset({"sms", "voice"})
_MAIL: Final = "email"


@dataclass(frozen=True, slots=True)
class Contact:
    """One account's addresses; ``language`` None: they have chosen none."""

    user: str
    phone: str | None = field(repr=False)
    email: str | None = field(repr=False)
    language: str | None
    disabled: bool = False


def contacts_of(session: Session, tenant: str, who: Iterable[str]) -> dict[str, Contact]:
    """The accounts of those who are users, by id."""
    users = sorted({w for w in who if w != WALL and not w.startswith(ENDPOINT)})
    if not users:
        return {}
    found = session.execute(
        select(User.id, User.phone, User.email, User.language, User.disabled).where(
            User.tenant == tenant, User.id.in_(users)
        )
    )
    return {
        user: Contact(user, phone, email, language, disabled is not None)
        for user, phone, email, language, disabled in found
    }


def address(channel: str, who: str, contact: Contact | None) -> str | None:
    """What the channel calls them; None: they cannot be reached by it.

    The wall and the endpoints of the settings keep their names: the channel knows what they mean.
    """
    if who == WALL or who.startswith(ENDPOINT):
        return who
    if contact is None or contact.disabled:
        return None
    if channel in _PHONE:
        return contact.phone or None
    return (contact.email or None) if channel == _MAIL else contact.user


def lacking(channel: str, contact: Contact | None) -> str:
    """Why somebody has no address."""
    if contact is None:
        return "there is no such user"
    if contact.disabled:
        return "the user's account is disabled"
    what = "telephone number" if channel in _PHONE else "e-mail address"
    return f"the user has no {what}"
