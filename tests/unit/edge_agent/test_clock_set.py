"""A gateway whose clock is wrong, and is set: readings, frames and decisions, also as the cloud has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_ingest.adopting import read_decisions
from cloud_ingest.clocks import GatewayClocks, correct
from edge_agent import EdgeDecider, FakeOutbox, FakeStateStore
from edge_agent.uplink.eras import ClockEras
from hearthward.core.clock import SECOND
from hearthward.core.model import ReadingBatch
from hearthward.core.steady_clock import BELIEVE_S, SteadyClock
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, Frame, decode_block
from rules import Context, Limit, RuleSet
from rules.conditions import Missing
from rules.rule import Parameter
from tests.unit.edge_agent.decided import GATEWAY, RULES, T0, Edge, HandClock, document, knowledge, reading
from tests.unit.rules.made import make, threshold

DAY = 86_400
SKEW_NS = 5 * SECOND
SEQUEL = int(2 * BELIEVE_S + 300)
"""Longer than two waits for a clock, one after the other, and then some."""


class Gateway:
    """What is stamped, decided and sent by one steady clock, and how a cloud with the right time has it."""

    def __init__(self, off: float) -> None:
        self.machine = HandClock(off)
        self.off = off
        self.clock = SteadyClock(self.machine)
        self.outbox = FakeOutbox()
        self.eras = ClockEras(self.clock.now_ns(), self.clock.monotonic_ns())
        self.decider = EdgeDecider(
            GATEWAY, self.outbox, FakeStateStore(), clock=self.clock, telemetry=Telemetry()
        )
        self.cloud = GatewayClocks(SKEW_NS)
        self.sent = 0
        self.words: list[tuple[str, str, float]] = []
        self.measured: list[float] = []
        self.walls: set[float] = set()

    async def start(self, **more: object) -> Gateway:
        self.decider.configure(knowledge(**more))
        await self.decider.begin()
        return self

    @property
    def true(self) -> int:
        """What the cloud's clock shows."""
        return self.machine.now_ns() - round(self.off * SECOND)

    def set_to(self, off: float) -> None:
        self.machine.jump(off - self.off)
        self.off = off

    async def read(self, spo2: float, heart_rate: float) -> None:
        """One second more."""
        self.machine.advance(1)
        now = self.clock.now_ns()
        fields = {"received": now, "corrected": now}
        self.outbox.add(
            ReadingBatch.of(
                [reading(0, spo2, **fields), reading(0, heart_rate, metric="heart_rate", **fields)]
            )
        )
        await self.decider.decide()
        await self.decider.keep()
        self.send()

    def send(self) -> None:
        """Frames of what is new, as the uplink sends them; the cloud takes each at once."""
        mono = self.clock.monotonic_ns()
        self.eras.look(self.clock.now_ns(), mono, self.outbox.accepted)
        for block in self.outbox.blocks:
            if block.first > self.sent:
                former = self.eras.wall(block.first, mono)
                wall = self.clock.now_ns() if former is None else former
                frame = Frame(
                    GATEWAY, "boot-1", (block,), wall, mono, synchronised=former is None, session="s"
                )
                self.take(block, self.cloud.see(frame, self.true, mono).offset)
                self.walls.add(round((wall - self.true) / SECOND))
                self.sent = block.last

    def take(self, block: Block, offset: int) -> None:
        if block.decisions:
            words, bad = read_decisions(block.payload, block.count, offset)
            assert not bad
            self.words += [(w.kind, w.rule, round((w.at - T0) / SECOND, 1)) for _, w in words]
            shown = {round((i["time"] - T0) / SECOND, 1) for _, w in words for i in w.inputs}
            assert shown <= set(self.measured), "a decision names readings by the times that they have"
            assert all(abs(w.decided - self.true) < SECOND for _, w in words)
            return
        batch = decode_block(block.payload)
        correct(batch, offset)
        self.measured.append(round((batch.corrected[0] - T0) / SECOND, 1))


