"""Devices out of order through the whole chain: nothing they say raises a false alarm or goes unnoticed."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hearthward.core.clock import parse_iso
from tests.component.app.chain import PATIENT, chain, eventually

CUFF_UNSET, CUFF_1999, CUFF_2099 = (
    bytes.fromhex(f"16 BE00 7800 8F00 {year}0101000000 5000 0000") for year in ("0000", "CF07", "3308")
)
CUFF_UNSET_120 = bytes.fromhex("16 7800 5000 5D00 00000101000000 5000 0000")
TRUNCATED, OVERSIZED, IMPOSSIBLE = b"\x06", b"\x06\x48" + bytes(18), b"\x01\xe8\x03"


def now() -> datetime:
    return datetime.now(UTC)


def moment(text: str) -> datetime:
    return datetime.fromtimestamp(parse_iso(text) / 1e9, UTC)


async def sent_raw(twin: Any, payload: bytes) -> None:
    await twin.send_raw(payload)


@pytest.mark.parametrize(
    ("payload", "flags", "skewed"),
    [(CUFF_UNSET, ["clock_unset"], 0), (CUFF_2099, [], 1), (CUFF_1999, [], 1)],
    ids=["unset", "in 2099", "in 1999"],
)
async def test_a_cuff_with_a_wrong_clock_alarms_now_and_is_counted(
    tmp_path: Path, payload: bytes, flags: list[str], skewed: int
):
    before = now() - timedelta(seconds=1)
    async with chain(tmp_path, bp="blood-pressure") as whole:
        await sent_raw(whole.twins["bp"], payload)
        (reading,) = await whole.stored("nibp_systolic", 1)
        assert reading["value"] == 190
        assert reading["quality"] == flags
        assert before < moment(reading["time"]) <= now()
        await eventually(
            lambda: whole.telemetry.value("device_clock_skew_total", device="bp") > 0 or not skewed
        )
        told = {a["rule"]: a for a in await whole.alarmed(2 if "clock_unset" in flags else 1)}
        assert set(told) == ({"home-bp-high", "clock-wrong"} if "clock_unset" in flags else {"home-bp-high"})
        alarm = told["home-bp-high"]
        assert before < moment(alarm["onset"]) <= now()
        assert before < moment(alarm["started"]) <= now()
        assert whole.telemetry.value("device_clock_skew_total", device="bp") == skewed
        assert whole.rejected() == {}


async def test_of_a_cuff_s_backlog_without_a_clock_only_the_last_is_of_now(tmp_path: Path):
    async with chain(tmp_path, bp="blood-pressure") as whole:
        for payload in (CUFF_UNSET, CUFF_UNSET, CUFF_UNSET_120):
            await sent_raw(whole.twins["bp"], payload)
        told = await whole.stored("nibp_systolic", 3)
        remembered = ["clock_unset", "from_store", "time_unknown"]
        assert [(r["value"], r["quality"]) for r in told] == [
            (190, remembered),
            (190, remembered),
            (120, ["clock_unset"]),
        ]
        entries = {a["rule"]: a for a in await whole.alarmed(2)}
        assert set(entries) == {"home-bp-high", "clock-wrong"}
        assert entries["home-bp-high"]["worklist"]
        assert "from the device's memory, time unknown" in entries["home-bp-high"]["text"]["en"]
        assert whole.telemetry.value("readings_time_unknown_total", device="bp") == 8


async def test_frames_out_of_shape_are_counted_shown_and_harm_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with chain(tmp_path, hr="heart-rate", rad="masimo") as whole:
        hr, rad = whole.twins["hr"], whole.twins["rad"]
        for _ in range(3):
            await sent_raw(hr, TRUNCATED)
            await sent_raw(hr, OVERSIZED)
            await sent_raw(hr, IMPOSSIBLE)
        await sent_raw(rad, b"\xff\xfe rubbish without an end " * 200 + b"\r\n")
        await hr.send({"heart_rate": 71})
        await rad.send({"spo2": 97, "pulse_rate": 70})
        (reading,) = await whole.stored("heart_rate", 1)
        assert reading["value"] == 71
        assert [r["value"] for r in await whole.stored("spo2", 1)] == [97]
        counted = whole.rejected()
        assert counted["truncated"] == 3
        assert counted["oversized"] >= 3
        assert counted["out_of_range"] == 3
        metrics = await asyncio.to_thread(_metrics, whole.api.url, whole.api.token)
        assert 'readings_rejected_total{device="hr",reason="truncated"} 3' in metrics
        assert await whole.alarms() == []
        assert whole.agent.fleet.states()["hr"] == "streaming"
    told = [
        r.getMessage()
        for r in caplog.records
        if "is refused" in r.getMessage() and r.levelno >= logging.WARNING
    ]
    assert len([t for t in told if t.startswith("device hr:")]) == 3, told
    assert all(PATIENT not in t and "06" not in t for t in told)


def _metrics(url: str, token: str) -> str:
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode())


async def test_a_lost_device_is_told_once_and_routine_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    async with chain(tmp_path, hr="heart-rate", ox="pulse-oximeter") as whole:
        await eventually(lambda: "all 2 devices stream" in caplog.text)
        assert "device hr" not in caplog.text
        twin: Any = whole.twins["hr"]
        await twin.disconnect()
        await eventually(lambda: "device hr: streaming" in caplog.text)
    told = [r for r in caplog.records if r.getMessage().startswith("device hr: ")]
    assert [r.levelno for r in told] == [logging.WARNING, logging.INFO]
    assert told[0].getMessage().startswith("device hr: backoff: ")
    assert not [r for r in caplog.records if "device ox" in r.getMessage()]
