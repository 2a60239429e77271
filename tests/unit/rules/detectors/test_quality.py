"""What the quality gate says of values: what it puts aside, what it doubts, what it must never hide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.model import JUDGED, Quality, quality_names
from rules import Rows, State
from rules.detectors.quality import Gate, refine
from rules.detectors.quality_limits import LIMITS
from rules.rule import SECOND
from rules.shifting import shifted

Said = tuple[float, str, str, float]
"""(seconds, device, metric, value)"""
LONG = 10**18


def rows_of(said: Iterable[Said], quality: int = 0) -> Rows:
    return Rows.of(
        ("p", device, metric, value, round(at * SECOND), round(at * SECOND), quality)
        for at, device, metric, value in said
    )


def verdicts(said: Sequence[Said], gate: Gate | None = None) -> list[str]:
    found = refine({} if gate is None else gate, rows_of(said), 0, LONG)
    return [" ".join(quality_names(q)) for q in found.quality]


def oximeter(at: float, spo2: float, pulse: float) -> list[Said]:
    return [(at, "oxi", "pulse_rate", pulse), (at, "oxi", "spo2", spo2)]


def steady(metric: str, value: float, seconds: int, device: str = "belt", every: int = 1) -> list[Said]:
    return [(t, device, metric, value + t % 2) for t in range(0, seconds, every)]


WELL = [one for t in range(60) for one in oximeter(t, 97, 70 + t % 2)]


def test_what_is_usual_has_no_bit_and_the_rows_are_left_as_they_are():
    rows = rows_of(WELL)
    assert refine({}, rows, 0, LONG) is rows


@pytest.mark.parametrize(
    ("metric", "value"), [("spo2", 101), ("heart_rate", -100), ("ibp_mean", 8388607), ("body_temperature", 0)]
)
def test_what_cannot_be_is_no_measurement(metric: str, value: float):
    assert verdicts([(0, "d", metric, value)]) == ["bad impossible"]


def test_zeros_of_an_oximeter_that_measured_well_are_a_lost_signal():
    assert verdicts([*WELL, *oximeter(60, 0, 0), *oximeter(61, 0, 0)])[-4:] == ["bad dropout"] * 4


def test_zeros_before_any_value_are_a_lost_signal():
    assert verdicts(oximeter(0, 0, 0)) == ["bad dropout"] * 2


def test_three_a_day_a_zero_is_as_lost_as_at_1_hz():
    said = [one for day in range(3) for one in oximeter(day * 28_800, 97, 70)]
    assert verdicts([*said, (86_400, "oxi", "spo2", 0)])[-1] == "bad dropout"


# -- what must never be hidden


def hidden(said: Sequence[Said]) -> list[str]:
    return [v for v in verdicts(said) if "bad" in v]


def test_a_heart_that_stands_still_is_never_put_aside():
    assert (
        hidden([*steady("heart_rate", 80, 60), *((t, "belt", "heart_rate", 0.0) for t in range(60, 300))])
        == []
    )


@pytest.mark.parametrize("every", [1, 60])
def test_an_arrest_that_the_oximeter_saw_coming_is_not_put_aside(every: int):
    falling = [one for i in range(30) for one in oximeter((60 + i) * every, 97 - i, 70 - i)]
    start = [(t * every, device, metric, value) for t, device, metric, value in WELL]
    said = [*start, *falling, *(one for i in range(60) for one in oximeter((90 + i) * every, 0, 0))]
    assert hidden(said) == []
    assert verdicts(said)[-1] == "suspect zero"


@pytest.mark.parametrize(
    ("metric", "value"),
    [("heart_rate", 30), ("heart_rate", 180), ("ibp_mean", 35), ("ibp_systolic", 60)],
    ids=["bradycardia", "tachycardia", "mean pressure", "systolic pressure"],
)
def test_zeros_beside_a_failing_heart_or_pressure_are_not_put_aside(metric: str, value: float):
    others = [(t, "monitor", metric, value) for t in range(58, 64)]
    assert hidden([*WELL, *others, *(one for t in range(60, 64) for one in oximeter(t, 0, 0))]) == []


def test_of_a_heart_rate_of_zero_what_was_before_it_counts():
    beats = [
        (50, "belt", "heart_rate", 30.0),
        (51, "belt", "heart_rate", 30.0),
        (60, "belt", "heart_rate", 0.0),
    ]
    assert hidden([*WELL, *beats, *oximeter(61, 0, 0)]) == []


def test_no_pulse_beside_a_saturation_is_not_put_aside():
    assert verdicts([*WELL, *oximeter(60, 96, 0)])[-2:] == ["suspect zero", "suspect disagrees"]


@pytest.mark.parametrize(
    ("metric", "before", "after"),
    [
        ("spo2", 97, 70),
        ("heart_rate", 80, 25),
        ("heart_rate", 70, 190),
        ("ibp_mean", 85, 35),
        ("etco2", 38, 0),
    ],
    ids=["desaturation", "block", "tachycardia", "bleeding", "no breath"],
)
def test_a_true_sudden_change_is_doubted_for_half_a_minute_at_most_and_never_put_aside(
    metric: str, before: float, after: float
):
    said = [*steady(metric, before, 60), *((t, "belt", metric, after + t % 2) for t in range(60, 180))]
    found = verdicts(said)
    assert hidden(said) == []
    assert found[60] == "suspect jump"
    assert set(found[95:]) == {""}, "that is where the patient is now"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 1, 5, 60, 28_800]),
            st.sampled_from(["heart_rate", "respiratory_rate", "ibp_mean", "nibp_systolic", "blood_glucose"]),
            st.floats(0, 350, width=16),
        ),
        max_size=30,
    )
)
def test_only_what_cannot_be_and_zeros_of_oximeters_are_ever_put_aside(steps: list[tuple[int, str, float]]):
    at, said = 0, []
    for passed, metric, value in steps:
        at += passed
        said.append((float(at), "d", metric, value))
    assert hidden([one for one in said if one[3] <= LIMITS[one[2]].high]) == []


# -- what is doubted


def test_a_spike_is_a_jump_and_its_return_is_none():
    said = [
        *steady("heart_rate", 80, 60),
        (60, "belt", "heart_rate", 160),
        *((61, "belt", "heart_rate", 81),),
    ]
    assert verdicts(said)[-2:] == ["suspect jump", ""]


def test_one_spike_after_the_other_is_told_so():
    said = steady("ibp_mean", 80, 60)
    for t in range(60, 100, 10):
        said += [
            (t, "belt", "ibp_mean", 200),
            *((t + i, "belt", "ibp_mean", 80 + i % 2) for i in range(1, 10)),
        ]
    found = verdicts(said)
    assert [found[i] for i in (60, 70, 80, 90)] == ["suspect jump"] * 3 + ["suspect spikes"]


def test_the_same_pressure_for_two_minutes_is_flat_and_a_cuff_or_a_scale_never():
    said = [(float(t), "line", "ibp_mean", 80.0) for t in range(130)]
    assert verdicts(said)[119:122] == ["", "suspect flat", "suspect flat"]
    assert set(verdicts([(t * 28_800.0, "scale", "body_weight", 80.0) for t in range(50)])) == {""}


def test_two_pulses_that_disagree_are_doubted_after_half_a_minute():
    said: list[Said] = []
    for t in range(60):
        said += [(t, "belt", "heart_rate", 80 + t % 2), (t, "oxi", "pulse_rate", 120 + t % 2)]
    found = verdicts(said)
    assert set(found[:60]) == {""}
    assert set(found[62:]) == {"suspect disagrees"}


def test_a_systolic_pressure_below_the_diastolic_is_doubted():
    said: list[Said] = [
        (0, "line", "ibp_systolic", 60),
        (0, "line", "ibp_mean", 80),
        (0, "line", "ibp_diastolic", 70),
    ]
    assert verdicts(said) == ["suspect disagrees"] * 3
    cuff: list[Said] = [(0, "cuff", "nibp_systolic", 120), (0, "cuff", "nibp_diastolic", 80)]
    assert verdicts(cuff) == ["", ""]


# -- its state


@given(st.data())
def test_cut_anywhere_and_kept_in_between_it_says_the_same(data: st.DataObject):
    said = [
        (float(t), device, metric, float(data.draw(st.sampled_from([0, 60, 97, 97.5, 160]))))
        for t in range(12)
        for device, metric in (("belt", "heart_rate"), ("oxi", "pulse_rate"), ("oxi", "spo2"))
    ]
    whole = verdicts(said)
    cut = 3 * data.draw(st.integers(0, 12))
    state = State.empty("node")
    first = verdicts(said[:cut], state.gate)
    again = State.from_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()
    assert first + verdicts(said[cut:], again.gate) == whole


def test_a_snapshot_of_before_the_gate_begins_with_nothing_remembered():
    state = State.empty("node")
    verdicts(WELL, state.gate)
    version, *content, gate = msgpack.unpackb(state.to_bytes())
    assert (version, len(gate)) == (6, 1)
    assert State.from_bytes(msgpack.packb([4, *content])).gate == {}


def test_a_copying_pass_leaves_the_state_alone_and_a_repeat_is_told_the_same():
    state = State.empty("node")
    verdicts(WELL, state.gate)
    before = state.to_bytes()
    lost = rows_of(oximeter(60, 0, 0))
    looked = refine(dict(state.gate), lost, 0, LONG, copying=True)
    assert state.to_bytes() == before
    assert refine(state.gate, lost, 0, LONG).quality == looked.quality
    assert refine(state.gate, lost, 0, LONG).quality == looked.quality


@pytest.mark.parametrize("before", [[], [(0, "d", "spo2", 97.0)]], ids=["both new", "one silent for long"])
def test_of_two_devices_that_begin_at_once_both_are_remembered(before: list[Said]):
    at, together, apart = 40 * 86_400, dict[str, Any](), dict[str, Any]()
    one, other = (at, "d", "spo2", 97.0), (at, "e", "spo2", 96.0)
    verdicts([*before, one, other], together)
    verdicts(before, apart)
    verdicts([one], apart)
    verdicts([other], apart)
    assert together["p"].pack() == apart["p"].pack()
    assert sorted(together["p"].streams["spo2"]) == ["d", "e"]


def test_a_copy_has_all_that_is_remembered_and_is_ones_own():
    gate: Gate = {}
    wild = [(60 + t, "oxi", "spo2", 97 if t % 3 else 60) for t in range(40)]
    verdicts([*WELL, *wild, *steady("heart_rate", 120, 100), (101, "oxi", "spo2", 50)], gate)
    (found,) = gate.values()
    kept = found.pack()
    assert any(stream.spikes for devices in found.streams.values() for stream in devices.values())
    own = found.copy()
    assert own.pack() == kept
    verdicts([(103 + t, "oxi", "spo2", 97 if t % 3 else 60) for t in range(40)], {"p": own})
    assert (own.pack() != kept, found.pack() == kept) == (True, True)


def test_what_goes_on_from_a_copy_leaves_the_state_alone():
    state, alone = State.empty("node"), State.empty("node")
    for each in (state, alone):
        verdicts([*WELL, *steady("ibp_mean", 80, 60)], each.gate)
    before, copied = state.to_bytes(), dict(state.gate)
    more = [oximeter(60 + n, 80 + n, 0 if n > 3 else 70) for n in range(6)]
    more[3] += [(63, "new", "spo2", 97), (63, "belt", "ibp_mean", 20)]
    expected = [verdicts(said, alone.gate) for said in more]
    found = refine(copied, rows_of(more[0]), 0, LONG, copying=True)
    assert [" ".join(quality_names(q)) for q in found.quality] == expected[0]
    assert [verdicts(said, copied) for said in more[1:]] == expected[1:]
    assert copied["p"].pack() == alone.gate["p"].pack()
    copied["p"].shift(5 * SECOND)
    assert state.to_bytes() == before


def test_two_devices_that_begin_at_one_time_are_both_remembered():
    both, gate = [(1e5, "a", "spo2", 90.0), (1e5, "b", "spo2", 97.0)], Gate()
    verdicts(both, gate)
    assert set(gate["p"].streams["spo2"]) == {"a", "b"}
    apart = Gate()
    for one in both:
        verdicts([one], apart)
    assert gate["p"].pack() == apart["p"].pack()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["old first", "new first"])
def test_a_device_that_comes_back_with_a_new_one_is_remembered_however_they_are_cut(order: tuple[int, int]):
    before, back = (1e3, "old", "spo2", 84.0), [(1e5, "new", "spo2", 97.0), (1e5, "old", "spo2", 97.0)]
    whole, cut = Gate(), Gate()
    verdicts([before, *back], whole)
    for one in (before, *(back[n] for n in order)):
        verdicts([one], cut)
    assert set(whole["p"].streams["spo2"]) == {"new", "old"}
    assert whole["p"].pack() == cut["p"].pack()


@pytest.mark.parametrize("second", [84.0, 60.0, 97.0])
def test_of_two_values_of_one_time_the_first_counts_however_they_are_cut(second: float):
    values = [97.0, 97.0, 60.0, second, 97.0]
    said = [(t, "oxi", "spo2", value) for t, value in zip((0, 1, 2, 2, 3), values, strict=True)]
    whole, cut = Gate(), Gate()
    assert [*(v for one in said for v in verdicts([one], cut))] == verdicts(said, whole)
    assert whole["p"].pack() == cut["p"].pack()


def test_devices_long_silent_and_values_that_cannot_be_take_no_room():
    gate = Gate()
    verdicts([(1e5, "a", "spo2", 97.0), (1e5, "broken", "spo2", 300.0), (2e5, "b", "spo2", 97.0)], gate)
    assert set(gate["p"].streams["spo2"]) == {"b"}


def test_what_is_old_future_or_no_measurement_teaches_nothing():
    state = State.empty("node")
    verdicts(WELL, state.gate)
    before = state.to_bytes()
    verdicts(oximeter(5, 40, 200), state.gate)
    refine(state.gate, rows_of(oximeter(1e6, 97, 70)), 0, 10_000 * SECOND)
    refine(state.gate, rows_of(oximeter(70, 40, 20), int(Quality.SENSOR_OFF)), 0, LONG)
    assert state.to_bytes() == before


def test_a_clock_that_is_set_moves_what_is_remembered():
    state = State.empty("node")
    verdicts(WELL, state.gate)
    moved = shifted(state, 3600 * SECOND)
    assert verdicts(oximeter(60 + 3600, 0, 0), moved.gate) == ["bad dropout"] * 2
    assert shifted(shifted(state, 5), -5).to_bytes() == state.to_bytes()


def test_a_stream_is_below_a_kilobyte():
    state = State.empty("node")
    said = steady("ibp_mean", 80, 600)
    said += [(600.0 + t, "belt", "ibp_mean", 80.0 if t % 7 else 240.0) for t in range(600)]
    verdicts(said, state.gate)
    (stream,) = state.gate["p"].streams["ibp_mean"].values()
    assert len(msgpack.packb(stream.pack())) < 200


def test_no_verdict_of_the_gate_but_bad_hides_a_value():
    assert [name for name in quality_names(JUDGED) if not Quality[name.upper()].clinical] == ["bad"]
