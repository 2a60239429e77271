"""Keeping the books: what gateways tell, when a difference is told to the rules, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest import books as books_module
from cloud_ingest.books import Books
from cloud_ingest.facts import Facts
from cloud_ingest.loss_ledger import hour_of
from cloud_ingest.records.ledger import LossLedger, Told
from cloud_ingest.records.models import LedgerBook, LedgerCount
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.messages import Account, Accounts
from hearthward.trust.access import Scope
from tests.unit.cloud_ingest.ward import SCOPE, T0, TENANT, Gap, HandClock, Ward, block, live, reading

NOW = hour_of(T0)


class Desk:
    """Books over a small cloud of real time; ``pass_`` lets time go on, looking every five seconds."""

    def __init__(self, ward: Ward) -> None:
        self.ward, self.facts, self.online = ward, Facts(), True
        self.books = self.made()

    def made(self) -> Books:
        return Books(
            TENANT,
            self.ward.records,
            ledger=lambda: self.ward.pipeline.ledger,
            facts=self.facts,
            online=lambda _gateway: self.online,
            clock=self.ward.clock,
            telemetry=self.ward.telemetry,
        )

    async def tell(
        self, accepted: int, backlog: int, *rows: Account, boot: str = "boot-1", gateway: str = "gw-1"
    ) -> None:
        self.books.offer(gateway, Accounts(gateway, boot, accepted, backlog, rows).encode())
        await self.books.write()

    async def pass_(self, seconds: float) -> None:
        await self.books.look()
        while seconds > 0:
            self.ward.clock.advance(min(5.0, seconds))
            seconds -= 5.0
            await self.books.look()

    def said(self, metric: str = "readings_unaccounted") -> float | None:
        return self.facts.get("gateway:gw-1", metric)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    ward = await Ward(tmp_path / "records.db", clock=HandClock(T0, frozen_monotonic=True)).start()
    yield Desk(ward)
    await ward.close()


def rows_of(count: int, at: int = 0, first: int = 1) -> Any:
    return block(first, *(reading(at + n) for n in range(count)))


async def test_a_difference_is_told_when_it_has_lasted_for_a_minute(desk: Desk):
    await desk.ward.take(live(rows_of(4), at=4))
    await desk.tell(6, 0)
    await desk.pass_(55)
    assert desk.said() is None  # neither a loss nor a balance yet
    await desk.pass_(10)
    assert desk.said() == 2
    await desk.ward.take(live(rows_of(2, 4, 5), at=70))
    await desk.pass_(0)
    assert desk.said() == 0


async def test_what_waits_or_is_declared_lost_is_no_difference(desk: Desk):
    await desk.ward.take(live(rows_of(4), at=4, gaps=(Gap(5, 6, "full"),)))
    await desk.tell(10, 4)
    await desk.pass_(120)
    assert desk.said() == 0
    assert desk.said("readings_lost") == 2


async def test_losses_are_told_for_an_hour(desk: Desk):
    await desk.ward.take(live(at=1, gaps=(Gap(1, 50, "full"),)))
    await desk.pass_(0)
    assert desk.said("readings_lost") == 50
    desk.books = desk.made()  # the cloud has started anew
    desk.ward.clock.advance(3590)
    await desk.books.look()
    assert desk.said("readings_lost") == 50
    desk.ward.clock.advance(20)
    await desk.books.look()
    assert desk.said("readings_lost") == 0


async def test_a_difference_does_not_age_while_its_gateway_is_away(desk: Desk):
    await desk.tell(3, 0)
    desk.online = False
    await desk.pass_(600)
    assert desk.said() is None
    desk.online = True
    await desk.pass_(65)
    assert desk.said() == 3


async def test_a_pause_of_the_cloud_proves_nothing(desk: Desk):
    await desk.tell(3, 0)
    await desk.books.look()
    desk.ward.clock.advance(600)
    await desk.books.look()
    assert desk.said() is None


async def test_a_loss_is_seen_though_the_gateway_never_rests(desk: Desk):
    await desk.ward.take(live(rows_of(3), at=3))
    await desk.tell(4, 0)  # at this moment nothing waited: number 4 is gone
    for n in range(20):
        await desk.ward.take(live(rows_of(2, 10 + n, 5 + 2 * n), at=20 + n))
        await desk.tell(6 + 2 * n + 5, 5)
        await desk.pass_(5)
    assert desk.said() == 1


async def test_a_gateway_that_tells_nothing_is_unknown(desk: Desk):
    await desk.ward.take(live(rows_of(3, first=5), at=3))
    await desk.pass_(300)
    assert desk.said() is None
    await desk.tell(7, 4)
    await desk.pass_(0)
    assert desk.said() == 0


async def test_what_waited_in_a_replaced_outbox_is_unaccounted_for_until_written_off(desk: Desk):
    ward = desk.ward
    await ward.take(live(rows_of(4), at=4))
    rows = [Account("dev_1", NOW, "accepted", 10)]
    await desk.tell(10, 6, *rows)
    await desk.pass_(600)
    assert desk.said() == 0
    for n in range(3):
        await ward.take(live(rows_of(2, 20 + 2 * n, 1 + 2 * n), at=600 + n, boot="boot-2"))
        await desk.tell(2 + 2 * n, 0, boot="boot-2")
        await desk.pass_(60)
    assert desk.said() == 6

    def close(session: Any, reason: str = "gateway's disk was replaced") -> Any:
        ledger = LossLedger(session, **ward.records._now())
        return ledger.write_off(SCOPE, "gw-1", "boot-1", reason, by="usr_1")

    with pytest.raises(ConfigError, match="reason"):
        await ward.records.run(lambda s: close(s, "  "))
    row = await ward.records.run(close)
    assert (row.numbers, row.ranges, row.by) == (6, [[5, 10]], "usr_1")
    await desk.pass_(0)
    assert desk.said() == 0
    written = [r for r in await ward.rows(LedgerCount) if r.kind == "written_off"]
    assert [(r.device, r.hour, r.n) for r in written] == [("dev_1", NOW, 6)]
    with pytest.raises(ConfigError, match="nothing of it is unaccounted for"):
        await ward.records.run(close)
    # they come after all: what is written off may, and is counted as stored
    await ward.take(live(rows_of(6, 4, 5), at=800))
    await desk.pass_(0)
    assert desk.said() == 0


async def test_writing_off_is_for_those_who_see_the_gateway(desk: Desk):
    await desk.tell(3, 0)

    def close(session: Any, scope: Scope, boot: str = "boot-1") -> Any:
        return LossLedger(session, **desk.ward.records._now()).write_off(scope, "gw-1", boot, "x", by="u")

    for scope in (Scope(TENANT, frozenset({"elsewhere"})), Scope("other"), Scope(TENANT, patient="pat_1")):
        with pytest.raises(ConfigError, match="nothing is known"):
            await desk.ward.records.run(lambda s, scope=scope: close(s, scope))
    with pytest.raises(ConfigError, match="nothing is known"):
        await desk.ward.records.run(lambda s: close(s, SCOPE, "boot-9"))


async def test_a_clock_that_goes_back_replaces_no_outbox(desk: Desk):
    await desk.ward.take(live(rows_of(1), at=1))
    await desk.tell(1, 0)
    desk.ward.clock._now -= 86_400 * SECOND
    await desk.ward.take(live(rows_of(2), at=-86_399, boot="boot-2"))
    await desk.ward.take(live(rows_of(2, 2, 3), at=-86_398, boot="boot-2"))
    await desk.tell(6, 2, boot="boot-2")
    await desk.pass_(90)
    assert desk.said() == 0


# --- what cannot be believed


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        Accounts("gw-2", "boot-1", 1, 0, ()).encode(),
        Accounts("gw-1", "a boot", 1, 0, ()).encode(),
        Accounts("gw-1", "boot-1", 1, 2, ()).encode(),
    ],
)
async def test_messages_that_cannot_be_are_counted_and_left_out(desk: Desk, payload: bytes):
    desk.books.offer("gw-1", payload)
    await desk.books.write()
    assert await desk.ward.rows(LedgerBook) == []
    assert desk.ward.telemetry.value("messages_rejected_total", kind="account") == 1


async def test_rows_that_cannot_be_are_counted_and_left_out(desk: Desk):
    good = Account("dev_1", NOW, "read", 5)
    bad = [
        replace_row(good, hour=NOW - 31 * 24),
        replace_row(good, hour=NOW + 3 * 24),
        replace_row(good, device="x" * 513),
        replace_row(good, kind="stored"),
        replace_row(good, kind="rejected:" + "x" * 41),
    ]
    await desk.tell(5, 0, good, *bad)
    assert [(r.device, r.kind, r.n) for r in await desk.ward.rows(LedgerCount)] == [("dev_1", "read", 5)]
    refused = {
        reason: desk.ward.telemetry.value("ledger_rows_refused_total", reason=reason)
        for reason in ("hour", "device", "kind")
    }
    assert refused == {"hour": 2, "device": 1, "kind": 2}


def replace_row(row: Account, **changes: Any) -> Account:
    return row._replace(**changes)


async def test_strangers_cannot_fill_the_books(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(books_module, "MAX_DEVICES", 3)
    monkeypatch.setattr(books_module, "MAX_GATEWAYS", 2)
    monkeypatch.setattr(books_module, "MAX_BOOTS", 2)
    monkeypatch.setattr(books_module, "MAX_WAITING", 4)
    rows = tuple(Account(f"dev_{n}", NOW, "read", 1) for n in range(9))
    await desk.tell(9, 0, *rows)
    assert len(await desk.ward.rows(LedgerCount)) == 3
    for n in range(5):
        await desk.tell(1, 0, boot=f"boot-{n}")
        await desk.tell(1, 0, gateway=f"gw-{n}")
    found = {(b.gateway, b.boot) for b in await desk.ward.rows(LedgerBook)}
    assert found == {("gw-1", "boot-1"), ("gw-1", "boot-0"), ("gw-0", "boot-1")}
    many = tuple(Account("dev_1", NOW, f"rejected:r{n}", 1) for n in range(9))
    await desk.tell(9, 0, *many)
    assert desk.ward.telemetry.value("ledger_rows_refused_total", reason="full") == 5


async def test_what_is_told_while_the_records_are_away_is_written_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    real, away = desk.ward.records.run, True

    async def run(fn: Any, **more: Any) -> Any:
        if away:
            msg = "away"
            raise StoreUnavailable(msg)
        return await real(fn, **more)

    monkeypatch.setattr(desk.ward.records, "run", run)
    with pytest.raises(StoreUnavailable):
        await desk.tell(5, 5, Account("dev_1", NOW, "read", 5))
    with pytest.raises(StoreUnavailable):
        await desk.tell(7, 2, Account("dev_1", NOW, "read", 7))
    away = False
    await desk.books.write()
    (book,) = await desk.ward.rows(LedgerBook)
    assert (book.accepted, book.backlog) == (7, 2)
    assert [r.n for r in await desk.ward.rows(LedgerCount)] == [7]


TOLD = st.builds(
    lambda accepted, backlog, n: Told(
        accepted, min(backlog, accepted), accepted if not backlog else 0, {("d", 1, "read"): n}
    ),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 9),
)


@given(st.lists(TOLD, min_size=1, max_size=6), st.randoms())
def test_messages_may_come_in_any_order_and_again(messages: list[Told], random: Any):
    def folded(order: list[Told]) -> Told:
        out = Told(0, 0, 0, {})
        for told in order:
            out.merge(replace(told, rows=dict(told.rows)))
        return out

    again = [*messages, *messages]
    random.shuffle(again)
    assert folded(messages) == folded(again)


async def test_books_are_written_and_looked_at_while_the_cloud_runs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    import asyncio

    monkeypatch.setattr(books_module, "WRITE_S", 0.01)
    running = asyncio.create_task(desk.books.run())
    try:
        desk.books.offer("gw-1", Accounts("gw-1", "boot-1", 3, 3, ()).encode())
        async with asyncio.timeout(10):
            while desk.said() is None:
                desk.books.look_soon()
                await asyncio.sleep(0.01)
        assert desk.said() == 0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
