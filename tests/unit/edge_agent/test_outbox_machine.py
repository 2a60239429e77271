"""The outbox's store against a model: power cuts, kills, failing and damaged disks, and a full ring."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.encoding import encode_all, encode_all_waves
from edge_agent.segments.fake import MemoryDisk
from edge_agent.segments.store import MIN_SEGMENTS, SMALLEST, Done, NewBlock, Store, Work
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap, encode_decisions
from tests.unit.edge_agent.batches import make_batch
from tests.unit.edge_agent.waves import make_chunk

ALL = 1 << 62


class OutboxMachine(RuleBasedStateMachine):
    """``content`` is what was accepted and waits; ``lost`` what the books say is lost and unreported.

    ``doubt`` is set while an unanswered transaction may or may not have reached the disk.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()
        self.boots = 0
        self.content: dict[int, Block] = {}
        self.pinned = RangeSet()
        self.lost = RangeSet()
        self.done = RangeSet()
        self.digest = 0
        self.told = 0
        self.doubt = False
        self.store = self.open()
        self.accepted = 0

    def open(self) -> Store:
        def boot() -> str:
            self.boots += 1
            return f"boot-{self.boots}"

        return Store(self.disk, (MIN_SEGMENTS + 2) * SMALLEST, boot, lambda: 7)

    def blocks(self) -> dict[int, Block]:
        blocks, suspects = self.store.read(0, ALL, ALL, ALL)
        assert not suspects
        assert [b.first for b in blocks] == sorted(b.first for b in blocks)
        return {b.first: b for b in blocks}

    def take_gaps(self, *, corrupt: bool = False) -> None:
        """Move what the store says it lost into the model, and see that it had the right to."""
        made = self.store.take_gaps()
        if self.doubt:  # a drop may have reached the disk though its transaction was never answered
            made = [
                Gap(a, b, gap.reason)
                for gap in self.store.state.gaps
                for a, b in self.lost.missing(gap.first, gap.last)
            ]
        for gap in made:
            assert gap.reason == "full" or corrupt
            self.lost.add(gap.first, gap.last)
            gone = [b for b in self.content.values() if gap.first <= b.first <= gap.last]
            for block in gone:
                del self.content[block.first]
                if gap.reason == "full":
                    assert not self.pinned.common(block.first, block.last)
                    assert all(
                        self.pinned.covers(first, first) for first in self.content if first < block.first
                    )

    # --- what a gateway does

    @rule(sizes=st.lists(st.sampled_from([1, 6, 48, 499]), min_size=1, max_size=4), fat=st.booleans())
    def append_some(self, sizes: list[int], fat: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        self.append(sizes, fat=fat)

    def append(self, sizes: list[int], *, fat: bool) -> None:
        batches = []
        for n in sizes:
            self.digest += n
            batches.append(make_batch(self.digest, n, fat=fat))
        self.told += 1
        self.commit(Work(blocks=encode_all(batches)[0], counts=[("dev-0", 1, "read", 1)]))

    @rule(n=st.integers(1, 40))
    def wave(self, n: int) -> None:
        self.digest += n
        chunks = [make_chunk(self.digest + i) for i in range(n)]
        self.commit(Work(blocks=encode_all_waves([chunks])[0]))

    @rule(n=st.integers(5, 12))
    def append_until_something_has_to_go(self, n: int) -> None:
        for _ in range(n):
            self.append([499], fat=True)

    @rule(data=st.data(), size=st.integers(1, 60_000))
    def decide(self, data: st.DataObject, size: int) -> None:
        block = NewBlock(2, encode_decisions([bytes(size), b"x"]), decisions=True)
        near = data.draw(st.lists(st.integers(1, max(1, self.accepted)), max_size=3))
        self.commit(Work(blocks=[block], rests_on=[(n, n + 3) for n in near]))

    def commit(self, work: Work) -> Done:
        at = self.store.state.following
        done = self.store.commit(work)
        self.take_gaps()
        if done.refused:
            assert all(self.pinned.covers(f, f) for f in self.content)
            assert done.blocks == []
            return done
        assert [b.payload for b in done.blocks] == [b.payload for b in work.blocks]
        for block in done.blocks:
            assert block.first == at
            at = block.last + 1
            self.content[block.first] = block
        self.accepted = at - 1
        for block in self.content.values():
            rests = any(a <= block.last and b >= block.first for a, b in work.rests_on)
            if block.decisions or (rests and block.first not in {b.first for b in done.blocks}):
                self.pinned.add(block.first, block.last)
        return done

    @precondition(lambda self: self.content)
    @rule(data=st.data(), share=st.sampled_from([0.1, 0.5, 1.0]))
    def confirm(self, data: st.DataObject, share: float) -> None:
        rng = random.Random(data.draw(st.integers(0, 2**32)))
        right = [b.stored() for b in self.content.values() if rng.random() < share]
        wrong = [Block(b.first, b.count, b.payload + b"x").stored() for b in self.content.values()][:2]
        done = self.store.commit(Work(confirmed=[*wrong, *right]))
        self.take_gaps()
        assert done.mismatched == len(wrong)
        assert done.deleted == right
        for block in right:
            self.done.add(block.first, block.last)
            self.content.pop(block.first, None)

    @rule()
    def report_gaps(self) -> None:
        reported = list(self.store.state.gaps)
        self.store.commit(Work(reported=reported))
        self.take_gaps()  # it may have cleared up at the same time
        for gap in reported:
            self.done.add(gap.first, gap.last)
            self.lost.remove(gap.first, gap.last)

    # --- what befalls it

    @rule()
    def close_and_open(self) -> None:
        self.store.close()
        self.store = self.open()
        self.settle_doubt()

    @rule(seed=st.integers(0, 2**32))
    def cut_the_power(self, seed: int) -> None:
        self.disk.cut_power(random.Random(seed))
        self.store = self.open()
        self.settle_doubt()

    @rule(n=st.integers(0, 7), size=st.integers(1, 499), seed=st.integers(0, 2**32))
    def fail_in_the_middle(self, n: int, size: int, seed: int) -> None:
        """A write or sync fails within a transaction, and with it goes the power (or only the process)."""
        self.digest += size
        blocks, _ = encode_all([make_batch(self.digest, size, fat=True)])
        at = self.store.state.following
        self.disk.fail_in(n)
        try:
            done = self.store.commit(Work(blocks=blocks))
            promised = done.blocks
        except OSError:
            promised = []
        self.disk.fail_in(None)
        self.take_gaps()
        if self.store.journal.broken and promised:
            # Only one copy is on the disk: it must survive a power cut all the same.
            self.disk.cut_power(random.Random(seed))
        for block in promised:
            self.content[block.first] = block
        self.accepted = at - 1 + sum(b.count for b in promised)
        if seed % 2:
            self.disk.cut_power(random.Random(seed))
        self.store = self.open()
        self.doubt = True
        self.settle_doubt()

    @rule(n=st.integers(0, 12), count=st.integers(1, 9))
    def fail_in_the_middle_and_go_on(self, n: int, count: int) -> None:
        """Writes fail for a while, maybe between two segments; the process goes on with what it was told."""
        blocks = []
        for _ in range(count):
            self.digest += 499
            blocks += encode_all([make_batch(self.digest, 499, fat=True)])[0]
        at = self.store.state.following
        self.disk.fail_in(n)
        try:
            promised = self.store.commit(Work(blocks=blocks)).blocks
        except OSError:
            promised = []
        self.disk.fail_in(None)
        assert [b.payload for b in promised] == [b.payload for b in blocks[: len(promised)]]
        for block in promised:
            self.content[block.first] = block
        self.accepted = at - 1 + sum(b.count for b in promised)
        self.take_gaps()
        self.append([1], fat=False)  # until then what was refused may be there at the next opening

    def settle_doubt(self) -> None:
        """What was in doubt at the last moment is either wholly there now or not at all."""
        self.take_gaps()
        here = self.blocks()
        new = {f: b for f, b in here.items() if f > self.accepted}
        assert self.doubt or not new
        self.content |= new
        self.accepted = max([self.accepted, *(b.last for b in new.values())])
        self.doubt = False

    @rule(data=st.data())
    def damage_a_file(self, data: st.DataObject) -> None:
        """One file is damaged between two runs: at most one segment's readings go, and each is counted."""
        self.store.close()
        where = {s.name: s.live.copy() for s in self.store.shelf.segments.values()}
        name = data.draw(st.sampled_from(sorted(self.disk.files)))
        how = data.draw(st.sampled_from(["flip", "flip the beginning", "truncate", "remove"]))
        content = self.disk.files[name].data
        if how == "remove":
            self.disk.remove(name)
        elif how == "truncate":
            del content[data.draw(st.integers(0, len(content))) :]
        else:
            reach = len(content) if how == "flip" else min(len(content), 20_000)
            at = data.draw(st.integers(0, max(0, reach - 1)))
            content[at : at + 1] = bytes(b ^ 1 << data.draw(st.integers(0, 7)) for b in content[at : at + 1])
        accounts = self.counted()
        self.store = self.open()
        lost = RangeSet((g.first, g.last) for g in self.store.state.gaps if g.reason == "corrupt")
        self.take_gaps(corrupt=True)
        assert all(where.get(name, RangeSet()).covers(a, b) or self.lost.covers(a, b) for a, b in lost)
        assert self.counted() == accounts

    def counted(self) -> dict[tuple[str, int, str], int]:
        return {(d, h, k): n for d, h, k, n in self.store.state.counts if k != "dropped:corrupt"}

    # --- what must hold

    @invariant()
    def everything_is_there_once_unchanged_and_in_order(self) -> None:
        assert self.blocks() == self.content

    @invariant()
    def every_number_is_waiting_done_or_in_a_gap(self) -> None:
        state = self.store.state
        assert state.boot == "boot-1"
        assert state.following - 1 == self.accepted
        assert state.done == self.done
        assert RangeSet((g.first, g.last) for g in state.gaps) == self.lost
        waiting = sum(b.count for b in self.content.values())
        assert waiting + len(self.done) + len(self.lost) == self.accepted

    @invariant()
    def what_is_pinned_is_there_or_accounted_for(self) -> None:
        here = RangeSet((b.first, b.last) for b in self.content.values())
        wanted = RangeSet(p for a, b in self.pinned for p in here.common(a, b))
        assert self.store.state.pins == wanted

    @invariant()
    def the_accounts_add_up(self) -> None:
        by_kind: dict[str, int] = {}
        for _, _, kind, n in self.store.state.counts:
            by_kind[kind] = by_kind.get(kind, 0) + n
        others = self.accepted - by_kind.get("accepted", 0)  # decisions and waves
        assert others >= 0
        assert by_kind.get("read", 0) == self.told

    def teardown(self) -> None:
        self.store.close()


OutboxMachine.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestOutbox = OutboxMachine.TestCase
