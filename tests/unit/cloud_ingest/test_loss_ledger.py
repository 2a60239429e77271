"""The loss ledger: counts in the frames' own transaction, and books that balance or name what is missing."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.balance import AskedLedger, Figures, LedgerReport
from cloud_ingest.books import Books
from cloud_ingest.facts import Facts
from cloud_ingest.loss_ledger import Tally, hour_of
from cloud_ingest.records.ledger import LossLedger, prune
from cloud_ingest.records.models import LedgerCount
from cloud_ingest.stores.base import Origins, Outcome
from hearthward.core.errors import StoreUnavailable
from hearthward.core.messages import Account, Accounts
from hearthward.core.model import Quality, Reading, ReadingBatch
from hearthward.core.wire import Block, decode_block, encode_decisions
from tests.unit.cloud_ingest.ward import SCOPE, T0, TENANT, Gap, Ward, block, frame, reading

HOUR_S = 3600
NOW = hour_of(T0)
ALL = AskedLedger(NOW - 48, NOW + 48)


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db").start()
    yield made
    await made.close()


def books_of(ward: Ward, facts: Facts | None = None, *, online: bool = True) -> Books:
    return Books(
        TENANT,
        ward.records,
        ledger=lambda: ward.pipeline.ledger,
        facts=facts or Facts(),
        online=lambda _gateway: online,
        clock=ward.clock,
        telemetry=ward.telemetry,
    )


async def report(ward: Ward, asked: AskedLedger = ALL) -> LedgerReport:
    return await ward.records.read(lambda s: LossLedger(s, **ward.records._now()).report(SCOPE, asked))


async def counts(ward: Ward) -> dict[tuple[str, int, str], int]:
    return {(r.device, r.hour - NOW, r.kind): r.n for r in await ward.rows(LedgerCount)}


async def tell(
    ward: Ward, accepted: int, backlog: int, *rows: tuple[str, int, str, int], boot: str = "boot-1"
) -> None:
    books = books_of(ward)
    made = tuple(Account(device, NOW + hour, kind, n) for device, hour, kind, n in rows)
    books.offer("gw-1", Accounts("gw-1", boot, accepted, backlog, made).encode())
    await books.write()


# --- counting


async def test_readings_are_counted_by_device_and_hour_of_their_receipt(ward: Ward):
    await ward.take(
        frame(block(1, reading(0), reading(1), reading(2, device="dev_2")), at=5),
        frame(block(4, reading(HOUR_S), reading(HOUR_S + 1)), at=HOUR_S + 2),
    )
    assert await counts(ward) == {
        ("dev_1", 0, "stored"): 2,
        ("dev_2", 0, "stored"): 1,
        ("dev_1", 1, "stored"): 2,
        ("dev_1", 0, "late"): 2,  # the clock of the recording had gone on when both frames were taken
        ("dev_2", 0, "late"): 1,
    }


def test_what_the_gate_said_is_counted_of_what_was_stored():
    said = [
        int(Quality.SUSPECT | Quality.JUMP),
        int(Quality.SUSPECT | Quality.DISAGREES),
        int(Quality.SUSPECT | Quality.ZERO | Quality.DISAGREES),
        int(Quality.BAD | Quality.DROPOUT),
        int(Quality.MOTION),
    ]
    batch = ReadingBatch.of(reading(t, 97, quality=quality) for t, quality in enumerate(said))
    tally = Tally()
    tally.stored(("gw-1", "boot-1"), batch, [Outcome.NEW] * 5, T0)
    expected = {
        "stored": 5,
        "doubt:suspect": 3,
        "doubt:bad": 1,
        "doubt:implausible": 3,
        "doubt:jump": 1,
        "doubt:zero": 1,
        "doubt:disagrees": 2,
        "doubt:dropout": 1,
    }
    assert {count.kind: count.n for count in tally} == expected
    again = Tally()
    outcomes = [Outcome.DUPLICATE, Outcome.NEW, Outcome.DUPLICATE, Outcome.SAME, Outcome.NEW]
    again.stored(("gw-1", "boot-1"), batch, outcomes, T0)
    assert {count.kind: count.n for count in again if "doubt" in count.kind} == {
        "doubt:suspect": 1,
        "doubt:disagrees": 1,
        "doubt:bad": 1,
        "doubt:dropout": 1,
        "doubt:implausible": 1,
    }
    whole = Tally()
    whole.stored(("gw-1", "boot-1"), batch, [Outcome.DUPLICATE] * 5, T0)
    assert [count.kind for count in whole] == ["duplicate"]


async def test_the_verdicts_are_in_the_ledger_and_no_figure_of_it_counts_them(ward: Ward):
    await ward.take(frame(block(1, reading(0, 97), reading(1, 0)), at=2))  # no oximeter measures 0
    assert await counts(ward) == {
        ("dev_1", 0, "stored"): 2,
        ("dev_1", 0, "doubt:bad"): 1,
        ("dev_1", 0, "doubt:dropout"): 1,
        ("dev_1", 0, "doubt:implausible"): 1,
    }
    found = (await report(ward)).total
    assert (found.stored, found.arrived, found.rejected, found.unnamed) == (2, 2, {}, 0)


async def test_the_same_is_added_up_by_gateway_by_device_and_by_hour(ward: Ward):
    await ward.take(frame(block(1, reading(0), reading(1, 130), reading(2, device="dev_2")), at=5))
    await ward.take(frame(block(4, reading(HOUR_S), reading(0)), at=HOUR_S + 2))
    await tell(ward, 6, 1, ("dev_1", 0, "read", 4), ("dev_1", 0, "accepted", 4), ("", 0, "rejected:bad", 2))
    totals = [(await report(ward, replace(ALL, by=by))).total for by in ("gateway", "device", "hour")]
    assert totals[0] == totals[1] == totals[2]
    assert (totals[0].read, totals[0].stored, totals[0].rejected, totals[0].unnamed) == (
        *(4, 3),
        {"implausible": 1},
        2,
    )


async def test_what_comes_again_is_counted_once(ward: Ward):
    sent = frame(block(1, reading(0), reading(1)), at=2)
    await ward.take(sent)
    await ward.take(sent, sent)
    await ward.restart()
    await ward.take(sent)
    assert await counts(ward) == {("dev_1", 0, "stored"): 2}


async def test_readings_stored_before_a_crash_but_not_committed_are_counted_when_they_come_again(ward: Ward):
    rows = [reading(0), reading(1)]
    await ward.store.append(TENANT, ReadingBatch.of(rows), Origins("gw-1", "boot-1", [1, 2]))
    await ward.take(frame(block(1, *rows), at=2))
    assert await counts(ward) == {("dev_1", 0, "stored"): 2}


async def test_a_commit_that_fails_counts_nothing(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    real, tries = ward.records.run, 0

    async def run(fn: Any, **more: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:

            def broken(session: Any) -> None:
                fn(session)
                msg = "disk full"
                raise StoreUnavailable(msg)

            return await real(broken, **more)
        return await real(fn, **more)

    monkeypatch.setattr(ward.records, "run", run)
    await ward.take(frame(block(1, reading(0)), at=1))
    assert tries > 1
    assert await counts(ward) == {("dev_1", 0, "stored"): 1}


async def test_the_same_reading_under_another_number_is_a_duplicate(ward: Ward):
    await ward.take(frame(block(1, reading(0)), at=1))
    await ward.take(frame(block(2, reading(0), reading(1)), at=2))
    assert await counts(ward) == {("dev_1", 0, "stored"): 2, ("dev_1", 0, "duplicate"): 1}


async def test_what_is_refused_is_counted_by_reason(ward: Ward):
    bad = [replace(reading(1), metric="mood"), reading(2, 900.0), reading(3, corrected=T0 + 900 * 10**9)]
    await ward.take(frame(block(1, reading(0), *bad), Block(5, 3, b"\xc1 nonsense"), at=4))
    assert await counts(ward) == {
        ("dev_1", 0, "stored"): 1,
        ("dev_1", 0, "refused:unknown_metric"): 1,
        ("dev_1", 0, "refused:implausible"): 1,
        ("dev_1", 0, "refused:future"): 1,
        ("", 0, "refused:malformed"): 3,
    }
    await tell(ward, 7, 0, ("dev_1", 0, "accepted", 7))
    found = await report(ward)
    assert found.books[0].unaccounted == 0
    assert found.total.rejected == {"unknown_metric": 1, "implausible": 1, "future": 1, "malformed": 3}
    assert (found.total.missing, found.total.unknown, found.total.balanced) == (0, 0, True)
    by_device = await report(ward, replace(ALL, by="device"))
    assert {line.device: (line.figures.missing, line.figures.unknown) for line in by_device.lines} == {
        "": (0, 0),
        "dev_1": (0, 3),  # rejected unread: they stand under no device
    }


async def test_a_clone_s_readings_do_not_disturb_the_true_gateway_s_books(ward: Ward):
    await ward.take(frame(block(1, reading(0), reading(1)), at=2))
    await ward.take(frame(block(1, reading(7), reading(8)), at=9))
    assert (await counts(ward))["", 0, "clone"] == 2
    await tell(ward, 2, 0, ("dev_1", 0, "read", 2), ("dev_1", 0, "accepted", 2))
    total = (await report(ward)).total
    assert (total.accepted, total.stored, total.missing, total.clones, total.sent) == (2, 2, 0, 2, 2)


async def test_decisions_take_numbers_but_are_no_readings(ward: Ward):
    made = Block(1, 2, encode_decisions([b"one", b"two"]))
    await ward.take(frame(made, block(3, reading(0)), at=1))
    found = await counts(ward)
    assert found["", 0, "decisions"] == 2
    assert {kind for _, _, kind in found if kind.startswith("refused")} == set()
    await tell(ward, 3, 0, ("dev_1", 0, "accepted", 1))
    total = (await report(ward)).total
    assert (total.accepted, total.stored, total.balanced) == (1, 1, True)


def test_late_readings_are_told_apart_within_a_block():
    tally, now = Tally(), T0 + 100 * 10**9
    rows = [reading(n, device=f"dev_{n % 2}") for n in (0, 30, 50, 90)]
    tally.stored(("g", "b"), ReadingBatch.of(rows), [Outcome.NEW] * 4, now)
    assert {(c.device, c.kind): c.n for c in tally} == {
        ("dev_0", "stored"): 4,
        ("dev_0", "late"): 2,
    }


async def test_what_was_damaged_at_the_gateway_is_dropped_and_lacks_at_nobody_knows_whose(ward: Ward):
    await ward.take(frame(block(1, reading(0), reading(1)), gaps=(Gap(3, 5, "corrupt"),), at=2))
    await tell(ward, 5, 0, ("dev_1", 0, "accepted", 5), ("", 1, "dropped:corrupt", 3))
    total = (await report(ward)).total
    assert (total.dropped, total.missing, total.unknown, total.untold) == ({"corrupt": 3}, 0, 0, 0)
    for by in ("device", "hour"):
        lines = (await report(ward, replace(ALL, by=by))).lines
        found = sorted((n.figures.missing, n.figures.unknown, n.figures.untold) for n in lines)
        assert found == [(0, 0, 0), (0, 3, 0)]
        assert all(n.figures.balanced for n in lines)


async def test_counts_of_long_ago_are_dropped(ward: Ward):
    await ward.take(frame(block(1, reading(0)), at=1))
    day = 86_400 * 10**9
    assert await ward.records.run(lambda s: prune(s, TENANT, T0 + 399 * day)) == 0
    assert await ward.records.run(lambda s: prune(s, TENANT, T0 + 402 * day)) == 1


# --- whatever happens on the way, the books balance or name exactly what is missing


@dataclass
class Edge:
    """A gateway as a list of blocks: what it has given out, dropped, lost without knowing, and not sent."""

    blocks: list[Block] = field(default_factory=list)
    rows: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    fate: list[str] = field(default_factory=list)
    top: int = 0

    def accept(self, sizes: list[tuple[int, int]], fate: str, *, decisions: bool, serial: int) -> None:
        """A block of (device, hour) readings, or of as many decisions."""
        first = self.top + 1
        self.top += len(sizes)
        self.fate.append(fate)
        if decisions:
            self.blocks.append(Block(first, len(sizes), encode_decisions([b"x"] * len(sizes))))
            return
        made: list[Reading] = []
        for n, (device, hour) in enumerate(sizes):
            name, at = f"dev_{device}", hour * HOUR_S + (serial * 50 + n) % HOUR_S
            made.append(reading(at, 97.0 if fate != "bad" or n else 900.0, name, digest=first + n))
            self.rows[name, NOW + hour, "accepted"] += 1
            if fate == "dropped":
                self.rows[name, NOW + hour, "dropped:full"] += 1
        payload = block(first, *made)
        self.blocks.append(Block(first, len(made), b"\xc1") if fate == "garbled" else payload)

    def numbers(self, fate: str) -> set[int]:
        """The numbers of all blocks with this fate."""
        return {
            n
            for b, f in zip(self.blocks, self.fate, strict=True)
            if f == fate
            for n in range(b.first, b.last + 1)
        }

    def accounts(self, keep: int | None = None) -> Accounts:
        rows = tuple(Account(*key, n if keep is None else max(0, n - keep)) for key, n in self.rows.items())
        waits = len(self.numbers("waiting"))
        top = self.top if keep is None else max(waits, self.top - keep)
        return Accounts("gw-1", "boot-1", top, waits if keep is None else top, rows)


FATES = st.sampled_from(["good", "good", "good", "bad", "garbled", "dropped", "lost", "waiting"])
BLOCKS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(1, 2), st.integers(0, 2)), min_size=1, max_size=4),
        FATES,
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(made=BLOCKS, data=st.data())
@settings(max_examples=30, deadline=None)
def test_books_balance_or_name_exactly_what_is_missing(made: list[Any], data: st.DataObject, empty: Path):
    edge = Edge()
    for serial, (sizes, fate, decisions) in enumerate(made):
        decided = decisions and fate in {"good", "lost", "waiting"}
        edge.accept(sizes, fate, decisions=decided, serial=serial)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        shutil.copy(empty, path)
        asyncio.run(_play(edge, data, path))


async def _play(edge: Edge, data: st.DataObject, path: Path) -> None:
    ward = await Ward(path, enrolled=True).start()
    try:
        await _deliver(edge, data, ward)
        await _check(edge, ward)
    finally:
        await ward.close()


async def _deliver(edge: Edge, data: st.DataObject, ward: Ward) -> None:
    """In any order, again, with copies of the outbox, after half of it was stored, and with old accounts."""
    at = 4 * HOUR_S
    arriving = [b for b, f in zip(edge.blocks, edge.fate, strict=True) if f in {"good", "bad", "garbled"}]
    gaps = tuple(
        Gap(b.first, b.last, "full") for b, f in zip(edge.blocks, edge.fate, strict=True) if f == "dropped"
    )
    books = books_of(ward)
    order = (
        data.draw(st.permutations([*arriving, *data.draw(st.lists(st.sampled_from(arriving)))]))
        if arriving
        else []
    )
    for one in order:
        how = data.draw(st.sampled_from(["once", "twice", "crashed", "cloned", "restart", "told"]))
        if how == "crashed" and not one.decisions and one.payload != b"\xc1":
            batch = decode_block(one.payload)
            good = [i for i, v in enumerate(batch.value) if v != 900.0]
            seqs = [one.first + i for i in good]
            if good:
                await ward.store.append(TENANT, batch.take(good), Origins("gw-1", "boot-1", seqs))
        if how == "told":
            books.offer("gw-1", edge.accounts(data.draw(st.integers(0, 3))).encode())
        if how == "restart":
            await ward.restart()
        await ward.take(*[frame(one, at=at)] * (2 if how == "twice" else 1))
        if how == "cloned":
            other = [reading(3 * HOUR_S + n, 50.0) for n in range(one.count)]
            await ward.take(frame(block(one.first, *other), at=at))
    await ward.take(frame(gaps=gaps, at=at))
    for sent in data.draw(st.permutations([edge.accounts(), edge.accounts(1), edge.accounts()])):
        books.offer("gw-1", sent.encode())
        if data.draw(st.booleans()):
            await books.write()
    await books.write()


async def _check(edge: Edge, ward: Ward) -> None:
    found = await report(ward)
    (book,) = found.books
    lost, waiting = edge.numbers("lost"), edge.numbers("waiting")
    assert (book.numbers, book.unaccounted, book.waiting) == (edge.top, len(lost), len(waiting))
    assert book.dropped == len(edge.numbers("dropped"))
    accepted = sum(n for (_, _, kind), n in edge.rows.items() if kind == "accepted")
    for by in ("gateway", "device", "hour"):
        lines = (await report(ward, replace(ALL, by=by))).lines
        whole = Figures()
        for line in lines:
            whole.add(line.figures)
        assert whole.accepted == accepted
    total = found.total
    open_ = total.accepted - sum(total.dropped.values()) - total.arrived
    readings_lost = accepted - sum(total.dropped.values()) - total.arrived
    assert open_ == total.missing + total.waiting + total.unknown == readings_lost
    if not waiting:
        assert not total.waiting
        assert (total.missing > 0) <= bool(lost)
        if lost:
            await _write_off(ward, lost)
    if not (lost or waiting):
        assert total.balanced is not False
        assert total.missing == total.waiting == total.unknown == 0


async def _write_off(ward: Ward, lost: set[int]) -> None:
    """What an engineer closes is exactly what was lost, and the books balance then."""
    row = await ward.records.run(
        lambda s: LossLedger(s, **ward.records._now()).write_off(
            SCOPE, "gw-1", "boot-1", "tested", by="usr_1"
        )
    )
    assert {n for first, last in row.ranges for n in range(first, last + 1)} == lost
    found = await report(ward)
    assert (found.books[0].unaccounted, found.books[0].written_off) == (0, len(lost))
    assert found.total.missing == 0
    assert found.total.balanced is not False  # none at all where only decisions were lost


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records with a gateway and its devices, as every example begins."""
    path = tmp_path_factory.mktemp("ledger") / "records.db"

    async def make() -> None:
        made = Ward(path)
        await made.close()

    asyncio.run(make())
    return path