@pytest.mark.parametrize("off", [-DAY, DAY, -3000, 3000, -60])
async def test_through_a_lasting_correction_all_carry_one_time_and_no_alarm_vanishes(off: int):
    """The clock is set right after ten seconds; an alarm is open all the time, others begin and end."""
    gateway = await Gateway(off).start(associations=[["dev_1", "pat_1", T0 - 7 * DAY * SECOND, None]])
    for n in range(1, SEQUEL):
        if n == 10:
            gateway.set_to(0)
        busy = n > 100 and n % 50 < 25
        await gateway.read(97 if n < 5 or n >= SEQUEL - 3 else 84, 130 if busy else 80)
        assert gateway.measured[-1] == n
        if 5 <= n < SEQUEL - 3:
            assert "spo2-low" in {a.rule for a in gateway.decider.alarms}
    assert gateway.walls == {off, 0}, "it was believed in the meantime"
    low = [(kind, at) for kind, rule, at in gateway.words if rule == "spo2-low"]
    assert low == [("start", 5.0), ("end", SEQUEL - 3.0)]
    high = [(kind, at) for kind, rule, at in gateway.words if rule == "heart-rate-high"]
    begun = [n for n in range(101, SEQUEL) if n % 50 == 0 or n == 101]
    expected = [("start", begun[0] + 10.0), *(("start", n + 10.0) for n in begun[1:] if n + 10 < SEQUEL)]
    assert [w for w in high if w[0] == "start"] == expected
    ends = [("end", n + 25.0) for n in range(100, SEQUEL - 25, 50)]
    assert [w for w in high if w[0] == "end"] == ends


@pytest.mark.parametrize("jump", [-DAY, DAY])
async def test_a_day_ahead_and_back_changes_nothing(jump: int):
    gateway = await Gateway(0).start()
    for n in range(1, 60):
        gateway.set_to(jump if 10 <= n < 40 else 0)
        await gateway.read(97 if n < 20 or n > 50 else 84, 80)
    assert gateway.walls == {0}
    assert gateway.words == [("start", "spo2-low", 20.0), ("end", "spo2-low", 51.0)]


@pytest.mark.parametrize("jump", [-3600, 3600])
async def test_a_clock_that_is_set_makes_nobody_silent_and_hides_no_silence(tmp_path: Path, jump: int):
    rules = RuleSet((*RULES, make("no-data", Missing("spo2", 60.0), max_age_s=3600)))
    people = {"pat_1": Context(expected={"spo2": T0}), "pat_2": Context(expected={"spo2": T0})}
    edge = await Edge(tmp_path, knowledge(rules, contexts=people)).start()
    await edge.read(reading(1, 97), reading(1, 97, "dev_2"))
    edge.clock.jump(jump)
    await edge.wait(1)
    assert edge.sent == [], "nobody fell silent"
    await edge.read(reading(jump + 2, 84))
    (low,) = edge.sent
    assert (low.rule, low.subject, low.onset) == ("spo2-low", "pat_1", T0 + (jump + 2) * SECOND)
    await edge.wait(61)
    assert edge.kinds[1:] == [("start", "no-data")] * 2
    edge.clock.jump(-jump)
    await edge.wait(1)
    assert {a.rule for a in edge.decider.alarms} == {"spo2-low", "no-data"}
    await edge.read(reading(65, 97), reading(65, 97, "dev_2"))
    assert sorted(edge.kinds[3:]) == [("end", "no-data"), ("end", "no-data"), ("end", "spo2-low")]
    assert edge.telemetry.value("edge_clock_set_total") == 2


@pytest.mark.parametrize("back", [3600, DAY])
async def test_what_was_kept_by_a_clock_that_was_put_back_since_goes_on(tmp_path: Path, back: int):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97))
    await edge.read(reading(2, 84))
    await edge.read(reading(3, 83), keep=False)
    edge.clock.jump(-back)
    await edge.start()
    assert [a.rule for a in edge.decider.alarms] == ["spo2-low"]
    await edge.read(reading(4 - back, 97))
    assert edge.kinds == [("start", "spo2-low"), ("end", "spo2-low")]


