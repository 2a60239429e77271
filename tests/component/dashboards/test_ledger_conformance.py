"""The loss ledger of the web's port: one suite over the fake and the real records, frames and accounts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_ingest.balance import AskedLedger, Book, By, LedgerReport
from cloud_ingest.loss_ledger import Count, hour_of
from dashboards.backend import DirectoryError
from hearthward.core.messages import Account, Accounts
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import Block, Frame, Gap, encode_block, topic
from hearthward.trust.access import Principal, Role, Scope
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    FakeSide,
    RealSide,
    S,
    furnish,
)
from tests.component.dashboards.sides import made_reading as reading

NOW = hour_of(T0)
WHO = Principal("usr_eva", "Eva", "main", frozenset({Role.ENGINEER}))


def device_of(gateway: str, n: int) -> str:
    """Readings are of two devices in turn."""
    name = ("oxi", "cuff")[n % 2]
    return name if gateway == "gw-1" else f"{gateway}-{name}"


class FakeLedgerSide(FakeSide):
    """What a gateway has accepted, and what of it came, put into the fake."""

    async def gateway(
        self, gateway: str, accepted: int, came: range, gap: Gap | None = None, *, tells: bool = True
    ) -> None:
        """Readings 1..accepted, one a second, of two devices in turn, of which these numbers came."""
        book = Book(gateway, f"{gateway}-boot", heard=T0)
        if tells:
            book.accepted = book.settled = accepted
            book.told = T0
        if came:
            book.committed.add(came[0], came[-1])
        if gap is not None:
            book.gaps.add(gap.first, gap.last)
        counts = [Count(gateway, book.boot, device_of(gateway, n), NOW, "stored", 1) for n in came]
        for n in range(1, accepted + 1) if tells else ():
            counts += [
                Count(gateway, book.boot, device_of(gateway, n), NOW, kind, 1)
                for kind in ("read", "accepted")
            ]
            if gap is not None and gap.first <= n <= gap.last:
                counts.append(Count(gateway, book.boot, device_of(gateway, n), NOW, "dropped:full", 1))
        self.backend.put_ledger("main", book, counts)


class RealLedgerSide(RealSide):
    """The same by a frame and an account of the gateway."""

    async def gateway(
        self, gateway: str, accepted: int, came: range, gap: Gap | None = None, *, tells: bool = True
    ) -> None:
        """As of the fake."""
        boot, gaps = f"{gateway}-boot", () if gap is None else (gap,)
        if tells:
            told = Accounts(gateway, boot, accepted, 0, self._account(gateway, accepted, gap))
            self.source.deliver(topic("main", gateway, "account"), told.encode())
        rows = [reading(device_of(gateway, n), "spo2", 97, T0 + n * S) for n in came]
        blocks = (Block(came[0], len(came), encode_block(ReadingBatch.of(rows))),) if came else ()
        sent = Frame(gateway, boot, blocks, wall=T0, mono=1, event_time=True, gaps=gaps)
        published = len(self.source.published)
        self.source.deliver(topic("main", gateway, "frame"), sent.encode())
        await self.source.wait_published(published + 1)  # so the account was taken, too
        await self.service.books.write()

    @staticmethod
    def _account(gateway: str, accepted: int, gap: Gap | None) -> tuple[Account, ...]:
        counts: Counter[tuple[str, str]] = Counter()
        for n in range(1, accepted + 1):
            kinds = ["read", "accepted"]
            if gap is not None and gap.first <= n <= gap.last:
                kinds.append("dropped:full")
            counts.update((device_of(gateway, n), kind) for kind in kinds)
        return tuple(Account(device, NOW, kind, n) for (device, kind), n in counts.items())


LedgerSide = FakeLedgerSide | RealLedgerSide
ALL = AskedLedger(NOW - 1, NOW + 2)


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LedgerSide]:
    if request.param == "fake":
        yield FakeLedgerSide()
        return
    made = RealLedgerSide(tmp_path)
    running = asyncio.create_task(made.service.run(), name="cloud")
    await made.service.started.wait()
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.store.close()
        await made.records.close()


def lines(found: LedgerReport) -> list[tuple[str | None, str | None, int | None, int, int, int, int]]:
    return [
        (n.gateway, n.device, n.hour, n.figures.accepted, n.figures.stored, n.figures.missing, n.figures.sent)
        for n in found.lines
    ]


async def test_the_way_of_readings_by_gateway_device_and_hour(side: LedgerSide):
    ids = await furnish(side)
    await side.gateway("gw-1", 10, range(1, 7), Gap(7, 8, "full"))
    await side.gateway("gw-9", 4, range(1, 5))
    await side.gateway("gw-old", 0, range(1, 4), tells=False)
    by_gateway = await side.backend.ledger(SCOPE, ALL)
    assert lines(by_gateway) == [
        ("gw-1", None, None, 10, 6, 2, 8),
        ("gw-9", None, None, 4, 4, 0, 4),
        ("gw-old", None, None, 0, 3, 0, 3),
    ]
    assert [line.figures.balanced for line in by_gateway.lines] == [False, True, None]
    assert by_gateway.lines[0].figures.dropped == {"full": 2}
    standing = {b.gateway: (b.numbers, b.committed, b.dropped, b.unaccounted) for b in by_gateway.books}
    assert standing == {"gw-1": (10, 6, 2, 2), "gw-9": (4, 4, 0, 0), "gw-old": (0, 3, 0, 0)}

    async def asked(by: By, scope: Scope = SCOPE, device: str | None = None) -> LedgerReport:
        return await side.backend.ledger(scope, AskedLedger(NOW - 1, NOW + 2, by, "gw-1", device))

    assert lines(await asked("device")) == [
        ("gw-1", "cuff", None, 5, 3, 1, 4),
        ("gw-1", "oxi", None, 5, 3, 1, 4),
    ]
    assert lines(await asked("hour", device="oxi")) == [(None, None, NOW, 5, 3, 1, 4)]
    earlier = await side.backend.ledger(SCOPE, AskedLedger(NOW - 9, NOW))
    assert (lines(earlier), earlier.earlier) == ([], 2)
    ward = await side.backend.ledger(Scope("main", frozenset({ids["ward"]})), ALL)
    assert [line[0] for line in lines(ward)] == ["gw-1"]
    assert {b.gateway for b in ward.books} == {"gw-1"}
    for scope in (
        Scope("main", frozenset({ids["other"]})),
        Scope("other"),
        Scope("main", None, ids["patient"]),
    ):
        nothing = await side.backend.ledger(scope, ALL)
        assert (lines(nothing), list(nothing.books)) == ([], [])


async def test_writing_off(side: LedgerSide):
    ids = await furnish(side)
    await side.gateway("gw-1", 10, range(1, 7))
    await side.gateway("gw-9", 2, range(1, 3))
    elsewhere = Principal("u", "U", "main", frozenset({Role.ENGINEER}), frozenset({ids["other"]}))
    for who, gateway, reason, field, code in (
        (WHO, "gw-1", " ", "reason", "required"),
        (WHO, "gw-1", "x" * 501, "reason", "invalid"),
        (WHO, "gw-2", "gone", "boot", "unknown"),
        (elsewhere, "gw-1", "gone", "boot", "unknown"),
        (WHO, "gw-9", "gone", "boot", "state"),
    ):
        with pytest.raises(DirectoryError) as refused:
            await side.backend.write_off(who, gateway, f"{gateway}-boot", reason)
        assert (refused.value.field, refused.value.code) == (field, code)
    done = await side.backend.write_off(WHO, "gw-1", "gw-1-boot", "the  disk was replaced")
    assert (done.gateway, done.boot, done.numbers, done.reason, done.by) == (
        "gw-1",
        "gw-1-boot",
        4,
        "the disk was replaced",
        "usr_eva",
    )
    found = await side.backend.ledger(SCOPE, ALL)
    assert [(b.unaccounted, b.written_off) for b in found.books] == [(0, 4), (0, 0)]
    figures = found.lines[0].figures
    assert (figures.missing, figures.written_off, figures.balanced) == (0, 4, True)
