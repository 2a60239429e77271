"""``hearthward detect``: how unusual each row of a table is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["add_detect_command"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
TABLE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)


def add_detect_command(group: click.Group, told: Wrap) -> None:
    """Add the command to ``group``; ``told`` shows errors."""

    @group.command()
    @click.argument("file", type=TABLE)
    @click.option("--time", "time_column", required=True, metavar="COLUMN", help="Column of the time.")
    @click.option("--value", "value_column", required=True, metavar="COLUMN", help="Column of the value.")
    @click.option("--out", type=OUT, help="Where to write (default: the standard output).")
    @told
    def detect(file: Path, time_column: str, value_column: str, out: Path | None) -> None:
        """Write a CSV FILE (plain or gzip) with one more column, score: how unusual each value is, 0 to 1.

        A score is made of its row and those before it; 0.5 is where it is worth telling. Times are ISO 8601,
        or seconds, milliseconds, microseconds or nanoseconds since 1970. A row that cannot be read stays,
        without a score, and is counted.
        """
        from hearthward.app.detect import Table, score_table
        from hearthward.app.files import check_writable, write_atomically

        if out is not None:
            check_writable(out, file)
        scored = score_table(Table.read(file), time_column, value_column)
        if out is None:
            click.echo(scored.data, nl=False)
        else:
            write_atomically(out, scored.data)
        click.echo(scored.summary, err=True)
