"""A pipeline over real files that is killed again and again: ``python -m ... FOLDER SEED KILLS``.

This program has everything imported and forks a child for each life, so that a start takes milliseconds. A
child goes on where the records say that the one before came to: it sends the last frames again, as edges
do that have no receipt. It is killed from outside after a while, or kills itself before or after a commit.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import Session

from cloud_ingest import turns
from cloud_ingest.feed import Feed
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records import Records
from cloud_ingest.records.models import Device, FrameRow
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.waves import SqliteWaves
from hearthward.core.clock import EventClock
from hearthward.core.errors import RuleError
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch, Source
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame
from rules import Context, RuleSet, load_rules
from rules.model import Command
from tests.unit.cloud_ingest.ward import T0, TENANT, block, enrol, frame, message, reading
from tests.unit.cloud_ingest.waves.made import chunk, wave_block

GATEWAYS = ("gw-1", "gw-2", "gw-3")
SENT_AGAIN = 3
LIBRARY = tuple(load_rules())


def rules_at(n: int) -> RuleSet:
    """Every 40 steps one rule is changed, taken away, or tried in shadow."""
    phase = n // 40 % 3
    if phase == 0:
        return RuleSet(LIBRARY)
    if phase == 1:
        return RuleSet(tuple(r for r in LIBRARY if r.id != "spo2-low"))
    trial = tuple(replace(r, delay_s=4.0, shadow=True) for r in LIBRARY if r.id == "spo2-low")
    return RuleSet(LIBRARY + trial)


def contexts_at(n: int) -> dict[str, Context]:
    """Patients go home and come back; now and then nobody is expected to send anything."""
    setting: Any = ("ward", "home")[n // 20 % 2]
    expected = None if n // 60 % 2 else {"spo2": T0, "heart_rate": T0}
    return {f"pat_{i}": Context(setting=setting, adult=True, expected=expected) for i in (1, 2, 3)}


def frame_of(n: int) -> Frame:
    """The n-th frame: two patients ill now and then, readings out of order, late and ahead."""
    rng = random.Random(n)
    gateway = n % len(GATEWAYS)
    device = f"dev_{gateway + 1}"
    ill = n // 9 % 3 == gateway
    rows = []
    for i in range(rng.randint(1, 4)):
        at = n + rng.choice((0, 0, 0, -2, -90, 2)) + i / 8
        rows += [
            reading(at, float(rng.randint(78, 91) if ill else 97), device=device),
            reading(at, float(rng.randint(120, 150) if ill else 72), device=device, metric="heart_rate"),
        ]
    if n % 5 == 0:
        high = ill or n % 15 == 0
        rows.append(reading(n, 190.0 if high else 120.0, device=device, metric="nibp_systolic", group=n + 1))
        rows.append(reading(n, 112.0 if high else 75.0, device=device, metric="nibp_diastolic", group=n + 1))
    waves = [wave_block(20 * n + 16, chunk(n, device=device))] if n % 3 else []
    return frame(block(20 * n + 1, *rows), *waves, gateway=GATEWAYS[gateway], at=float(n))


def entry_of(n: int) -> tuple[ReadingBatch, list[str]]:
    rows = [
        reading(n, None, code="V" if n % 2 else "A", device="manual:pat_1", metric="consciousness"),
        reading(n, float(n % 11), device="manual:pat_1", metric="pain", ordinal=1),
    ]
    batch = ReadingBatch.of(
        replace(r, digest=10**9 + n, source=int(Source.MANUAL), author="usr_1", profile="") for r in rows
    )
    return batch, ["pat_1", "pat_1"]


async def _nowhere(_topic: str, _payload: bytes) -> None:
    """Receipts get lost, too."""


def next_frame(session: Session) -> int:
    """The number of the first frame of which nothing is committed."""
    last = session.scalar(select(func.max(FrameRow.first)))
    return 0 if last is None else (last - 1) // 20 + 1


Live = Callable[[Path, int, int | None], Coroutine[Any, Any, None]]


async def live(folder: Path, until: int, ready: int | None) -> None:
    """One life: from where the last one came to until the ``until``-th frame, or until killed."""
    clock = EventClock(T0)
    records = Records.open(folder / "records.db", clock=clock, ids=SeededIds(1), tenant=TENANT)
    store = SqliteStore(folder / "series.db")
    if await records.read(lambda s: s.scalar(select(func.count()).select_from(Device))) == 0:
        for i, gateway in enumerate(GATEWAYS, 1):
            enrol(records, gateway, (f"dev_{i}",))
    waves = SqliteWaves(folder / "waves.db")
    pipeline = Pipeline(
        TENANT, records, store, _nowhere, feed=Feed(), clock=clock, telemetry=Telemetry(), waves=waves
    )
    first = await records.read(next_frame)
    await pipeline.start(rules_at(first))
    if ready is not None:
        os.write(ready, b"r")
    for n in range(max(0, first - SENT_AGAIN), until):
        pipeline.offer(message(frame_of(n)))
        await pipeline.process_waiting()
        await pipeline.tick()
        await _act(pipeline, n)
    await pipeline.close()
    await store.close()
    await waves.close()
    await records.close()


async def _act(pipeline: Pipeline, n: int) -> None:
    if n % 7 == 3:
        for alarm in pipeline.state.active()[:1]:
            with suppress(RuleError):
                await pipeline.act(Command(0, 0, "accept", alarm.id, f"usr_{n % 2}"))
    if n % 11 == 5:
        await pipeline.enter(*entry_of(n))
    if n % 20 == 10:
        await pipeline.know(contexts_at(n))
    if n % 40 == 0 and pipeline.state.rules.hash != rules_at(n).hash:
        await pipeline.configure(rules_at(n))


def _kill_at(commits: int, name: str) -> None:
    """End this very process at its so manieth transaction, before or after it is on the disk."""
    left = iter(range(commits, -1, -1))

    @event.listens_for(Engine, name)
    def _count(*_: Any) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _child(one: Live, folder: Path, ready: int, plan: tuple[str, int]) -> None:
    turns.SNAPSHOT_EVERY_S = 0.03  # type: ignore[misc]
    if plan[0] != "outside":
        _kill_at(plan[1], plan[0])
    asyncio.run(one(folder, 10**9, ready))


def plans(rng: random.Random, kills: int, longer: int) -> Iterator[tuple[str, int]]:
    """How each life ends: the hook and how many passages, or ``outside`` and after how many milliseconds."""
    for _ in range(kills):
        kind = rng.choice(("outside", "outside", "begin", "commit", "rollback_or_close"))
        if kind == "outside":
            yield kind, rng.choice((rng.randint(0, 20), rng.randint(20, 70))) * longer
        elif kind == "rollback_or_close":
            yield "after_cursor_execute", rng.randint(1, 160) * longer
        else:
            yield kind, rng.randint(1, 25) * longer


def main(one: Live, folder: Path, seed: int, kills: int, *, longer: int = 1) -> None:
    """Have ``one`` life after the other and end each, ``kills`` times; print how long it took.

    Lives are so many times ``longer``.
    """
    started = time.monotonic()
    # imports all that opening imports, and ends its threads again before there is a fork
    Records.open(folder / "records.db", clock=EventClock(T0), ids=SeededIds(1), tenant=TENANT).close_now()
    for plan in plans(random.Random(seed), kills, longer):
        reading_end, writing_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reading_end)
                _child(one, folder, writing_end, plan)
            finally:
                os._exit(70)
        os.close(writing_end)
        os.read(reading_end, 1)  # it works, or it is dead already
        os.close(reading_end)
        if plan[0] == "outside":
            time.sleep(plan[1] / 1000)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a life ended by itself with {os.waitstatus_to_exitcode(status)}")
    sys.stdout.write(f"{kills} kills in {time.monotonic() - started:.1f} s\n")


if __name__ == "__main__":
    main(live, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
