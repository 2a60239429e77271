"""Two stages under the histories of ``partitioned``: gateways' words and late readings leave one alarm."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.cloud_ingest.partitioned import PLAIN, World
from tests.unit.rules.made import make, threshold

SEEDS = st.integers(0, 2**32)
DEEP = make("deep", threshold("spo2", "below", 86, 1), raises="spo2")
SLOW = make("deep", threshold("spo2", "below", 88, 1), raises="spo2", clear_after_s=30.0)
STAGES = {"spo2", "deep"}
WELL = {"spo2": 97.0, "heart_rate": 80.0}


def one_alarm_of_both(world: World) -> None:
    """Every line is of an alarm that began, no two are open, and the parts are what the rules have open."""
    begun: set[str] = set()
    for t in world.cloud.told:
        if t.kind in {"start", "late", "ask"}:
            begun.add(t.alarm)
        assert t.alarm in begun, f"{t.kind} of an alarm that never began"
    state = world.cloud.state
    for patient in "pq":
        subject = state.subjects.get(patient)
        episodes = {} if subject is None else subject.episodes
        decided = {e.alarm for k, e in episodes.items() if k in STAGES and e.condition == "active"}
        shown = [r for r in state.responses.open.values() if r.subject == patient and r.rule in STAGES]
        assert len(shown) <= 1
        assert bool(shown) == bool(decided)
        for response in shown:
            parts = {p.alarm for p in response.parts if p.state == "active"} or {response.alarm}
            assert parts == decided
            assert {state.responses.name_of(alarm) for alarm in decided} == {response.alarm}


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, told=st.booleans())
def test_all_delivered_it_is_what_one_who_saw_all_in_order_has(seed: int, *, told: bool):
    world = World(Random(seed), (*PLAIN, DEEP), told=told)
    world.run(5 + seed % 60)
    one_alarm_of_both(world)
    assert world.cloud.active() == world.reference.active()
    world.calm(120, WELL)
    one_alarm_of_both(world)
    assert world.cloud.active() == set()
    world.calm(20, {"spo2": 80.0, "heart_rate": 80.0})
    assert world.cloud.active() == world.reference.active() != set()
    assert {rule for _, rule in world.cloud.active()} == {"deep"}


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, loses=st.booleans(), gateways=st.sampled_from([1, 2]))
def test_restarts_losses_and_two_gateways_leave_no_second_alarm(seed: int, *, loses: bool, gateways: int):
    world = World(Random(seed), (*PLAIN, SLOW), gateways=gateways, forgets=True, loses=loses)
    world.run(5 + seed % 60)
    one_alarm_of_both(world)
    world.settle()
    one_alarm_of_both(world)
    world.calm(120, WELL)
    assert world.cloud.active() == set()
    assert not world.cloud.state.responses.open
