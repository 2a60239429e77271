"""``hearthward deadletter list``, ``show`` and ``replay``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

__all__ = ["add_deadletter_commands"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def add_deadletter_commands(main: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``main``; ``told`` shows errors, ``settings`` reads them from the context."""

    @main.group()
    def deadletter() -> None:
        """What gateways sent and was refused: look at it, and let in what is good by now.

        Asks the running cloud, or the data folder when none runs.
        """

    @deadletter.command("list")
    @click.option("--reason", default="", help="Only of this reason, such as future or implausible.")
    @click.option("--gateway", default="", help="Only of this gateway.")
    @click.option("--state", type=click.Choice(["kept", "replayed", "refused"]), help="Only in this state.")
    @click.option("--since", default="", help="Only from then on: 24h, 7d, or a time as in ISO 8601.")
    @click.option(
        "--limit",
        type=click.IntRange(1, 1000),
        default=200,
        show_default=True,
        help="So many at most, the newest first.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
    @click.pass_context
    @told
    def list_(context: click.Context, /, **options: Any) -> None:
        """List what was refused, newest first, and how many there are of each reason."""
        from hearthward.app.deadletters import list_letters

        click.echo(asyncio.run(list_letters(settings(context), **options)))

    @deadletter.command()
    @click.argument("ident", metavar="ID", type=click.IntRange(1))
    @click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
    @click.pass_context
    @told
    def show(context: click.Context, ident: int, *, as_json: bool) -> None:
        """Show one: what, from where, why, and what is in it. It is audited."""
        from hearthward.app.deadletters import show_letter

        click.echo(asyncio.run(show_letter(settings(context), ident, as_json=as_json)))

    @deadletter.command()
    @click.argument("ids", metavar="[ID]...", type=click.IntRange(1), nargs=-1)
    @click.option("--reason", default="", help="All of this reason that were not let in.")
    @click.option("--dry-run", is_flag=True, help="Only say what it would come to.")
    @click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
    @click.pass_context
    @told
    def replay(context: click.Context, /, ids: tuple[int, ...], **options: Any) -> None:
        """Put dead letters through the intake again, as of now.

        What is good by now is stored and judged, once; what is not stays where it is. Nothing is stored
        twice, and no gateway is told anything. It is audited. Exits with 3 when something was refused again.
        """
        from hearthward.app.deadletters import replay_letters

        text, whole = asyncio.run(replay_letters(settings(context), ids, **options))
        click.echo(text)
        if not whole:
            context.exit(3)
