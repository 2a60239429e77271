"""Staff: by what they can be reached, how they prove who they are on a shared wall, their browsers."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import select

from cloud_ingest.records.contacts import check_email, check_phone
from cloud_ingest.records.models import PushSubscription, User
from cloud_ingest.records.scoping import Repository, refuse_code, require_whole
from hearthward.trust.access import Role, Scope

__all__ = [
    "AT_WORK",
    "MOST_BROWSERS",
    "PushSubscriptions",
    "Staff",
    "channels_of",
    "check_endpoint",
    "check_pin",
]

AT_WORK: Final = frozenset({Role.NURSE, Role.DOCTOR, Role.ENGINEER, Role.ADMIN})
"""Roles of people who can be told of alarms because they work here."""
PIN: Final = re.compile(r"[0-9]{4,8}")
MAX_ENDPOINT: Final = 1000
MOST_BROWSERS: Final = 20
"""Browsers of one user that are reached; each is one more message for every alarm."""
KEY_BYTES: Final[Mapping[str, int]] = {"p256dh": 65, "auth": 16}
"""A browser's keys for web push and their lengths (RFC 8291)."""


class Staff(Repository):
    """Users as people who are at work here."""

    def list(self, scope: Scope, *, ward: str | None = None) -> Sequence[User]:
        """Who can be on duty in a ward (of the scope), by name; nobody disabled, no patient, no wall."""
        if scope.patient is not None:
            return []
        wards = scope.wards if ward is None else scope.within({ward}).wards
        query = select(User).where(User.tenant == scope.tenant, User.disabled.is_(None))
        return [u for u in self.session.scalars(query.order_by(User.name, User.id)) if works(u, wards)]

    def get(self, scope: Scope, user: str) -> User:
        """Somebody who works in the scope's wards. Raises ConfigError (``not_found``)."""
        row = self._find(User, scope, user, "user")
        if scope.patient is not None or row.disabled is not None or not works(row, scope.wards):
            refuse_code("user", "unknown", user, f"{user!r} does not work here; choose another", "not_found")
        return row

    def set_contacts(self, scope: Scope, user: str, *, phone: str | None, email: str | None) -> User:
        """Set by what somebody is reached, both at once. Raises ConfigError: no such number or address."""
        row = self._whole(scope, user)
        self._change(row, {"phone": check_phone(phone), "email": check_email(email)})
        return row

    def set_pin(self, scope: Scope, user: str, pin_hash: str | None) -> User:
        """Keep the hash of a PIN (made by ``Proofs`` off the writer thread), or take it away."""
        row = self._whole(scope, user)
        self._change(row, {"pin_hash": pin_hash})
        return row

    def set_badge(self, scope: Scope, user: str, badge_hash: str | None) -> User:
        """Keep the hash of a badge, or take it away. Raises ConfigError (``taken``): another's."""
        row = self._whole(scope, user)
        other = None if badge_hash is None else self.by_badge(scope, badge_hash)
        if other is not None and other.id != user:
            text = f"this badge belongs to {other.name}; take it from there first"
            refuse_code("badge", "taken", other.name, text, "conflict")
        self._change(row, {"badge_hash": badge_hash})
        return row

    def by_badge(self, scope: Scope, badge_hash: str) -> User | None:
        """Whose badge it is, whoever that is and whether they may come in."""
        query = select(User).where(User.tenant == scope.tenant, User.badge_hash == badge_hash)
        return self.session.scalars(query).one_or_none()

    def _whole(self, scope: Scope, user: str) -> User:
        require_whole(scope, "managing staff")
        return self.get(scope, user)


