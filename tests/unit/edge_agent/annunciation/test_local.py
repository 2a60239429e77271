"""What is told at the gateway, and when."""

from __future__ import annotations

import asyncio

import pytest

from edge_agent.annunciation import FakeAnnunciator, LocalAlarm, LocalAlarms
from edge_agent.annunciation import local as module
from edge_agent.annunciation.local import AWAY_S, LINK_LOST_S, PAUSE_S, REPEAT_S, When
from hearthward.core.telemetry import Telemetry
from tests.unit.edge_agent.annunciation.made import T0, alarm
from tests.unit.edge_agent.decided import HandClock
from tests.unit.edge_agent.linked import HandLink


class Room:
    """Local alarms, one annunciator, a link that can be cut."""

    def __init__(self, when: When = "offline", *, broken: bool = False) -> None:
        self.clock, self.link, self.fake = HandClock(), HandLink(), FakeAnnunciator()
        self.telemetry = Telemetry()
        others = [FakeAnnunciator(broken=True)] if broken else []
        self.local = LocalAlarms(
            when, self.link, [*others, self.fake], clock=self.clock, telemetry=self.telemetry
        )

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.local._look()
        self.local._tell()

    def cut(self) -> None:
        self.link.up = False
        self.after(0)
        self.after(AWAY_S)

    def mend(self) -> None:
        self.link.up = True
        self.after(0)

    @property
    def told(self) -> list[str]:
        return [a.id for a in self.fake.alarms]


def test_while_the_hospital_is_reached_it_tells():
    room = Room()
    room.local.update([alarm()])
    assert room.told == []
    assert [a.id for a in room.local.present] == ["alm_1"]
    assert not room.local.tells("alm_1")


def test_when_it_is_not_everything_present_is_told_and_what_began_then_until_it_ends():
    room = Room()
    room.local.update([alarm()])
    room.cut()
    assert room.told == ["alm_1"]
    room.local.update([alarm(), alarm("alm_2", "medium")])
    assert room.told == ["alm_1", "alm_2"]
    room.mend()
    assert room.told == ["alm_2"], "the hospital tells of the other again"
    assert room.local.tells("alm_2")
    room.local.update([alarm()])
    assert room.told == []


@pytest.mark.parametrize(("when", "told"), [("always", ["alm_1"]), ("never", [])])
def test_always_and_never(when: When, told: list[str]):
    room = Room(when)
    room.local.update([alarm()])
    assert room.told == told
    room.cut()
    assert room.told == told
    assert room.fake.shown[-1][1].reached is (when == "never")


def test_a_broker_that_answers_does_not_mean_that_the_hospital_is_reached():
    room = Room()
    room.link.waiting = 5
    room.after(LINK_LOST_S - 0.1)
    assert room.local.link.reached
    room.after(0.1)
    assert not room.local.link.reached
    assert room.local.link.backlog == 5
    room.link.receipts = 3
    room.after(0)
    assert room.local.link.reached
    assert room.local.link.receipt == T0 + round(LINK_LOST_S * 1e9)


def test_where_nothing_waits_no_receipt_is_missed():
    room = Room()
    room.after(1000)
    assert room.local.link.reached


def test_a_short_interruption_is_not_told():
    room = Room()
    room.link.up = False
    room.after(AWAY_S - 0.5)
    room.mend()
    assert all(state.reached for _, state in room.fake.shown)


def test_the_gravest_first_then_the_newest():
    room = Room("always")
    room.local.update([alarm("a", "low"), alarm("b"), alarm("c", started=T0 + 1), alarm("d", "medium")])
    assert room.told == ["c", "b", "d", "a"]


def test_a_pause_of_the_sound_ends_by_itself_and_any_new_alarm_breaks_through():
    room = Room("always")

    def audible() -> list[bool]:
        return [a.audible for a in room.fake.alarms]

    room.local.update([alarm()])
    assert audible() == [True]
    room.local.pause()
    assert audible() == [False]
    assert room.local.quiet_until is not None
    room.after(PAUSE_S - 1)
    assert audible() == [False]
    room.after(1)
    assert audible() == [True], "what is still there is heard again"
    assert room.local.quiet_until is None
    room.local.pause()
    room.local.update([alarm(), alarm("alm_2", "low")])
    assert audible() == [True, True]


def test_what_is_told_is_shown_again_now_and_then():
    room = Room("always")
    room.local.update([alarm()])
    n = len(room.fake.shown)
    room.after(REPEAT_S - 1)
    assert len(room.fake.shown) == n
    room.after(1)
    assert len(room.fake.shown) == n + 1


def test_one_that_is_broken_keeps_no_other_from_telling(caplog: pytest.LogCaptureFixture):
    room = Room("always", broken=True)
    room.local.update([alarm()])
    room.local.update([alarm("alm_2")])
    assert room.told == ["alm_2"]
    assert room.telemetry.value("annunciation_failed_total", annunciator="fake") == 2
    assert caplog.text.count("cannot be told") <= 2


def test_a_link_that_cannot_be_asked_counts_as_cut(monkeypatch: pytest.MonkeyPatch):
    room = Room()
    room.local.update([alarm()])
    assert room.told == []

    def fails() -> int:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(room.link, "backlog", fails)
        room.after(0)
        assert room.told == ["alm_1"]
        assert room.telemetry.value("annunciation_failed_total", annunciator=module.LINK) == 1
    room.after(0)
    room.local.update([])
    assert room.told == []


async def test_it_looks_after_the_link_by_itself_and_closes_what_tells(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    room, seen = Room(), asyncio.Event()
    real = room.fake.show

    def show(alarms: tuple[LocalAlarm, ...], link: object) -> None:
        real(alarms, link)  # type: ignore[arg-type]
        if not room.fake.shown[-1][1].reached:
            seen.set()

    room.fake.show = show  # type: ignore[assignment,method-assign]
    task = asyncio.create_task(room.local.run())
    await asyncio.sleep(0)
    room.link.up = False
    room.clock.advance(AWAY_S)
    async with asyncio.timeout(10):
        await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert room.fake.closed
