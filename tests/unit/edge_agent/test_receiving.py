from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from edge_agent import CloudTrust, Outbox
from edge_agent.uplink import receiving
from edge_agent.uplink.receiving import MOST_SIGNERS, Receiver
from edge_agent.uplink.sending import Sender
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.messages import ConfigDocument, Receipt, StoredBlock
from hearthward.core.telemetry import Telemetry
from hearthward.trust.keys import SigningKey

OURS, THEIRS = SigningKey.new(), SigningKey.new()


def document(version: int, key: SigningKey = OURS) -> ConfigDocument:
    named = ConfigDocument("gw-1", version, {"tenant": "main"}).signed(key.public, b"")
    return named.signed(key.public, key.sign(named.signed_part()))


class Link:
    """A receiver, what it was asked to put in force, and what fails next."""

    receiver: Receiver

    def __init__(self, trust: CloudTrust, telemetry: Telemetry, clock: EventClock, sender: Sender) -> None:
        self.trust, self.telemetry, self.clock, self.sender = trust, telemetry, clock, sender
        self.tried: list[int] = []
        self.in_force: list[int] = []
        self.errors: list[Exception] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.done = asyncio.Event()

    async def configure(self, found: ConfigDocument) -> None:
        self.tried.append(found.version)
        self.meanwhile()
        if self.errors:
            raise self.errors.pop(0)
        self.in_force.append(found.version)

    def take(self, *documents: ConfigDocument) -> None:
        for one in documents:
            self.receiver.take_config(one.encode(), retained=True)

    async def until(self, version: int) -> None:
        async with asyncio.timeout(5):
            while self.in_force[-1:] != [version] or self.receiver.config_hash != document(version).digest:
                self.done.clear()
                await self.done.wait()


@asynccontextmanager
async def linked(folder: Path, key: bytes | None = OURS.public) -> AsyncIterator[Link]:
    clock, telemetry = EventClock(10**18, frozen_monotonic=True), Telemetry()
    box = await Outbox.open(
        folder / "box", clock=clock, ids=SeededIds(1), telemetry=telemetry, max_bytes=2 << 20
    )
    sender = Sender(
        box,
        tenant="main",
        gateway="gw-1",
        session="ses",
        clock=clock,
        telemetry=telemetry,
        in_flight=8,
        resend_s=5.0,
        config=lambda: "",
    )
    trust = CloudTrust(folder / "cloud-key", clock=clock, key=key)
    link = Link(trust, telemetry, clock, sender)
    link.receiver = Receiver(
        sender,
        trust,
        clock=clock,
        telemetry=telemetry,
        on_config=link.configure,
        changed=link.done.set,
    )
    task = asyncio.create_task(link.receiver.configure())
    try:
        yield link
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await box.close()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "RETRY_FIRST_S", 0.0)


def full() -> StoreUnavailable:
    return StoreUnavailable("the disk is full")


async def test_refused_receipts_are_told_of_by_reason_for_ten_minutes(tmp_path: Path):
    async with linked(tmp_path) as link:
        boot = link.sender.boot

        def take(
            *blocks: StoredBlock, gateway: str = "gw-1", session: str = "ses", key: SigningKey = OURS
        ) -> None:
            plain = Receipt(gateway, boot, session, blocks)
            link.receiver.take_receipt(plain.signed(key.sign(plain.signed_part())).encode())

        take(session="ses_before")
        assert link.receiver.trouble() == {}, "sent before a start: sent again"
        link.receiver.take_receipt(b"?")
        for _ in range(2):
            take(StoredBlock(1, 1, b"x" * 8))
        take(key=THEIRS)
        take(gateway="gw-2")
        told = {"receipts": "gateway 1, malformed 1, never-sent 2, signature 1"}
        assert link.receiver.trouble() == told
        link.clock.advance(599)
        take()
        assert link.receiver.trouble() == told
        link.clock.advance(1)
        assert link.receiver.trouble() == {}


async def test_a_document_that_cannot_be_kept_is_tried_until_it_can(tmp_path: Path):
    async with linked(tmp_path) as link:
        link.errors = [full(), full()]
        link.take(document(1))
        await link.until(1)
        assert link.tried == [1, 1, 1]
        assert link.telemetry.by_label("config_refused_total", "reason") == {"apply": 2}


async def test_one_that_is_refused_for_good_is_tried_once(tmp_path: Path):
    async with linked(tmp_path) as link:
        link.errors = [ConfigError("what is this", reason="body")]
        link.meanwhile = lambda: link.take(document(2)) if link.tried == [1] else None
        link.take(document(1))
        await link.until(2)
        assert link.tried == [1, 2]


async def test_a_newer_one_takes_the_place_of_what_waits(tmp_path: Path):
    async with linked(tmp_path) as link:
        link.errors = [full()]
        link.meanwhile = lambda: link.take(*map(document, range(2, 40))) if link.tried == [1] else None
        link.take(document(1))
        await link.until(39)
        assert link.tried == [1, 39]
        link.errors = [full()]
        link.meanwhile = lambda: link.take(document(40), document(39)) if link.tried[-1] == 41 else None
        link.take(document(41))
        await link.until(41)
        assert link.tried == [1, 39, 41, 41]


async def test_a_cloud_whose_key_could_not_be_kept_at_first_is_believed_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """At the very first start: without it no receipt would be believed."""
    async with linked(tmp_path, key=None) as link:
        keep, fails = link.trust.keep, [full()]

        async def failing(found: ConfigDocument) -> bool:
            if fails:
                raise fails.pop()
            return await keep(found)

        monkeypatch.setattr(link.trust, "keep", failing)
        link.take(document(1))
        await link.until(1)
        assert link.trust.key == OURS.public


async def test_before_a_cloud_is_known_not_all_that_claim_to_be_it_are_remembered(tmp_path: Path):
    async with linked(tmp_path, key=None) as link:
        link.take(document(1), document(2, THEIRS), document(3, THEIRS))
        link.take(*(document(1, SigningKey.new()) for _ in range(20)))
        await link.until(1)
        link.take(document(4))  # after those that wait
        await link.until(4)
        assert link.in_force == [1, 4], "who came first"
        refused = link.telemetry.by_label("config_refused_total", "reason")
        assert refused == {"full": 20 - (MOST_SIGNERS - 2), "key": MOST_SIGNERS - 1}
