"""Decisions stand in the outbox once, and before the state that has made them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from edge_agent import FakeOutbox, FakeStateStore
from edge_agent import keeping as module
from edge_agent.decision_store import Kept
from edge_agent.keeping import Keeper
from edge_agent.outbox import DECISIONS_BYTES
from edge_agent.retelling import RETOLD
from hearthward.core.clock import EventClock
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import MAX_BLOCK, Block, Gap, decode_decisions, encode_decisions
from rules import State
from rules.travelling import Travelling

STATE = State.empty("gw-1").to_bytes()


def decision(alarm: str, kind: str = "start") -> Travelling:
    return Travelling(kind, alarm, "ada", "spo2-low", "0" * 16, "active", "high", 1, 2, 3)


class SlowOutbox(FakeOutbox):
    """Commits when ``go`` is set; ``error`` is raised first, once."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.asked = asyncio.Event(), asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def append_decisions(
        self, decisions: Sequence[bytes], rests_on: Iterable[tuple[int, int]] = ()
    ) -> tuple[int, int]:
        self.asked.set()
        await self.go.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error
        return await super().append_decisions(decisions, rests_on)

    @property
    def alarms(self) -> list[str]:
        return [Travelling.decode(d).alarm for b in self.blocks for d in decode_decisions(b.payload)]


class Kit:
    def __init__(self) -> None:
        self.outbox, self.store, self.telemetry = SlowOutbox(), FakeStateStore(), Telemetry()
        self.clock = EventClock(0, frozen_monotonic=True)
        self.keeper = Keeper(self.outbox, self.store, self.clock, self.telemetry)
        self.stepped = 0

    def make(self) -> Kept:
        self.stepped += 1
        return Kept("boot-1", self.stepped, STATE)


async def test_the_state_is_kept_after_the_decisions_that_it_made():
    kit = Kit()
    kit.keeper.put(decision("a"), [])
    kit.outbox.go.clear()
    task = asyncio.create_task(kit.keeper.keep(kit.make))
    await kit.outbox.asked.wait()
    assert kit.store.payload is None
    kit.outbox.go.set()
    await task
    assert kit.outbox.alarms == ["a"]
    assert kit.store.payload is not None


async def test_stopped_while_it_is_being_committed_a_decision_stands_there_once():
    kit = Kit()
    kit.keeper.put(decision("a"), [])
    kit.outbox.go.clear()
    task = asyncio.create_task(kit.keeper.run(kit.make))
    await kit.outbox.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kit.keeper.put(decision("b"), [])
    kit.outbox.go.set()
    await kit.keeper.close(kit.make)
    assert kit.outbox.alarms == ["a", "b"]


async def test_it_does_not_wait_for_ever_to_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(module, "CLOSE_S", 0.01)
    kit = Kit()
    kit.keeper.put(decision("a"), [])
    kit.outbox.go.clear()
    await kit.keeper.close(kit.make)
    assert "made again at the next start" in caplog.text


async def test_the_same_decision_is_put_there_once_and_one_that_stands_there_not_at_all():
    kit = Kit()
    kit.keeper.put(decision("a"), [])
    kit.keeper.put(decision("a"), [])
    kit.keeper.put(decision("b"), [])
    kit.keeper.remember(Block(7, 1, encode_decisions([decision("b").encode(), decision("c").encode()])))
    kit.keeper.put(decision("c"), [])
    kit.keeper.put(decision("c", "end"), [])
    await kit.keeper.keep(kit.make)
    assert kit.outbox.alarms == ["a", "c"]


async def test_a_block_of_decisions_that_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture):
    Kit().keeper.remember(Block(7, 1, b"nonsense"))
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("error", [StoreUnavailable("full"), StoreRejected("too large")])
async def test_trouble_with_the_outbox(error: Exception, monkeypatch: pytest.MonkeyPatch):
    async def at_once(_: float) -> None: ...

    monkeypatch.setattr(module.asyncio, "sleep", at_once)
    kit = Kit()
    kit.outbox.error = error
    kit.keeper.put(decision("a"), [])
    await kit.keeper.keep(kit.make)
    lost = isinstance(error, StoreRejected)
    assert kit.outbox.alarms == ([] if lost else ["a"])
    assert kit.telemetry.value("edge_decisions_lost_total") == lost
    assert kit.telemetry.value("edge_decisions_waiting_total") == (not lost)


async def test_a_state_that_cannot_be_written_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    kit = Kit()

    def fails(_: Any) -> None:
        msg = "full"
        raise StoreUnavailable(msg)

    with monkeypatch.context() as patch:
        patch.setattr(kit.store, "save", fails)
        await kit.keeper.keep(kit.make)
    assert kit.telemetry.value("edge_state_unsaved_total") == 1
    await kit.keeper.keep(kit.make)
    assert kit.keeper.stepped("boot-1", 0) == 0, "no further than the outbox itself has come"
    assert kit.keeper.last("boot-1") is not None
    assert kit.keeper.last("boot-2") is None
    assert kit.keeper.stepped("boot-2", 5) == 5


async def test_nothing_new_is_not_written_again():
    kit = Kit()
    await kit.keeper.keep(lambda: Kept("boot-1", 1, STATE))
    kit.store.payload = None
    await kit.keeper.keep(lambda: Kept("boot-1", 1, STATE))
    assert kit.store.payload is None
    kit.keeper.hurry()
    await kit.keeper.keep(lambda: Kept("boot-1", 1, STATE))
    assert kit.store.payload is not None


