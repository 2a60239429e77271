"""The edge decides: alarms by the cloud's rules, in the outbox, and under the same names after a kill."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from edge_agent import deciding as module
from edge_agent.annunciation import FakeAnnunciator, LocalAlarms
from hearthward.core.clock import SECOND
from hearthward.core.codes import METRICS
from hearthward.core.model import Quality
from rules import Context, Engine, RuleSet
from rules.conditions import Missing
from rules.context import Limit
from tests.unit.edge_agent.decided import RULES, T0, Edge, knowledge, reading
from tests.unit.edge_agent.linked import HandLink
from tests.unit.rules.made import make, threshold


async def test_a_breach_is_an_alarm_that_travels_with_what_it_rests_on(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97), reading(1, 80, metric="heart_rate"))
    await edge.read(reading(2, 84))
    (start,) = edge.sent
    assert (start.kind, start.rule, start.subject, start.condition) == (
        "start",
        "spo2-low",
        "pat_1",
        "active",
    )
    assert (start.onset, start.values, start.limit) == (T0 + 2 * SECOND, {"spo2": 84.0}, "< 90")
    assert start.config == edge.known.digest
    assert start.rule_hash == RULES.hashes["spo2-low"]
    assert edge.decider.alarms[0].id == start.alarm
    assert edge.outbox.urgent.covers(3, 3), "the reading that breached"
    assert not edge.outbox.urgent.covers(1, 1)
    await edge.read(reading(3, 96))
    assert edge.kinds == [("start", "spo2-low"), ("end", "spo2-low")]
    assert edge.sent[1].alarm == start.alarm
    assert edge.decider.alarms == []
    await edge.read(reading(4, 80))
    assert edge.sent[2].alarm != start.alarm, "it alarms again, under another name"


async def test_timers_end_without_any_message(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(0, 130, metric="heart_rate"))
    await edge.wait(9)
    assert edge.sent == []
    await edge.wait(1.5)
    assert edge.kinds == [("start", "heart-rate-high")]
    assert edge.sent[0].at == T0 + 10 * SECOND


async def test_silence_is_noticed_and_a_restart_neither_ends_nor_doubles_it(tmp_path: Path):
    rules = RuleSet((make("no-data", Missing("spo2", 60.0), max_age_s=3600),))
    people = {"pat_1": Context(expected={"spo2": T0}), "pat_2": Context(expected={"spo2": T0})}
    edge = await Edge(tmp_path, knowledge(rules, contexts=people)).start()
    await edge.read(reading(1, 97), reading(20, 97, "dev_2"))
    await edge.wait(42)
    (first,) = edge.sent
    assert (first.subject, first.at) == ("pat_1", T0 + 61 * SECOND)
    edge.clock.advance(600)
    await edge.start()
    await edge.wait(59)
    assert len(edge.sent) == 1, "who was silent is; the gateway's own absence is nobody else's"
    await edge.wait(2)
    assert [(t.kind, t.subject) for t in edge.sent] == [("start", "pat_1"), ("start", "pat_2")]
    await edge.read(reading(800, 97))
    assert [(t.kind, t.alarm) for t in edge.sent][-1] == ("end", first.alarm)


@pytest.mark.parametrize("kept", [True, False])
async def test_an_alarm_of_before_a_kill_goes_on_under_its_name_and_is_sent_once(tmp_path: Path, kept: bool):  # noqa: FBT001
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97))
    await edge.read(reading(2, 84), keep=False)
    if kept:
        await edge.decider.keep()
    else:  # killed between the outbox and the file
        kept_state = (tmp_path / "decisions.snapshot").read_bytes()
        await edge.decider.keep()
        (tmp_path / "decisions.snapshot").write_bytes(kept_state)
    (before,) = edge.sent
    await edge.start()
    assert [a.id for a in edge.decider.alarms] == [before.alarm]
    await edge.decider.keep()
    assert len(edge.sent) == 1
    await edge.read(reading(3, 97))
    assert [(t.kind, t.alarm) for t in edge.sent] == [("start", before.alarm), ("end", before.alarm)]


async def test_killed_before_the_decision_was_kept_it_is_made_again_and_the_same(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97), keep=True)
    await edge.read(reading(2, 84), keep=False)
    (lost,) = edge.decider.alarms
    await edge.start()
    await edge.decider.keep()
    assert [t.alarm for t in edge.sent] == [lost.id]


async def test_a_full_disk_delays_decisions_and_state_but_not_telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from edge_agent import keeping

    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97))

    async def no_longer_full(_: float) -> None:
        edge.outbox.full = False

    monkeypatch.setattr(keeping.asyncio, "sleep", no_longer_full)
    await edge.read(reading(2, 84), keep=False)
    assert len(edge.decider.alarms) == 1
    edge.outbox.full = True
    await edge.decider.keep()
    assert edge.kinds == [("start", "spo2-low")]
    assert edge.telemetry.value("edge_decisions_waiting_total") == 1


async def test_a_damaged_state_is_put_aside_and_deciding_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 84))
    path = tmp_path / "decisions.snapshot"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    await edge.start()
    assert (tmp_path / "decisions.snapshot.garbled").exists()
    assert "deciding begins anew" in caplog.text
    assert [a.rule for a in edge.decider.alarms] == ["spo2-low"], "what is still in the outbox is stepped"
    await edge.decider.keep()
    assert len(edge.sent) == 1
    assert path.exists()


async def test_a_state_of_another_gateway_is_not_gone_on_with(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 84))
    edge.outbox.blocks.clear()
    edge.decider.gateway = "gw-2"
    await edge.decider.begin()
    assert edge.decider.alarms == []


async def test_what_was_receipted_before_its_turn_is_passed_over(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97))
    for n in (2, 3, 4):
        edge.outbox.add(_batch(reading(n, 97)))
    edge.outbox.receipted(2, 3)
    await edge.read(reading(5, 84))
    assert edge.telemetry.value("edge_passed_over_total") == 2
    assert edge.kinds == [("start", "spo2-low")]
    edge.outbox.add(_batch(reading(6, 97)))
    edge.outbox.blocks.clear()
    await edge.decider.decide()
    assert edge.decider.stepped == edge.outbox.accepted


async def test_an_outbox_made_anew_begins_to_count_anew(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 97))
    await edge.read(reading(2, 97))
    edge.outbox.boot, edge.outbox.accepted = "boot-2", 0
    edge.outbox.blocks.clear()
    await edge.read(reading(3, 84))
    assert edge.kinds == [("start", "spo2-low")]
    assert edge.outbox.urgent.covers(1, 1)


async def test_without_rules_nothing_is_decided_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    edge = await Edge(tmp_path).start(configured=False)
    assert edge.decider.trouble == {"rules": "absent"}
    await edge.read(reading(1, 84))
    assert edge.decider.stepped == 0
    with caplog.at_level(logging.WARNING):
        edge.decider.configure(None)
    assert "only the cloud decides" in caplog.text
    await edge.read(reading(2, 84))
    assert edge.sent == []
    edge.decider.configure(edge.known)
    assert edge.decider.trouble == {}
    await edge.read(reading(3, 84))
    assert edge.kinds == [("start", "spo2-low")]


async def test_a_limit_set_for_a_patient_holds_at_once(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    rule = make(
        "spo2-low", threshold("spo2", "below", "limit", 2), parameters=_parameter("limit", 90, 70, 95)
    )
    edge.decider.configure(knowledge(RuleSet((rule,)), contexts={"pat_1": Context(), "pat_2": Context()}))
    await edge.read(reading(1, 88))
    assert edge.kinds == [("start", "spo2-low")]
    mine = Context(limits=(Limit("spo2-low", "limit", 85.0, "Li Na", T0, "COPD"),))
    edge.decider.configure(knowledge(RuleSet((rule,)), contexts={"pat_1": mine, "pat_2": Context()}))
    await edge.read(reading(2, 88))
    assert edge.kinds[-1] == ("end", "spo2-low")


async def test_a_rule_taken_back_resets_and_a_patient_who_left_is_told_of_no_more(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 84), reading(1, 84, "dev_2"))
    edge.decider.configure(knowledge(contexts={"pat_1": Context()}))
    await edge.wait(0)
    assert [a.place for a in edge.decider.alarms] == ["pat_1"]
    assert [t.kind for t in edge.sent] == ["start", "start"], "the cloud knows why they have left"
    await edge.read(reading(2, 84, "dev_2"))
    assert len(edge.decider.alarms) == 1
    edge.decider.configure(knowledge(RuleSet(()), contexts={"pat_1": Context()}))
    await edge.wait(0)
    assert [t.kind for t in edge.sent] == ["start", "start", "reset"]


async def test_what_the_cloud_would_not_store_decides_nothing(tmp_path: Path):
    edge = await Edge(tmp_path).start()
    low = METRICS["spo2"].low - 1
    await edge.read(
        reading(1, low),
        reading(1, float("nan"), "dev_2"),
        reading(2, 80, quality=Quality.DEMO),
        reading(3, 80, metric="unknown-metric"),
    )
    assert edge.sent == []


async def test_a_device_on_nobody_is_a_subject_of_its_own(tmp_path: Path):
    rules = RuleSet((make("low-battery", threshold("battery_level", "below", 20, 5), subject="device"),))
    known = knowledge(rules, associations=[], places={"pat_1": "Bed 1"})
    edge = await Edge(tmp_path, known).start()
    await edge.read(reading(1, 10, metric="battery_level"))
    (start,) = edge.sent
    assert start.subject == "device:dev_1"
    assert edge.decider.alarms[0].place == "dev_1"


async def test_rules_in_shadow_are_not_decided_at_the_edge(tmp_path: Path):
    rules = RuleSet((make("spo2-low", threshold("spo2", "below", 90), shadow=True),))
    edge = await Edge(tmp_path, knowledge(rules)).start()
    await edge.read(reading(1, 84))
    assert edge.sent == []


async def test_a_block_on_which_the_rules_fail_is_left_out_and_the_next_are_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(1, 84))
    real = Engine._readings

    def fails(self: Engine, work: Any, event: Any) -> None:
        if 84.5 in event.rows.value:
            msg = "a bug"
            raise ZeroDivisionError(msg)
        real(self, work, event)

    monkeypatch.setattr(Engine, "_readings", fails)
    await edge.read(reading(2, 84.5), keep=False)
    assert edge.decider.trouble == {"rules": "failed"}
    assert "not judged here" in caplog.text
    await edge.read(reading(3, 97))
    assert edge.kinds == [("start", "spo2-low"), ("end", "spo2-low")]
    assert edge.telemetry.value("edge_undecided_total") == 1
    edge.decider.configure(edge.known)
    assert edge.decider.trouble == {}


async def test_a_block_whose_readings_cannot_be_attributed_is_left_out_too(tmp_path: Path):
    known = knowledge()
    real = known.rows

    class Sick:
        def __getattr__(self, name: str) -> Any:
            return getattr(known, name)

        def rows(self, batch: Any, at: int) -> Any:
            if 84.5 in batch.value:
                msg = "a bug"
                raise ZeroDivisionError(msg)
            return real(batch, at)

    edge = await Edge(tmp_path, cast("Any", Sick())).start()
    await edge.read(reading(1, 84))
    for n in range(5):
        await edge.read(reading(2 + n, 84.5), keep=n < 3)
    assert edge.decider.trouble == {"rules": "failed"}
    assert edge.decider._poison.pieces() == 1, "it takes no more room the more there are"
    await edge.read(reading(9, 97))
    assert edge.kinds == [("start", "spo2-low"), ("end", "spo2-low")]
    await edge.read(reading(10, 84.5), reading(10, 84.5, "dev_2"))
    assert [span[0] for span in edge.decider._poison.common(0, 1 << 60)] == [edge.outbox.accepted - 1], (
        "what the kept state has passed is forgotten"
    )
    assert edge.telemetry.value("edge_decider_failed_total") == 0


async def test_a_decider_that_fails_is_seen_takes_no_alarm_away_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "TICK_S", 0.001)
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    edge = Edge(tmp_path)
    annunciator = FakeAnnunciator()
    local = LocalAlarms("always", HandLink(), [annunciator], clock=edge.clock, telemetry=edge.telemetry)
    decider = edge._made(signals=local)
    decider.configure(edge.known)
    task = asyncio.create_task(decider.run())

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0)  # the loop's other tasks go on meanwhile

    edge.clock.advance(2)
    edge.outbox.add(_batch(reading(1, 84)))
    await until(lambda: bool(annunciator.alarms) and bool(edge.sent))

    def fails() -> int:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(decider._time, "look", fails)
        await until(lambda: edge.telemetry.value("edge_decider_failed_total") > 2)
        assert decider.trouble == {"rules": "failed"}
        assert [a.rule for a in annunciator.alarms] == ["spo2-low"]
        assert not annunciator.closed
    edge.outbox.add(_batch(reading(2, 97)))
    await until(lambda: len(edge.sent) == 2)
    assert decider.trouble == {"rules": "failed"}, "for a minute yet"
    edge.clock.advance(module.WELL_S)
    await until(lambda: not decider.trouble)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert edge.kinds == [("start", "spo2-low"), ("end", "spo2-low")]


async def test_timers_that_fail_do_not_stop_what_readings_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    edge = await Edge(tmp_path).start()
    await edge.read(reading(0, 130, metric="heart_rate"))

    def fails(*_: object) -> None:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(Engine, "due", fails)
    await edge.wait(1)
    assert edge.decider.trouble == {"rules": "failed"}
    await edge.read(reading(2, 84))
    assert edge.kinds == [("start", "spo2-low")]
    await edge.read(reading(12, 131, metric="heart_rate"))
    assert edge.kinds[-1] == ("start", "heart-rate-high"), "a reading lets its own subject's timers end"


async def test_a_second_measurement_that_proves_the_first_one_wrong_ends_nothing(tmp_path: Path):
    from rules.conditions import Repeat

    rule = make("bp-high", Repeat(threshold("nibp_systolic", "above", 160), 60.0, 600.0), max_age_s=3600)
    edge = await Edge(tmp_path, knowledge(RuleSet((rule,)))).start()
    await edge.read(reading(0, 170, metric="nibp_systolic"))
    await edge.read(reading(120, 130, metric="nibp_systolic"))
    assert edge.sent == []
    assert edge.decider.alarms == []


async def test_told_says_whether_people_here_were_told(tmp_path: Path):
    edge, fake, link = Edge(tmp_path), FakeAnnunciator(), HandLink()
    local = LocalAlarms("offline", link, [fake], clock=edge.clock, telemetry=edge.telemetry)
    await edge.start(signals=local)
    await edge.read(reading(1, 84))
    assert fake.alarms == ()
    link.up = False
    edge.clock.advance(5)
    await edge.read(reading(7, 84, "dev_2"))
    await edge.read(reading(8, 84, "dev_2"))
    assert [a.place for a in fake.alarms] == ["pat_2", "pat_1"]
    link.up = True
    await edge.read(reading(9, 97), reading(9, 97, "dev_2"))
    assert [(t.subject, t.kind, t.told) for t in edge.sent] == [
        ("pat_1", "start", False),
        ("pat_2", "start", True),
        ("pat_1", "end", True),
        ("pat_2", "end", True),
    ]


def _batch(*readings: Any) -> Any:
    from hearthward.core.model import ReadingBatch

    return ReadingBatch.of(readings)


def _parameter(name: str, value: float, low: float, high: float) -> dict[str, Any]:
    from rules.rule import Parameter

    return {name: Parameter(value, low, high)}


async def test_a_decider_that_waits_for_ever_is_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    edge = Edge(tmp_path)
    edge.decider.configure(edge.known)
    assert edge.decider.still_s == 0
    loop, hung = asyncio.get_running_loop(), asyncio.Event()

    async def never(*_: object) -> None:
        hung.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(edge.decider.run())
    async with asyncio.timeout(10):
        while edge.decider.settled and edge.decider.still_s == 0:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)
    monkeypatch.setattr(edge.outbox, "pending", never)
    edge.outbox.add(_batch(reading(1, 84)))
    async with asyncio.timeout(10):
        await hung.wait()
    now = loop.time()
    with monkeypatch.context() as later:
        later.setattr(loop, "time", lambda: now + 300)
        still = edge.decider.still_s
    assert 300 <= still < 310
    monkeypatch.undo()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_runs_and_stops_cleanly_keeping_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "TICK_S", 0.01)
    edge = Edge(tmp_path)
    edge.decider.configure(edge.known)
    task = asyncio.create_task(edge.decider.run())
    told = asyncio.Event()
    edge.outbox.on_commit(told.set)
    edge.clock.advance(2)
    edge.outbox.add(_batch(reading(1, 84)))
    for kinds in (["start"], ["start", "end"]):
        async with asyncio.timeout(10):
            while [t.kind for t in edge.sent] != kinds:
                told.clear()
                await told.wait()
        if kinds == ["start"]:
            edge.outbox.add(_batch(reading(2, 97)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert edge.kinds == [("start", "spo2-low"), ("end", "spo2-low")]
    await edge.start()
    assert edge.decider.alarms == []
