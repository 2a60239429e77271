"""What people are told of a device."""

from __future__ import annotations

import re

import pytest

from devices.states import SessionState
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.device_words import (
    ADVICE,
    CAUSES,
    SEEN,
    STATES,
    Language,
    reason,
    state_word,
    why_unmatched,
)


def two_past_two(_at: int) -> str:
    return "14:02"


@pytest.mark.parametrize(
    ("word", "english", "chinese"),
    [
        (DeviceWord("backoff", Cause.OUT_OF_RANGE, 1), "out of range since 14:02", "自 14:02 起超出范围"),
        (DeviceWord("backoff", Cause.OUT_OF_RANGE), "out of range", "超出范围"),
        (DeviceWord("backoff", Cause.PAIRED_ELSEWHERE), "paired with another host", "已与另一主机配对"),
        (
            DeviceWord("backoff", Cause.PORT_MISSING, 1),
            "port is not there: unplugged? (since 14:02)",
            "端口不存在: 是否已拔出? (自 14:02)",
        ),
        (DeviceWord("streaming", Cause.NONE, 1), "", ""),
    ],
)
def test_the_reason_is_said_with_its_beginning(word: DeviceWord, english: str, chinese: str):
    assert (reason(word, "en", two_past_two), reason(word, "zh", two_past_two)) == (english, chinese)


def test_one_that_is_tried_again_in_vain_is_offline_at_every_step():
    assert state_word(DeviceWord("connecting"), "en") == "connecting"
    assert state_word(DeviceWord("connecting", Cause.OUT_OF_RANGE), "en") == "offline, trying again"
    assert state_word(DeviceWord("of a later release"), "zh") == "of a later release"


def test_every_cause_has_its_words_in_both_languages_and_they_differ():
    assert set(CAUSES) == set(Cause) - {Cause.NONE}
    for table in (CAUSES, STATES):
        assert all(said.keys() == {"en", "zh"} for said in table.values())
    for language in ("en", "zh"):
        assert len({said[language] for said in CAUSES.values()}) == len(CAUSES)


def test_for_every_cause_it_is_said_what_to_do_in_both_languages():
    assert set(ADVICE) == set(CAUSES)
    for table in (ADVICE, CAUSES, SEEN):
        for said in table.values():
            assert said.keys() == {"en", "zh"}
            assert said["en"].isascii()
            assert re.search("[\u4e00-\u9fff]", said["zh"]), said
    for cause, said in ADVICE.items():
        assert said["en"] != CAUSES[cause]["en"], "an advice is no reason"


def test_every_state_of_a_session_has_its_words():
    assert {state.value for state in SessionState} <= set(STATES)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_why_no_profile_fits_names_those_among_which_to_choose(language: Language):
    assert "(a, b)" in why_unmatched("several:a, b", language)
    assert why_unmatched("none", language) == SEEN["none"][language]
    assert why_unmatched("of a later release", language) == "of a later release"
