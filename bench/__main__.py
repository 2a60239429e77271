"""``python -m bench [NAME...] [--json FILE]``: measure, and say which targets are missed."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.figures import Outcome, machine, table, to_json

NAMES: Final = {
    "decode": "a compiled profile beside hand-written struct code (10 s)",
    "rul": "cycles left of 100 engines that ran to failure, cross-validated (60 s; needs C-MAPSS)",
    "ahe": "alarms of low arterial pressure beside the episodes they miss, cross-validated (40 s; needs ahe)",
    "battery": "how often a battery lasts as long as was said, on made-up discharges (10 s)",
    "baseline": "a patient's own baseline on made-up patients: false alarms, rises found, cost (5 s)",
    "devices": "200 Bluetooth devices and 32 serial ports for an hour (3,700 s; BENCH_DEVICES_S)",
    "stores": "writing and reading each time-series store (60 s)",
    "deterioration": "death in intensive care (CinC 2012): ranking, calibration, alarms (400 s)",
    "trends": "a month of one signal at 1 Hz in the embedded store, as trends (40 s)",
    "waves": "a pleth of 75 Hz: CPU of each step, to the cloud's file; bytes an hour in the outbox (20 s)",
    "outbox": "how fast the edge's outbox takes and gives readings; three days offline (150 s)",
    "wall": "first content of /ward with 1,000 patients (20 s)",
    "hub": "200 browsers at the wall of 30 beds at 1/s: what the server pays (60 s)",
    "pixels": "from an alarm's transition to the browser's pixels, 30 and 200 beds (90 s)",
    "ux": "the table of what people see: pixels, walls that lose their server, all pages (300 s)",
    "pages": "first content of every page with 10,000 devices and 1,000 patients (120 s)",
    "detectors": "scoring readings: CPU of one stream and of 100,000 at once, bytes a stream (20 s)",
    "nab": "the Numenta Anomaly Benchmark: standard, leave-one-folder-out, nested (500 s)",
    "ledger": "what the loss ledger adds to a commit (5 s)",
    "rules": "CPU of deciding, whole library, 48 readings a frame (10 s)",
    "quality": "the quality gate on a recorded ICU stay: alarms taken away, events lost, CPU (20 s)",
    "unusual": "vital-unusual: alarms a patient-day on recordings and made-up patients, CPU (60 s)",
    "replay": "a million recorded readings under the whole library (60 s)",
    "whatif": "a limit tried on six hours of 30 beds at 1 Hz, beside the cloud (60 s)",
    "escalation": "100 alarms in the same second, from transition to hand-over (20 s)",
    "burden": "the burden of 100,000 alarms out of the record (90 s)",
    "restore": "a cloud backed up all the time, killed, restored (120 s)",
    "soak": "5,000 readings a second for ten minutes: memory, queues, tasks, files (650 s)",
    "startup": "from the command to the first alarm on the wall (15 s)",
    "drain": "a backlog of 500,000 readings beside live ones, from outbox to receipt (60 s)",
    "gateways": "the tests on which other gateways lost readings, 200 a second (150 s)",
    "latency": "device bytes to alarm, 16 virtual patients at 1 Hz (75 s)",
    "memory": "memory of edge, edge with radio, and run in all (150 s)",
}


def main(arguments: list[str]) -> int:
    """Run the named measurements (all when none is named); 1 when one of their targets was missed."""
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measurements on this machine, on loopback only, each bounded in time.",
        epilog="\n".join(f"  {name:9} {about}" for name, about in NAMES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="what to measure (default: everything below)"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and measure nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(f"{name:9} {about}" for name, about in NAMES.items()))
        return 0
    if unknown := [n for n in options.names if n not in NAMES]:
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        parser.error(f"--json: no folder {options.json.absolute().parent}")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    print(f"machine: {machine()}\n", flush=True)
    outcomes: list[Outcome] = []
    for name in options.names or NAMES:
        print(f"{name}: {NAMES[name]} ...", file=sys.stderr, flush=True)
        outcomes.append(importlib.import_module(f"bench.{name}").measure())
        print(table(outcomes[-1]) + "\n", flush=True)
    if options.json is not None:
        options.json.write_text(to_json(outcomes, datetime.now(UTC).isoformat(timespec="seconds")) + "\n")
    missed = [f"{o.name}: {f.name}" for o in outcomes for f in o.figures if f.met is False]
    if missed:
        print("targets missed: " + "; ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
