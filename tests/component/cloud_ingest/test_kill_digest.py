"""kill -9 at a hundred random points of the ingest: state, alarms and readings are what the journal says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import select

from cloud_ingest.records import Records
from cloud_ingest.records.models import Notification
from cloud_ingest.stores import FOREVER
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.waves import SqliteWaves
from hearthward.core.clock import EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.wave_blocks import decode_waves
from hearthward.core.wire import decode_block
from tests.component.cloud_ingest.agreeing import agree
from tests.component.cloud_ingest.killed import GATEWAYS, frame_of, live, next_frame
from tests.programs import ROOT
from tests.unit.cloud_ingest.ward import T0, TENANT

KILLS, SEED = 100, 20260101


async def test_after_a_hundred_kills_the_digest_is_that_of_the_journal(tmp_path: Path):
    command = [sys.executable, "-m", "tests.component.cloud_ingest.killed"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, str(tmp_path), str(SEED), str(KILLS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    records = Records.open(tmp_path / "records.db", clock=EventClock(T0), ids=SeededIds(1), tenant=TENANT)
    await agreed(records)
    reached = await records.read(next_frame)
    await records.close()
    assert reached > KILLS, "most lives got somewhere"
    await live(tmp_path, reached + 5, None)  # and the next one goes on, and stops in order
    records = Records.open(tmp_path / "records.db", clock=EventClock(T0), ids=SeededIds(1), tenant=TENANT)
    await agreed(records)
    await every_reading_once(tmp_path, reached + 5)
    await every_waveform_once(tmp_path, reached + 5)
    await records.close()


async def agreed(records: Records) -> None:
    """The records are what the journal says, all kinds of decisions are among it, and each was told once."""
    found = await agree(records)
    assert {t.kind for t in found.history} >= {"start", "end", "accept", "reset", "late", "ask"}
    notified = await records.read(
        lambda s: s.scalars(select(Notification.alarm).where(Notification.kind == "start")).all()
    )
    assert Counter(notified) == Counter(a.id for a in found.alarms if a.signalled and not a.shadow)


async def every_reading_once(folder: Path, frames: int) -> None:
    store = SqliteStore(folder / "series.db")
    devices = [f"dev_{i + 1}" for i in range(len(GATEWAYS))]
    sent = {
        (r.device, r.metric, r.received, r.digest, r.ordinal)
        for n in range(frames)
        for b in frame_of(n).blocks
        if not b.waves
        for r in decode_block(b.payload)
    }
    stored = list(await store.read(TENANT, devices, None, 0, FOREVER))
    assert sorted((r.device, r.metric, r.received, r.digest, r.ordinal) for r in stored) == sorted(sent)
    await store.close()


async def every_waveform_once(folder: Path, frames: int) -> None:
    """A kill between their store and the commit leaves none out and none twice."""
    sent = [c for n in range(frames) for b in frame_of(n).blocks if b.waves for c in decode_waves(b.payload)]
    assert len(sent) > frames // 2
    store = SqliteWaves(folder / "waves.db")
    kept = [c for d in {c.device for c in sent} for c in await store.read(TENANT, d, "pleth", 0, FOREVER)]
    assert sorted(kept, key=lambda c: c.corrected) == sent
    await store.close()
