"""Whatever bytes are offered to the pipeline: it never raises, and receipts name only what is kept."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.dead_letters import numbers_of
from cloud_ingest.records.models import DeadLetter, FrameRow
from cloud_ingest.sources import Message
from hearthward.core.errors import DecodeError
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import Block, Frame, encode_block, encode_decisions
from tests.unit.cloud_ingest.ward import T0, Ward, frame, message, reading

FRAMES = "hw/1/main/gw-1/frame"
NUMBERS = st.shared(st.builds(count, st.just(1)), key="numbers")
"""So that no two readings of an example are the same."""
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "value": st.one_of(st.floats(0, 100), st.floats(), st.none()),
    "metric": st.sampled_from(["spo2", "spo2", "mood", "heart_rate", "x" * 600, ""]),
    "corrected": st.sampled_from([T0, T0 + 10**15, 1, 2**62]),
    "device": st.sampled_from(["dev_1", "dev_9", "manual:pat_1", ""]),
    "ordinal": st.sampled_from([0, 1, -1, 2**40]),
}


@st.composite
def readings(draw: st.DrawFn) -> Any:
    fields = draw(st.sets(st.sampled_from(sorted(CHANGES)), max_size=2))
    changes = {name: draw(CHANGES[name]) for name in sorted(fields)}
    return reading(draw(st.integers(0, 100)), **{"digest": next(draw(NUMBERS)), **changes})


@st.composite
def payloads(draw: st.DrawFn) -> tuple[int, bytes]:
    kind = draw(st.sampled_from(["readings", "readings", "decisions", "bytes", "cut"]))
    if kind == "bytes":
        return draw(st.integers(1, 5)), draw(st.binary(max_size=60))
    if kind == "decisions":
        found = draw(st.lists(st.binary(max_size=20), min_size=1, max_size=3))
        return len(found), encode_decisions(found)
    rows = draw(st.lists(readings(), min_size=1, max_size=4))
    payload = encode_block(ReadingBatch.of(rows))
    if kind == "cut":
        return len(rows), payload[: draw(st.integers(0, len(payload)))]
    return len(rows) + draw(st.sampled_from([0, 0, 1])), payload


@st.composite
def messages(draw: st.DrawFn) -> Message:
    topic = draw(st.sampled_from([FRAMES, FRAMES, FRAMES, "hw/1/other/gw-1/frame", "x", ""]))
    if draw(st.integers(0, 3)) == 0:
        return Message(topic, draw(st.binary(max_size=200)))
    first, blocks = draw(st.integers(1, 20)), []
    for number, payload in draw(st.lists(payloads(), min_size=1, max_size=3)):
        blocks.append(Block(first, number, payload))
        first += number
    recording = draw(st.sampled_from([True, True, False]))
    raw = message(frame(*blocks, at=draw(st.integers(0, 100)), event_time=recording), topic).payload
    if draw(st.integers(0, 4)) == 0:  # a bit flips on the way
        at = draw(st.integers(0, len(raw) - 1))
        raw = raw[:at] + bytes([raw[at] ^ (1 << draw(st.integers(0, 7)))]) + raw[at + 1 :]
    return Message(topic, raw)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def prepared(loop: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records with a gateway, made once: upgrading takes longer than all the rest."""
    path = tmp_path_factory.mktemp("any") / "prepared.db"

    async def prepare() -> None:
        await (await Ward(path).start()).close()

    loop.run(prepare())
    return path


@settings(max_examples=20)
@given(st.lists(st.lists(messages(), min_size=1, max_size=6), min_size=1, max_size=6))
def test_never_raises_and_keeps_all_that_it_confirms(
    loop: asyncio.Runner, prepared: Path, batches: list[list[Message]]
) -> None:
    async def offer_all() -> None:
        path = prepared.with_name("records.db")
        for old in prepared.parent.glob("records.db*"):
            old.unlink()
        shutil.copy(prepared, path)
        ward = await Ward(path, enrolled=True).start()
        try:
            for batch in batches:
                await ward.take(*batch)
            await check(ward, [m for batch in batches for m in batch])
        finally:
            await ward.close()

    loop.run(offer_all())


async def check(ward: Ward, offered: list[Message]) -> None:
    dead = await ward.rows(DeadLetter)
    assert ward.telemetry.value("frames_failed_total") == 0, [d.detail for d in dead]
    committed: dict[tuple[str, str], set[int]] = {}
    for row in await ward.rows(FrameRow):
        committed.setdefault((row.gateway, row.boot), set()).update(range(row.first, row.last + 1))
    stored = {origin for _reading, origin in ward.store._rows.values()}
    for receipt in ward.receipts():  # a clone's numbers are in a dead letter only
        named = {n for b in receipt.blocks for n in range(b.first, b.first + b.count)}
        committed.setdefault((receipt.gateway, receipt.boot), set()).update(named)
    for source, numbers in committed.items():
        refused = {n for d in dead if (d.gateway, d.boot) == source for n in numbers_of(d.seqs)}
        kept = {seq for gateway, boot, seq in stored if (gateway, boot) == source}
        left = numbers - kept - refused - decided(offered)
        assert not left, [(d.reason, d.detail, numbers_of(d.seqs)) for d in dead]
    letters = {
        d.topic for d in dead if d.boot is None
    }  # of what comes without a receipt one a reason is kept
    for one in offered:
        assert _is_frame(one) or one.topic in letters, one


def decided(offered: list[Message]) -> set[int]:
    """Numbers of decisions that edges took."""
    frames = [f for f in map(_decoded, offered) if f is not None]
    return {n for f in frames for b in f.blocks if b.decisions for n in range(b.first, b.last + 1)}


def _decoded(one: Message) -> Frame | None:
    try:
        return Frame.decode(one.payload)
    except DecodeError:
        return None


def _is_frame(one: Message) -> bool:
    found = _decoded(one) if one.topic == FRAMES else None
    return found is not None and found.gateway == "gw-1"
