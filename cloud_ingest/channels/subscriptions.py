"""The port to the browsers that people have subscribed to web push, and its fake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["MemorySubscriptions", "Subscription", "Subscriptions"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One browser: where to post for it, and its keys (base64url, as the browser gave them)."""

    id: str
    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


class Subscriptions(Protocol):
    """Where subscriptions are kept."""

    async def of(self, user: str) -> Sequence[Subscription]:
        """The browsers of a user that are subscribed now."""
        ...

    async def end(self, subscription: str) -> None:
        """A browser is no longer subscribed: the push service says so."""
        ...


class MemorySubscriptions:
    """The fake: kept in memory; ``ended`` are those that were ended."""

    def __init__(self) -> None:
        self._by_user: dict[str, list[Subscription]] = {}
        self.ended: list[str] = []

    def add(self, user: str, subscription: Subscription) -> None:
        """Subscribe a browser of a user."""
        self._by_user.setdefault(user, []).append(subscription)

    async def of(self, user: str) -> Sequence[Subscription]:
        """The browsers of a user that are subscribed now."""
        return [s for s in self._by_user.get(user, ()) if s.id not in self.ended]

    async def end(self, subscription: str) -> None:
        """Note that it has ended."""
        self.ended.append(subscription)
