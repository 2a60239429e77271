from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edge_agent.trust_store import CloudTrust, forget_cloud, kept_cloud
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.messages import ConfigDocument, Receipt
from hearthward.trust.keys import SigningKey, fingerprint

OURS, THEIRS = SigningKey.new(), SigningKey.new()
PLAIN = ConfigDocument("gw-1", 1, {"tenant": "main"})


def signed(key: SigningKey, document: ConfigDocument = PLAIN) -> ConfigDocument:
    named = document.signed(key.public, b"")
    return document.signed(key.public, key.sign(named.signed_part()))


def receipt(key: SigningKey) -> Receipt:
    plain = Receipt("gw-1", "boot", "ses", ())
    return plain.signed(key.sign(plain.signed_part()))


@pytest.fixture
def clock() -> EventClock:
    return EventClock(10**18, frozen_monotonic=True)


def reason_of(trust: CloudTrust, document: ConfigDocument) -> str:
    with pytest.raises(ConfigError) as caught:
        trust.check_document(document)
    return str(caught.value.details["reason"])


async def test_the_first_cloud_in_force_is_kept_and_no_other_believed(tmp_path: Path, clock: EventClock):
    path = tmp_path / "edge" / "cloud-key"
    trust = CloudTrust(path, clock=clock)
    await trust.load()
    assert trust.key is None
    assert trust.check_receipt(receipt(OURS)) == "no-key"
    trust.check_document(signed(OURS))
    assert await trust.keep(signed(OURS))
    assert not await trust.keep(signed(THEIRS))
    assert reason_of(trust, signed(THEIRS)) == "key"
    again = CloudTrust(path, clock=clock)
    await again.load()
    assert again.key == OURS.public
    again.check_document(signed(OURS))
    assert again.check_receipt(receipt(OURS)) is None
    assert again.check_receipt(receipt(THEIRS)) == "signature"
    assert reason_of(again, signed(THEIRS)) == "key"


async def test_a_given_key_is_the_only_one_and_nothing_is_kept(tmp_path: Path, clock: EventClock):
    path = tmp_path / "cloud-key"
    trust = CloudTrust(path, clock=clock, key=THEIRS.public)
    await trust.load()
    assert reason_of(trust, signed(OURS)) == "key"
    assert not await trust.keep(signed(THEIRS))
    assert not path.exists()


@pytest.mark.parametrize("known", [OURS.public, None], ids=["told", "met"])
def test_unsigned_and_forged_documents_are_refused_by_their_reason(
    known: bytes | None, tmp_path: Path, clock: EventClock
):
    trust = CloudTrust(tmp_path / "key", clock=clock, key=known)
    assert reason_of(trust, PLAIN) == "unsigned"
    assert reason_of(trust, PLAIN.signed(OURS.public, b"")) == "unsigned"
    good = signed(OURS)
    assert reason_of(trust, good.signed(THEIRS.public, good.signature)) == "signature"
    other = ConfigDocument("gw-1", 2, {"tenant": "main"})
    assert reason_of(trust, other.signed(good.key, good.signature)) == "signature"


def test_a_gateway_that_refuses_its_cloud_is_not_silent(
    tmp_path: Path, clock: EventClock, caplog: pytest.LogCaptureFixture
):
    trust = CloudTrust(tmp_path / "key", clock=clock, key=OURS.public)
    trust.check_document(signed(OURS))
    assert trust.trouble() == {}
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            clock.advance(1)
            assert reason_of(trust, signed(THEIRS)) == "key"
    assert len(caplog.records) == 1
    assert fingerprint(OURS.public) in caplog.text
    clock.advance(86_400)  # for as long as nothing is heard of the right one
    assert trust.trouble() == {"trust": "key"}
    assert trust.check_receipt(receipt(OURS)) is None
    assert trust.trouble() == {}


def test_a_forger_among_good_receipts_shows_for_ten_minutes(tmp_path: Path, clock: EventClock):
    trust = CloudTrust(tmp_path / "key", clock=clock, key=OURS.public)
    assert trust.check_receipt(receipt(THEIRS)) == "signature"
    for _ in range(9):
        clock.advance(60)
        assert trust.check_receipt(receipt(OURS)) is None
        assert trust.trouble() == {"trust": "signature"}
    clock.advance(61)
    assert trust.trouble() == {}


async def test_a_damaged_key_is_moved_aside_and_the_next_cloud_is_the_first(
    tmp_path: Path, clock: EventClock
):
    path = tmp_path / "cloud-key"
    trust = CloudTrust(path, clock=clock)
    assert await trust.keep(signed(OURS))
    whole = path.read_bytes()
    for damaged in (b"", whole[1:], b"\xff" + whole, whole.replace(whole[:1], b"g", 1), whole[:70]):
        path.write_bytes(damaged)
        assert kept_cloud(path) is None
        assert (tmp_path / "cloud-key.garbled").read_bytes() == damaged
        assert not path.exists()


async def test_a_deliberate_change_of_cloud_forgets_the_former(tmp_path: Path, clock: EventClock):
    path = tmp_path / "cloud-key"
    assert forget_cloud(path) is None
    assert await CloudTrust(path, clock=clock).keep(signed(OURS))
    assert forget_cloud(path) == OURS.public
    trust = CloudTrust(path, clock=clock)
    await trust.load()
    trust.check_document(signed(THEIRS))


async def test_a_key_that_cannot_be_kept_is_not_believed(tmp_path: Path, clock: EventClock):
    (tmp_path / "file").write_text("")
    trust = CloudTrust(tmp_path / "file" / "key", clock=clock)
    with pytest.raises(StoreUnavailable, match="cannot be kept"):
        await trust.keep(signed(OURS))
    assert trust.key is None
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await CloudTrust(tmp_path, clock=clock).load()
