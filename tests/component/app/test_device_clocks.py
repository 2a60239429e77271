"""A cuff whose clock was not put back: its readings are dated rightly, and people are told what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hearthward.core.clock import parse_iso
from tests.component.app.chain import chain, eventually

HOUR = timedelta(hours=1)
VALUES = {"nibp_systolic": 121.0, "nibp_diastolic": 80.0, "nibp_mean": 93.0}


async def test_a_cuff_an_hour_ahead_is_corrected_and_told_of(tmp_path: Path):
    async with chain(tmp_path, bp="blood-pressure") as whole:
        twin: Any = whole.twins["bp"]
        for n in range(3):  # it comes, hands over what it has just measured, and goes
            if n:
                connects = whole.telemetry.value("device_connects_total", device="bp")
                await twin.disconnect()
                await eventually(
                    lambda: whole.telemetry.value("device_connects_total", device="bp") > connects  # noqa: B023
                )
                await eventually(lambda: whole.agent.fleet.states()["bp"] == "streaming")
            shown = (datetime.now(UTC) + HOUR).replace(tzinfo=None, microsecond=0)
            await twin.send({**VALUES, "nibp_systolic": 121.0 + n}, device_time=shown)
            readings = await whole.stored("nibp_systolic", n + 1)
        newest = max(readings, key=lambda r: r["value"])
        (alarm,) = await whole.alarmed(1)
        skews = await whole.stored("clock_skew", 1)
    assert newest["device_time"] == shown.isoformat(), "what the device said stays beside it"
    assert parse_iso(newest["time"]) == parse_iso((shown - HOUR).isoformat())
    assert 0 < newest["time_error_s"] < 120
    assert newest["quality"] == []
    assert alarm["rule"] == "clock-wrong"
    assert alarm["text"]["en"] == "The device's clock: bp is 1 h ahead (summer time?), set it"
    assert alarm["text"]["zh"].endswith("bp 快 1 小时 (夏令时?), 请校准")
    assert [s["quality"] for s in skews] == [["clock_wrong"]]
    assert abs(skews[0]["value"] - 3600) < 60
