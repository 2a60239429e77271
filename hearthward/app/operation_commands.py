"""Commands for whoever runs a gateway or a cloud as a service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

__all__ = ["add_operation_commands"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def add_operation_commands(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``group``; ``told`` shows errors, ``settings`` reads them from the context."""
    del settings

    @group.command()
    @click.argument("kind", type=click.Choice(["edge", "cloud"]))
    @click.option("--user", default="hearthward", show_default=True, help="The user to run as.")
    @click.pass_context
    @told
    def systemd(context: click.Context, kind: Literal["edge", "cloud"], user: str) -> None:
        """Print a systemd unit for this installation.

        It starts again whatever happens, is watched by systemd's watchdog and may do no more than it needs.
        The data folder is /var/lib/hearthward unless --data names another. docs/operations.md shows all
        steps.
        """
        from hearthward.app.systemd import unit

        data: Path | None = context.obj["data"]
        click.echo(unit(kind, user=user, data=None if data is None else data.absolute()), nl=False)
