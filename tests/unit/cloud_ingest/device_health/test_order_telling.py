"""Work orders on their way to webhooks that do not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.channels.base import Handover, Message
from cloud_ingest.device_health.order_telling import REST_MOST, OrderTelling
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import DeliveryTemporary
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Role, Scope

SYSTEM = Scope.system("main")
CLOCK = EventClock(1_800_000_000 * SECOND, frozen_monotonic=True)


class Receivers:
    """A channel of which some receivers are away, and each answer takes ``takes_s``."""

    name = "webhook"
    confirms = False

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.tried: list[tuple[str, str]] = []
        self.taken: list[Message] = []
        self.takes_s = 0

    async def send(self, message: Message) -> Handover:
        self.tried.append((message.target, message.id))
        CLOCK.advance(self.takes_s)
        if message.target in self.away:
            msg = "away"
            raise DeliveryTemporary(msg, channel=self.name)
        self.taken.append(message)
        return Handover("taken")

    async def check(self) -> None:
        """Nothing to see."""

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = Records.open(tmp_path / "records.db", clock=CLOCK, ids=SeededIds(1))

    def furnish(session: Session) -> None:
        directory = opened.directory(session)
        directory.gateways.create(SYSTEM, ident="gw-1")
        directory.devices.create(SYSTEM, gateway="gw-1", transport="ble", address="AA:01", ident="oxi")
        for n in range(3):
            opened.fleet(session).open_order(SYSTEM, "oxi", by=None, text={"en": f"look {n}"})

    opened.run_now(furnish)
    yield opened
    opened.close_now()


def telling(records: Records, channel: Receivers, *ends: str) -> OrderTelling:
    reach = Reach(channels={"webhook": channel}, endpoints={"webhook": ends})
    return OrderTelling("main", records, lambda: reach, CLOCK, Telemetry())


async def test_a_receiver_that_is_away_is_left_alone_for_longer_and_longer(records: Records):
    channel = Receivers()
    channel.away = {"@cmms"}
    one = telling(records, channel, "cmms")
    for _ in range(1 + 1 + 2 + 3 + 5):  # asked at the looks 0, 1, 3, 6, 11
        await one.look()
    assert len(channel.tried) == 5
    for _ in range(2880):
        await one.look()
    assert len(channel.tried) < 5 + 2 + 2880 / REST_MOST + 3  # of a day
    channel.away.clear()
    for _ in range(REST_MOST + 1):
        await one.look()
    assert len(set(channel.tried)) == 3
    assert await one.look() == 0


async def test_others_get_every_order_once_while_one_is_away(records: Records):
    channel = Receivers()
    channel.away = {"@cmms"}
    one = telling(records, channel, "cmms", "desk")
    for _ in range(20):
        assert await one.look() == 0
    assert sum(target == "@desk" for target, _ in channel.tried) == 3
    channel.away.clear()
    assert sum([await one.look() for _ in range(REST_MOST)]) == 3


async def test_others_get_all_there_is_while_one_is_away_however_much_that_is(
    records: Records, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("cloud_ingest.device_health.order_telling.MOST", 2)
    channel = Receivers()
    channel.away = {"@cmms"}
    one = telling(records, channel, "cmms", "desk")
    for _ in range(3):
        await one.look()
    assert len({ident for target, ident in channel.tried if target == "@desk"}) == 3
    assert sum(target == "@desk" for target, _ in channel.tried) == 3
    channel.away.clear()
    assert sum([await one.look() for _ in range(REST_MOST)]) == 3


async def test_a_slow_receiver_does_not_hold_up_the_looks(records: Records):
    channel = Receivers()
    channel.takes_s = 4
    one = telling(records, channel, "cmms")
    assert [await one.look() for _ in range(2)] == [2, 1]


async def test_each_step_is_told_in_its_order_and_by_the_same_id_however_often(records: Records):
    channel = Receivers()
    one = telling(records, channel, "cmms")
    assert await one.look() == 3
    (first, *_) = channel.taken
    channel.taken.clear()
    key, said = first.id, first.text.removeprefix("oxi: ")

    def work(session: Session) -> None:
        users, fleet = records.users(session), records.fleet(session)
        eva, ina = (
            users.add(SYSTEM, login=name.lower(), name=name, roles=[Role.ENGINEER]) for name in ("Eva", "Ina")
        )
        fleet.assign(SYSTEM, key, eva.id, eva.id)
        fleet.assign(SYSTEM, key, ina.id, ina.id, eva.id)
        fleet.comment(SYSTEM, key, "between us", ina.id)
        fleet.assign(SYSTEM, key, eva.id, ina.id)
        fleet.finding_gone(SYSTEM, key)
        fleet.finish(SYSTEM, key, "new cell", eva.id)

    records.run_now(work)
    channel.away = {"@cmms"}
    assert await one.look() == 0
    again = telling(records, channel, "cmms")  # a restart meanwhile
    channel.away.clear()
    assert await again.look() == 5
    assert [m.id for m in channel.taken] == [f"{key}.{n}" for n in (2, 3, 5, 6, 7)]
    assert channel.tried.count(("@cmms", f"{key}.2")) == 2
    assert [(m.kind, m.text) for m in channel.taken] == [
        ("work_order_assigned", f"oxi: given to Eva: {said}"),
        ("work_order_reassigned", f"oxi: taken over by Ina from Eva: {said}"),
        ("work_order_reassigned", f"oxi: given to Eva instead of Ina: {said}"),
        ("work_order_gone", f"oxi: no longer found: {said}"),
        ("work_order_done", f"oxi: done by Eva (new cell): {said}"),
    ]
    told = [m.work for m in channel.taken if m.work is not None]
    assert [(w["state"], w["assignee"], w["before"], w["by"]) for w in told] == [
        ("assigned", "Eva", None, "Eva"),
        ("assigned", "Ina", "Eva", "Ina"),
        ("assigned", "Eva", "Ina", "Ina"),
        ("assigned", "Eva", None, None),
        ("done", "Eva", None, "Eva"),
    ]
    assert await again.look() == 0
    assert first.work is not None
    assert (first.kind, first.work["state"], first.work["assignee"]) == ("work_order", "open", None)


async def test_what_nobody_took_for_a_day_is_told_no_more(records: Records):
    channel = Receivers()
    channel.away = {"@cmms"}
    one = telling(records, channel, "cmms")
    assert await one.look() == 0
    CLOCK.advance(86_401)
    channel.away.clear()
    assert await one.look() == 0
    assert channel.taken == []
