from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.model import Quality
from rules import Configuration, Input, Readings, Rows, RuleSet, State, Tick, Transition, load_rules, step
from rules.model import SECOND
from tests.unit.rules.oracle import Measured, Span, alarms, rows_of

RULES = load_rules()
NEAR = {  # values on both sides of each limit and of its hysteresis
    "spo2": [84, 89, 89.5, 90, 90.5, 91, 97],
    "heart_rate": [30, 39, 40, 41, 42, 80, 125, 126, 130, 131, 160],
    "nibp_systolic": [120, 175, 176, 179, 180, 190],
    "nibp_diastolic": [80, 105, 106, 109, 110, 120],
}
KINDS = (("spo2",), ("heart_rate",), ("spo2", "heart_rate"), ("nibp_systolic", "nibp_diastolic"))
GAPS = [0, 1, 3, 7, 10, 11, 30, 61, 130, 15_000]


@st.composite
def in_order(draw: st.DrawFn, most: int = 40) -> list[Measured]:
    """Measurements in order of time; one patient and device measures once at a time."""
    out: list[Measured] = []
    time = 1_000 * SECOND
    taken = set()
    for _ in range(draw(st.integers(1, most))):
        time += draw(st.sampled_from(GAPS)) * SECOND
        patient, device = draw(st.sampled_from("pq")), draw(st.sampled_from("de"))
        values = {m: float(draw(st.sampled_from(NEAR[m]))) for m in draw(st.sampled_from(KINDS))}
        if (time, patient, device) not in taken:
            taken.add((time, patient, device))
            out.append(Measured(patient, device, time, values))
    return out


@st.composite
def any_order(draw: st.DrawFn) -> list[tuple[str, str, str, float, int, int, int]]:
    """Rows in any order of time, some received late, some not fit to be looked at."""
    rows = []
    for _ in range(draw(st.integers(1, 14))):
        time = draw(st.integers(0, 40)) * 20 * SECOND
        delay = draw(st.sampled_from([0, 1, 59, 61, 3700, 90_000])) * SECOND
        metric = draw(st.sampled_from(sorted(NEAR)))
        value = float(draw(st.sampled_from(NEAR[metric])))
        quality = draw(st.sampled_from([0, 0, 0, int(Quality.MOTION), int(Quality.DEMO)]))
        rows.append(
            (
                draw(st.sampled_from("pq")),
                draw(st.sampled_from("de")),
                metric,
                value,
                time,
                time + delay,
                quality,
            )
        )
    return rows


def play(state: State, events: Iterable[Input]) -> tuple[State, list[Transition]]:
    out: list[Transition] = []
    for event in events:
        state, transitions = step(state, event)
        out += transitions
    return state, out


def spans(transitions: list[Transition]) -> list[Span]:
    ends = {t.alarm: t.at for t in transitions if t.kind == "end"}
    found = [
        Span(t.patient, t.rule, t.onset, t.at, ends.get(t.alarm)) for t in transitions if t.kind == "start"
    ]
    return sorted(found, key=lambda s: (s.start, s.patient, s.rule))


def fresh() -> State:
    return State.empty("node", RULES)


@given(in_order(), st.integers(0, 20))
def test_equals_the_obvious_implementation(measured: list[Measured], wait: int):
    until = measured[-1].time + wait * SECOND
    _, out = play(fresh(), [Readings(1, until, rows_of(measured)), Tick(2, until)])
    assert spans(out) == alarms(RULES, measured, until)


@given(in_order(), st.data())
def test_a_batch_split_anywhere_decides_the_same(measured: list[Measured], data: st.DataObject):
    whole, expected = play(fresh(), [Readings(1, 0, rows_of(measured))])
    cuts = sorted(data.draw(st.sets(st.integers(0, len(measured)))))
    parts = [measured[a:b] for a, b in zip([0, *cuts], [*cuts, len(measured)], strict=True)]
    split, out = play(fresh(), [Readings(1, 0, rows_of(part)) for part in parts])
    # within one moment, patients come in the order in which they stand in the batch, split or not
    assert out == expected
    assert split.digest() == whole.digest()


@given(any_order())
def test_the_same_inputs_give_the_same_and_leave_the_old_state_alone(
    rows: list[tuple[str, str, str, float, int, int, int]],
):
    before = fresh()
    digest = before.digest()
    events = [Readings(i, 0, Rows.of([row])) for i, row in enumerate(rows)]
    assert play(before, events) == play(before, events)
    assert before.digest() == digest
    state, _ = play(before, events)
    kept = state.to_bytes()
    play(state, events)
    assert state.to_bytes() == kept


@given(any_order(), st.data())
def test_a_snapshot_anywhere_changes_nothing(
    rows: list[tuple[str, str, str, float, int, int, int]], data: st.DataObject
):
    events: list[Input] = [Readings(i, 0, Rows.of([row])) for i, row in enumerate(rows)]
    events.append(Tick(len(events), 10**18))
    at = data.draw(st.integers(0, len(events)))
    straight, expected = play(fresh(), events)
    state, first = play(fresh(), events[:at])
    restored = State.from_bytes(state.to_bytes())
    assert restored == state
    state, second = play(restored, events[at:])
    assert first + second == expected
    assert state.digest() == straight.digest()
    assert state.active() == straight.active()


