"""The port: a channel hands one message to one target, or says whether trying again may help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

__all__ = ["Channel", "Handover", "Message", "Priority"]

Priority = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. ``id`` stays the same when it is sent again; ``text`` is in ``language``."""

    id: str
    target: str = field(repr=False)
    text: str = field(repr=False)
    language: str
    priority: Priority


@dataclass(frozen=True, slots=True)
class Handover:
    """The channel has taken the message; ``reference`` is its own id. Nobody need have read it yet."""

    reference: str


class Channel(Protocol):
    """One way to reach people. ``send`` may be called several times at once."""

    @property
    def name(self) -> str:
        """The word for it in records and counters, such as ``sms``."""
        ...

    async def send(self, message: Message) -> Handover:
        """Hand the message over; returns only when the channel has taken it.

        Raises DeliveryTemporary (try later; it may have been taken all the same) or DeliveryPermanent.
        """
        ...

    async def close(self) -> None:
        """Give back threads and connections; safe to call twice."""
        ...
