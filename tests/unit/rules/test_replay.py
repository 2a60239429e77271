"""Rules run over recorded readings: the same alarms as live, however the rows are cut; nothing lost."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import Configuration, Context, Engine, Limit, Readings, Rows, RuleSet, State, Tick
from rules.conditions import (
    All,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Missing,
    Not,
    Repeat,
    Score,
    Smoothing,
)
from rules.news2 import METRICS_OF
from rules.replay import Episode, Replay, Track, replay
from rules.rule import SECOND, Parameter, Rule
from tests.unit.rules.made import at, make, threshold

LOW = make("low", threshold("spo2", "below", 90, 2))
Sample = tuple[float, str, float | None]
"""Time in seconds, metric, value."""


def track(samples: Iterable[Sample], patient: str = "p", until: float | None = None) -> Track:
    out = Track(patient)
    for time, metric, value in samples:
        out.add("d", metric, value, at(time))
        out.seen(at(time))
    if until is not None:
        out.seen(at(until))
    out.sort()
    return out


def spo2(*values: float, every: float = 10) -> list[Sample]:
    return [(i * every, "spo2", v) for i, v in enumerate(values)]


def run(rules: Iterable[Rule], *tracks: Track, **contexts: Context) -> Replay:
    return replay(RuleSet(tuple(rules)), tracks, contexts)


def only(found: Replay) -> Episode:
    assert len(found.episodes) == 1
    return found.episodes[0]


def test_an_episode_has_its_beginning_end_peak_and_inputs():
    episode = only(run([LOW], track(spo2(95, 88, 85, 89, 91, 92, 93))))
    assert (episode.patient, episode.rule, episode.priority, episode.limit) == ("p", "low", "high", "< 90")
    assert (episode.onset, episode.started, episode.end) == (at(10), at(10), at(50))
    assert episode.peak is not None
    assert (episode.peak.value, episode.peak.of, episode.peak.at) == (85, "spo2", at(20))
    assert [(i["metric"], i["value"], i["time"]) for i in episode.inputs] == [("spo2", 88, at(10))]
    assert episode.hash == LOW.hash


def test_the_delay_is_between_onset_and_told():
    episode = only(
        run([make("slow", threshold("spo2", "below", 90), delay_s=15)], track(spo2(95, 88, 87, 86)))
    )
    assert (episode.onset, episode.started) == (at(10), at(25))


def test_what_still_goes_on_at_the_records_end_has_none():
    assert only(run([LOW], track(spo2(95, 88, 85)))).end is None


def test_time_goes_no_further_than_the_record():
    slow = make("slow", threshold("spo2", "below", 90), delay_s=15)
    silent = make("silent", Missing("spo2", 60))
    samples = spo2(95, 88)
    assert run([slow, silent], track(samples)).episodes == []
    # something else was still recorded, so that time went on
    found = run([slow, silent], track(samples, until=75)).episodes
    assert [(e.rule, e.onset, e.started) for e in found] == [
        ("slow", at(10), at(25)),
        ("silent", at(70), at(70)),
    ]


def test_patients_are_alone_under_the_rules():
    first, second = track(spo2(80, 80), "a"), track(spo2(95, 80), "b")
    found = run([LOW], first, second)
    assert [(e.patient, e.onset) for e in found.episodes] == [("a", 0), ("b", at(10))]
    assert found.episodes[0].alarm != found.episodes[1].alarm


def test_a_patients_name_makes_no_gateway_of_them():
    assert only(run([LOW], track(spo2(80), "gateway:x"))).patient == "gateway:x"


def test_rows_that_no_rule_reads_are_counted():
    found = run([LOW], track([*spo2(95, 94), (0, "pain", 3), (5, "pain", 4)]))
    assert found.read == {"spo2": 2}
    assert found.unread == {"pain": 2}
    assert run([LOW], track([(0, "pain", 3)])).unread == {"pain": 1}
    assert run([LOW], Track("nobody")).episodes == []


def test_what_is_known_of_a_patient_counts():
    rule = make(
        "own",
        threshold("spo2", "below", "limit"),
        parameters={"limit": Parameter(90, 80, 95)},
        setting="ward",
    )
    samples = track(spo2(87))
    assert len(run([rule], samples).episodes) == 1
    assert run([rule], samples, p=Context(setting="home")).episodes == []
    limit = Limit("own", "limit", 85, by="Dr Wu", start=-1, reason="COPD")
    assert run([rule], samples, p=Context(setting="ward", limits=(limit,))).episodes == []


def test_second_measurements_asked_for_and_late_breaches_are_no_alarms():
    rule = make("twice", Repeat(threshold("nibp_systolic", "above", 180), after_s=60, timeout_s=600))
    found = run([rule], track([(0, "nibp_systolic", 190), (120, "nibp_systolic", 130)]))
    assert (found.episodes, found.asked) == ([], {"twice": 1})
    late = track(spo2(80))
    late.received, late.quality = array("q", [at(7200)]), array("q", [0])
    found = run([LOW], late)
    assert found.episodes == []
    assert [(x.patient, x.rule, x.at) for x in found.late] == [("p", "low", 0)]


def test_a_word_on_quality_is_no_value():
    rule = make("off", DeviceFlag("sensor_off", "spo2"), kind="technical", inputs={"spo2": 120.0})
    samples = track([(0, "spo2", 97), (10, "spo2", None)])
    samples.received, samples.quality = array("q", [0, at(10)]), array("q", [0, 8])
    episode = only(run([rule, LOW], samples))
    assert (episode.rule, episode.peak) == ("off", None)


def test_rows_of_one_moment_stay_together():
    samples = [(t, m, 1.0) for t in range(5) for m in ("spo2", "heart_rate", "pulse_rate")]
    for size in (1, 2, 4, 100):
        chunks = list(track(samples).chunks(size))
        assert [r for c in chunks for r in zip(c.time, c.metric, strict=True)] == [
            (at(t), m) for t, m, _ in samples
        ]
        ends = [c.time[-1] for c in chunks]
        assert len(set(ends)) == len(ends)


def test_rows_are_brought_into_order_with_all_their_columns():
    made = Track("p", received=array("q", [3, 1, 2]), quality=array("q", [30, 10, 20]))
    for device, value, time in (("c", nan, 3), ("a", 1.0, 1), ("b", 2.0, 2)):
        made.add(device, "spo2", value, time)
    made.sort()
    assert (made.device, list(made.time)) == (["a", "b", "c"], [1, 2, 3])
    (rows,) = made.chunks()
    assert (rows.value, rows.received, rows.quality) == ([1.0, 2.0, None], [1, 2, 3], [10, 20, 30])


VALUES = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["spo2", "heart_rate", "respiratory_rate"]),
        st.sampled_from([10.0, 50.0, 85.0, 90.0, 93.0, 98.0, 140.0]),
    ),
    min_size=1,
    max_size=40,
)
SEVERAL = (
    LOW,
    make("slow", threshold("heart_rate", "above", 120, 10), delay_s=45, clear_after_s=30),
    make("mean", threshold("spo2", "below", 90, 3, smoothing=Smoothing("mean", 60, 2))),
    make("rise", Change("heart_rate", "rise", 40, 120)),
    make("silent", Missing("respiratory_rate", 90)),
)


@given(VALUES, st.sampled_from([1, 3, 48]))
def test_it_decides_as_the_product_does_whatever_the_chunks(values: list[tuple[int, str, float]], size: int):
    """One frame a moment through the engine gives the same alarms."""
    unique = {(t * 20, m): v for t, m, v in values}
    made = track((t, m, v) for (t, m), v in unique.items())
    unknown = Context(expected={"spo2": made.time[0]})
    found = replay(RuleSet(SEVERAL), [made], {"p": unknown}, chunk=size)
    assert made.last is not None
    engine = Engine(State.empty("live", RuleSet(SEVERAL)))
    told = list(engine.step(Configuration(1, made.time[0], None, contexts={"p": unknown})))
    for moment in sorted({t for t, _ in unique}):
        rows = [("p", "d", m, v, at(t), at(t), 0) for (t, m), v in unique.items() if t == moment]
        told += engine.step(Readings(2, at(moment), Rows.of(rows), "gw", at(moment)))
    told += engine.step(Tick(3, made.last))
    starts = sorted((t.onset, t.rule, t.at) for t in told if t.kind == "start")
    ends = sorted((t.rule, t.at) for t in told if t.kind == "end")
    assert sorted((e.onset, e.rule, e.started) for e in found.episodes) == starts
    assert sorted((e.rule, e.end) for e in found.episodes if e.end is not None) == ends


# -- peaks


def peak(rule: Rule, samples: Iterable[Sample], until: float | None = None) -> tuple[float, str, float]:
    found = only(run([rule], track(samples, until=until))).peak
    assert found is not None
    return found.value, found.of, found.at / SECOND


def test_the_peak_is_what_the_limit_is_compared_with():
    smooth = make("mean", threshold("spo2", "below", 90, smoothing=Smoothing("mean", 20, 2)))
    assert peak(smooth, spo2(95, 88, 80, 84, 99)) == (82, "spo2", 30)
    either = make("either", threshold("spo2", "below", 90), threshold("heart_rate", "above", 130))
    assert peak(either, [(0, "spo2", 97), (0, "heart_rate", 140), (9, "heart_rate", 150)]) == (
        150,
        "heart_rate",
        9,
    )
    rise = make("rise", Change("heart_rate", "rise", 30, 60))
    assert peak(rise, [(0, "heart_rate", 70), (30, "heart_rate", 105), (60, "heart_rate", 112)]) == (
        42,
        "heart_rate",
        60,
    )
    counted = make("count", Count(threshold("spo2", "below", 90), 2, 60))
    assert peak(counted, spo2(89, 88, 84)) == (84, "spo2", 20)
    silent = make("silent", Missing("spo2", 60))
    assert peak(silent, [*spo2(97, 97, 97), (320, "spo2", 96)]) == (300, "spo2", 320)
    repeated = make("twice", Repeat(threshold("spo2", "below", 90), after_s=10, timeout_s=60))
    assert peak(repeated, spo2(89, 84, 88)) == (84, "spo2", 10)


def test_the_peak_of_a_deviation_lies_on_its_side():
    rule = make("away", Deviation("heart_rate", "below", 15, tau_s=1e5, learn_s=60), max_age_s=1000)
    samples = [(t, "heart_rate", 80.0) for t in range(0, 120, 10)]
    value, of, when = peak(rule, [*samples, (120, "heart_rate", 60), (130, "heart_rate", 50)])
    assert (round(value), of, when) == (-30, "heart_rate", 130)


def test_the_peak_of_a_score_is_the_highest_sum():
    rule = make(
        "score",
        Score("news2", 3, 3),
        inputs={metric: 600.0 for metrics in METRICS_OF.values() for metric in metrics},
    )
    samples = [
        (0, "spo2", 91),
        (60, "respiratory_rate", 25),
        (120, "heart_rate", 120),
        (180, "heart_rate", 80),
    ]
    assert peak(rule, samples) == (8, "news2", 120)


def test_a_dead_signal_is_no_peak():
    """The rule asks for a pressure above 10: a line gone flat is not the worst that was."""
    rule = make("map", All((threshold("ibp_mean", "below", 65, 5), threshold("ibp_mean", "above", 10, 60))))
    samples = [(0, "ibp_mean", 60), (10, "ibp_mean", 55), (20, "ibp_mean", 0), (30, "ibp_mean", 58)]
    assert peak(rule, samples) == (55, "ibp_mean", 10)


def test_a_part_under_not_is_not_what_was_passed():
    rule = make("but", All((Not(threshold("heart_rate", "above", 200)), threshold("spo2", "below", 90))))
    assert peak(rule, [(0, "heart_rate", 80), (0, "spo2", 85), (9, "spo2", 80)]) == (80, "spo2", 9)


@pytest.mark.parametrize("name", ["ibp-mean-low", "ibp-mean-low-severe"])
def test_a_flat_line_neither_opens_nor_ends_low_pressure(name: str):
    from rules import load_rules

    rule = load_rules().by_id[name]
    flat = [(60.0 * n, "ibp_mean", 0.0) for n in range(60)]
    assert run([rule], track(flat)).episodes == []
    low = [(60.0 * n, "ibp_mean", 45.0) for n in range(20)]
    episode = only(run([rule], track([*low, *((1200 + t, m, v) for t, m, v in flat)])))
    assert episode.end is None
    assert episode.peak is not None
    assert episode.peak.value == 45
