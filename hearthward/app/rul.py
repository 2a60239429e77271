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
    @click.argument("test", type=click.Path(path_type=Path), required=False)
    @click.option("--out", type=click.Path(path_type=Path), help="Where to write it (default: the screen).")
    @click.option("--band", is_flag=True, help="With columns low and high: nine in ten lie between them.")
    @click.option("--save", type=click.Path(path_type=Path), help="Keep what was learned in this file.")
    @told
    def rul(train: Path, test: Path | None, out: Path | None, save: Path | None, *, band: bool) -> None:
        """Estimate how many cycles each unit of TEST has left after its last one, as CSV: unit, rul.

        TRAIN has units that ran until they failed. Both are in the format of NASA's C-MAPSS (plain or gzip):
        unit, cycle, 3 settings, 21 sensors a line, parted by spaces; or the same as CSV, with or without
        names in its first line. No row sees a later one.

        What was learned can be kept (--save), and given as TRAIN later on, or to a cloud for its instruments
        (`cloud.life_models`).
        """
        if test is None and save is None:
            msg = "TEST: give units to estimate, or --save FILE to keep what is learned"
            raise click.UsageError(msg)
        if save is not None:
            click.echo(keep(train, save), nl=False)
            train = save
        if test is not None:
            click.echo(estimate(train, test, out, band=band), nl=False)


def keep(train: Path, save: Path) -> str:
    """Learn from units that failed and write what was learned, whole or not at all; what is to be said.

    Raises ConfigError.
    """
    from cloud_ingest.device_health.life_model import to_bytes
    from cloud_ingest.device_health.remaining_life import learn
    from cloud_ingest.device_health.run_to_failure import read_runs
    from hearthward.app.files import check_writable, write_atomically

    check_writable(save, train)
    runs = read_runs(train)
    content = to_bytes(learn(runs, band=True))
    write_atomically(save, content)
    return f"learned from {len(runs)} units of {train}: {save} ({len(content)} bytes)\n"


def estimate(train: Path, test: Path, out: Path | None, *, band: bool = False) -> str:
    """Write the estimates to ``out``, or return them as text; the file is written whole or not at all.

    ``train`` has units that failed, or what was learned of some before.

    Raises ConfigError naming the file, the line and what is wrong with it.
    """
    from cloud_ingest.device_health.life_model import is_model, load
    from cloud_ingest.device_health.remaining_life import learn
    from cloud_ingest.device_health.run_to_failure import read_runs
    from hearthward.app.files import check_writable, write_atomically

    if out is not None:
        check_writable(out, train, test)
    learned = load(train) if is_model(train) else None
    runs, units = read_runs(train) if learned is None else (), read_runs(test)
    learned = learned or learn(runs, band=band)
    rows = [f"unit,rul{',low,high' if band else ''}"]
    for unit, left in zip(units, learned.left(units), strict=True):
        more = f",{left.low:.2f},{left.high:.2f}" if band else ""
        rows.append(f"{unit.unit},{left.cycles:.2f}{more}")
    text = "\n".join(rows) + "\n"
    if out is None:
        return text
    write_atomically(out, text.encode())
    return f"{len(units)} units of {test}, learned from {learned.units} of {train}: {out}\n"
