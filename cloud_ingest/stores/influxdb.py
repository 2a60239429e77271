"""InfluxDB 2: written by ``/api/v2/write``, read by Flux.

Its times are nanoseconds and its integers whole, so a reading stands in it as it is. A write is acknowledged
when its write-ahead log is synced (the server's default), so ``durable_ack`` holds unless somebody sets
``storage-wal-fsync-delay``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from cloud_ingest.stores.engine import Examined, Series, Server, ServerClient
from cloud_ingest.stores.points import MEASUREMENT, Format, clean
from cloud_ingest.stores.summaries import NOT_SHOWN, Summary, Tally
from hearthward.core.clock import SECOND
from hearthward.core.errors import StoreRejected, StoreUnavailable

__all__ = ["InfluxDB2"]

LATEST: Final = 2**63 - 2
"""The last time it knows (ns)."""
_SUMS: Final = ("min", "max", "sum", "count", "last")
_NO_LABELS: Final = frozenset({"", "result", "table", "_time", "_value", "_field"})


class InfluxDB2:
    """The engine; see ``engine.Engine``."""

    format = Format(unit=1, whole=1 << 63, rounds=False, suffix="i")
    durable_ack = True

    def __init__(self, server: Server) -> None:
        from influxdb_client.domain.dialect import Dialect
        from influxdb_client.domain.write_precision import WritePrecision

        make: Any = Dialect
        self._client = ServerClient(server)
        self._precision = WritePrecision.NS
        self._dialect: Any = make(annotations=[], date_time_format="RFC3339Nano", delimiter=",", header=True)

    def write(self, lines: Sequence[str]) -> None:
        """Store lines; see Engine."""
        self._client.write(lines, self._precision)

    def series(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, first: int, last: int
    ) -> Iterator[Series]:
        """All that was stored; see Engine."""
        yield from _series(self._rows(self._from(tenant, devices, metrics, first, last)))

    def newest(
        self, tenant: str, devices: Sequence[str], first: int, last: int
    ) -> dict[tuple[str, str], int]:
        """The newest times; see Engine."""
        query = self._from(tenant, devices, None, first, last, 'r._field == "shape"') + " |> last()"
        found: dict[tuple[str, str], int] = {}
        for series in _series(self._rows(query)):
            which = series.labels.get("device", ""), series.labels.get("metric", "")
            found[which] = max(found.get(which, 0), *series.times)
        return found

    def summaries(
        self, tenant: str, device: str, metric: str, first: int, stop: int, step: int
    ) -> list[Summary]:
        """Values summed up by Flux; see Engine."""
        filters = self._filters(tenant, [device], [metric], 'r._field == "value"')
        query = (
            f"data = {self._range(first, stop)} |> filter(fn: (r) => {filters}) |> window(every: {step}ns)"
        )
        for name in _SUMS:
            kept = '"_start", "_time", "_value", "quality", "what"'
            query += (
                f'\ndata |> {name}() |> set(key: "what", value: "{name}")'
                f' |> keep(columns: [{kept}]) |> yield(name: "{name}")'
            )
        table = Tally.table()
        for cells in _cells(self._rows(query)):
            if not int(cells.get("quality") or 0) & NOT_SHOWN:
                _tell(table[_time(cells["_start"])], cells)
        return [made for at in sorted(table) if (made := table[at].summary(at)) is not None]

    def settle(self) -> None:
        """What was acknowledged can be read."""

    def examine(self) -> Examined:
        """Whether it answers, takes the token and has the bucket."""
        bucket = self._client.server.bucket
        self._rows(f'from(bucket: "{_quoted(bucket)}") |> range(start: -1m) |> limit(n: 1)')
        return Examined(f"InfluxDB answers a query of bucket {bucket}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _from(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None,
        first: int,
        last: int,
        *more: str,
    ) -> str:
        return (
            f"{self._range(first, last + 1)}"
            f" |> filter(fn: (r) => {self._filters(tenant, devices, metrics, *more)})"
            ' |> drop(columns: ["_start", "_stop", "_measurement"])'
        )

    def _range(self, first: int, stop: int) -> str:
        bucket = _quoted(self._client.server.bucket)
        return (
            f'from(bucket: "{bucket}") |> range(start: time(v: {first}), stop: time(v: {min(stop, LATEST)}))'
        )

    @staticmethod
    def _filters(tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, *more: str) -> str:
        conditions = [
            f'r._measurement == "{MEASUREMENT}"',
            f'r.tenant == "{_quoted(clean(tenant))}"',
            _one_of("device", devices),
            *([] if metrics is None else [_one_of("metric", metrics)]),
            *more,
        ]
        return " and ".join(conditions)

    def _rows(self, query: str) -> list[list[str]]:
        try:
            return self._client.flux(query, self._dialect)
        except StoreRejected as error:  # a refused question is not refused data
            raise StoreUnavailable(error.message) from error


def _one_of(name: str, values: Sequence[str]) -> str:
    return "(" + " or ".join(f'r.{name} == "{_quoted(clean(value))}"' for value in values) + ")"


def _quoted(text: str) -> str:
    """Fit to stand between a Flux text's quotes, where ``${`` would begin an expression."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")


def _tell(tally: Tally, cells: dict[str, str]) -> None:
    """Put a row of an answer into the tally of its bucket; its column ``what`` says what it is."""
    number = float(cells["_value"])
    match cells["what"]:
        case "min":
            tally.lows.append(number)
        case "max":
            tally.highs.append(number)
        case "sum":
            tally.sums.append(number)
        case "count":
            tally.counts.append(int(number))
        case "last":
            tally.lasts.append((_time(cells["_time"]), number))


def _series(rows: Iterable[Sequence[str]]) -> Iterator[Series]:
    """Tables of CSV as series."""
    for cells in _cells(rows):
        name, text = cells["_field"], cells["_value"]
        labels = {k: v for k, v in cells.items() if k not in _NO_LABELS and v}
        yield Series(labels, name, [_time(cells["_time"])], [float(text) if name == "value" else int(text)])


def _cells(rows: Iterable[Sequence[str]]) -> Iterator[dict[str, str]]:
    """Rows of CSV by column: every change of columns has a heading of its own. Raises StoreUnavailable."""
    heading: Sequence[str] = ()
    for row in rows:
        if not any(row):
            continue
        if "table" in row[:3] or "reference" in row[:3]:
            heading = row
        elif "reference" in heading[:3]:
            msg = f"the time-series server could not answer: {' '.join(row)[:200]}"
            raise StoreUnavailable(msg)
        else:
            yield dict(zip(heading, row, strict=False))


def _time(text: str) -> int:
    """RFC 3339 with up to nine decimals, always UTC -> ns."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return _whole_seconds(whole) * SECOND + int(fraction.ljust(9, "0") or 0)


@lru_cache(4096)
def _whole_seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
