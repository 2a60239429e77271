"""An account at Twilio: its own client in threads of its own, and its errors in our words.

Source: Twilio's REST API ``2010-04-01``. It has no idempotency key: after an ambiguous timeout a message or
a call may come twice, with the same reference in its text.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cloud_ingest.channels.answers import refusal
from cloud_ingest.channels.libraries import library
from cloud_ingest.channels.twilio_callbacks import reason_of
from hearthward.core.addresses import check_https
from hearthward.core.errors import ConfigError, DeliveryError, DeliveryPermanent, DeliveryTemporary

if TYPE_CHECKING:
    from twilio.rest import Client  # type: ignore[import-untyped]

__all__ = ["TwilioAccount"]

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
"""For the connection and for each wait for the answer."""
THREADS: Final = 8
CREDENTIALS: Final = "sms.account_sid and sms.auth_token"

_client_log = logging.getLogger(f"{__name__}.client")
_client_log.setLevel(logging.WARNING)  # below, the client logs numbers and texts


class TwilioAccount:
    """One account for one channel. The client is imported with the first call.

    ``base_url`` is another address with the same API; without TLS only on this machine.
    """

    def __init__(
        self, channel: str, *, account_sid: str, auth_token: str, base_url: str | None, timeout_s: float
    ) -> None:
        if base_url is not None:
            try:
                check_https(base_url)
            except ValueError as error:
                msg = f"sms.base_url: {error}"
                raise ConfigError(msg, key="sms.base_url") from error
        self._channel = channel
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=channel)
        self._last = threading.local()
        self._client: Client | None = None
        self._making = asyncio.Lock()

    async def call(self, request: Callable[[Client], T]) -> T:
        """The outcome of a request by the client, made in a thread. Raises DeliveryError."""
        client = await self._get_client()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(self._request, client, request))

    async def check(self) -> None:
        """Whether Twilio takes the credentials and the account is not suspended. Raises DeliveryError."""
        account = await self.call(lambda client: client.api.accounts(self._account_sid).fetch())
        if account.status != "active":
            msg = f"the account at Twilio is {account.status}"
            raise DeliveryPermanent(msg, channel=self._channel)

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
        http = library("twilio.http.http_client").TwilioHttpClient(
            timeout=self._timeout_s, logger=_client_log, request_hooks={"response": [self._note]}
        )
        client: Client = library("twilio.rest").Client(self._account_sid, self._auth_token, http_client=http)
        if self._base_url is not None:
            client.api.base_url = self._base_url.rstrip("/")
        return client

    def _note(self, response: Any, *_args: Any, **_options: Any) -> None:
        """Keep the answer's headers for this thread's request: the client's errors do not have them."""
        self._last.headers = response.headers

    def _request(self, client: Client, request: Callable[[Client], T]) -> T:
        from requests.exceptions import ReadTimeout, RequestException
        from twilio.base.exceptions import TwilioException  # type: ignore[import-untyped]

        self._last.headers = {}
        try:
            return request(client)
        except TwilioException as error:
            raise self._refused(error, self._last.headers) from None  # its text may hold a number
        except ReadTimeout as error:
            msg = "Twilio did not answer in time; it may have been taken all the same"
            raise DeliveryTemporary(msg, channel=self._channel) from error
        except RequestException as error:
            msg = f"Twilio cannot be reached: {type(error).__name__}"
            raise DeliveryTemporary(msg, channel=self._channel) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(error) from error

    def _refused(self, error: Exception, headers: Mapping[str, str]) -> DeliveryError:
        status, code = getattr(error, "status", None), getattr(error, "code", None)
        if not isinstance(status, int):
            return self._unreadable(error)
        return refusal(
            self._channel,
            "Twilio",
            status,
            headers,
            credentials=CREDENTIALS,
            reason=reason_of(code),
            code=code if isinstance(code, int) else None,
        )

    def _unreadable(self, error: Exception) -> DeliveryTemporary:
        msg = f"Twilio gave an answer that cannot be read: {type(error).__name__}"
        return DeliveryTemporary(msg, channel=self._channel)
