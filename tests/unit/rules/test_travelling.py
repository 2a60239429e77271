"""A decision as bytes: for the clouds there are, of this version and of those before and after it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.errors import DecodeError
from rules.model import Transition
from rules.travelling import PLAIN, VERSION, Travelling
from tests.unit.rules.test_terms_sent import DETAILS, JUNK, spo2

DECIDED = Transition(
    alarm="alm_1",
    patient="pat_1",
    rule="vital-unusual",
    rule_hash="00ff",
    kind="start",
    condition="active",
    priority="low",
    at=10,
    onset=8,
    seq=3,
    values={"spo2": 84.0},
    limit="at least 0.9",
    text={"en": "Unusual: SpO2", "zh": "异常"},
    inputs=({"metric": "spo2", "device": "dev_1", "time": 10, "value": 84.0, "received": 10},),
    decided=11,
    detail={"delay_s": 0.0, "unusual": {"spo2": spo2()}, "why": ""},
)


def as_before(payload: bytes) -> dict[str, Any]:
    """How the release without terms read a decision: sixteen parts, no more and no less."""
    version, *parts = msgpack.unpackb(payload, strict_map_key=True, raw=False)
    assert version == 1
    return dict(zip([f.name for f in fields(Travelling)][:16], parts, strict=True))


@given(DETAILS, st.sampled_from(["start", "update", "escalate"]))
def test_it_comes_back_with_its_terms(detail: dict[str, Any], kind: Any):
    word = Travelling.of(replace(DECIDED, detail=detail, kind=kind), config="c0", told=True)
    assert Travelling.decode(word.encode()) == word
    assert word.terms == {k: v for k, v in detail.items() if k != "delay_s"}
    assert Travelling.decode(word.shifted(7).encode()).terms == word.terms


def test_for_an_older_cloud_it_is_what_it_was():
    word = Travelling.of(DECIDED, config="c0", told=True, version=PLAIN)
    assert word.terms is None
    assert Travelling.decode(word.encode()) == word
    found = as_before(word.encode())
    assert (found["kind"], found["values"], found["told"]) == ("start", {"spo2": 84.0}, True)


def test_of_a_newer_gateway_what_is_known_here_is_read():
    word = Travelling.of(DECIDED, config="c0", told=True)
    _, *parts = msgpack.unpackb(word.encode())
    assert Travelling.decode(msgpack.packb([VERSION + 1, *parts, "more", {"and": "more"}])) == word
    for damaged in ([VERSION, *parts, "more"], [PLAIN, *parts], [VERSION, *parts[:-1]], [0, *parts], parts):
        with pytest.raises(DecodeError):
            Travelling.decode(msgpack.packb(damaged))


def test_an_end_has_none_to_tell():
    assert Travelling.of(replace(DECIDED, kind="end"), config="", told=True).terms == {}


@given(JUNK)
def test_no_terms_are_in_the_way_of_a_decision(junk: Any):
    _, *parts = msgpack.unpackb(Travelling.of(DECIDED, config="c0", told=True).encode())
    try:
        payload = msgpack.packb([VERSION, *parts[:-1], junk])
    except OverflowError:
        return
    found = Travelling.decode(payload)
    assert (found.alarm, found.values) == ("alm_1", {"spo2": 84.0})
    assert found.terms is not None
