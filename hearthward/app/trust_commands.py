"""``hearthward cloud-key`` and ``hearthward edge-trust``: which cloud a gateway believes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["add_trust_commands"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def add_trust_commands(main: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``main``; ``told`` shows errors, ``settings`` reads them from the context."""

    @main.command("cloud-key")
    @click.pass_context
    @told
    def cloud_key(context: click.Context) -> None:
        """Print the public key by which this data folder's cloud signs.

        Set it on gateways as edge.cloud_key, or compare its fingerprint with theirs.
        """
        from hearthward.app.trust import show_cloud_key

        click.echo(show_cloud_key(settings(context)))

    @main.command("edge-trust")
    @click.option("--forget", is_flag=True, help="Believe the next cloud that this gateway hears of.")
    @click.pass_context
    @told
    def edge_trust(context: click.Context, *, forget: bool) -> None:
        """Show which cloud this data folder's gateway believes."""
        from hearthward.app import trust

        click.echo((trust.forget_cloud if forget else trust.show_trust)(settings(context)))
