"""Webhooks: other systems get each message as signed JSON; see ``webhook_signature`` for receivers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from cloud_ingest.channels.answers import refusal
from cloud_ingest.channels.base import ENDPOINT, Handover, Message
from cloud_ingest.channels.http import TIMEOUT_S, Http
from cloud_ingest.channels.webhook_signature import ID, SIGNATURE, TIMESTAMP, sign
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DeliveryPermanent

__all__ = ["Receiver", "WebhookChannel"]

_UP: Final = frozenset({HTTPStatus.NOT_IMPLEMENTED})
"""Answers of 5xx to HEAD that show a server that is there."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Another system: where it takes messages, and the secret that it shares."""

    url: str = field(repr=False)
    secret: str = field(repr=False)


class WebhookChannel:
    """Posts to the receivers of the settings; targets are ``@name``."""

    name = "webhook"
    confirms = False

    def __init__(
        self, receivers: Mapping[str, Receiver], clock: Clock, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._receivers = dict(receivers)
        self._clock = clock
        self._http = Http(self.name, "the receiver", timeout_s)

    async def send(self, message: Message) -> Handover:
        """Hand over to the receiver; the reference is its status. Raises DeliveryError."""
        name = message.target.removeprefix(ENDPOINT)
        receiver = self._receivers.get(name)
        if receiver is None:
            msg = "no such webhook in the settings any more"
            raise DeliveryPermanent(msg, channel=self.name)
        body = body_of(message)
        now_s = self._clock.now_ns() // SECOND
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "hearthward",
            ID: message.id,
            TIMESTAMP: str(now_s),
            SIGNATURE: sign(receiver.secret, now_s, body),
        }
        answer = await self._http.request("POST", receiver.url, data=body, headers=headers)
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise refusal(
                self.name,
                f"the receiver {name}",
                answer.status,
                answer.headers,
                credentials=f"webhooks.{name}.secret and url",
            )
        return Handover(f"{name}:{answer.status}")

    async def check(self) -> None:
        """Whether all receivers answer at all; asks with HEAD, which no receiver takes for an alarm."""
        await asyncio.gather(*(self._check(name, r.url) for name, r in self._receivers.items()))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _check(self, name: str, url: str) -> None:
        answer = await self._http.request("HEAD", url)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in _UP:
            raise refusal(self.name, f"the receiver {name}", answer.status, answer.headers, credentials="")


def body_of(message: Message) -> bytes:
    """A message as JSON; names are never taken away, new ones may come."""
    content: dict[str, object] = {
        "id": message.id,
        "alarm": message.alarm,
        "kind": message.kind,
        "priority": message.priority,
        "language": message.language,
        "subject": message.subject,
        "text": message.text,
        "link": message.link,
    }
    if message.work is not None:
        content["work_order"] = dict(message.work)
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()
