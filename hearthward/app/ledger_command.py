"""``hearthward ledger``: what became of every reading; and ``ledger write-off``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

__all__ = ["add_ledger_command"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def add_ledger_command(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the command to ``group``; ``told`` shows errors, ``settings`` reads them from the context."""

    @group.group(invoke_without_command=True)
    @click.option("--gateway", help="Only of this gateway.")
    @click.option("--device", help="Only of this device.")
    @click.option("--since", default="24h", show_default=True, help="How far back, such as 24h or 7d.")
    @click.option(
        "--by", type=click.Choice(["gateway", "device", "hour"]), help="Rows (default: what fits the rest)."
    )
    @click.option("--json", "shape", flag_value="json", help="Machine-readable.")
    @click.option("--csv", "shape", flag_value="csv", help="As a table for other programs.")
    @click.pass_context
    @told
    def ledger(context: click.Context, /, **options: Any) -> None:
        """Show what became of every reading: read, accepted, sent, stored, rejected, lost.

        Asks the running cloud, or the data folder when none runs. Exits with 3 when readings are missing.
        """
        if context.invoked_subcommand is not None:
            return
        from hearthward.app.ledger import show_ledger

        text, missing = asyncio.run(show_ledger(settings(context), **options))
        click.echo(text)
        if missing:
            context.exit(3)

    @ledger.command("write-off")
    @click.argument("gateway")
    @click.argument("outbox")
    @click.option("--reason", required=True, help="Why nothing more will come.")
    @click.pass_context
    @told
    def write_off(context: click.Context, gateway: str, outbox: str, reason: str) -> None:
        """Close the books on what is unaccounted for of an OUTBOX of GATEWAY. It is audited."""
        from hearthward.app.ledger import write_off as close

        click.echo(asyncio.run(close(settings(context), gateway, outbox, reason)))
