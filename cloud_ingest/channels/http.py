"""HTTP for the channels that speak it themselves: one session, made with the first request.

Redirects are not followed: an alarm goes where the settings say, or nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from cloud_ingest.channels.libraries import library
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary

if TYPE_CHECKING:
    import aiohttp

__all__ = ["TIMEOUT_S", "Answer", "Http"]

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
"""For a whole request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the headers with it."""

    status: int
    headers: Mapping[str, str]


class Http:
    """One channel's session; ``service`` is what errors call the other side."""

    def __init__(self, channel: str, service: str, timeout_s: float = TIMEOUT_S) -> None:
        self._channel = channel
        self._service = service
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._making = asyncio.Lock()

    async def session(self) -> aiohttp.ClientSession:
        """The session; its client is imported in a thread, because that takes a while."""
        async with self._making:
            if self._session is None:
                aiohttp = await asyncio.to_thread(library, "aiohttp")
                timeout = aiohttp.ClientTimeout(total=self._timeout_s)
                self._session = aiohttp.ClientSession(
                    timeout=timeout, trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
                )
            return self._session

    async def request(
        self, method: str, url: str, *, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request and the status of its answer. Raises DeliveryTemporary when there is none."""
        session = await self.session()

        async def ask() -> Answer:
            async with session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as answer:
                return Answer(answer.status, dict(answer.headers))

        return await self.guarded(ask)

    async def guarded(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What ``ask`` gives; a connection that fails in it is raised as DeliveryError."""
        import aiohttp

        try:
            return await ask()
        except TimeoutError as error:
            msg = f"{self._service} did not answer in time; it may have been taken all the same"
            raise DeliveryTemporary(msg, channel=self._channel) from error
        except aiohttp.InvalidURL as error:
            msg = f"{self._service} has no valid address"
            raise DeliveryPermanent(msg, channel=self._channel) from error
        except (aiohttp.ClientError, OSError) as error:
            msg = f"{self._service} cannot be reached: {type(error).__name__}"
            raise DeliveryTemporary(msg, channel=self._channel) from error

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None
