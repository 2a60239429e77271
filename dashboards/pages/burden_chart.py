"""The burden of alarms over days, or over the hours of the day, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from dashboards.access import Context
from dashboards.burden_models import BurdenView
from dashboards.drawings import Series, columns
from dashboards.i18n import translations
from dashboards.zones import day_label
from hearthward.core.clock import SECOND

__all__ = ["Chart", "day_labels", "days_between", "over_time"]

HOURS: Final = 24
PRIORITIES: Final = ("high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture, and what it shows."""

    title: str
    drawn: Markup
    labels: list[str]
    series: list[Series]


def over_time(context: Context, found: BurdenView) -> Chart | None:
    """Alarms by day or by hour, priority on priority; None where there is nothing to show."""
    if not found.total.alarms:
        return None
    gettext = translations(context.language).gettext
    if found.by == "hour":
        labels = [f"{n:02d}" for n in range(HOURS)]
        known = {r.key: {name: getattr(r.figures, name) for name in PRIORITIES} for r in found.rows}
    else:
        labels, known = days_between(found.start, found.end, found.zone), found.days

    def values(name: str) -> list[float]:
        return [known.get(key, {}).get(name, 0) for key in labels]

    series = [
        Series(gettext("▲ high"), "h", values("high")),
        Series(gettext("◆ medium"), "m", values("medium")),
        Series(gettext("● low"), "l", values("low")),
    ]
    title = gettext("Over the hours of the day") if found.by == "hour" else gettext("Over the days")
    most = max(sum(counts.values()) for counts in known.values())
    told = gettext("{n} alarms; the most in one column: {most}").format(n=found.total.alarms, most=most)
    shown = labels if found.by == "hour" else day_labels(context, labels)
    return Chart(title, columns(shown, series, title=title, description=told, stacked=True), labels, series)


def day_labels(context: Context, days: Sequence[str]) -> list[str]:
    """ISO dates as an axis names them."""
    return [day_label(date.fromisoformat(day), context.language) for day in days]


def days_between(start: int, end: int, zone: str) -> list[str]:
    """Every date of a period (UTC ns), also those on which nothing was."""
    where = ZoneInfo(zone)

    def day(at: int) -> date:
        return datetime.fromtimestamp(at // SECOND, UTC).astimezone(where).date()

    first, last = day(start), day(end - 1)
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
