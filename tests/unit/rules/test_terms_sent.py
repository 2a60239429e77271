"""The terms of a decision on their way: as they were, within bounds, and never in the way of the decision."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.codes import METRICS
from rules.detectors.baseline import Terms
from rules.detectors.novelty import Evidence, Part
from rules.detectors.parameters import STATISTICS
from rules.terms_sent import MAX_TERMS_BYTES, UNREADABLE, readable, terms_of

NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
PARTS = st.builds(
    Part,
    st.sampled_from(STATISTICS),
    st.sampled_from(["above", "below"]),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
)
EVIDENCE = st.builds(Evidence, NUMBERS, NUMBERS, st.lists(PARTS, min_size=1, max_size=3).map(tuple))
SIGNALS = ("spo2", "heart_rate", "respiratory_rate", "body_temperature")
UNUSUAL = st.dictionaries(
    st.sampled_from(SIGNALS),
    st.builds(
        lambda e, score, device: {"score": score, "device": device} | e.content(),
        EVIDENCE,
        NUMBERS,
        st.text(max_size=20),
    ),
    min_size=1,
)
DETAILS = st.fixed_dictionaries(
    {"delay_s": st.just(0.0)},
    optional={"unusual": UNUSUAL, "baseline": st.builds(Terms, *[NUMBERS] * 9).map(Terms.content)},
)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def spo2(**changes: Any) -> dict[str, Any]:
    parts = (Part("range", "below", 3.0, 1.0, 84.0, 95.0),)
    return {"score": 0.93, "device": "dev_1"} | Evidence(84.0, 3600.0, parts).content() | changes


@pytest.mark.parametrize("long", range(1, 120, 7))
def test_what_is_cut_to_its_bound_is_read_as_well(long: int):
    """Seconds are whole where they are measured, and longer as the numbers that they are read as."""
    parts = tuple(Part("range", "below", 3.0, 0.5, 84.0, 95.0) for _ in range(3))
    told = {
        metric: {"score": 0.5 + n / 100, "device": "d" * long} | Evidence(84.5, 7200 + n, parts).content()
        for n, metric in enumerate(sorted(METRICS)[:24])
    }
    sent = terms_of({"unusual": told})
    assert 0 < len(sent["unusual"]) < len(told)
    assert readable(sent) == sent


@given(DETAILS)
def test_what_is_sent_is_what_is_read(detail: dict[str, Any]):
    sent = terms_of(detail)
    assert sent == {k: v for k, v in detail.items() if k != "delay_s"}
    assert readable(msgpack.unpackb(msgpack.packb(sent))) == readable(json.loads(json.dumps(sent))) == sent


@given(JUNK)
def test_whatever_comes_it_is_read_or_left_out(junk: Any):
    for sent in (junk, {"unusual": junk}, {"unusual": {"spo2": junk}}, {"baseline": junk, "unusual": {}}):
        found = readable(sent)
        assert (found is None) is (sent is None)
        again = readable(found)
        assert again == found


@pytest.mark.parametrize(
    "damage",
    [
        {"score": "high"},
        {"score": float("nan")},
        {"device": 7},
        {"device": "x" * 300},
        {"parts": [["range", "sideways", 1.0, 1.0, 1.0, 1.0]]},
        {"parts": [["range", "below", 1.0]]},
        {"parts": None},
        {"known_s": True},
    ],
)
def test_a_damaged_kind_is_named_and_the_other_is_read(damage: dict[str, Any]):
    baseline = Terms(84.0, 90.0, 1.0, 2.0, -3.5, 0.0, 0.1, 1.0, 9.0).content()
    found = readable({"unusual": {"spo2": spo2(**damage)}, "baseline": baseline})
    assert found == {"baseline": baseline, UNREADABLE: ["unusual"]}


def test_what_a_newer_gateway_says_besides_is_left_out():
    newer = spo2(more=1, parts=[["wavelet", "x"], ["range", "below", 3.0, 1.0, 84.0, 95.0, "more"]])
    assert readable({"unusual": {"spo2": newer}, "cloudy": [1]}) == {"unusual": {"spo2": spo2()}}
    assert readable({"unusual": {"no-such-signal": spo2()}}) == {UNREADABLE: ["unusual"]}


def test_the_least_unusual_signals_give_way_when_it_is_too_much():
    known = {f"s{n}": spo2(score=n / 100, device="d" * 90) for n in range(40)}
    sent = terms_of({"unusual": known})
    assert list(sent["unusual"]) == [f"s{n}" for n in range(39, 39 - len(sent["unusual"]), -1)]
    assert 10 < len(sent["unusual"]) < 30
    assert len(msgpack.packb(sent)) <= MAX_TERMS_BYTES
    assert len(known) == 40, "what was decided keeps all of it"
    assert readable({"unusual": dict.fromkeys(METRICS, spo2(device="d" * 200))}) == {UNREADABLE: ["unusual"]}
