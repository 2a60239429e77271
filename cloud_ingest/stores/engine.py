"""What a time-series server's adapter must do; ``server.ServerStore`` makes a store of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from cloud_ingest.stores.points import Format
from cloud_ingest.stores.summaries import Summary
from hearthward.core.addresses import is_loopback
from hearthward.core.errors import StoreRejected, StoreUnavailable

if TYPE_CHECKING:
    from influxdb_client.client.influxdb_client import InfluxDBClient

__all__ = ["Engine", "Examined", "Series", "Server", "ServerClient"]

T = TypeVar("T")

REFUSALS: Final = frozenset({400, 413, 422})
"""Answers that mean this data, and always will; all others mean the server or the settings."""
EXCERPT: Final = 200


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers of one name and one set of labels; times in the engine's units."""

    labels: dict[str, str]
    name: str
    times: Sequence[int]
    numbers: Sequence[float]


@dataclass(frozen=True, slots=True)
class Examined:
    """What ``hearthward doctor`` is told: whether the server answers (in ``text``) and what to change."""

    text: str
    advice: tuple[str, ...] = ()


class Engine(Protocol):
    """One kind of server. Everything blocks and may be called from several threads.

    All raise StoreUnavailable (try again) and StoreRejected (this data never).
    """

    format: Format
    durable_ack: bool
    """Whether ``write`` returns only when a power cut cannot take the points back."""

    def write(self, lines: Sequence[str]) -> None:
        """Store lines; some may be stored when this raises. The same again changes nothing."""
        ...

    def series(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, first: int, last: int
    ) -> Iterator[Series]:
        """All that was stored of these from ``first`` to ``last``, both included; texts as they are."""
        ...

    def newest(
        self, tenant: str, devices: Sequence[str], first: int, last: int
    ) -> dict[tuple[str, str], int]:
        """The time of the newest point of each (device, metric) in that period."""
        ...

    def summaries(
        self, tenant: str, device: str, metric: str, first: int, stop: int, step: int
    ) -> list[Summary]:
        """Whole buckets of ``step`` (in units, like the times), ``first`` to before ``stop``, added up there.

        The server's own sums: a reading that was written twice counts twice. Times of the answer are units.
        """
        ...

    def settle(self) -> None:
        """Return when all that was written can be read."""
        ...

    def examine(self) -> Examined:
        """Whether it is there and set as it must be."""
        ...

    def close(self) -> None:
        """Release its connections."""
        ...


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and how it is spoken to. ``ca``: a file of certificates instead of the system's."""

    url: str
    token: str = ""
    org: str = ""
    bucket: str = "hearthward"
    timeout_s: float = 10.0
    ca: Path | None = None


class ServerClient:
    """``influxdb-client`` as all engines use it: no retries of its own, its errors as ours.

    Imported when the first is made: it weighs 25 MB.
    """

    def __init__(self, server: Server, *, bearer: bool = False) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.client.write_api import SYNCHRONOUS

        self.server = server
        self._client: InfluxDBClient = InfluxDBClient(
            url=server.url,
            token=server.token or "-",
            org=server.org or "-",
            timeout=int(server.timeout_s * 1000),
            enable_gzip=not is_loopback(urlsplit(server.url).hostname or ""),
            retries=False,
            ssl_ca_cert=None if server.ca is None else str(server.ca),
        )
        self._api: Any = self._client.api_client
        if bearer:
            headers = self._api.default_headers
            headers.pop("Authorization", None)
            if server.token:
                headers["Authorization"] = f"Bearer {server.token}"
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)
        self._query = self._client.query_api()

    def write(self, lines: Sequence[str], precision: Any) -> None:
        """Send lines in one request."""
        server = self.server
        text = "\n".join(lines)
        self._guarded(
            lambda: self._writer.write(server.bucket, server.org or "-", text, write_precision=precision)
        )

    def flux(self, query: str, dialect: Any) -> list[list[str]]:
        """The rows of a Flux query's CSV."""
        return self._guarded(lambda: list(self._query.query_csv(query, dialect=dialect)))

    def call(self, path: str, fields: Sequence[tuple[str, str]] | None = None) -> bytes:
        """The body that another path of the server answers with; ``fields`` are posted as a form."""

        def ask() -> bytes:
            answer = self._api.call_api(
                path,
                "GET" if fields is None else "POST",
                header_params={
                    "Accept-Encoding": "gzip",
                    **({} if fields is None else {"Content-Type": "application/x-www-form-urlencoded"}),
                },
                post_params=fields,
                _preload_content=False,
                _return_http_data_only=True,
            )
            body: bytes = answer.data
            answer.release_conn()
            return body

        return self._guarded(ask)

    def close(self) -> None:
        """Close the connections."""
        client: Any = self._client
        client.close()

    def _guarded(self, work: Callable[[], T]) -> T:
        from influxdb_client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return work()
        except ApiException as error:
            body = (
                error.body if isinstance(error.body, str) else (error.body or b"").decode("utf-8", "replace")
            )
            msg = f"the time-series server answers {error.status}: {' '.join(body.split())[:EXCERPT]}"
            if error.status in REFUSALS:
                raise StoreRejected(msg, status=error.status) from error
            raise StoreUnavailable(msg, status=error.status) from error
        except (HTTPError, OSError) as error:
            msg = f"the time-series server at {self.server.url} does not answer: {type(error).__name__}"
            raise StoreUnavailable(msg) from error
