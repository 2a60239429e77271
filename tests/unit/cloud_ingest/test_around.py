"""What the cloud keeps of what gateways see."""

from __future__ import annotations

import asyncio

import pytest

from cloud_ingest.around import KEPT_S, MAX_GATEWAYS, AroundBoard
from cloud_ingest.asks import Asks
from cloud_ingest.sources.fake import MemorySource
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.device_states import Sighting
from hearthward.core.errors import UplinkError
from hearthward.core.sightings import Ask, Sightings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.keys import SigningKey


class Rig:
    def __init__(self) -> None:
        self.telemetry, self.clock = Telemetry(), EventClock(5)
        self.source = MemorySource()
        self.board = AroundBoard(
            Asks("main", self.source, SigningKey.new(), self.clock), self.clock, self.telemetry
        )

    def tell(self, gateway: str, *addresses: str, topic: str | None = None) -> None:
        seen = Sightings(gateway, "s", 1, tuple(Sighting("ble", a, 1, 1) for a in addresses))
        self.board.take(gateway if topic is None else topic, seen.encode())


def test_the_newest_word_stands_in_place_of_the_one_before():
    rig = Rig()
    rig.tell("gw-1", "a", "b")
    rig.clock.advance(1)
    rig.tell("gw-1", "c")
    (told,) = rig.board.all().values()
    assert [one.address for one in told.seen.sightings] == ["c"]
    assert told.at == rig.clock.now_ns()


def test_noise_and_who_speaks_for_another_are_counted_and_kept_out():
    rig = Rig()
    rig.board.take("gw-1", b"noise")
    rig.tell("gw-1", "a", topic="gw-2")
    assert rig.board.all() == {}
    assert rig.telemetry.value("messages_rejected_total", kind="sightings") == 2


def test_invented_gateways_do_not_fill_the_memory():
    rig = Rig()
    rig.tell("gw-1", "a")
    for n in range(MAX_GATEWAYS + 10):
        rig.tell(f"made-up-{n}")
    rig.tell("gw-1", "b")
    assert len(rig.board.all()) == MAX_GATEWAYS
    assert rig.board.all()["gw-1"].seen.sightings[0].address == "b"


async def test_without_a_broker_nobody_can_be_asked():
    with pytest.raises(UplinkError):
        await Rig().board.scan("gw-1", 10)


def test_what_was_told_an_hour_ago_is_forgotten_and_also_when_nobody_looks():
    rig = Rig()
    rig.tell("gw-1", "a")
    rig.clock.advance(KEPT_S)
    rig.tell("gw-2", "b")
    rig.board.forget()
    assert set(rig.board._told) == {"gw-1", "gw-2"}
    rig.clock.advance(1)
    rig.board.forget()
    assert set(rig.board._told) == {"gw-2"}
    assert set(rig.board.all()) == {"gw-2"}


def test_invented_gateways_that_tell_no_more_make_room():
    rig = Rig()
    for n in range(MAX_GATEWAYS):
        rig.tell(f"made-up-{n}")
    rig.tell("gw-1", "a")
    assert "gw-1" not in rig.board.all()
    rig.clock.advance(KEPT_S + 1)
    rig.board.forget()
    rig.tell("gw-1", "a")
    assert set(rig.board.all()) == {"gw-1"}


async def test_a_gateway_listens_for_as_long_as_it_was_asked_to():
    rig = Rig()

    async def nothing(*_of: object) -> None:
        pass

    task = asyncio.create_task(rig.source.run(nothing, nothing))
    await rig.source.wait_connected()
    await rig.board.scan("gw-1", 10)
    assert rig.board.listening() == {"gw-1": rig.clock.now_ns() + 10 * SECOND}
    rig.clock.advance(10)
    assert rig.board.listening() == {}
    await rig.board.scan("gw-1", 600)
    assert rig.board.listening() == {"gw-1": rig.clock.now_ns() + 60 * SECOND}, "a minute at most"
    await rig.board.give_consent("gw-1", "C0:00", 1, 1234)
    asks = [Ask.decode(message.payload) for message in rig.source.published]
    given = [(ask.kind, ask.consent) for ask in asks]
    assert given == [("scan", None), ("scan", None), ("consent", ("C0:00", 1, 1234))]
    assert len({ask.issued for ask in asks}) == 3, "each is newer than the one before"
    task.cancel()
    await asyncio.wait([task])
