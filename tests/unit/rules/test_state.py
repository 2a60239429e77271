from __future__ import annotations

from hashlib import blake2b

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.errors import RuleError
from rules import Context, Limit, State
from rules.conditions import Change, Deviation, Missing, Repeat, Score, Smoothing, Unusual
from rules.news2 import METRICS_OF
from rules.rule import Parameter
from tests.unit.rules.made import Play, at, make, threshold

RULES = (
    make("low", threshold("spo2", "below", "limit", 1), parameters={"limit": Parameter(90, 80, 95)}),
    make("hr", threshold("heart_rate", "below", 40, 2), delay_s=10.0),
    make("bp", Repeat(threshold("nibp_systolic", "at_or_above", 180), 60, 600), max_age_s=3600),
    make("mean", threshold("ibp_mean", "below", 65, 5, smoothing=Smoothing("mean", 60)), clear_after_s=30.0),
    make("median", threshold("ibp_mean", "below", 60, smoothing=Smoothing("median", 60))),
    make("gain", Change("body_weight", "rise", 2, 600), max_age_s=600),
    make("own", Deviation("heart_rate", "above", 30, 100, 10)),
    make("odd", Unusual("heart_rate", "above", 0.9, 0.3)),
    make("news", Score("news2", 7, 5), inputs={m: 600.0 for ms in METRICS_OF.values() for m in ms}),
    make("silent", Missing("spo2", 300)),
    make("low", threshold("spo2", "below", 94), shadow=True),
)


def some_play() -> Play:
    """One of everything: an alarm accepted, one pending, one asked, one clearing, one ahead, a late one."""
    play = Play(*RULES)
    limit = Limit("low", "limit", 88, "Dr Li", 0, "COPD", at(9000), (0, 600), "Europe/Berlin")
    play.context(0, Context("ward", adult=True, limits=(limit,), expected={"spo2": 0}))
    (alarm, *_) = [t for t in play.read(1, spo2=84, nibp_systolic=190) if t.kind == "start" and not t.shadow]
    for i, value in enumerate((50, 50, 90)):
        play.read(2 + i, device="a", ibp_mean=value, body_weight=80 + i)
    play.read(5, patient="q", heart_rate=30)
    play.read(0.5, received=6, now=6, spo2=70)
    play.rows(("p", "e", "spo2", 80.0, 10), now=10, wall=7)
    play.accept(alarm.alarm, "nurse-1", now=11)
    return play


def test_a_snapshot_restores_everything_rules_included():
    play = some_play()
    state = play.state
    conditions = {e.condition for s in state.subjects.values() for e in s.episodes.values()}
    assert conditions == {"active", "asked", "pending"}
    assert state.subjects["p"].waiting
    assert state.subjects["p"].lates
    restored = State.from_bytes(state.to_bytes())
    assert restored.to_bytes() == state.to_bytes()
    assert restored.digest() == state.digest()
    assert (
        restored.node,
        restored.seq,
        restored.rules,
        restored.contexts,
        restored.sources,
        restored.alarms,
    ) == (
        state.node,
        state.seq,
        state.rules,
        state.contexts,
        state.sources,
        state.alarms,
    )
    assert restored.rules.hash == state.rules.hash
    assert restored.active() == state.active()
    assert restored.active(shadow=True) == state.active(shadow=True) != []
    assert "nurse-1" in [a.accepted_by for a in restored.active()]


def test_restored_it_goes_on_alike():
    play, again = some_play(), some_play()
    again.state = State.from_bytes(again.state.to_bytes())
    for one in (play, again):
        one.told = []
        one.read(16, spo2=95, heart_rate=80)
        one.tick(40)
        one.read(100, nibp_systolic=150)
        one.tick(9500)
    assert again.told == play.told
    assert again.state.digest() == play.state.digest()


def test_the_digest_is_over_the_bytes_and_tells_states_apart():
    play = some_play()
    first = play.state
    assert first.digest() == blake2b(first.to_bytes(), digest_size=8).hexdigest()
    play.tick(50)
    assert (
        len({first.digest(), play.state.digest(), State.empty("node").digest(), State.empty("n").digest()})
        == 4
    )


def test_the_oldest_alarm_comes_first():
    play = Play(RULES[0])
    play.read(5, patient="p", spo2=80)
    play.read(1, received=6, patient="q", spo2=80)
    assert [a.patient for a in play.state.active()] == ["q", "p"]


def test_what_was_told_last_is_what_an_alarm_shows():
    play = Play(RULES[0])
    (start,) = play.read(0, spo2=85)
    play.read(10, spo2=80)
    (alarm,) = play.state.active()
    assert (alarm.values, alarm.text, alarm.limit) == (start.values, start.text, "< 90")
    play.read(60, spo2=80)
    assert play.state.active()[0].values == {"spo2": 80.0}


SNAPSHOT = some_play().state.to_bytes()


@given(st.binary(max_size=60))
def test_damaged_snapshots_are_refused_with_one_kind_of_error(noise: bytes):
    with pytest.raises(RuleError):
        State.from_bytes(noise)


@settings(max_examples=50)
@given(st.integers(0, len(SNAPSHOT) - 1))
def test_a_cut_snapshot_is_refused(length: int):
    with pytest.raises(RuleError):
        State.from_bytes(SNAPSHOT[:length])


@pytest.mark.parametrize("version", [1, 99])
def test_a_snapshot_of_another_version_is_refused(version: int):
    content = msgpack.unpackb(SNAPSHOT)
    content[0] = version
    with pytest.raises(RuleError, match=f"version {version}"):
        State.from_bytes(msgpack.packb(content))


def test_a_snapshot_of_the_first_release_is_refused():
    """Its layout was another: only its version may be looked at."""
    with pytest.raises(RuleError, match="version 1"):
        State.from_bytes(msgpack.packb([1, "node", 5, [], [], []]))


def test_what_another_version_derived_is_learned_anew_and_counted(monkeypatch: pytest.MonkeyPatch):
    play = some_play()
    play.read(20, heart_rate=80)
    kept = play.state.to_bytes()
    assert State.from_bytes(kept).anew == 0
    monkeypatch.setattr("rules.detectors.novelty.VERSION", 99)
    restored = State.from_bytes(kept)
    assert restored.anew == 2  # of patients p and q
    (series,) = restored.subjects["p"].series["heart_rate"].values()
    (key,) = (k for k in series.features if k.startswith("unusual"))
    assert series.features[key].output is None
    assert State.from_bytes(restored.to_bytes()).anew == 0
