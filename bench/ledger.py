"""What the loss ledger adds to a commit: counting a batch, and writing its counts (process CPU time)."""

from __future__ import annotations

import time
from statistics import median
from typing import Final

from sqlalchemy.orm import Session

from bench.figures import Outcome
from bench.processes import work_folder
from cloud_ingest.loss_ledger import Tally
from cloud_ingest.records import Records
from cloud_ingest.records.ledger import write_tally
from cloud_ingest.stores.base import Outcome as Stored
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.ids import RandomIds
from hearthward.core.model import ReadingBatch

__all__ = ["measure"]

CASES: Final = ((6, 30, 1, None), (50, 1_000, 1, None), (50, 1_000, 10, 0.3))
"""Devices, readings a block, blocks a commit, target (us a reading)."""
ROUNDS: Final = 7
COMMITS: Final = 20
SOURCE: Final = ("gw-1", "boot-0123456789ab")
START: Final = 500_000 * 3600 * SECOND


def measure() -> Outcome:
    """CPU per reading at light and at full load."""
    outcome = Outcome("ledger", f"one hour, one kind, {COMMITS} commits, median of {ROUNDS} rounds")
    with work_folder() as folder:
        records = Records.open(folder / "records.db", clock=SystemClock(), ids=RandomIds())
        try:
            for devices, readings, blocks, target in CASES:
                found = median(_cost(records, devices, readings, blocks) for _ in range(ROUNDS))
                n = readings * blocks
                outcome.add(f"CPU a commit, {n} readings of {devices} devices", found, "us")
                outcome.add(f"CPU a reading, {n} in a commit", found / n, "us", target=target)
        finally:
            records.close_now()
    return outcome


def _cost(records: Records, devices: int, readings: int, blocks: int) -> float:
    """CPU microseconds a commit, without the commit itself."""
    batch = ReadingBatch()
    names = [f"device-{n:03}" for n in range(devices)]
    batch.device = [names[n % devices] for n in range(readings)]
    batch.received = [START + n * SECOND // 1000 for n in range(readings)]
    outcomes = [Stored.NEW] * readings

    def commits(session: Session) -> float:
        begun = time.process_time()
        for _ in range(COMMITS):
            tally = Tally()
            for _ in range(blocks):
                tally.stored(SOURCE, batch, outcomes, batch.received[-1] + SECOND)
            write_tally(session, "main", tally, [SOURCE], START)
        return (time.process_time() - begun) / COMMITS * 1e6

    return records.run_now(commits)
