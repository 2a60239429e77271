"""``hearthward rules draft``, ``shadow``, ``approve``, ``activate``, ``rollback`` and so on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import click

__all__ = ["PASSWORD", "add_release_commands"]

PASSWORD: Final = "HEARTHWARD_PASSWORD"  # noqa: S105 - the variable's name
STEPS: Final = {
    "shadow": "Put a draft on trial. It is decided beside the rule in force and never signalled.",
    "approve": "Approve a release that somebody else wrote and that is on trial.",
    "activate": "Put an approved release in force. It replaces the rule of its id.",
    "withdraw": "Give up a release that was never in force.",
}
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_login = click.option(
    "--login", required=True, help=f"Who takes this step (password: asked, or ${PASSWORD})."
)


def add_release_commands(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``group``; ``told`` shows errors, ``settings`` reads them from the context."""

    @group.command("draft")
    @click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
    @click.option("--note", default="", help="Why.")
    @_login
    @click.pass_context
    @told
    def draft(context: click.Context, file: Path, note: str, login: str) -> None:
        """Enter a rule's FILE as a draft. Nothing changes yet."""
        from hearthward.app import rulebook

        click.echo(asyncio.run(rulebook.draft(settings(context), login, _password(), file, note)))

    @group.command("releases")
    @click.pass_context
    @told
    def releases(context: click.Context) -> None:
        """List this site's releases of rules, newest first."""
        from hearthward.app import rulebook

        click.echo(asyncio.run(rulebook.list_releases(settings(context))))

    @group.command("recalibrate")
    @click.argument("outcomes", required=False, type=click.Path(dir_okay=False, path_type=Path))
    @click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to write the rule.")
    @click.pass_context
    @told
    def recalibrate(context: click.Context, outcomes: Path | None, out: Path | None) -> None:
        """Learn from how stays ended what the learned risk was worth here.

        How they ended is what the directory says of them, or the table OUTCOMES (columns patient and
        outcome: died, intensive_care or discharged). With --out the rule `deterioration` is written with
        what was learned, to be drafted, tried and approved like any other.
        """
        from hearthward.app import recalibrate as app
        from hearthward.core.errors import ConfigError

        found = asyncio.run(app.recalibrate(settings(context), outcomes))
        click.echo(app.report(found))
        if out is None:
            return
        if found.learned.refused is not None:
            msg = f"{out} is not written: {found.learned.refused}"
            raise ConfigError(msg)
        out.write_text(app.rule_text(found.learned), encoding="utf-8")
        click.echo(f"written to {out}; next: hearthward rules draft {out} --login YOURS")

    @group.command("rollback")
    @click.argument("rule")
    @_login
    @click.pass_context
    @told
    def rollback(context: click.Context, rule: str, login: str) -> None:
        """Take this site's release of RULE out of force. What it replaced is in force again."""
        from hearthward.app import rulebook

        click.echo(asyncio.run(rulebook.roll_back(settings(context), login, _password(), rule)))

    for act, text in STEPS.items():
        group.add_command(_step(act, text, told, settings))


def _step(act: str, text: str, told: Wrap, settings: Callable[..., Any]) -> click.Command:
    @click.command(act, help=text)
    @click.argument("release")
    @_login
    @click.pass_context
    @told
    def step(context: click.Context, release: str, login: str) -> None:
        from cloud_ingest.records.releases import Act
        from hearthward.app import rulebook

        done = rulebook.step(settings(context), login, _password(), release, cast("Act", act))
        click.echo(asyncio.run(done))

    return step


def _password() -> str:
    """From the environment, for scripts, or asked for; never an argument, which other processes can see."""
    given = os.environ.get(PASSWORD)
    return given if given is not None else str(click.prompt("Password", hide_input=True, err=True))
