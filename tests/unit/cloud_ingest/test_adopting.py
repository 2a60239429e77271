"""Words of gateways: read from blocks, joined by alarm, and of whom they may speak."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.adopting import Decided, Refused, fold, fold_all, over_by, read_decisions
from hearthward.core.errors import DecodeError
from hearthward.core.wire import encode_decisions
from rules.attribution import Attribution, Span
from rules.model import Adopt
from rules.travelling import Travelling

SEEN = {"metric": "spo2", "device": "d1", "time": 10, "value": 84.0, "received": 10}
WORD = Travelling(
    kind="start",
    alarm="a",
    subject="p1",
    rule="low",
    rule_hash="00ff",
    condition="active",
    priority="high",
    onset=8,
    at=10,
    decided=11,
    limit="< 90",
    config="c0",
    told=False,
    values={"spo2": 84.0},
    text={"en": "84"},
    inputs=(SEEN,),
)
WORSE = replace(WORD, kind="update", at=15, values={"spo2": 80.0}, text={"en": "80"}, told=True)
END = replace(
    WORD, kind="end", at=20, values={"spo2": 97.0}, text={"en": "97"}, inputs=({**SEEN, "time": 20},)
)


def joined(*words: Travelling, now: int = 100, ended: int | None = None) -> Adopt:
    (folded,) = fold("gw-1", words)
    return folded.input(7, now, ended)


def test_one_word_is_an_input():
    found = joined(WORD)
    assert (found.seq, found.now, found.alarm, found.subject, found.rule) == (7, 100, "a", "p1", "low")
    assert (found.onset, found.at, found.last, found.ended) == (8, 10, 10, None)
    assert (found.source, found.rule_hash, found.limit, found.config) == ("gw-1", "00ff", "< 90", "c0")
    assert (found.values, found.text, found.inputs) == ({"spo2": 84.0}, {"en": "84"}, (SEEN,))
    assert (found.told, found.decided) == (False, 11)


@given(st.permutations([WORD, WORSE, END, END]))
def test_words_on_one_alarm_are_one_input_in_any_order(words: list[Travelling]):
    found = joined(*words)
    assert (found.at, found.last, found.ended, found.closing) == (10, 15, 20, "end")
    assert (found.values, found.text) == ({"spo2": 80.0}, {"en": "80"}), "what people were told"
    assert found.cleared == END.inputs
    assert found.told, "some of it was annunciated"


def test_the_terms_are_those_of_the_word_that_people_were_told_last():
    first, worse = ({"baseline": {"value": v}} for v in (1.0, 2.0))
    told = [replace(WORD, terms=first), replace(WORSE, terms=worse), replace(END, terms={})]
    assert joined(*told).terms == worse
    assert joined(WORD).terms is None
    assert joined(replace(END, terms={})).terms == {}
    assert joined(END).terms is None


def test_an_end_alone_says_nothing_of_a_breach():
    found = joined(END)
    assert (found.onset, found.at, found.ended) == (8, 8, 20)
    assert (found.values, found.inputs, found.cleared) == ({}, (), END.inputs)
    assert joined(replace(END, kind="reset")).closing == "reset"


def test_no_time_is_later_than_now():
    found = joined(WORD, END, now=9)
    assert (found.onset, found.at, found.last, found.ended) == (8, 9, 9, 9)


def test_what_is_not_the_gateways_any_more_is_over_then():
    assert (joined(WORD, ended=14).ended, joined(WORD, ended=14).closing) == (14, "reset")
    assert joined(WORD, END, ended=14).ended == 14
    assert joined(WORD, END, ended=40).ended == 20


def test_blocks_of_a_batch_are_joined_in_order_of_their_numbers():
    later = Decided(("gw-1", "b"), "t", b"", [(5, END)], 100)
    first = Decided(("gw-1", "b"), "t", b"", [(1, WORD), (2, replace(WORD, alarm="x"))], 100)
    other = Decided(("gw-2", "b"), "t", b"", [(1, WORD)], 100)
    found = fold_all([later, other, first])
    assert [(f.source, f.words[0].alarm, [n for _, n in f.numbers]) for f in found] == [
        ("gw-1", "a", [1, 5]),
        ("gw-1", "x", [2]),
        ("gw-2", "a", [1]),
    ]


def test_a_block_is_read_word_by_word():
    payload = encode_decisions([WORD.encode(), b"\xc1", replace(WORD, kind="ask").encode()])
    good, bad = read_decisions(payload, 3)
    assert good == [(0, WORD)]
    assert [(i, error.reason) for i, _, error in bad] == [(1, "malformed"), (2, "malformed")]
    for _, part, _ in bad:
        assert read_decisions(part, 1)[0] == []
    with pytest.raises(DecodeError, match="announced as 2"):
        read_decisions(payload, 2)


def test_times_of_a_wrong_clock_are_put_right():
    ((_, found),) = read_decisions(encode_decisions([WORD.encode()]), 1, 1000)[0]
    assert (found.onset, found.at, found.decided) == (1008, 1010, 1011)
    assert found.inputs == ({**SEEN, "time": 1010, "received": 1010},)


@given(st.binary(max_size=60), st.integers(1, 5))
def test_any_bytes_are_read_or_refused(payload: bytes, count: int):
    with pytest.raises(DecodeError):
        read_decisions(payload, count)


WORN = Attribution([Span("d1", "p1", 0, 50), Span("d2", "p2", 0)])
OWNERS = {"d1": "gw-1", "d2": "gw-2"}


def asked(source: str = "gw-1", now: int = 40, **changes: Any) -> int | None:
    (folded,) = fold(source, [replace(WORD, **changes)])
    return over_by(folded, WORN, OWNERS, {"low"}, now)


def test_a_gateway_speaks_of_itself_its_devices_and_who_wears_them():
    assert asked() is None
    assert asked(now=60) == 50, "it was taken off"
    assert asked(subject="device:d1") is None
    assert asked(subject="gateway:gw-1") is None
    assert asked("gw-2", subject="p2") is None


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("unknown_rule", {"rule": "other"}),
        ("not_its_patient", {"subject": "p2"}),
        ("not_its_patient", {"subject": "p3"}),
        ("not_its_patient", {"subject": "device:d2"}),
        ("not_its_patient", {"subject": "gateway:gw-2"}),
        ("not_its_patient", {"subject": "component:rules"}),
        ("not_its_patient", {"onset": 51, "at": 52}),
    ],
)
def test_a_gateway_does_not_speak_of_others(reason: str, changes: dict[str, Any]):
    with pytest.raises(Refused) as refused:
        asked(**changes)
    assert refused.value.reason == reason
