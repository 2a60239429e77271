"""A list of alarms as a timeline: a line for each patient or device, a bar from each beginning to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from dashboards.access import Context
from dashboards.drawings import Bar, Lane, Series, lanes
from dashboards.i18n import translations
from dashboards.models import Alarm
from hearthward.core.clock import SECOND
from hearthward.core.text import natural

__all__ = ["Timeline", "timeline"]

MOST_LANES: Final = 24
STYLES: Final = {"high": "h", "medium": "m", "low": "l"}
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
STEPS: Final = (
    *(n * MINUTE for n in (1, 5, 15, 30)),
    *(n * HOUR for n in (1, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14, 30, 60, 120, 365)),
)
TICKS: Final = 8


@dataclass(frozen=True, slots=True)
class Timeline:
    """A picture, what its colours mean, and how many subjects have no line of their own in it."""

    drawn: Markup
    series: list[Series]
    left: int


def timeline(
    context: Context, rows: Sequence[Alarm], places: Mapping[str | None, str], now: int
) -> Timeline | None:
    """The alarms of a list over the time in which they were; None where there are less than two."""
    if len(rows) < 2:  # noqa: PLR2004 - one needs no picture
        return None
    gettext = translations(context.language).gettext
    tongue = context.language.split("_", maxsplit=1)[0]
    by: defaultdict[str | None, list[Bar]] = defaultdict(list)
    for alarm in rows:
        text = alarm.text.get(tongue, alarm.text.get("en", alarm.rule))
        end = max(alarm.onset, now if alarm.ended is None else alarm.ended)
        by[alarm.patient].append(Bar(alarm.onset, end, STYLES[alarm.priority], text))
    start = min(bar.start for bars in by.values() for bar in bars)
    end = max(start + MINUTE, *(bar.end for bars in by.values() for bar in bars))
    found = [Lane(places.get(key, key or ""), bars) for key, bars in list(by.items())[:MOST_LANES]]
    found.sort(key=lambda lane: natural(lane.name))
    told = gettext("{n} alarms of {m} patients or devices, each from its beginning to its end")
    drawn = lanes(
        found,
        start=start,
        end=end,
        ticks=_ticks(start, end),
        title=gettext("Alarms over time"),
        description=told.format(n=len(rows), m=len(by)),
    )
    names = gettext("▲ high"), gettext("◆ medium"), gettext("● low")
    series = [Series(name, style, ()) for name, style in zip(names, "hml", strict=True)]
    return Timeline(drawn, series, max(0, len(by) - MOST_LANES))


def _ticks(start: int, end: int) -> list[tuple[int, str]]:
    """Even moments with their time, midnights with their date (UTC)."""
    step = next((s for s in STEPS if (end - start) // s <= TICKS), STEPS[-1])
    first = -(-start // step) * step

    def said(at: int) -> str:
        form = "%m-%d" if at % DAY == 0 else "%H:%M"
        return datetime.fromtimestamp(at // SECOND, UTC).strftime(form)

    return [(at, said(at)) for at in range(first, end, step)]
