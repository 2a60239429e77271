"""The port: a channel hands one message to one target, or says whether trying again may help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from hearthward.core.errors import DeliveryPermanent

__all__ = ["ENDPOINT", "Channel", "Handover", "Message", "Priority", "address_of"]

Priority = Literal["high", "medium", "low"]
ENDPOINT: Final = "@"
"""Before the name of an endpoint of the settings where a number or address could stand."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. ``id`` stays the same when it is sent again; ``text`` is in ``language``.

    ``alarm`` and ``kind`` are the transition's. ``subject`` is one short line; ``link`` leads to the alarm's
    page; ``answer`` is the opaque token under which an answer by key and a report of delivery come back.
    ``work`` is the step of a work order that it tells of, for systems that keep such orders themselves.
    """

    id: str
    target: str = field(repr=False)
    text: str = field(repr=False)
    language: str
    priority: Priority
    alarm: str = ""
    kind: str = ""
    subject: str = field(default="", repr=False)
    link: str | None = field(default=None, repr=False)
    answer: str | None = field(default=None, repr=False)
    work: Mapping[str, str | int | None] | None = field(default=None, repr=False)

    @property
    def linked_text(self) -> str:
        """The text, and the link on a line of its own where there is one."""
        return f"{self.text}\n{self.link}" if self.link else self.text


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

    @property
    def confirms(self) -> bool:
        """Whether somebody can answer by it; one that does not is never the only measure."""
        ...

    async def send(self, message: Message) -> Handover:
        """Hand the message over; returns only when the channel has taken it.

        Raises DeliveryTemporary (try later, after ``details["after_s"]`` where it is there; it may have been
        taken all the same) or DeliveryPermanent. Neither says a number, an address or a text.
        """
        ...

    async def check(self) -> None:
        """Whether the channel can be reached and takes the credentials; sends nobody anything.

        Raises DeliveryTemporary or DeliveryPermanent.
        """
        ...

    async def close(self) -> None:
        """Give back threads and connections; safe to call twice."""
        ...


def address_of(channel: str, target: str, endpoints: Mapping[str, str]) -> str:
    """The address of a target: of ``@name`` that of the endpoint, else itself. Raises DeliveryPermanent."""
    if not target.startswith(ENDPOINT):
        return target
    address = endpoints.get(target.removeprefix(ENDPOINT))
    if address is None:
        msg = f"no endpoint {target} in the settings of {channel} any more"
        raise DeliveryPermanent(msg, channel=channel)
    return address
