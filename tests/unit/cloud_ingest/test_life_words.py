from __future__ import annotations

from typing import Any, get_args

import pytest

from cloud_ingest.life_words import happened, reached
from cloud_ingest.records.models import TransitionRow
from rules.model import TransitionKind

NAMES = {"usr_1": "Ann Li", "usr_2": "Bo Chen"}
ABOUT_SUBJECTS = {"pause", "resume"}


def row(kind: str, **detail: Any) -> TransitionRow:
    return TransitionRow(kind=kind, text_en="SpO2 84 < 90", text_zh="血氧 84 < 90", detail=detail)


@pytest.mark.parametrize("kind", sorted({*get_args(TransitionKind)} - ABOUT_SUBJECTS))
def test_everything_that_can_happen_to_an_alarm_has_words(kind: str):
    axes = {"signal": "on"}
    text = happened(
        row(kind, axes=axes, step=1, of=4, before="usr_1", to="usr_2", hop=["sms", "usr_1"]), NAMES
    )
    assert text["en"] != kind
    assert "{" not in text["en"] + text["zh"]
    assert not text["zh"].isascii()


def test_a_step_says_which_it_is_why_and_who_was_told():
    step = row(
        "tell",
        axes={},
        step=1,
        of=4,
        why="rejected",
        told=[["in_app", "wall"], ["sms", "usr_1"], ["voice", "usr_1"], ["webhook", "@siem"]],
    )
    assert happened(step, NAMES)["en"] == (
        "escalation step 2 of 4: somebody could not come → ward wall, Ann Li (SMS, call), siem (webhook)"
    )
    assert happened(step, NAMES)["zh"] == (
        "升级第 2/4 步:有人无法前来 → 病区大屏、Ann Li (短信, 电话)、siem (Webhook)"
    )


def test_that_there_was_nobody_is_said():
    assert happened(row("tell", axes={}, step=0, of=1, why="timetable"), NAMES)["en"] == (
        "escalation step 1 of 1 → nobody to tell"
    )
    assert reached([], NAMES)["zh"] == "无人可通知"


def test_what_an_alarm_says_is_part_of_its_beginning_and_end():
    told = happened(row("start", axes={}, told=[["in_app", "wall"]]), NAMES)
    assert told["en"] == "began: SpO2 84 < 90 → ward wall"
    assert happened(row("end", axes={}), NAMES)["zh"] == "结束:血氧 84 < 90"


@pytest.mark.parametrize(("signal", "words"), [("alarm_paused", "alarm paused"), ("on", "signals again")])
def test_a_change_of_the_signal_says_which_it_is_now(signal: str, words: str):
    assert happened(row("signal", axes={"signal": signal}), NAMES)["en"] == words


def test_an_alarm_that_nobody_gave_back_says_why_nobody_has_it():
    text = happened(row("release", axes={}, why="gone", before="usr_1"), NAMES)
    assert text["en"] == "given back: who had it has no login any more"


def test_a_merged_alarm_and_a_reminder_say_why():
    assert "same one" in happened(row("update", axes={}, why="merged"), NAMES)["en"]
    assert happened(row("continue", axes={}, why="reminder"), NAMES)["en"] == (
        "continues: reminder: SpO2 84 < 90"
    )
