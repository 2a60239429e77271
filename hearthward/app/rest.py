"""The running cloud's REST API, as the command line asks it."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from hearthward.app.owner import read_owner
from hearthward.core.errors import AccessError, ConfigError, HearthwardError, StoreUnavailable

__all__ = ["Rest", "rest_of"]

T = TypeVar("T")

TIMEOUT_S: Final = 15.0
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not listened on


def rest_of(folder: Path, holder: object, certificate: Path | None) -> Rest:
    """The API of the process that holds the cloud's folder. Raises StoreUnavailable: it is not up yet."""
    msg = f"{folder} is in use by process {holder}, which does not answer: try again in a moment"
    owner = read_owner(folder)
    if owner is None:
        raise StoreUnavailable(msg)
    return Rest(owner.url, owner.token, certificate, StoreUnavailable(msg))


class Rest:
    """The API at an address, asked with a token ("": none). No proxy is used and no redirect followed."""

    def __init__(self, url: str, token: str, certificate: Path | None, absent: StoreUnavailable) -> None:
        self._url = url
        self._token = token
        self._certificate = certificate
        self._absent = absent

    def as_somebody(self, token: str) -> Rest:
        """The same API with another token."""
        return Rest(self._url, token, self._certificate, self._absent)

    async def ask(
        self, method: str, path: str, read: Callable[[Any], T], body: Mapping[str, Any] | None = None
    ) -> T:
        """What ``read`` makes of the answer. Raises the error that a refusal means."""
        try:
            status, answer = await asyncio.to_thread(self._exchange, method, path, body)
            found = json.loads(answer) if answer else None
            if status < HTTPStatus.BAD_REQUEST:
                return read(found)
        except ConnectionRefusedError as error:
            raise self._absent from error
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            msg = f"the running cloud at {self._url} gave no usable answer: {error}"
            raise StoreUnavailable(msg) from error
        raise self._refused(status, found)

    def _refused(self, status: int, problem: Any) -> HearthwardError:
        detail = problem.get("detail") if isinstance(problem, dict) else None
        if status == HTTPStatus.UNAUTHORIZED:  # the token of an earlier run: the new one is still starting
            return self._absent if self._token else AccessError(str(detail), authenticated=False)
        text = str(detail or f"the running cloud answered {status}")
        if status == HTTPStatus.FORBIDDEN:
            return AccessError(text)
        return StoreUnavailable(text) if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ConfigError(text)

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        connection = self._connection()
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        host = str(parts.hostname)
        host = EVERYWHERE.get(host, host)
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
        return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=self._trust())

    def _trust(self) -> ssl.SSLContext:
        """The cloud's own certificate is trusted under any name: it is asked by an address."""
        if self._certificate is None:
            return ssl.create_default_context()
        context = ssl.create_default_context(cafile=self._certificate)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
