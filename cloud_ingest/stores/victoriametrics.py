"""VictoriaMetrics (single node): written by its InfluxDB API, read by its own ``/api/v1/export``.

It acknowledges before its disk has the data (measured on 1.79: what was written within about 6 s of a
kill -9 is gone), its times are milliseconds, its numbers have about twelve decimal digits (integers below
2^53 are exact). What it refuses for its age it drops without a word, so it must be told to keep things long:
``-retentionPeriod`` is one month unless set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from cloud_ingest.stores.engine import Examined, Series, Server, ServerClient
from cloud_ingest.stores.points import MEASUREMENT, Format, clean
from cloud_ingest.stores.summaries import NOT_SHOWN, Summary, Tally
from hearthward.core.errors import StoreRejected, StoreUnavailable

__all__ = ["VictoriaMetrics"]

PREFIX: Final = f"{MEASUREMENT}_"
EARLIEST: Final = 2 * 86_400_000
"""A period that begins before (or near) 1970 finds nothing (measured)."""
_FLAG: Final = re.compile(r'^flag\{name="(?P<name>[^"]+)", value="(?P<value>[^"]*)", is_set="(?P<set>\w+)"\}')
BUCKETS_AT_ONCE: Final = 10_000
"""It answers with 30,000 of a series at most."""
_LOW, _HIGH, _SUM, _COUNT, _LAST, _WHEN = _SUMS = (
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "tlast_over_time",
)
_DEDUPLICATION: Final = "dedup.minScrapeInterval"
_RETENTION: Final = "retentionPeriod"
_SHORT_RETENTION: Final = re.compile(r"^\d+(\.\d+)?[hd]$|^[1-9]$|^1[01]$")
"""Hours and days, or months (without a unit) below a year."""


class VictoriaMetrics:
    """The engine; see ``engine.Engine``."""

    format = Format(unit=1_000_000, whole=1 << 53, rounds=True)
    durable_ack = False

    def __init__(self, server: Server) -> None:
        from influxdb_client.domain.write_precision import WritePrecision

        self._client = ServerClient(server, bearer=True)
        self._precision = WritePrecision.MS

    def write(self, lines: Sequence[str]) -> None:
        """Store lines; see Engine."""
        self._client.write(lines, self._precision)

    def series(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, first: int, last: int
    ) -> Iterator[Series]:
        """All that was stored; see Engine."""
        chosen = _selector(f'__name__=~"{PREFIX}.*"', tenant, devices, metrics)
        fields = [("match[]", chosen), ("start", _seconds(first)), ("end", _seconds(last))]
        for text in self._asked("/api/v1/export", fields).splitlines():
            row = json.loads(text)
            labels = row["metric"]
            name = labels.pop("__name__").removeprefix(PREFIX)
            yield Series(labels, name, row["timestamps"], row["values"])

    def newest(
        self, tenant: str, devices: Sequence[str], first: int, last: int
    ) -> dict[tuple[str, str], int]:
        """The newest times; see Engine."""
        chosen = _selector(f'__name__="{PREFIX}shape"', tenant, devices, None)
        length = last - max(first, EARLIEST) + 1
        query = f"max(tlast_over_time({chosen}[{length}ms])) by (device, metric)"
        fields = [("query", query), ("time", _seconds(last)), ("nocache", "1")]
        found = json.loads(self._asked("/api/v1/query", fields))["data"]["result"]
        return {
            (r["metric"].get("device", ""), r["metric"].get("metric", "")): round(float(r["value"][1]) * 1000)
            for r in found
        }

    def summaries(
        self, tenant: str, device: str, metric: str, first: int, stop: int, step: int
    ) -> list[Summary]:
        """Values summed up by MetricsQL; those of a million and more are not among them. See Engine."""
        chosen = _selector(f'__name__="{PREFIX}value"', tenant, [device], [metric])
        names = ", ".join(f'"{name}"' for name in _SUMS)
        query = f"aggr_over_time(({names}), {chosen}[{step}ms])"
        table = Tally.table()
        at = max(first, -(-EARLIEST // step) * step)
        while at < stop:
            until = min(stop, at + BUCKETS_AT_ONCE * step)
            # A point of the answer is about the time up to and with its own, as long as the window.
            fields = [("query", query), ("step", f"{step}ms"), ("nocache", "1"), ("latency_offset", "1ms")]
            fields += [("start", _seconds(at + step - 1)), ("end", _seconds(until - 1))]
            found = json.loads(self._asked("/api/v1/query_range", fields))["data"]["result"]
            _tell(table, [r for r in found if _shown(r["metric"])], step)
            at = until
        return [made for at in sorted(table) if (made := table[at].summary(at)) is not None]

    def settle(self) -> None:
        """Have it look through what it has not sorted in yet (it would within a second or two)."""
        self._asked("/internal/force_flush", None)

    def examine(self) -> Examined:
        """Whether it answers, removes doubles, and keeps data long enough."""
        flags: dict[str, Any] = {}
        for text in self._asked("/metrics", None).decode("utf-8", "replace").splitlines():
            if found := _FLAG.match(text):
                flags[found["name"]] = found["value"]
        if _RETENTION not in flags:
            msg = f"what answers at {self._client.server.url} is not a VictoriaMetrics of one node"
            raise StoreUnavailable(msg)
        advice = []
        if flags.get(_DEDUPLICATION) in {None, "0", "0s"}:
            advice.append(
                f"start it with -{_DEDUPLICATION}=1ms: rewritten readings are kept twice on its disk"
            )
        if _SHORT_RETENTION.match(flags[_RETENTION]):
            advice.append(f"-{_RETENTION}={flags[_RETENTION]} drops older readings: set it, such as to 10y")
        return Examined(f"VictoriaMetrics answers, keeps {flags[_RETENTION]}", tuple(advice))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _asked(self, path: str, fields: Sequence[tuple[str, str]] | None) -> bytes:
        """Its answer; a refused question is not refused data."""
        try:
            return self._client.call(path, fields)
        except StoreRejected as error:
            raise StoreUnavailable(error.message) from error


def _shown(labels: dict[str, str]) -> bool:
    return not int(labels.get("quality", 0)) & NOT_SHOWN


def _tell(table: dict[int, Tally], found: Sequence[dict[str, Any]], step: int) -> None:
    """Put an answer's numbers into the tallies of their buckets; its label ``rollup`` says what each is."""
    by_kind: dict[str, dict[tuple[Any, ...], dict[int, float]]] = {name: {} for name in _SUMS}
    for row in found:
        labels = {k: v for k, v in row["metric"].items() if k not in {"rollup", "__name__"}}
        points = {round(float(t) * 1000) + 1 - step: float(v) for t, v in row["values"]}
        by_kind[row["metric"]["rollup"]][tuple(sorted(labels.items()))] = points
    for series, counts in by_kind[_COUNT].items():
        for at, count in counts.items():
            tally = table[at]
            tally.counts.append(round(count))
            tally.lows.append(by_kind[_LOW][series][at])
            tally.highs.append(by_kind[_HIGH][series][at])
            tally.sums.append(by_kind[_SUM][series][at])
            when = round(by_kind[_WHEN][series][at] * 1000)
            tally.lasts.append((when, by_kind[_LAST][series][at]))


def _selector(name: str, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None) -> str:
    parts = [name, f'tenant="{clean(tenant)}"', f'device=~"{_any(devices)}"']
    if metrics is not None:
        parts.append(f'metric=~"{_any(metrics)}"')
    return "{" + ",".join(parts) + "}"


def _any(names: Sequence[str]) -> str:
    """A regular expression of just these, within a quoted text: each backslash doubled."""
    return "|".join(re.escape(clean(name)) for name in names).replace("\\", "\\\\")


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"
