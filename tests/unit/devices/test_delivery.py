"""The queue between a session and the store."""

from __future__ import annotations

import asyncio
from itertools import chain, pairwise

import pytest

from devices.consuming import backoff
from devices.delivery import MERGED_READINGS, Delivery, Payload
from hearthward.core.errors import StoreRejected
from hearthward.core.ids import SeededIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry


def payload(n: int, size: int = 1) -> Payload:
    rows = [Reading("d", "heart_rate", float(n), None, None, n, n, ordinal=k) for k in range(size)]
    return Payload("2a37", b"%d" % n, ReadingBatch.of(rows))


class Rig:
    def __init__(self, capacity: int = 100) -> None:
        self.batches: list[list[float | None]] = []
        self.pressures: list[bool] = []
        self.refused: list[bytes] = []
        self.fails: list[Exception] = []
        self.poison: float | None = None
        self.telemetry = Telemetry()
        self.delivery = Delivery(
            "d",
            self.sink,
            ids=SeededIds(),
            telemetry=self.telemetry,
            on_pressure=self.pressures.append,
            on_refused=lambda item, _error: self.refused.append(item.raw),
            capacity=capacity,
            sleep=self.sleep,
        )

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    async def sink(self, batch: ReadingBatch) -> None:
        if self.fails:
            raise self.fails.pop(0)
        if self.poison in batch.value:
            msg = "never"
            raise StoreRejected(msg)
        self.batches.append(batch.value)

    async def drained(self) -> None:
        self.delivery.finish()
        await self.delivery.run()


async def test_what_waits_is_merged_up_to_a_limit():
    rig = Rig()
    for n in range(6):
        assert rig.delivery.offer(payload(n, MERGED_READINGS // 4))
    await rig.drained()
    assert [len(batch) for batch in rig.batches] == [MERGED_READINGS, MERGED_READINGS // 2]


async def test_merging_leaves_the_payloads_own_batches_alone():
    rig = Rig()
    first = payload(1)
    rig.delivery.offer(first)
    rig.delivery.offer(payload(2))
    await rig.drained()
    assert (rig.batches, first.batch.value) == ([[1, 2]], [1])


async def test_an_unforeseen_failure_is_tried_again_like_any_other(caplog: pytest.LogCaptureFixture):
    rig = Rig()
    rig.fails = [RuntimeError("a bug"), OSError("disk")]
    rig.delivery.offer(payload(1))
    await rig.drained()
    assert rig.batches == [[1]]
    assert rig.telemetry.value("device_sink_retries_total", device="d") == 2
    assert "a bug" in caplog.text


async def test_only_the_refused_payload_is_lost_and_it_is_told():
    rig = Rig()
    rig.poison = 3
    for n in range(6):
        rig.delivery.offer(payload(n))
    await rig.drained()
    assert list(chain(*rig.batches)) == [0, 1, 2, 4, 5]
    assert rig.refused == [b"3"]


async def test_a_full_queue_takes_nothing_and_pressure_has_hysteresis():
    rig = Rig(capacity=8)
    assert [rig.delivery.offer(payload(n)) for n in range(10)] == [True] * 8 + [False] * 2
    assert rig.pressures == [True]
    assert rig.telemetry.value("readings_dropped_total", device="d") == 2
    await rig.drained()
    assert rig.pressures == [True, False]
    assert list(chain(*rig.batches)) == list(range(8))


def test_back_off_grows_to_its_cap_with_jitter_in_the_upper_half():
    ids = SeededIds(3)
    for attempt in range(200):
        whole = min(60.0, 1.0 * 2**attempt)
        assert whole / 2 <= backoff(attempt, 1.0, 60.0, ids) <= whole
    spread = [backoff(3, 1.0, 60.0, ids) for _ in range(20)]
    assert any(a != b for a, b in pairwise(spread))