@pytest.mark.parametrize("behind", [1800, 4000, DAY])
async def test_a_gateway_that_starts_hours_behind_decides(behind: int):
    """Devices were given to patients, and limits set, in what is the future by its clock."""
    low = make("spo2-low", threshold("spo2", "below", "low", 2), parameters={"low": Parameter(85, 80, 95)})
    now = {"start": T0 - 600 * SECOND, "by": "dr", "reason": "ill"}
    limit = Limit("spo2-low", "low", 92, **now)  # type: ignore[arg-type]
    silent = make("no-data", Missing("spo2", 60.0), max_age_s=3600)
    gateway = await Gateway(-behind).start(
        rules=RuleSet((low, silent)),
        contexts={"pat_1": Context(limits=(limit,), expected={"spo2": T0 - 60 * SECOND}), "pat_2": Context()},
        associations=[
            ["dev_1", "pat_2", T0 - 7 * DAY * SECOND, T0 - 1000 * SECOND],
            ["dev_1", "pat_1", T0 - 1000 * SECOND, None],
        ],
    )
    for n in range(1, 20):
        await gateway.read(97 if n < 5 else 90, 80)
    assert gateway.words == [("start", "spo2-low", 5.0)]
    assert [a.text["en"] for a in gateway.decider.alarms] == ["< 92"]
    gateway.set_to(0)
    for _ in range(int(BELIEVE_S) + 1):
        await gateway.read(90, 80)
    assert gateway.walls == {-behind, 0}
    assert [a.rule for a in gateway.decider.alarms] == ["spo2-low"]
    gateway.machine.advance(61)
    await gateway.decider.decide()
    assert {a.rule for a in gateway.decider.alarms} >= {"no-data"}


async def test_a_document_that_comes_later_tells_that_the_clock_is_behind():
    edge = Edge(None)
    edge.clock.jump(-DAY)
    await edge.start(configured=False)
    edge.decider.configure(None)
    await edge.read(reading(1 - DAY, 97))
    edge.decider.configure(knowledge())
    await edge.read(reading(2 - DAY, 84))
    assert [(t.kind, t.subject) for t in edge.sent] == [("start", "pat_1")]


@pytest.mark.parametrize("jump", [0, DAY, -3600])
async def test_what_an_alarm_rests_on_is_known_though_the_clock_was_set(jump: int):
    edge = await Edge(None).start()
    await edge.read(reading(1, 97), reading(1, 130, metric="heart_rate"))
    edge.outbox.add(ReadingBatch.of([reading(2, 130, metric="heart_rate"), reading(2, 84)]))
    edge.clock.advance(1)
    edge.clock.jump(jump)
    await edge.decider.decide()
    await edge.decider.keep()
    assert [t.rule for t in edge.sent] == ["spo2-low"]
    assert edge.outbox.urgent.covers(4, 4), "stamped before, decided on after"
    await edge.read(reading(jump + 12, 97))
    assert edge.kinds[-2:] == [("start", "heart-rate-high"), ("end", "spo2-low")]
    assert edge.outbox.urgent.covers(2, 2), "decided on before"


async def test_decisions_that_wait_for_the_outbox_are_of_the_time_at_which_they_travel():
    edge = await Edge(None).start()
    await edge.read(reading(1, 97))
    await edge.read(reading(2, 84), keep=False)
    edge.clock.jump(DAY)
    await edge.wait(0)
    (start,) = edge.sent
    assert [start.onset, start.at, start.inputs[0]["time"]] == [T0 + (DAY + 2) * SECOND] * 3
    assert edge.outbox.urgent.covers(2, 2)


async def test_what_an_alarm_rests_on_is_known_after_a_restart(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97), reading(1, 130, metric="heart_rate"))
    assert edge.sent == []
    await edge.start()
    edge.outbox.blocks.insert(0, Block(1, 1, b"damaged"))
    await edge.start()
    await edge.wait(12)
    (start,) = edge.sent
    assert start.rule == "heart-rate-high"
    assert edge.outbox.urgent.covers(2, 2)


def test_when_a_document_was_issued_is_known():
    assert knowledge().issued == T0
    assert document().body["issued"] == T0
    assert knowledge(issued=5).issued == 5
