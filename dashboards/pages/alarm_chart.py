"""A list of alarms as a timeline: a line for each patient or device, a bar from each beginning to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from dashboards.access import Context
from dashboards.drawings import Bar, Lane, Series, lanes
from dashboards.i18n import translations
from dashboards.models import Alarm
from dashboards.zones import ticks
from hearthward.core.clock import SECOND
from hearthward.core.text import natural

__all__ = ["Timeline", "timeline"]

MOST_LANES: Final = 24
STYLES: Final = {"high": "h", "medium": "m", "low": "l"}
MINUTE: Final = 60 * SECOND


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
        # What came too late is an entry of its moment: nobody has seen whether it went on.
        still = alarm.onset if alarm.worklist else now
        end = max(alarm.onset, still if alarm.ended is None else alarm.ended)
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
        ticks=ticks(start, end, context.zone, context.language),
        title=gettext("Alarms over time"),
        description=told.format(n=len(rows), m=len(by)),
    )
    names = gettext("▲ high"), gettext("◆ medium"), gettext("● low")
    series = [Series(name, style, ()) for name, style in zip(names, "hml", strict=True)]
    return Timeline(drawn, series, max(0, len(by) - MOST_LANES))
