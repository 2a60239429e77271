"""``hearthward why`` and ``why-not``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

__all__ = ["add_why_commands"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
_json_flag = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


def add_why_commands(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``group``; ``told`` shows errors, ``settings`` reads them from the context."""

    @group.command()
    @click.argument("alarm")
    @_json_flag
    @click.pass_context
    @told
    def why(context: click.Context, alarm: str, *, as_json: bool) -> None:
        """Say why an alarm fired.

        ALARM is its id; entries of the worklist and of rules on trial have ids, too. Prints the rule as it
        was, values, limits and who set them, each hop's delay and the alarm's life. Asks the running cloud,
        or the data folder when none runs.
        """
        from hearthward.app.why import tell_why

        click.echo(asyncio.run(tell_why(settings(context), alarm, as_json=as_json)))

    @group.command("why-not")
    @click.argument("patient")
    @click.argument("rule")
    @click.argument("time")
    @_json_flag
    @click.pass_context
    @told
    def why_not(context: click.Context, patient: str, rule: str, time: str, *, as_json: bool) -> None:
        """Say why a rule did not fire.

        PATIENT and RULE are ids, TIME is ISO 8601 (UTC unless it has a zone). Names the part of the
        condition that was in the way. Asks the running cloud, or the data folder when none runs.
        """
        from hearthward.app.why import tell_why_not

        click.echo(asyncio.run(tell_why_not(settings(context), patient, rule, time, as_json=as_json)))
