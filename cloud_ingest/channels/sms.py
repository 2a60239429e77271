"""SMS by Twilio's API, through Twilio's own client in threads of its own.

Source: Twilio Programmable Messaging, ``POST /2010-04-01/Accounts/{sid}/Messages.json``. The API has no
idempotency key: after an ambiguous timeout a message may arrive twice, with the same reference in its text.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cloud_ingest.channels.base import Handover, Message
from hearthward.core.errors import ConfigError, DeliveryPermanent, DeliveryTemporary
from hearthward.core.settings import is_loopback

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

__all__ = ["SmsChannel"]

TIMEOUT_S: Final = 10.0
"""For the connection and for each wait for the answer."""
THREADS: Final = 4
_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_CREDENTIALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

_client_log = logging.getLogger(f"{__name__}.client")
_client_log.setLevel(logging.WARNING)  # below, the client logs numbers and texts


class SmsChannel:
    """Sends from one number of one Twilio account; targets are numbers such as ``+4930123456``.

    ``base_url`` is another address with the same API; without TLS only on this machine. The client is
    imported with the first message.
    """

    name = "sms"

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        from_number: str,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if base_url is not None:
            _check_base_url(base_url)
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._from = from_number
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sms")
        self._client: Client | None = None
        self._making = asyncio.Lock()

    async def send(self, message: Message) -> Handover:
        """Hand over to Twilio; the reference is the message's SID. Raises DeliveryTemporary or Permanent."""
        client = await self._get_client()
        loop = asyncio.get_running_loop()
        reference = await loop.run_in_executor(self._threads, partial(self._post, client, message))
        return Handover(reference)

    async def close(self) -> None:
        """Wait for what is being sent (bounded by the timeout) and close the connections."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        if self._client is not None:
            session = getattr(self._client.http_client, "session", None)
            if session is not None:
                session.close()
            self._client = None

    async def _get_client(self) -> Client:
        async with self._making:
            if self._client is None:
                loop = asyncio.get_running_loop()
                self._client = await loop.run_in_executor(self._threads, self._make_client)
            return self._client

    def _make_client(self) -> Client:
        from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
        from twilio.rest import Client

        http = TwilioHttpClient(timeout=self._timeout_s, logger=_client_log)
        client = Client(self._account_sid, self._auth_token, http_client=http)
        if self._base_url is not None:
            client.api.base_url = self._base_url.rstrip("/")
        return client

    def _post(self, client: Client, message: Message) -> str:
        from requests.exceptions import RequestException
        from twilio.base.exceptions import (  # type: ignore[import-untyped]
            TwilioException,
            TwilioRestException,
        )

        try:
            taken = client.messages.create(to=message.target, from_=self._from, body=message.text)
        except TwilioRestException as error:
            raise _refused(error.status, error.code, error.msg) from error
        except RequestException as error:
            msg = f"SMS service cannot be reached or did not answer in time: {type(error).__name__}"
            raise DeliveryTemporary(msg, channel=self.name) from error
        except (TwilioException, ValueError, KeyError, TypeError) as error:
            msg = f"SMS service gave an answer that cannot be read: {type(error).__name__}"
            raise DeliveryTemporary(msg, channel=self.name) from error
        return str(taken.sid)


def _refused(status: int, code: int | None, text: str) -> DeliveryTemporary | DeliveryPermanent:
    """The error for an HTTP status: 4xx is for good, but for those that mean ``later``."""
    if status in _CREDENTIALS:
        msg = f"SMS service refuses the credentials ({status}): check sms.account_sid and sms.auth_token"
        return DeliveryPermanent(msg, channel="sms", status=status, code=code)
    client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if client_error and status not in _AGAIN:
        return DeliveryPermanent(
            f"SMS service refuses the message ({status}): {text}", channel="sms", status=status, code=code
        )
    return DeliveryTemporary(
        f"SMS service cannot take the message now ({status})", channel="sms", status=status, code=code
    )


def _check_base_url(base_url: str) -> None:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"sms.base_url {base_url!r} is no address; write https://host[:port]"
        raise ConfigError(msg, key="sms.base_url")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        msg = f"sms.base_url {base_url!r} would send credentials and texts in the clear; use https"
        raise ConfigError(msg, key="sms.base_url")
