"""The outbox against a model, through clean closes, kills, bit flips and a full file."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent import outbox as module
from edge_agent.outbox import Outbox
from hearthward.core.clock import EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, decode_block
from tests.unit.edge_agent.batches import make_batch

SMALL = 1 << 20


@pytest.fixture(autouse=True)
def _no_group_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_S", 0.0)


class OutboxMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp(prefix="outbox-"))
        self.telemetry = Telemetry()
        self.generation = 0
        self.content: dict[int, int] = {}
        self.lost = RangeSet()
        self.confirmed = RangeSet()
        self.digest = 0
        self.full = 0
        self.box: Outbox = self.open(self.root / "outbox.db")
        self.boot = self.box.boot

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def open(self, path: Path) -> Outbox:
        ids = SeededIds(self.generation)
        opening = Outbox.open(path, clock=EventClock(1), ids=ids, telemetry=self.telemetry, max_bytes=SMALL)
        return self.run(opening)  # type: ignore[no-any-return]

    def blocks(self) -> list[Block]:
        return self.run(self.box.pending(0, 10**9, 10**12))  # type: ignore[no-any-return]

    def note_dropped(self) -> None:
        """Move what the outbox dropped as full into the model: it must have been the oldest there was."""
        dropped = [s for g in self.box.gaps if g.reason == "full" for s in range(g.first, g.last + 1)]
        new = [s for s in dropped if s in self.content]
        oldest = sorted(self.content)[: len(new)]
        assert sorted(new) == oldest
        for s in new:
            del self.content[s]
            self.lost.add(s, s)
        self.full += len(new)
        assert self.telemetry.value("outbox_dropped_total", reason="full") == self.full

    @rule(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4))
    def append(self, sizes: list[int]) -> None:
        self.accept([make_batch(self.next_digest(n), n) for n in sizes])

    @rule(n=st.integers(300, 499))
    def append_fat(self, n: int) -> None:
        self.accept([make_batch(self.next_digest(n), n, fat=True)])

    def next_digest(self, n: int) -> int:
        self.digest += n
        return self.digest - n + 1

    def accept(self, batches: list[ReadingBatch]) -> None:
        async def together() -> list[tuple[int, int]]:
            return await asyncio.gather(*(self.box.append(b) for b in batches))

        at = self.box.accepted + 1
        for (first, last), batch in zip(self.run(together()), batches, strict=True):
            assert (first, last) == (at, at + len(batch) - 1)
            self.content.update(zip(range(first, last + 1), batch.digest, strict=True))
            at = last + 1
        self.note_dropped()

    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        top = self.box.accepted + 20
        pairs = data.draw(st.lists(st.tuples(st.integers(1, top), st.integers(0, 300)), max_size=4))
        ranges = RangeSet((a, a + n) for a, n in pairs)
        whole = [b for b in self.blocks() if ranges.covers(b.first, b.last)]
        deleted = self.run(self.box.confirm(ranges))
        assert deleted == sum(b.count for b in whole)
        for block in whole:
            self.confirmed.add(block.first, block.last)
            for s in range(block.first, block.last + 1):
                del self.content[s]

    @rule()
    def report_gaps(self) -> None:
        for gap in self.box.gaps:
            self.confirmed.add(gap.first, gap.last)
        self.run(self.box.confirm([], self.box.gaps))
        self.lost = RangeSet()
        assert self.box.gaps == ()

    @rule()
    def reopen(self) -> None:
        self.run(self.box.close())
        self.box = self.open(self.box.path)

    @rule()
    def kill_and_reopen(self) -> None:
        """The files as a kill -9 leaves them: copied while open, nothing closed or checkpointed."""
        self.generation += 1
        folder = self.root / str(self.generation)
        folder.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.box.path}{suffix}", folder / f"outbox.db{suffix}")
        self.run(self.box.close())
        self.box = self.open(folder / "outbox.db")

    @precondition(lambda self: self.content)
    @rule(data=st.data())
    def flip_a_bit_of_a_row(self, data: st.DataObject) -> None:
        before = self.blocks()
        block = data.draw(st.sampled_from(before))
        self.run(self.box.close())
        raw = bytearray(self.box.path.read_bytes())
        # A long payload goes on in other pages; its beginning stands in one piece.
        head = block.payload[:64]
        hit = [b for b in before if b.payload.startswith(head)]  # alike ones are found at the same places
        places = []
        at = raw.find(head)
        while at >= 0:
            places.append(at)
            at = raw.find(head, at + 1)
        for place in places:  # stale copies may lie in freed pages
            raw[place + data.draw(st.integers(0, len(head) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        self.box.path.write_bytes(raw)
        self.box = self.open(self.box.path)
        for s in (s for b in hit for s in range(b.first, b.last + 1)):
            del self.content[s]
            self.lost.add(s, s)
        assert any(g.reason == "corrupt" for g in self.box.gaps)

    @invariant()
    def everything_is_there_once_and_in_order(self) -> None:
        blocks = self.blocks()
        got = {
            s: d
            for b in blocks
            for s, d in zip(range(b.first, b.last + 1), decode_block(b.payload).digest, strict=True)
        }
        assert got == self.content
        assert [b.first for b in blocks] == sorted(b.first for b in blocks)
        assert sum(b.count for b in blocks) == self.box.backlog() == len(self.content)
        assert self.box.boot == self.boot

    @invariant()
    def the_books_balance(self) -> None:
        gaps = RangeSet((g.first, g.last) for g in self.box.gaps)
        assert gaps == self.lost
        assert self.box._segment.done == self.confirmed
        assert len(self.content) + len(self.lost) + len(self.confirmed) == self.box.accepted

    def teardown(self) -> None:
        self.run(self.box.close())
        self.runner.close()
        shutil.rmtree(self.root)


OutboxMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TestOutbox = pytest.mark.timeout(400)(OutboxMachine.TestCase)  # it waits for the disk, often a shared one


@pytest.mark.usefixtures("_no_group_window")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_flipped_bit_anywhere_never_changes_a_reading_nor_hides_one(seed: int):
    """What comes out is what went in; what does not come out is a gap, or left with the garbled file."""

    async def check(folder: Path) -> None:
        rng = random.Random(seed)
        telemetry = Telemetry()

        async def open_box() -> Outbox:
            return await Outbox.open(
                folder / "outbox.db",
                clock=EventClock(1),
                ids=SeededIds(rng.getrandbits(32)),
                telemetry=telemetry,
                max_bytes=SMALL,
            )

        box = await open_box()
        for i in range(30):
            await box.append(make_batch(1000 * i, rng.randrange(1, 60), fat=rng.random() < 0.2))
        before = {b.first: b for b in await box.pending(0, 10**9, 10**12)}
        boot, accepted = box.boot, box.accepted
        await box.close()
        raw = bytearray(box.path.read_bytes())
        # Half of the flips hit the few pages that hold everything together.
        reach = len(raw) if rng.random() < 0.5 else 8 * 4096
        place = rng.choice([i for i, b in enumerate(raw[:reach]) if b])
        raw[place] ^= 1 << rng.randrange(8)
        box.path.write_bytes(raw)
        box = await open_box()
        after = await box.pending(0, 10**9, 10**12)
        if box.boot == boot:
            assert box.accepted == accepted
            assert all(before[b.first] == b for b in after)
            kept = RangeSet((b.first, b.last) for b in after)
            lost = RangeSet((g.first, g.last) for g in box.gaps)
            assert kept.missing(1, accepted) == list(lost)
        else:
            assert telemetry.value("outbox_garbled_total") == 1
            assert {b.payload for b in after} <= {b.payload for b in before.values()}
        await box.close()

    folder = Path(tempfile.mkdtemp(prefix="outbox-"))
    try:
        asyncio.run(check(folder))
    finally:
        shutil.rmtree(folder)
