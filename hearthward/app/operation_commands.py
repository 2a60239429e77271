"""Commands for whoever runs a gateway or a cloud as a service."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

__all__ = ["add_operation_commands"]

_FOLDER = click.Path(file_okay=False, path_type=Path)
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def add_operation_commands(group: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``group``; ``told`` shows errors, ``settings`` reads them from the context."""

    @group.command()
    @click.argument("kind", type=click.Choice(["edge", "cloud"]))
    @click.option("--user", default="hearthward", show_default=True, help="The user to run as.")
    @click.option(
        "--backup",
        type=_FOLDER,
        help="A folder that the cloud may write, too (default: backup.folder of the settings).",
    )
    @click.pass_context
    @told
    def systemd(
        context: click.Context, kind: Literal["edge", "cloud"], user: str, backup: Path | None
    ) -> None:
        """Print a systemd unit for this installation.

        It starts again whatever happens, is watched by systemd's watchdog and may do no more than it needs.
        The data folder is /var/lib/hearthward unless --data names another. docs/operations.md shows all
        steps.
        """
        from hearthward.app.systemd import unit

        data: Path | None = context.obj["data"]
        if kind == "cloud" and backup is None:
            backup = settings(context).backup.folder
        where = None if data is None else data.absolute()
        click.echo(unit(kind, user=user, data=where, backup=backup), nl=False)

    @group.command()
    @click.argument("folder", type=_FOLDER)
    @click.option("--check", is_flag=True, help="Restore the backup in FOLDER for a test instead.")
    @click.pass_context
    @told
    def backup(context: click.Context, folder: Path, *, check: bool) -> None:
        """Copy all of the cloud's data into the empty FOLDER, while it runs or not.

        The copy is then restored for a test. For a backup that is never more than a minute old set
        backup.folder instead (docs/operations.md).

        Two things are no part of it. Waveforms (cloud/waves.db): they are gone after some days in any case,
        and would be most of each copy; take a strip that is needed for longer away as a table. A gateway's
        outbox: what waits there is sent.
        """
        from hearthward.app.backup.restoring import check as check_backup
        from hearthward.app.backup.taking import take_once
        from hearthward.core.clock import SystemClock

        found, clock = settings(context), SystemClock()
        if not check:
            take_once(found.data / "cloud", folder, clock)
            click.echo(f"backed up to {folder}")
        with tempfile.TemporaryDirectory(prefix="hearthward-check-") as scratch:
            done = asyncio.run(check_backup(folder, Path(scratch), tenant=found.cloud.tenant, clock=clock))
        click.echo(f"restored for a test: {done.text()}")

    @group.command()
    @click.argument("folder", type=_FOLDER)
    @click.option("--force", is_flag=True, help="Move data that is there aside.")
    @click.pass_context
    @told
    def restore(context: click.Context, folder: Path, *, force: bool) -> None:
        """Make the cloud's data out of the backup in FOLDER. No cloud may run on it meanwhile."""
        from hearthward.app.backup.restoring import restore as restore_backup
        from hearthward.core.clock import SystemClock

        found = settings(context)
        work = restore_backup(folder, found.data, tenant=found.cloud.tenant, clock=SystemClock(), force=force)
        done = asyncio.run(work)
        click.echo(f"restored to {found.data}: {done.text()}")
        if done.before is not None:
            click.echo(f"what was there is in {done.before} now")
