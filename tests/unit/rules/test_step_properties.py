"""What holds of deciding whatever is measured, and that it equals the slow and obvious way."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.model import Quality
from rules import Configuration, Engine, Input, Readings, Rows, RuleSet, State, Tick, Transition, step
from rules.conditions import All, Any_, Change, Count, Missing, Not, Smoothing
from rules.rule import SECOND
from tests.unit.rules.made import at, make, play, threshold
from tests.unit.rules.oracle import Measured, Span, alarms, rows_of

PLAIN = (
    make("spo2-low", threshold("spo2", "below", 90, 1), delay_s=10.0),
    make(
        "hr-either",
        threshold("heart_rate", "below", 40, 2),
        threshold("heart_rate", "above", 130, 5),
        delay_s=10.0,
    ),
    make(
        "bp",
        threshold("nibp_systolic", "at_or_above", 180, 5),
        threshold("nibp_diastolic", "at_or_above", 110, 5),
        max_age_s=14_400,
    ),
)
DERIVED = (
    make("mean", threshold("spo2", "below", 90, 1, smoothing=Smoothing("mean", 40, 2)), delay_s=3.0),
    make("median", threshold("spo2", "at_or_below", 90, 1, smoothing=Smoothing("median", 61))),
    make("clear", threshold("spo2", "below", 90, 1), clear_after_s=30.0),
    make("sure", threshold("heart_rate", "above", 130, 5), clear_after_s=130.0),
    make("rise", Change("heart_rate", "rise", 40, 30, 5)),
    make("fall", Change("spo2", "fall", 6, 130, 1), max_age_s=60),
    make("often", Count(threshold("spo2", "below", 91), 3, 61)),
    make("silent", Missing("spo2", 60)),
    make("silent-later", Missing("heart_rate", 60), delay_s=30.0),
    make("alone", All((threshold("spo2", "below", 90, 1), Missing("heart_rate", 30)))),
    make("never", All((threshold("spo2", "below", 91, 1), Missing("nibp_systolic", 30, unseen=True)))),
    make(
        "both",
        All((threshold("heart_rate", "above", 125, 5), threshold("spo2", "below", 91, 1))),
        delay_s=7.0,
    ),
    make("not", All((threshold("heart_rate", "above", 125), Not(threshold("spo2", "above", 90, 1))))),
    make(
        "nested",
        Any_(
            (
                All((threshold("spo2", "below", 91), threshold("heart_rate", "below", 41, 1))),
                threshold("spo2", "below", 85),
            )
        ),
    ),
)
NEAR = {  # values on both sides of each limit and of its hysteresis
    "spo2": [84, 89, 89.5, 90, 90.5, 91, 97],
    "heart_rate": [30, 39, 40, 41, 42, 80, 125, 126, 130, 131, 160],
    "nibp_systolic": [120, 175, 176, 179, 180, 190],
    "nibp_diastolic": [80, 105, 106, 109, 110, 120],
}
KINDS = (("spo2",), ("heart_rate",), ("spo2", "heart_rate"), ("nibp_systolic", "nibp_diastolic"))
GAPS = [0, 1, 3, 7, 10, 11, 30, 61, 130, 15_000]
FullRow = tuple[str, str, str, float | None, int, int, int]


@st.composite
def in_order(draw: st.DrawFn, most: int = 30) -> list[Measured]:
    """Measurements in order of time and device; one patient and device measures once at a time."""
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
    return sorted(out, key=lambda m: (m.time, m.device))


@st.composite
def any_order(draw: st.DrawFn) -> list[FullRow]:
    """Rows in any order of time, some received late, some not fit to be looked at."""
    rows: list[FullRow] = []
    for _ in range(draw(st.integers(1, 14))):
        time = draw(st.integers(0, 40)) * 20 * SECOND
        delay = draw(st.sampled_from([0, 1, 59, 61, 3700, 90_000])) * SECOND
        metric = draw(st.sampled_from(sorted(NEAR)))
        value = float(draw(st.sampled_from(NEAR[metric])))
        quality = draw(st.sampled_from([0, 0, 0, int(Quality.MOTION), int(Quality.DEMO)]))
        where = draw(st.sampled_from("pq")), draw(st.sampled_from("de"))
        rows.append((*where, metric, value, time, time + delay, quality))
    return rows


def frame(seq: int, measured: list[Measured]) -> Readings:
    """What has just been measured, by a source that has told as far as that."""
    return Readings(seq, measured[-1].time, rows_of(measured), "gw", measured[-1].time)


def arriving(rows: list[FullRow]) -> list[Input]:
    """A frame for each row, at the time at which it was received or the one before was."""
    now, events = 0, list[Input]()
    for i, row in enumerate(rows):
        now = max(now, row[5])
        events.append(Readings(i + 1, now, Rows.of([row]), "gw", now))
    return events


def spans(transitions: list[Transition]) -> list[Span]:
    ends = {t.alarm: t.at for t in transitions if t.kind == "end"}
    return sorted(
        [Span(t.patient, t.rule, t.onset, t.at, ends.get(t.alarm)) for t in transitions if t.kind == "start"],
        key=lambda s: (*s[:4], s.end or 0),
    )


def carry_on(state: State, events: list[Input]) -> tuple[State, list[Transition]]:
    out: list[Transition] = []
    for event in events:
        state, transitions = step(state, event)
        out += transitions
    return state, out


@given(in_order(), st.integers(0, 20))
def test_equals_the_obvious_implementation(measured: list[Measured], wait: int):
    until = measured[-1].time + wait * SECOND
    _, out = play(PLAIN, [Readings(1, until, rows_of(measured), "gw", until), Tick(2, until)])
    assert spans(out) == alarms(PLAIN, measured, until)


@settings(max_examples=120)
@given(in_order(), st.integers(0, 100))
def test_equals_the_obvious_implementation_of_what_is_derived(measured: list[Measured], wait: int):
    """Smoothed limits, changes, counts, silence, and / or / not, and what must be clear for a time."""
    until = measured[-1].time + wait * SECOND
    _, out = play(DERIVED, [Readings(1, until, rows_of(measured), "gw", until), Tick(2, until)])
    assert spans(out) == alarms(DERIVED, measured, until)


@settings(max_examples=60)
@given(in_order(), st.integers(1, 5))
def test_the_engine_sees_what_becomes_too_old(measured: list[Measured], size: int):
    """Devices that fall silent while others go on: gaps around the maximum ages, one measurement or a few."""
    parts = [measured[i : i + size] for i in range(0, len(measured), size)]
    events: list[Input] = [frame(i + 1, part) for i, part in enumerate(parts)]
    engine = Engine(State.empty("node", RuleSet(PLAIN + DERIVED)))
    state, out = play(PLAIN + DERIVED, events)
    assert [t for event in events for t in engine.step(event)] == out
    assert engine.state.to_bytes() == state.to_bytes()


@settings(max_examples=60)
@given(in_order(), st.data())
def test_a_batch_split_anywhere_decides_the_same(measured: list[Measured], data: st.DataObject):
    end = measured[-1].time
    whole, expected = play(DERIVED, [Readings(1, end, rows_of(measured), "gw", end)])
    cuts = sorted(data.draw(st.sets(st.integers(1, len(measured) - 1)))) if len(measured) > 1 else []
    parts = [measured[a:b] for a, b in zip([0, *cuts], [*cuts, len(measured)], strict=True)]
    split, out = play(DERIVED, [Readings(1, end, rows_of(part), "gw", end) for part in parts])
    by_patient = [[t for t in out if t.patient == p] for p in "pq"]
    assert by_patient == [[t for t in expected if t.patient == p] for p in "pq"]
    assert split.digest() == whole.digest()


@given(any_order())
def test_the_same_inputs_give_the_same_and_leave_the_old_state_alone(rows: list[FullRow]):
    before = State.empty("node", RuleSet(PLAIN + DERIVED))
    digest = before.digest()
    events = arriving(rows)
    (one, out), (two, again) = carry_on(before, events), carry_on(before, events)
    assert out == again
    assert one.to_bytes() == two.to_bytes()
    assert before.digest() == digest
    kept = one.to_bytes()
    carry_on(one, events)
    assert one.to_bytes() == kept


@given(any_order(), st.data())
def test_a_snapshot_anywhere_changes_nothing(rows: list[FullRow], data: st.DataObject):
    events = [*arriving(rows), Tick(len(rows) + 1, at(10**6))]
    cut = data.draw(st.integers(0, len(events)))
    straight, expected = play(PLAIN + DERIVED, events)
    state, first = play(PLAIN + DERIVED, events[:cut])
    restored = State.from_bytes(state.to_bytes())
    assert restored.to_bytes() == state.to_bytes()
    state, second = carry_on(restored, events[cut:])
    assert first + second == expected
    assert state.digest() == straight.digest()
    assert state.active() == straight.active()


@given(any_order())
def test_at_most_one_active_alarm_per_patient_and_rule(rows: list[FullRow]):
    state = State.empty("node", RuleSet(PLAIN + DERIVED))
    present: dict[tuple[str, str], str] = {}
    known: set[str] = set()
    for event in arriving(rows):
        for one in (event, Tick(event.seq, event.now + 5 * SECOND)):
            state, out = step(state, one)
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
def test_a_repeated_reading_is_ignored(rows: list[FullRow], data: st.DataObject):
    """Its frame came twice: at once or after others."""
    events = arriving(rows)
    repeated = list(events)
    for event in events:
        if data.draw(st.booleans()):
            where = data.draw(st.integers(repeated.index(event) + 1, len(repeated)))
            repeated.insert(where, event)
    now, sent = 0, list[Input]()
    for event in repeated:
        now = max(now, event.now)
        assert isinstance(event, Readings)
        sent.append(Readings(event.seq, now, event.rows, "gw", now))
    once, expected = play(PLAIN, events)
    again, out = play(PLAIN, sent)
    assert [t.alarm for t in out] == [t.alarm for t in expected]
    assert [a.id for a in again.active()] == [a.id for a in once.active()]


@settings(max_examples=25)
@given(in_order(most=12), st.data())
def test_ticks_of_any_grain_start_at_the_same_time(measured: list[Measured], data: st.DataObject):
    until = measured[-1].time + 20 * SECOND
    rules = PLAIN + DERIVED
    _, expected = play(rules, [Readings(1, until, rows_of(measured), "gw", until), Tick(1, until)])
    grain = data.draw(st.sampled_from([1, 3, 10, 60])) * SECOND // 2
    events: list[Input] = []
    now = measured[0].time
    for m in measured:
        while now < min(m.time, now + 9 * grain):
            events.append(Tick(1, now))
            now += grain
        now = m.time
        events.append(frame(1, [m]))
    _, out = play(rules, [*events, Tick(1, until)])

    def told(transitions: list[Transition]) -> list[tuple[object, ...]]:
        return sorted((t.alarm, t.kind, t.at, t.onset, t.values) for t in transitions if t.kind == "start")

    assert told(out) == told(expected)
    assert spans(out) == spans(expected)


@given(any_order(), st.sampled_from([Quality.DEMO, Quality.TEST, Quality.SENSOR_OFF, Quality.FUTURE]))
def test_what_is_not_clinical_never_decides(rows: list[FullRow], flag: Quality):
    unfit = arriving([(*row[:6], int(flag)) for row in rows])
    state, out = play(PLAIN + DERIVED, [*unfit, Tick(2, at(10**6))])
    assert out == []
    assert all(s.time < 0 for x in state.subjects.values() for d in x.series.values() for s in d.values())


@given(any_order(), st.sampled_from([Quality.FROM_STORE | Quality.TIME_UNKNOWN, Quality.INVALID]))
def test_what_is_put_aside_is_for_the_worklist_only(rows: list[FullRow], flags: Quality):
    aside = arriving([(*row[:6], int(flags)) for row in rows])
    state, out = play(PLAIN + DERIVED, [*aside, Tick(2, at(10**6))])
    assert {t.kind for t in out} <= {"late"}
    assert state.active() == []
    assert all(s.time < 0 for x in state.subjects.values() for d in x.series.values() for s in d.values())


@given(in_order(), st.data())
def test_the_same_rules_again_change_nothing(measured: list[Measured], data: st.DataObject):
    events: list[Input] = [frame(1, [m]) for m in measured]
    whole, expected = play(PLAIN, events)
    events.insert(data.draw(st.integers(0, len(events))), Configuration(1, 0, RuleSet(PLAIN)))
    again, out = play(PLAIN, events)
    assert out == expected
    assert again.digest() == whole.digest()


@settings(max_examples=50)
@given(in_order(), st.data())
def test_no_data_never_ends_an_alarm(measured: list[Measured], data: st.DataObject):
    rules = [r for r in PLAIN + DERIVED if not r.clear_after_s]
    last = measured[-1].time
    state, _ = play(rules, [Readings(1, last, rows_of(measured), "gw", last), Tick(2, last + 200 * SECOND)])
    before = {a.id for a in state.active()}
    for _ in range(data.draw(st.integers(1, 5))):
        last += data.draw(st.integers(200, 10**6)) * SECOND
        state, out = step(state, Tick(3, last))
        assert out == ()
    assert {a.id for a in state.active()} == before


@given(in_order(most=20))
def test_rules_that_go_reset_their_alarms(measured: list[Measured]):
    last = measured[-1].time
    state, _ = play(PLAIN, [Readings(1, last, rows_of(measured), "gw", last), Tick(2, last + 20 * SECOND)])
    before = state.active()
    state, out = step(state, Configuration(3, last + 21 * SECOND, RuleSet()))
    assert sorted(t.alarm for t in out) == sorted(a.id for a in before)
    assert {t.kind for t in out} <= {"reset"}
    assert state.active() == []


@given(in_order(most=20))
def test_a_patient_not_touched_is_shared(measured: list[Measured]):
    last = measured[-1].time
    state, _ = play(PLAIN, [Readings(1, last, rows_of(measured), "gw", last)])
    after, _ = step(state, frame(2, [measured[0]._replace(patient="r")]))
    assert all(after.subjects[p] is s for p, s in state.subjects.items())