@given(any_order())
def test_at_most_one_active_alarm_per_patient_and_rule(
    rows: list[tuple[str, str, str, float, int, int, int]],
):
    state = fresh()
    present: dict[tuple[str, str], str] = {}
    known: set[str] = set()
    for i, row in enumerate(rows):
        for event in (Readings(2 * i, 0, Rows.of([row])), Tick(2 * i + 1, row[4] + 5 * SECOND)):
            state, out = step(state, event)
            for t in out:
                where = t.patient, t.rule
                match t.kind:
                    case "start":
                        assert where not in present
                        assert t.alarm not in known
                        present[where] = t.alarm
                        known.add(t.alarm)
                        assert t.at >= t.onset
                    case "end":
                        assert present.pop(where) == t.alarm
                    case "update":
                        assert present[where] == t.alarm
            assert {(a.patient, a.rule): a.id for a in state.active()} == present


@given(any_order(), st.data())
def test_a_repeated_reading_is_ignored(
    rows: list[tuple[str, str, str, float, int, int, int]], data: st.DataObject
):
    repeated = list(rows)
    for row in rows:
        if data.draw(st.booleans()):
            at = data.draw(st.integers(repeated.index(row) + 1, len(repeated)))
            repeated.insert(at, row)
    once, expected = play(fresh(), [Readings(1, 0, Rows.of([row])) for row in rows])
    again, out = play(fresh(), [Readings(1, 0, Rows.of([row])) for row in repeated])
    assert out == expected
    assert again.active() == once.active()


@given(in_order(), st.data())
def test_ticks_of_any_grain_start_at_the_same_time(measured: list[Measured], data: st.DataObject):
    until = measured[-1].time + 20 * SECOND
    _, expected = play(fresh(), [Readings(1, 0, rows_of(measured)), Tick(1, until)])
    grain = data.draw(st.sampled_from([1, 3, 10, 60])) * SECOND // 2
    state, out = fresh(), []
    now = measured[0].time
    for m in measured:
        while now < min(m.time, now + 50 * grain):
            state, transitions = step(state, Tick(1, now))
            out += transitions
            now += grain
        now = m.time
        state, transitions = step(state, Readings(1, now, rows_of([m])))
        out += transitions
    _, transitions = step(state, Tick(1, until))
    out += transitions

    def told(transitions: list[Transition]) -> list[tuple[object, ...]]:
        return sorted((t.alarm, t.kind, t.at, t.onset, t.values) for t in transitions if t.kind == "start")

    assert told(out) == told(expected)
    assert spans(out) == spans(expected)


@given(any_order(), st.sampled_from([Quality.DEMO, Quality.TEST, Quality.SENSOR_OFF]))
def test_what_is_not_clinical_never_decides(
    rows: list[tuple[str, str, str, float, int, int, int]], flag: Quality
):
    unfit = Rows.of([(*row[:6], int(flag)) for row in rows])
    state, out = play(fresh(), [Readings(1, 0, unfit), Tick(2, 10**18)])
    assert out == []
    assert state.subjects == {}


@given(in_order(), st.data())
def test_the_same_rules_again_change_nothing(measured: list[Measured], data: st.DataObject):
    events: list[Input] = [Readings(1, 0, rows_of([m])) for m in measured]
    whole, expected = play(fresh(), events)
    events.insert(data.draw(st.integers(0, len(events))), Configuration(1, 0, load_rules()))
    again, out = play(fresh(), events)
    assert out == expected
    assert again.digest() == whole.digest()


@given(in_order(), st.data())
def test_no_data_never_ends_an_alarm(measured: list[Measured], data: st.DataObject):
    state, _ = play(fresh(), [Readings(1, 0, rows_of(measured)), Tick(2, measured[-1].time + 20 * SECOND)])
    before = state.active()
    later = measured[-1].time
    for _ in range(data.draw(st.integers(1, 5))):
        later += data.draw(st.integers(1, 10**6)) * SECOND
        state, out = step(state, Tick(3, later))
        assert out == ()
    assert state.active() == before


@given(in_order(most=20))
def test_rules_that_go_reset_their_alarms(measured: list[Measured]):
    state, _ = play(fresh(), [Readings(1, 0, rows_of(measured)), Tick(2, measured[-1].time + 20 * SECOND)])
    before = state.active()
    state, out = step(state, Configuration(3, 7, RuleSet()))
    assert sorted(t.alarm for t in out) == sorted(a.id for a in before)
    assert {t.kind for t in out} <= {"reset"}
    assert state.active() == []


@given(in_order(most=20))
def test_a_patient_not_touched_is_shared(measured: list[Measured]):
    state, _ = play(fresh(), [Readings(1, 0, rows_of(measured))])
    other = measured[0]._replace(patient="r")
    after, _ = step(state, Readings(2, 0, rows_of([other])))
    assert all(after.subjects[p] is s for p, s in state.subjects.items())