class PushSubscriptions(Repository):
    """Browsers that can be reached by web push; each belongs to who subscribed it last."""

    def add(self, scope: Scope, user: str, *, endpoint: str, keys: Mapping[str, str]) -> PushSubscription:
        """Subscribe a browser; again changes its keys. Raises ConfigError: no push address, no keys.

        Beyond MOST_BROWSERS the oldest of the user's is reached no longer.
        """
        owner = self._find(User, scope, user, "user")
        check_endpoint(endpoint)
        kept = _keys(keys)
        row = self._open(scope, endpoint)
        if row is not None and row.user == owner.id:
            self._change(row, {"keys": kept})
            return row
        if row is not None:
            self._change(row, {"ended": self.wall})
        row = PushSubscription(
            tenant=scope.tenant,
            id=self.ids.new("psh"),
            user=owner.id,
            endpoint=endpoint,
            keys=kept,
            created=self.wall,
        )
        for old in self.list(scope, owner.id)[: -(MOST_BROWSERS - 1)]:
            self._change(old, {"ended": self.wall})
        self.session.add(row)
        self.session.flush()
        return row

    def end(self, scope: Scope, user: str, subscription: str) -> PushSubscription:
        """Reach a browser no longer. Raises ConfigError (``not_found``) unless it is this user's."""
        row = self._find(PushSubscription, scope, subscription, "subscription", PushSubscription.user == user)
        if row.ended is None:
            self._change(row, {"ended": self.wall})
        return row

    def gone(self, scope: Scope, endpoint: str) -> bool:
        """The push service says that there is no such browser any more; whether one was subscribed."""
        row = self._open(scope, endpoint)
        if row is not None:
            self._change(row, {"ended": self.wall})
        return row is not None

    def list(self, scope: Scope, user: str) -> Sequence[PushSubscription]:
        """The browsers by which a user is reached, the oldest first."""
        query = select(PushSubscription).where(
            PushSubscription.tenant == scope.tenant,
            PushSubscription.user == user,
            PushSubscription.ended.is_(None),
        )
        order = PushSubscription.created, PushSubscription.id
        return self.session.scalars(query.order_by(*order)).all()

    def _open(self, scope: Scope, endpoint: str) -> PushSubscription | None:
        query = select(PushSubscription).where(
            PushSubscription.tenant == scope.tenant,
            PushSubscription.endpoint == endpoint,
            PushSubscription.ended.is_(None),
        )
        return self.session.scalars(query).one_or_none()


def works(user: User, wards: Collection[str] | None) -> bool:
    """Whether somebody works here, and in one of ``wards`` (None: any)."""
    if not AT_WORK & {*user.roles}:
        return False
    return wards is None or user.wards is None or not set(wards).isdisjoint(user.wards)


def channels_of(user: User, channels: Sequence[str], *, push: bool) -> tuple[str, ...]:
    """By which of the configured ``channels`` a user can be reached, in their order."""
    can = {"in_app": True, "sms": user.phone, "voice": user.phone, "email": user.email, "push": push}
    return tuple(channel for channel in channels if can.get(channel))


def check_pin(pin: str, field: str = "pin") -> str:
    """4 to 8 digits that are neither all the same nor in a row."""
    if not PIN.fullmatch(pin):
        refuse_code(field, "digits", "", "give 4 to 8 digits")
    steps = {int(b) - int(a) for a, b in pairwise(pin)}
    if steps in ({0}, {1}, {-1}):
        refuse_code(field, "simple", "", "is guessed at once; give digits that are not the same or in a row")
    return pin


def check_endpoint(endpoint: str, field: str = "endpoint") -> str:
    """The https address that a browser's push service gave; never one of this network."""
    if len(endpoint) > MAX_ENDPOINT or not endpoint.isprintable() or not _public(endpoint):
        refuse_code(field, "endpoint", "", "is no address of a push service (https, a public name)")
    return endpoint


def _public(endpoint: str) -> bool:
    """Whether it is https at a name that may stand for a machine outside."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    named = "." in host.strip(".") and not _is_ip(host)
    return parts.scheme == "https" and parts.username is None and port in {None, 443} and named


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _keys(keys: Mapping[str, str]) -> dict[str, str]:
    for name, length in KEY_BYTES.items():
        text = str(keys.get(name, "")).rstrip("=")
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != length:
            refuse_code("keys", "keys", name, f"{name} is missing or damaged; subscribe the browser anew")
    return {name: str(keys[name]).rstrip("=") for name in KEY_BYTES}
