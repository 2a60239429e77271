"""Inviting people by a one-time link: a patient, a relative of theirs, or anybody whose password is lost.

Nobody types a password for somebody else: whoever holds the link chooses their own. It works once and for a
few days; a newer one takes the place of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.contacts import check_phone
from cloud_ingest.records.engine import Records
from cloud_ingest.records.models import Patient, User
from cloud_ingest.records.scoping import refuse_code
from cloud_ingest.records.users import Users
from hearthward.trust.access import OF_ONE, Role, Scope
from hearthward.trust.sessions import INVITATION_LIFETIME_S, new_token

__all__ = [
    "RELATIVES_AT_MOST",
    "Invitee",
    "Issued",
    "again",
    "dismiss_relative",
    "invite",
    "invite_relative",
    "issue",
    "logins_about",
    "relative_link",
]

DIGITS: Final = 6
"""Of the login names that are made up: easy to type on a telephone."""
RELATIVES_AT_MOST: Final = 12
"""So many logins of relatives a patient can make by themselves; a care team can make more."""


@dataclass(frozen=True, slots=True)
class Invitee:
    """Who is invited: a ``relative`` with a ``name`` of their own, or the patient."""

    relative: bool = False
    name: str = ""
    phone: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A link just made. ``secret`` is shown once, to be handed on, and never kept."""

    user: User
    expires: int
    secret: str = field(repr=False)


def issue(records: Records, session: Session, user: User, *, by: str) -> Issued:
    """A link by which ``user`` chooses a password. Raises ConfigError: they are let in no longer."""
    if user.disabled is not None:
        refuse_code("login", "disabled", user.login, f"{user.login} is let in no longer; let them in first")
    token, scope = new_token(), Scope.system(user.tenant)
    link = records.sessions(session).add_link(
        scope, user.id, token.hash, lifetime_s=INVITATION_LIFETIME_S, by=by
    )
    return Issued(user, link.expires, token.secret)


def invite(
    records: Records, session: Session, scope: Scope, patient: str, invitee: Invitee, *, by: str
) -> Issued:
    """Invite a patient in scope, or a relative. A patient who has a login gets a new link for it.

    Raises ConfigError (``patient``: none in scope, or gone; ``name``, ``phone``).
    """
    person = records.directory(session).patients.get(scope, patient)
    if person.ended is not None:
        refuse_code("patient", "ended", patient, f"{patient!r} has ended already")
    user = None if invitee.relative else _own_login(session, scope, patient)
    if user is None:
        user = _add(records.users(session), scope, person, invitee)
    number = check_phone(invitee.phone)
    if number is not None:
        user.phone = number
    elif user.phone is None and not invitee.relative:
        user.phone = person.phone
    session.flush()
    return issue(records, session, user, by=by)


def again(records: Records, session: Session, scope: Scope, patient: str, login: str, *, by: str) -> Issued:
    """A new link for a login about a patient in scope. Raises ConfigError (``login``)."""
    known = {user.login: user for user in logins_about(records, session, scope, patient)}
    if login not in known:
        refuse_code("login", "unknown", login, f"there is no login {login!r} about this patient", "not_found")
    return issue(records, session, known[login], by=by)


# --- by the patient, who needs nobody of the staff for it ----------------------------------------------


def invite_relative(
    records: Records,
    session: Session,
    scope: Scope,
    invitee: Invitee,
    *,
    sees: Collection[str],
    until: int | None,
    by: str,
) -> Issued:
    """Invite a relative of the scope's patient, who may see ``sees`` from now until ``until``.

    Somebody of that name who has not come yet gets a new link: a form that is sent twice invites once.
    Raises ConfigError (``patient``, ``name``, ``sees``, ``until``); then nothing of it is made.
    """
    patient = scope.patient or ""
    let_in = [u for u in records.consents(session).relatives(scope, patient) if u.disabled is None]
    name = invitee.name.strip()
    awaited = next((u for u in let_in if u.name == name and u.password_hash is None), None)
    if awaited is not None:
        records.consents(session).give(scope, patient, awaited.id, sees=sees, until=until, by=by)
        return issue(records, session, awaited, by=by)
    if len(let_in) >= RELATIVES_AT_MOST:
        refuse_code(
            "name", "many", str(len(let_in)), f"{len(let_in)} relatives have a login: remove one first"
        )
    made = invite(records, session, scope, patient, invitee, by=by)
    records.consents(session).give(scope, patient, made.user.id, sees=sees, until=until, by=by)
    return made


def relative_link(records: Records, session: Session, scope: Scope, person: str, *, by: str) -> Issued:
    """A new link for a relative of the scope's patient. Raises ConfigError (``person``, ``not_found``)."""
    return issue(records, session, _relative(records, session, scope, person), by=by)


def dismiss_relative(records: Records, session: Session, scope: Scope, person: str, *, by: str) -> User:
    """A relative of the scope's patient is let in no longer: consent, sessions and links end at once.

    Raises ConfigError (``person``, ``not_found``).
    """
    user, whole = _relative(records, session, scope, person), Scope.system(scope.tenant)
    held = records.consents(session).in_force(scope, user.id)
    if held is not None:
        records.consents(session).revoke(scope, held.id, by=by)
    records.users(session).disable(whole, user.id)
    records.sessions(session).drop_links(whole, user.id)
    return user


def _relative(records: Records, session: Session, scope: Scope, person: str) -> User:
    theirs = records.consents(session).relatives(scope, scope.patient or "")
    found = next((user for user in theirs if user.id == person and user.disabled is None), None)
    if found is None:
        problem = f"there is no relative {person!r} of this patient"
        refuse_code("person", "unknown", person, problem, "not_found")
    return found


def logins_about(records: Records, session: Session, scope: Scope, patient: str) -> Sequence[User]:
    """Logins of a patient in scope and of their relatives, the patient's first, then by name.

    Raises ConfigError (``patient``, ``not_found``).
    """
    records.directory(session).patients.get(scope, patient)
    query = select(User).where(User.tenant == scope.tenant, User.patient == patient)
    found = [user for user in session.scalars(query) if OF_ONE.intersection(user.roles)]
    return sorted(found, key=lambda u: (Role.PATIENT not in u.roles, u.name, u.id))


def _own_login(session: Session, scope: Scope, patient: str) -> User | None:
    """The patient's login; one that is let in no longer only where there is no other.

    Whoever was shut out is not let in again by a second login.
    """
    query = select(User).where(User.tenant == scope.tenant, User.patient == patient)
    own = [u for u in session.scalars(query.order_by(User.created)) if Role.PATIENT in u.roles]
    return next((u for u in own if u.disabled is None), own[0] if own else None)


def _add(users: Users, scope: Scope, person: Patient, invitee: Invitee) -> User:
    if invitee.relative and not invitee.name.strip():
        refuse_code("name", "required", "", "give the relative's name")
    whole = Scope.system(scope.tenant)
    role = Role.FAMILY if invitee.relative else Role.PATIENT
    return users.add(
        whole,
        login=_free_login(users, whole, "f" if invitee.relative else "p"),
        name=invitee.name if invitee.relative else person.name,
        roles=[role],
        patient=person.id,
        language=invitee.language or person.language,
    )


def _free_login(users: Users, scope: Scope, letter: str) -> str:
    while True:
        login = f"{letter}{int(users.ids.uniform() * 10**DIGITS):0{DIGITS}}"
        if users.by_login(scope, login) is None:
            return login
