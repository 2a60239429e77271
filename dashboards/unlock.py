"""Who acts at a shared wall: a staff badge or login and PIN, and for a minute after that one tap.

A wall's own login takes no clinical responsibility; whoever acts there proves who they are, and what they do
is judged and audited as theirs. Who they are now is looked up at each act: a login that was disabled in the
meantime has no minute left. Unlocked sessions are kept in this process only: another one asks again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pydantic import BaseModel, Field

from dashboards.access import Context
from dashboards.backend import DirectoryError
from hearthward.core.clock import Clock
from hearthward.core.errors import AccessError
from hearthward.trust.access import Principal

__all__ = ["UNLOCK_S", "Acting", "Proof", "Unlocks", "acting", "prove"]

UNLOCK_S: Final = 60.0


class Proof(BaseModel):
    """Who acts at a shared wall; others leave it out."""

    badge: str | None = Field(None, max_length=200, description="the code of a staff badge")
    login: str | None = Field(None, max_length=120, description="with `pin`, instead of a badge")
    pin: str | None = Field(None, max_length=20)


@dataclass(frozen=True, slots=True)
class Acting:
    """The person who acts, as a context of their own, and the wall at which they do (or "")."""

    context: Context
    via: str = ""

    @property
    def who(self) -> Principal:
        """The person."""
        return self.context.who

    def detail(self, **more: object) -> dict[str, object]:
        """What the audit keeps besides: through which wall."""
        return {**more, "via": self.via} if self.via else more


class Unlocks:
    """Walls that somebody has unlocked, by session token; for UNLOCK_S each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, int]] = {}

    def open(self, session: str, person: Principal) -> None:
        """Let a person act at a wall for a while."""
        now = self._clock.monotonic_ns()
        self._held = {s: held for s, held in self._held.items() if held[1] > now}
        self._held[session] = person.user, now + int(UNLOCK_S * 1e9)

    def who(self, session: str) -> str | None:
        """The id of the user who has unlocked the wall, if that still holds."""
        person, until = self._held.get(session, (None, 0))
        return person if until > self._clock.monotonic_ns() else None

    def close(self, session: str) -> None:
        """Lock the wall."""
        self._held.pop(session, None)


async def prove(context: Context, proof: Proof) -> Principal | None:
    """Whom a badge or PIN shows; None when neither is given.

    Raises AccessError for one that is not known, Throttled, and DirectoryError for half of a login and PIN.
    """
    if proof.badge:
        person = await context.backend.person_by_badge(proof.badge.strip(), wall=context.who.user)
    elif proof.login or proof.pin:
        for name in ("login", "pin"):
            if not getattr(proof, name):
                raise DirectoryError(field=name, code="required")
        person = await context.backend.person_by_pin((proof.login or "").strip(), proof.pin or "")
    else:
        return None
    if person is None or person.tenant != context.who.tenant:
        await context.audit("unlock_wall", "wall", outcome="refused")
        msg = "this badge, or this login and PIN, is not known"
        raise AccessError(msg, user=context.who.user)
    return person


async def acting(context: Context, unlocks: Unlocks, proof: Proof | None) -> Acting:
    """Who acts: the caller, or at a wall whoever proves to be there.

    Raises DirectoryError (``badge`` required) at a wall without a proof, AccessError, Throttled.
    """
    if context.who.kind != "display":
        return Acting(context)
    person = await prove(context, proof or Proof.model_construct())
    if person is None and (user := unlocks.who(context.token)) is not None:
        person = await context.backend.person(user)
    if person is None:
        raise DirectoryError(field="badge", code="required")
    return Acting(replace(context, principal=person), context.who.user)
