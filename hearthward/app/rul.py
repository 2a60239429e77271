"""``hearthward rul``: cycles left of each unit of a file, learned from another file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["add_rul_command"]

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def add_rul_command(main: click.Group, told: Wrap) -> None:
    """Add the command to ``main``; ``told`` shows errors."""

    @main.command()
    @click.argument("train", type=click.Path(path_type=Path))
    @click.argument("test", type=click.Path(path_type=Path))
    @click.option("--out", type=click.Path(path_type=Path), help="Where to write it (default: the screen).")
    @click.option("--band", is_flag=True, help="With columns low and high: nine in ten lie between them.")
    @told
    def rul(train: Path, test: Path, out: Path | None, *, band: bool) -> None:
        """Estimate how many cycles each unit of TEST has left after its last one, as CSV: unit, rul.

        TRAIN has units that ran until they failed. Both are in the format of NASA's C-MAPSS (plain or gzip):
        unit, cycle, 3 settings, 21 sensors a line, parted by spaces; or the same as CSV, with or without
        names in its first line. No row sees a later one.
        """
        click.echo(estimate(train, test, out, band=band), nl=False)


def estimate(train: Path, test: Path, out: Path | None, *, band: bool = False) -> str:
    """Write the estimates to ``out``, or return them as text; the file is written whole or not at all.

    Raises ConfigError naming the file, the line and what is wrong with it.
    """
    from cloud_ingest.device_health.remaining_life import learn
    from cloud_ingest.device_health.run_to_failure import read_runs
    from hearthward.app.files import check_writable, write_atomically

    if out is not None:
        check_writable(out)
    runs, units = read_runs(train), read_runs(test)
    learned = learn(runs, band=band)
    rows = [f"unit,rul{',low,high' if band else ''}"]
    for unit, left in zip(units, learned.left(units), strict=True):
        more = f",{left.low:.2f},{left.high:.2f}" if band else ""
        rows.append(f"{unit.unit},{left.cycles:.2f}{more}")
    text = "\n".join(rows) + "\n"
    if out is None:
        return text
    write_atomically(out, text.encode())
    return f"{len(units)} units of {test}, learned from {len(runs)} of {train}: {out}\n"
