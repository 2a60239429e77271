"""Web push to the browsers that somebody has subscribed, through ``pywebpush``.

Sources: RFC 8030 (TTL, Urgency, Topic; 404 and 410 end a subscription), RFC 8291 (encrypted for the browser),
RFC 8292 (VAPID). The push service sees neither text nor link.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from cloud_ingest.channels.answers import refusal
from cloud_ingest.channels.base import Handover, Message
from cloud_ingest.channels.http import TIMEOUT_S, Http
from cloud_ingest.channels.libraries import library
from cloud_ingest.channels.subscriptions import Subscription, Subscriptions
from cloud_ingest.channels.vapid import VapidKey
from hearthward.core.addresses import is_loopback
from hearthward.core.errors import DeliveryError, DeliveryPermanent, DeliveryTemporary

__all__ = ["PushChannel"]

log = logging.getLogger(__name__)

TTL_S: Final = 3600
"""How long a push service keeps a message for a browser that is off; later it would mislead."""
LONGEST: Final = 900
"""Characters of the text: the encrypted message may have 4,096 bytes in all."""
_OVER: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_URGENCY: Final = {"high": "high", "medium": "normal", "low": "normal"}


class PushChannel:
    """Sends to all browsers of a user; targets are users' ids. ``public_key`` is what pages subscribe with.

    Subscriptions that have expired are ended. Only ``services`` (domains) are sent to: a subscription's
    address is a browser's word, and must not make this server call just any machine.
    """

    name = "push"
    confirms = False

    def __init__(
        self,
        subscriptions: Subscriptions,
        key: VapidKey,
        *,
        contact: str,
        services: Sequence[str],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._subscriptions = subscriptions
        self._key = key
        self._contact = contact
        self._services = tuple(services)
        self._http = Http(self.name, "the push service", timeout_s)
        self.public_key = key.public

    async def send(self, message: Message) -> Handover:
        """Hand over for each browser; the reference says for how many. Raises DeliveryError if for none."""
        found = await self._subscriptions.of(message.target)
        if not found:
            msg = "no browser is subscribed"
            raise DeliveryPermanent(msg, channel=self.name)
        await self._http.session()
        outcomes = await asyncio.gather(*(self._one(message, subscription) for subscription in found))
        errors = [outcome for outcome in outcomes if outcome is not None]
        if len(errors) < len(outcomes):
            return Handover(f"push:{len(outcomes) - len(errors)}/{len(outcomes)}")
        raise next((e for e in errors if e.retry), errors[0])

    async def check(self) -> None:
        """Whether the key can sign. The services can be asked only with a subscription: nothing is sent."""
        await asyncio.to_thread(library, "pywebpush")
        vapid = library("py_vapid")
        try:
            vapid.Vapid(self._key.private).sign({"aud": "https://push.example.org", "sub": self._contact})
        except vapid.VapidException as error:
            msg = "push.contact is not taken: use mailto:it@example.org or https://example.org"
            raise DeliveryPermanent(msg, channel=self.name) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _one(self, message: Message, subscription: Subscription) -> DeliveryError | None:
        try:
            await self._post(message, subscription)
        except DeliveryError as error:
            return error
        return None

    async def _post(self, message: Message, subscription: Subscription) -> None:
        if not self.accepts(subscription.endpoint):
            await self._subscriptions.end(subscription.id)
            msg = "the subscription is not one of a push service in push.services"
            raise DeliveryPermanent(msg, channel=self.name)
        pywebpush = await asyncio.to_thread(library, "pywebpush")
        session = _Direct(await self._http.session())
        keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}

        async def ask() -> None:
            await pywebpush.webpush_async(
                {"endpoint": subscription.endpoint, "keys": keys},
                payload_of(message),
                vapid_private_key=pywebpush.Vapid(self._key.private),
                vapid_claims={"sub": self._contact},
                headers={"urgency": _URGENCY[message.priority], "topic": _topic(message)},
                ttl=TTL_S,
                aiohttp_session=session,
            )

        try:
            await self._http.guarded(ask)
        except pywebpush.WebPushException as error:
            raise await self._refused(error, subscription) from None  # its text holds the endpoint's answer
        except (ValueError, IndexError) as error:
            await self._subscriptions.end(subscription.id)
            msg = "the subscription's keys cannot be used"
            raise DeliveryPermanent(msg, channel=self.name) from error

    async def _refused(self, error: Any, subscription: Subscription) -> DeliveryError:
        status = None if error.response is None else error.response.status
        if status is None or status in _OVER:
            await self._subscriptions.end(subscription.id)
            log.info("push subscription %s has expired and is ended", subscription.id)
            msg = "the browser is no longer subscribed"
            return DeliveryPermanent(msg, channel=self.name, status=status)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:  # the client knows only 200 to 202
            return DeliveryTemporary("the push service gave an unknown answer", channel=self.name)
        return refusal(
            self.name,
            "the push service",
            status,
            error.response.headers,
            credentials="push.contact and push.key_file (browsers subscribe to one key)",
        )

    def accepts(self, endpoint: str) -> bool:
        """Whether a subscription's address is one of a push service that may be sent to."""
        try:
            parts = urlsplit(endpoint)
            host = parts.hostname or ""
        except ValueError:
            return False
        known = any(host == service or host.endswith(f".{service}") for service in self._services)
        return known and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


class _Direct:
    """The session as the client uses it, but redirects are not followed."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def post(self, url: str, **options: Any) -> Any:
        """One POST with the session's own timeout."""
        options.pop("timeout", None)
        return await self._session.post(url, allow_redirects=False, **options)


def payload_of(message: Message) -> str:
    """What the browser's service worker gets, as JSON."""
    content = {
        "id": message.id,
        "alarm": message.alarm,
        "kind": message.kind,
        "priority": message.priority,
        "language": message.language,
        "subject": message.subject[:200],
        "text": message.text[:LONGEST],
        "link": message.link,
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def _topic(message: Message) -> str:
    """What waits under the same topic is replaced: one entry an alarm (at most 32 characters)."""
    digest = hashlib.sha256((message.alarm or message.id).encode()).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()