async def test_many_decisions_go_in_blocks_each_with_its_own_pins_and_what_is_refused_by_halves():
    kit = Kit()
    asked: list[int] = []
    pins: list[tuple[int, int]] = []
    real = kit.outbox.append_decisions

    async def append(decisions: Sequence[bytes], rests_on: Iterable[tuple[int, int]] = ()) -> tuple[int, int]:
        asked.append(len(decisions))
        if len(decisions) > 100 or any(Travelling.decode(d).alarm == "a7" for d in decisions):
            msg = "too large"
            raise StoreRejected(msg)
        pins.extend(rests_on)
        assert len(decisions) == len(list(rests_on))
        return await real(decisions, rests_on)

    kit.outbox.append_decisions = append  # type: ignore[method-assign]
    for n in range(699):
        kit.keeper.put(decision(f"a{n}"), [(n, n)])
    await kit.keeper.keep(kit.make)
    assert max(asked) <= module.BLOCK_DECISIONS < 699
    assert kit.outbox.alarms == [f"a{n}" for n in range(699) if n != 7]
    assert pins == [(n, n) for n in range(699) if n != 7]
    assert kit.telemetry.value("edge_decisions_lost_total") == 1


async def test_blocks_are_bounded_in_bytes_far_below_what_the_outbox_takes():
    kit = Kit()
    for n in range(200):
        kit.keeper.put(replace(decision(f"a{n}"), text={"en": "x" * 2000}), [])
    await kit.keeper.keep(kit.make)
    assert len(kit.outbox.alarms) == 200
    assert max(len(block.payload) for block in kit.outbox.blocks) < DECISIONS_BYTES
    assert 2 * module.BLOCK_BYTES <= DECISIONS_BYTES
    assert module.BLOCK_DECISIONS < MAX_BLOCK


async def test_a_loss_is_told_for_ten_minutes_and_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "QUEUE", 3)
    kit = Kit()
    assert not kit.keeper.lost
    for n in range(5):
        kit.keeper.put(decision(f"a{n}"), [])
    assert kit.telemetry.value("edge_decisions_lost_total") == 2
    assert kit.keeper.lost
    await kit.keeper.keep(kit.make)
    assert kit.outbox.alarms == ["a2", "a3", "a4"], "the newest"
    kit.clock.advance(module.LOST_S - 1)
    assert kit.keeper.lost
    kit.clock.advance(1)
    assert not kit.keeper.lost


async def test_what_is_decided_while_it_waits_goes_after_it_and_once():
    kit = Kit()
    kit.keeper.put(decision("a"), [])
    kit.outbox.go.clear()
    task = asyncio.create_task(kit.keeper.keep(kit.make))
    await kit.outbox.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kit.keeper.put(decision("b"), [])
    again = asyncio.create_task(kit.keeper.keep(kit.make))
    kit.outbox.go.set()
    await again
    assert kit.outbox.alarms == ["a", "b"]


async def test_after_damage_to_the_outbox_the_newest_decisions_are_told_again_once():
    kit = Kit()
    for alarm in "ab":
        kit.keeper.put(decision(alarm), [])
        kit.keeper.put(decision(alarm, "end"), [])
    await kit.keeper.keep(kit.make)
    kit.outbox.gaps = (Gap(1, 2, "full"),)
    await kit.keeper.keep(kit.make)
    assert kit.outbox.alarms == ["a", "a", "b", "b"], "what was dropped for want of room was no decision"
    kit.outbox.gaps = (Gap(1, 2, "full"), Gap(3, 4, "corrupt"))
    for _ in range(2):
        await kit.keeper.keep(kit.make)
    assert kit.outbox.alarms == ["a", "a", "b", "b"] * 2
    assert kit.telemetry.value("edge_decisions_retold_total") == 4


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
async def test_after_a_start_with_a_damaged_outbox_they_are_told_again_too(boot: str):
    kit = Kit()
    kit.keeper.put(decision("a", "end"), [])
    await kit.keeper.keep(kit.make)
    kit.outbox = SlowOutbox()
    kit.outbox.boot = boot
    if boot == "boot-1":
        kit.outbox.gaps = (Gap(1, 1, "corrupt"),)
    keeper = Keeper(kit.outbox, kit.store, kit.clock, kit.telemetry)
    await keeper.load()
    await keeper.keep(kit.make)
    assert kit.outbox.alarms == ["a"]


async def test_of_very_many_decisions_the_newest_are_told_again():
    kit = Kit()
    for n in range(RETOLD + 10):
        kit.keeper.put(decision(str(n)), [])
    await kit.keeper.keep(kit.make)
    kit.outbox.blocks.clear()
    kit.outbox.gaps = (Gap(1, 1, "corrupt"),)
    await kit.keeper.keep(kit.make)
    assert kit.outbox.alarms == [str(n) for n in range(10, RETOLD + 10)]


async def test_what_is_learned_anew_after_a_release_is_counted(monkeypatch: pytest.MonkeyPatch):
    kit = Kit()
    await kit.keeper.keep(kit.make)
    read = State.from_bytes

    def anew(payload: bytes) -> State:
        state = read(payload)
        state.anew = 2
        return state

    monkeypatch.setattr(State, "from_bytes", anew)
    assert await kit.keeper.load() is not None
    assert kit.telemetry.value("derived_begun_anew_total") == 2
