"""What the quality gate says of readings is stored with them, counted, and is what the rules go by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_ingest import appraising, holding
from cloud_ingest.records.models import Alarm
from hearthward.core.model import quality_names
from tests.unit.cloud_ingest.ward import Ward, block, frame, reading


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db").start()
    yield made
    await made.close()


async def said(ward: Ward) -> list[str]:
    return [" ".join(quality_names(r.quality)) for r in await ward.stored()]


async def test_a_lost_signal_is_stored_as_that_and_no_saturation_alarms(ward: Ward):
    await ward.take(frame(block(1, *(reading(t, 97) for t in range(3)))))
    await ward.take(frame(block(4, reading(3, 0), reading(4, 0)), at=4))
    await ward.take(frame(block(6, reading(5, 96)), at=5))
    assert await said(ward) == ["", "", "", "bad dropout", "bad dropout", ""]
    assert await ward.rows(Alarm) == []
    assert ward.telemetry.value("readings_doubted_total", verdict="bad", reason="dropout") == 2
    assert ward.telemetry.value("readings_stored_total") == 6


async def test_what_is_only_doubted_is_stored_as_that_and_alarms_as_ever(ward: Ward):
    await ward.take(frame(block(1, *(reading(t, 97) for t in range(3)), reading(3, 70))))
    assert await said(ward) == ["", "", "", "suspect jump"]
    assert [a.text_en for a in await ward.rows(Alarm)] == ["SpO2 70 < 90"]
    await ward.take(frame(block(5, reading(4, 0)), at=4))
    assert (await said(ward))[-1] == "bad dropout", "what was believed last was 97"


async def test_stored_and_decided_are_one_verdict_over_a_restart(ward: Ward):
    await ward.take(frame(block(1, *(reading(t, 88) for t in range(3)))))
    ward.snapshot_now()
    await ward.restart()
    await ward.take(frame(block(4, reading(3, 0)), at=3))
    assert (await said(ward))[-1] == "suspect zero"
    (stream,) = ward.pipeline.state.gate["pat_1"].streams["spo2"].values()
    assert " ".join(quality_names(stream.bits)) == "suspect zero"


async def test_a_store_that_fails_first_is_told_the_same(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holding, "FIRST_BACKOFF_S", 0.001)
    await ward.take(frame(block(1, *(reading(t, 97) for t in range(3)))))
    before = ward.pipeline.state.to_bytes()
    ward.store.failing = 1
    await ward.take(frame(block(4, reading(3, 0)), at=3))
    assert ward.pipeline.state.to_bytes() == before, "only the rules change what the gate remembers"
    while (wait := ward.pipeline._frames.wait_s) is not None:
        await asyncio.sleep(wait)
        await ward.pipeline.process_waiting()
    assert (await said(ward))[-1] == "bad dropout"


async def test_a_gate_that_fails_keeps_no_reading_from_the_store(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    def broken(*_args: object, **_options: object) -> None:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(appraising, "refine", broken)
    await ward.take(frame(block(1, reading(0, 97), reading(1, 84))))
    assert [r.value for r in await ward.stored()] == [97, 84]
    assert len(ward.receipts()) == 1
    assert [a.text_en for a in await ward.rows(Alarm)] == ["SpO2 84 < 90"]
    assert ward.telemetry.value("appraising_failed_total") == 1
