"""``python -m bench.train_deterioration``: train the deterioration model that is shipped, on all of set A.

It writes rules/models/deterioration-*.json. Before, each model is held against the library it was made with,
row by row. Figures on what was not learned from come from ``./dev bench deterioration``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from bench.deterioration_fit import Fitted, Table, fit, table_of
from bench.icu_stays import read_stays
from bench.real_data import recordings
from rules.models.deterioration import ALERT_FILE, FOLDER, PLAIN_FILE
from rules.models.trees import Trees

MOST_BYTES = 200_000
CHECKED_EVERY = 50


def main(arguments: list[str]) -> int:
    """Train both models and write them; 1 when the recordings are not here, or a checked file is another."""
    parser = argparse.ArgumentParser(prog="python -m bench.train_deterioration", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="the folder to write to")
    parser.add_argument("--version", type=int, default=1, help="the number of this training")
    parser.add_argument(
        "--check", action="store_true", help="write nothing: are the files what they would be?"
    )
    options = parser.parse_args(arguments)
    folder = recordings("cinc2012")
    if folder is None:
        print("the recordings are not here: set HEARTHWARD_DATA", file=sys.stderr)
        return 1
    read = read_stays(folder)
    print(f"{read.rows:,} rows of {len(read.stays):,} stays; no vital sign: {dict(read.others)}")
    others = []
    for conscious, name in ((True, ALERT_FILE), (False, PLAIN_FILE)):
        table = table_of(read.stays, conscious=conscious)
        stays, first = np.unique(table.stay, return_index=True)
        fitted = fit(table, stays, table.died[first], options.version)
        text = fitted.trees.to_json()
        apart = difference(Trees.from_json(text, name), fitted, table)
        print(f"{name}: {len(text):,} B, {fitted.settings}, at most {apart:.1e} from the library")
        assert apart < 1e-6, "our evaluation is not the library's"
        assert len(text) < MOST_BYTES, "too large to be shipped"
        path = options.out / name
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            others.append(str(path))
    if others:
        print(f"not what training writes today: {', '.join(others)}", file=sys.stderr)
    return 1 if others else 0


def difference(trees: Trees, fitted: Fitted, table: Table) -> float:
    """The most that our evaluation of the file differs from the library's, in log-odds."""
    rows = table.x[::CHECKED_EVERY]
    ours = np.array([trees.log_odds(list(row)) for row in rows])
    return float(np.max(np.abs(ours - fitted.log_odds(rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
