"""A new level that the cloud has found to be usual is one at the gateway: once, in turn, after restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import EdgeDecider
from edge_agent.relearning import KEPT, Relearning
from hearthward.core.clock import SECOND
from hearthward.core.model import ReadingBatch
from rules import RuleSet
from rules.detectors.novelty import Novelty
from rules.loader import load_rules
from rules.work import Work
from tests.unit.edge_agent.decided import T0, Edge, knowledge, reading

RULES = RuleSet((load_rules().by_id["vital-unusual"],))
MINUTE = 60


def level(at: float, patient: str = "pat_1", metric: str = "heart_rate") -> dict[str, dict[str, int]]:
    """A document that names a level decided ``at`` seconds after T0."""
    return {patient: {metric: T0 + round(at * SECOND)}}


def told(edge: Edge, at: float) -> None:
    """The document that says so comes."""
    edge.known = knowledge(RULES, relearned=level(at), version=2)
    edge.decider.configure(edge.known)


async def measure(edge: Edge, start: int, count: int, value: float, **more: Any) -> None:
    for n in range(start, start + count):
        found = reading(n * MINUTE, value + n % 3, metric="heart_rate")
        await edge.read(found, **more)


def stack(edge: Edge) -> Novelty:
    series = edge.decider._engine.state.subjects["pat_1"].series["heart_rate"]["dev_1"]
    (found,) = (f for f in series.features.values() if isinstance(f, Novelty))
    return found


def counted(edge: Edge) -> float:
    return edge.telemetry.value("edge_levels_relearned_total", metric="heart_rate")


async def shifted(folder: Path | None = None) -> Edge:
    """Ten hours at 75, two at 110: an alarm is open, by which nothing of it is learned."""
    edge = await Edge(folder, knowledge(RULES)).start()
    await measure(edge, 0, 600, 75.0, keep=False)
    await measure(edge, 600, 120, 110.0, keep=False)
    await edge.decider.keep()
    assert edge.kinds[0] == ("start", "vital-unusual")
    assert len(edge.decider.alarms) == 1
    return edge


async def test_the_alarm_ends_when_the_new_level_is_the_usual_and_stays_open_without():
    alone, edge = await shifted(), await shifted()
    told(edge, 719 * MINUTE)
    for bed in (alone, edge):
        await measure(bed, 720, 18, 110.0, keep=False)
    assert len(alone.decider.alarms) == 1
    assert edge.decider.alarms == []
    await edge.decider.keep()
    assert edge.kinds[-1] == ("end", "vital-unusual")
    assert counted(edge) == 1


async def test_it_is_done_once_whatever_is_published_again_or_restarted(tmp_path: Path):
    edge = await shifted(tmp_path)
    told(edge, 719 * MINUTE)
    await edge.decider.decide()
    before = stack(edge).pack()
    await edge.decider.keep()
    for _ in range(3):
        await edge.start()
        told(edge, 719 * MINUTE)
        await edge.decider.decide()
        assert stack(edge).pack() == before
    assert counted(edge) == 1
    edge.decider.configure(knowledge(RULES, version=3))
    await edge.decider.decide()
    told(edge, 719 * MINUTE)
    await edge.decider.decide()
    assert counted(edge) == 1, "nor when a document in between did not name it"
    told(edge, 719.5 * MINUTE)
    await edge.decider.decide()
    assert counted(edge) == 2, "a newer one is another one"


async def test_killed_before_it_was_kept_it_is_done_again_with_the_same_result(tmp_path: Path):
    whole, killed = await shifted(), await shifted(tmp_path)
    for edge in (whole, killed):
        told(edge, 719 * MINUTE)
        await edge.decider.decide()
        await measure(edge, 720, 3, 110.0, keep=False)
    await killed.start()
    await killed.decider.decide()
    assert stack(killed).pack() == stack(whole).pack()
    assert counted(killed) == 2
    for edge in (whole, killed):
        await measure(edge, 723, 15, 110.0, keep=False)
        assert edge.decider.alarms == []


async def test_readings_of_before_are_decided_on_before_it_and_those_of_after_after_it():
    prompt, late = await shifted(), await shifted()
    waiting = [reading(n * MINUTE, 110.0 + n % 3, metric="heart_rate") for n in range(720, 730)]
    for n, found in enumerate(waiting):
        if n == 6:
            told(prompt, 725.5 * MINUTE)
            await prompt.decider.decide()
        await prompt.read(found, keep=False)
    told(late, 725.5 * MINUTE)
    late.clock.follow(waiting[-1].corrected)
    for found in waiting:
        late.outbox.add(ReadingBatch.of([found]))
    await late.decider.decide()
    assert stack(late).pack() == stack(prompt).pack()
    assert counted(late) == counted(prompt) == 1


async def test_what_the_rules_fail_on_is_left_out_and_deciding_goes_on(monkeypatch: pytest.MonkeyPatch):
    edge = await shifted()
    monkeypatch.setattr(Work, "relearn", lambda *_: 1 / 0)
    told(edge, 719 * MINUTE)
    await edge.decider.decide()
    await measure(edge, 720, 2, 110.0)
    assert edge.telemetry.value("edge_relearn_failed_total") == 1
    assert edge.decider.stepped == edge.outbox.accepted
    assert len(edge.decider.alarms) == 1


async def test_of_a_patient_who_is_not_known_here_nothing_is_learned_anew():
    edge = await Edge(None, knowledge(RULES, relearned=level(5, "pat_2"))).start()
    await edge.decider.decide()
    assert isinstance(edge.decider, EdgeDecider)
    assert counted(edge) == 0


LEVELS = st.dictionaries(
    st.sampled_from("pq"), st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9)), max_size=2
)


@given(st.lists(LEVELS, max_size=6), st.data())
def test_each_level_is_taken_once_in_order_of_time_with_restarts_anywhere(
    documents: list[dict[str, dict[str, int]]], data: st.DataObject
):
    it, taken = Relearning(), []
    for document in documents:
        it.tell(document)
        if data.draw(st.booleans()):
            kept = it.kept()
            it = Relearning()
            it.tell(document)
            it.resume(kept)
        done = {(p, m): at for p, m, at in it.kept()}
        until = data.draw(st.none() | st.integers(0, 9))
        found = it.take(until)
        for patient, metrics in found.items():
            for metric in metrics:
                at = document[patient][metric]
                assert at > done.get((patient, metric), -1)
                assert until is None or at <= until
                taken.append((patient, metric, at))
        assert it.take(until) == {}
    assert len(set(taken)) == len(taken)


def test_the_newest_are_remembered():
    it = Relearning()
    it.tell({f"p{n}": {"spo2": n} for n in range(KEPT + 10)})
    it.take()
    assert len(it.kept()) == KEPT
    assert ("p9", "spo2", 9) not in it.kept()
