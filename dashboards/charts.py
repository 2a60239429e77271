"""Trends as pages draw them: what shares a picture, what the script is told, the table beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Final

from cloud_ingest.stores.summaries import Summary, joined
from dashboards.trend_models import Trend, TrendAlarm, TrendLimit, TrendPoint
from hearthward.core.clock import SECOND
from hearthward.core.codes import METRICS

__all__ = ["Chart", "chart_of", "charts_in", "metrics_of", "place_of"]

GROUPS: Final = (
    ("heart_rate",),
    ("pulse_rate",),
    ("spo2",),
    ("respiratory_rate",),
    ("nibp_systolic", "nibp_diastolic"),
    ("ibp_systolic", "ibp_mean", "ibp_diastolic"),
    ("body_temperature",),
    ("blood_glucose",),
    ("interstitial_glucose",),
    ("body_weight",),
    ("etco2",),
    ("pain",),
)
"""Metrics that are looked at together, in the order of the page; others follow, each by itself."""
NOT_DRAWN: Final = frozenset({"rr_interval", "battery_level", "clock_skew", "nibp_mean"})
GAP: Final = 3.0
"""No line goes over so many times the usual distance of two values."""
DOTS: Final = 60
"""So many values are drawn as dots, too."""
LINES: Final = {"high": "bad", "medium": "ageing", "low": "sensor"}
"""The style sheet's colours of limits by priority, as lines on the ground of a page."""
ROWS: Final = 30
"""Of the table, at most about so many."""
WIDTHS_S: Final = (60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture: its trends over the same period, in the order of their lines."""

    trends: tuple[Trend, ...]

    @property
    def key(self) -> str:
        """The name of the picture: its first metric."""
        return self.trends[0].metric

    @property
    def shown(self) -> list[Trend]:
        """The trends that have a value in the period."""
        return [t for t in self.trends if t.points]

    @property
    def limits(self) -> list[TrendLimit]:
        """Those of all its trends; the lower ones first."""
        return sorted((x for t in self.trends for x in t.limits), key=lambda x: (x.value, x.start))

    @property
    def alarms(self) -> list[TrendAlarm]:
        """Each alarm once, the newest first."""
        found = {a.id: a for t in self.trends for a in t.alarms}
        return sorted(found.values(), key=lambda a: (-a.start, a.id))

    def told(self, names: Sequence[str], units: Sequence[str], *, now: int) -> dict[str, Any]:
        """What ``trend.js`` draws: times in seconds, columns with None where a line stops."""
        first = self.trends[0]
        rows = [_rows(t) for t in self.trends]
        times = sorted({at for row in rows for at in row})
        columns: list[Sequence[float | None]] = [times]
        for row in rows:
            points = [row.get(at) for at in times]
            columns.append([None if p is None else p.low for p in points])
            columns.append([None if p is None else p.high for p in points])
            columns.append([None if p is None else round(p.mean, 2) for p in points])
        lines = [
            {"name": name, "unit": unit, "dots": len(trend.points) <= DOTS}
            for name, unit, trend in zip(names, units, self.trends, strict=True)
        ]
        limits = [_mark(x.start, x.end, LINES[x.priority], x.value) for x in self.limits]
        alarms = [_mark(a.start, a.end or now, a.priority) for a in self.alarms if not a.worklist]
        return {
            "start": first.start / SECOND,
            "end": first.end / SECOND,
            "data": columns,
            "lines": lines,
            "marks": [*limits, *alarms],
        }

    @property
    def table(self) -> list[tuple[int, list[TrendPoint | None]]]:
        """The same in wider buckets, the newest first: when each begins, and each metric's values."""
        first = self.trends[0]
        wanted = (first.end - first.start) / ROWS / SECOND
        width = next((w for w in WIDTHS_S if w >= wanted), WIDTHS_S[-1]) * SECOND
        width = max(width, first.step)
        columns = [{p.time: p for p in _wider(t.points, width)} for t in self.trends]
        times = sorted({at for column in columns for at in column}, reverse=True)
        return [(at, [column.get(at) for column in columns]) for at in times]


def _mark(start: int, end: int, tone: str, value: float | None = None) -> dict[str, Any]:
    return {"start": start / SECOND, "end": end / SECOND, "value": value, "tone": tone}


def _rows(trend: Trend) -> dict[float, TrendPoint | None]:
    """Points by the middle of their buckets; between two that are far apart stands an empty one."""
    half = trend.step / 2
    steps = [b.time - a.time for a, b in pairwise(trend.points)]
    most = GAP * max(trend.step, median(steps)) if steps else 0
    found: dict[float, TrendPoint | None] = {}
    for point in trend.points:
        found[(point.time + half) / SECOND] = point
    for a, b in pairwise(trend.points):
        if b.time - a.time > most:
            found[(a.time + trend.step + half) / SECOND] = None
    return found


def _wider(points: Iterable[TrendPoint], width: int) -> list[TrendPoint]:
    parts = (Summary(p.time // width * width, p.low, p.high, p.mean, p.last, p.count) for p in points)
    return [
        TrendPoint(time=s.time, low=s.low, high=s.high, mean=s.mean, last=s.last, count=s.count)
        for s in joined(parts)
    ]


def charts_in(measured: Iterable[str]) -> list[tuple[str, ...]]:
    """What can be drawn of these metrics, in the order of the page."""
    there = {m for m in measured if m not in NOT_DRAWN and not m.startswith("device_")}
    groups = [tuple(m for m in group if m in there) for group in GROUPS]
    known = {m for group in GROUPS for m in group}
    return [*(g for g in groups if g), *((m,) for m in sorted(there - known))]


def metrics_of(key: str) -> tuple[str, ...] | None:
    """The metrics of a picture by the name of any of them; None: there is no such metric."""
    if key not in METRICS or key in NOT_DRAWN:
        return None
    return next((g for g in GROUPS if key in g), (key,))


def place_of(metric: str) -> int:
    """To sort by: where a metric stands among the pictures."""
    order = [m for group in GROUPS for m in group]
    return order.index(metric) if metric in order else len(order)


def chart_of(trends: Sequence[Trend]) -> Chart:
    """The picture of trends, without those that have nothing unless none has."""
    return Chart(tuple(t for t in trends if t.points) or tuple(trends[:1]))
