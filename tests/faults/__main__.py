"""``./dev faults``: break the running system on purpose, and account for every reading and alarm."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from click import echo

from tests.faults.faults import FAULTS
from tests.faults.report import rows_of, text_of, to_json
from tests.faults.rounds import Plan, Round, kept_if_bad, left_out, plan_of, run_session


def main(arguments: list[str]) -> int:
    """Exit code 1: something was lost, doubled or silent, or an alarm took longer than 10 s.

    2: nothing of that, but not all was made that was asked for: out of time, or not possible here.
    """
    parser = argparse.ArgumentParser(
        prog="./dev faults",
        description="Edge, cloud and broker as processes of their own; each round breaks one thing, mends "
        "it, provokes an alarm and accounts for every reading sent. Loopback only. Readings are counted.",
        epilog="\n".join(f"  {f.name:18} {f.rounds:3} rounds: {f.about}" for f in FAULTS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="of each fault at most (default: see below)")
    parser.add_argument("--seed", type=int, metavar="S", help="decides every moment (default: a new one)")
    parser.add_argument("--only", action="append", metavar="FAULT", choices=FAULTS, help="may be repeated")
    parser.add_argument("--round", type=int, metavar="K", help="just this round of each chosen fault")
    parser.add_argument("--minutes", type=float, metavar="M", default=60.0, help="stop after (default 60)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to work (default: a temporary one)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing stays mounted
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    folder = options.folder or Path(tempfile.mkdtemp(prefix="hearthward-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = datetime.now(UTC)
    names = options.only or list(FAULTS)
    plan = asyncio.run(plan_of(seed, names, options.rounds, folder, options.round))
    echo(f"seed {seed}; {sum(len(s.turns) for s in plan.sessions)} rounds in {folder}")
    for name, reason in plan.skipped.items():
        echo(f"skipped {name}: {reason}")
    rounds = _run(plan, seed, folder, time.monotonic() + 60 * options.minutes)
    rows = rows_of(rounds)
    echo(f"\nseed {seed}, {began:%Y-%m-%d}, {(datetime.now(UTC) - began).seconds / 60:.1f} minutes\n")
    echo(text_of(rows))
    if options.report:
        options.report.write_text(
            to_json(rows, rounds, seed=seed, began=began.isoformat(timespec="seconds"), skipped=plan.skipped)
        )
    bad = [r for r in rounds if not r.good]
    for r in bad:
        echo(f"again: ./dev faults --seed {seed} --only {r.fault} --round {r.number}")
    if bad:
        echo(f"logs and data are kept in {folder}")
    missing = left_out(plan, rounds)
    if missing:
        echo(f"not made: {', '.join(missing)}")
    return ending(bad=bool(bad), whole=not missing and not plan.skipped)


def ending(*, bad: bool, whole: bool) -> int:
    """The exit code: whether anything was bad, and whether all was made."""
    if bad:
        return 1
    return 0 if whole else 2


def _run(plan: Plan, seed: int, folder: Path, deadline: float) -> list[Round]:
    rounds: list[Round] = []
    for number, session in enumerate(plan.sessions):
        if time.monotonic() > deadline:
            echo(f"out of time: {len(plan.sessions) - number} sessions were not run")
            break
        with kept_if_bad(folder / f"session-{number}", rounds) as here:
            rounds += asyncio.run(run_session(session, seed, here, deadline))
    return rounds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
