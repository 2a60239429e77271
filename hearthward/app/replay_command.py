"""``hearthward replay``: rules over a recording or the stored history."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["add_replay_command"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
FILE = click.Path(dir_okay=False, path_type=Path)


class _Span(click.ParamType):  # type: ignore[type-arg] # generic in newer releases only
    """A duration such as 90s, 30min, 1h or 2d, as seconds."""

    name = "SPAN"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h|d)", str(value))
        if match is None:
            self.fail(f"{value!r} is no duration such as 90s, 30min, 1h or 2d", param, context)
        return float(match[1]) * {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}[match[2]]


def add_replay_command(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the command to ``group``; ``told`` shows errors, ``settings`` reads them from the context."""

    @group.command()
    @click.argument("recording", required=False, type=FILE, metavar="[READINGS.csv[.gz]]")
    @click.option("--from", "start", metavar="ISO", help="Replay the stored history of --data from then...")
    @click.option("--to", "until", metavar="ISO", help="...until before then (UTC unless a zone is given).")
    @click.option("--patient", "patients", multiple=True, help="Only this patient (may be repeated).")
    @click.option(
        "--rules",
        default="shipped",
        metavar="DIR",
        help="Only these rules, a file or folder (default: the shipped library).",
    )
    @click.option(
        "--only",
        multiple=True,
        metavar="GLOB",
        help="Only rules with such ids as 'ibp-mean-low*' (may be repeated).",
    )
    @click.option(
        "--setting",
        type=click.Choice(["ward", "home"]),
        help="Where all patients are (default: as stored; not known in a recording: every rule applies).",
    )
    @click.option("--compare", metavar="DIR|shipped", help="A second set of rules, compared with the first.")
    @click.option(
        "--events", type=FILE, help="Labelled events with the columns patient,time,label (.csv[.gz])."
    )
    @click.option(
        "--horizon",
        "horizon_s",
        type=_Span(),
        default="1h",
        show_default=True,
        help="How long before an event an alarm that has ended may have been told to count as its warning.",
    )
    @click.option(
        "--tolerance",
        "tolerance_s",
        type=_Span(),
        default="30min",
        show_default=True,
        help="How long after an event's beginning an alarm still counts as having caught it.",
    )
    @click.option(
        "--unit",
        type=click.Choice(["s", "ms", "min", "h", "d"]),
        default="s",
        show_default=True,
        help="What the recording's times are in.",
    )
    @click.option("--out", type=FILE, help="Write the figures and every episode as JSON.")
    @click.pass_context
    @told
    def replay(context: click.Context, /, **options: Any) -> None:
        """Run rules over a recording or the stored history. Counts the alarms that they would have made.

        A recording has the columns time,patient,metric,value; times are written as they are there. Metrics
        that no rule reads are counted, and so are values outside the metric's range, which decide nothing.
        Patient-days: from a patient's first to their last reading, plus one typical interval. Of the stored
        history, limits, orders and stays count as they were at its end (--to).

        With --events: an event is caught by the alarm active when it began; or else by the last one told
        within --horizon before; or else by the first one told within --tolerance after. The warning is the
        time from the alarm's being told (onset and the rule's delay) to the event, negative when it was
        told after. Beside it stands the same of the first alarm that began within these two spans: one that
        had gone on for longer does not count there.

        With --compare: an episode is gained (lost) when the second (first) rule set has none of the same
        patient and rule at that time.
        """
        from hearthward.app.replay import Request, run_replay

        if options["recording"] is not None and (options["start"] or options["until"]):
            msg = "give either a recording or --from and --to, not both"
            raise click.UsageError(msg)
        if options["recording"] is None and not (options["start"] and options["until"]):
            msg = "name a recording, or a period of the stored history with --from and --to"
            raise click.UsageError(msg)
        click.echo(run_replay(Request(**options), settings(context)))
