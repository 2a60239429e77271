from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.errors import RuleError
from rules import Command, Readings, Rows, State, Tick, load_rules, step
from rules.model import SECOND


def some_state() -> State:
    state = State.empty("node", load_rules())
    rows = Rows.of(
        [
            ("p", "d", "spo2", 84.0, 0, 0, 0),
            ("q", "e", "nibp_systolic", 190.0, SECOND, 100 * SECOND, 0),
            ("q", "e", "nibp_diastolic", 115.0, SECOND, 100 * SECOND, 0),
            ("q", "e", "heart_rate", 30.0, 95 * SECOND, 95 * SECOND, 0),
        ]
    )
    state, _ = step(state, Readings(1, 100 * SECOND, rows))
    state, out = step(state, Tick(2, 11 * SECOND))
    state, _ = step(state, Command(3, 12 * SECOND, "accept", out[0].alarm, "nurse-1"))
    return state


def test_a_snapshot_restores_everything_rules_included():
    state = some_state()
    restored = State.from_bytes(state.to_bytes())
    assert restored == state
    assert restored.to_bytes() == state.to_bytes()
    assert restored.digest() == state.digest()
    assert restored.rules.hash == load_rules().hash
    assert restored.seq == 3
    assert restored.active() == state.active()
    assert [a.accepted_by for a in restored.active()] == [None, "nurse-1"]
    assert dict(restored.due) == {"q": 105 * SECOND}


def test_the_digest_tells_states_apart():
    state = some_state()
    other, _ = step(state, Tick(4, 105 * SECOND))
    assert len({state.digest(), other.digest(), State.empty("node").digest(), State.empty("n").digest()}) == 4


def test_the_oldest_alarm_comes_first():
    assert [a.patient for a in some_state().active()] == ["q", "p"]


@given(st.binary(max_size=60))
def test_damaged_snapshots_are_refused_with_one_kind_of_error(noise: bytes):
    with pytest.raises(RuleError):
        State.from_bytes(noise)


@given(st.data())
def test_a_cut_snapshot_is_refused(data: st.DataObject):
    payload = some_state().to_bytes()
    with pytest.raises(RuleError):
        State.from_bytes(payload[: data.draw(st.integers(0, len(payload) - 1))])


def test_a_snapshot_of_another_version_is_refused():
    content = msgpack.unpackb(some_state().to_bytes())
    content[0] = 99
    with pytest.raises(RuleError, match="version 99"):
        State.from_bytes(msgpack.packb(content))
