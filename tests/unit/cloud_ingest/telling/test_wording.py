# ruff: noqa: RUF001 - Chinese has commas of its own
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.telling.joined import joined_body, joins_from
from cloud_ingest.telling.spoken import spelt, spoken
from cloud_ingest.telling.wording import Detail, Place, Wording, body, clock_at, gsm_length, heading, one_sms
from hearthward.core.clock import SECOND, parse_iso
from rules import load_rules
from tests.unit.cloud_ingest.made import transition

BED = Place({"en": "Ward 3", "zh": "三病区"}, {"en": "Ward 3 bed 07", "zh": "三病区 07床"})
GATEWAY = Place(
    {"en": "gateway gw-1", "zh": "网关 gw-1"}, {"en": "gateway gw-1", "zh": "网关 gw-1"}, private=False
)


def said(channel: str = "sms", language: Any = "en", detail: Detail = "values", **values: Any) -> str:
    return body(transition(**values), BED, channel, language, Wording(detail))


def test_a_message_says_what_where_when_and_which() -> None:
    assert said() == "ALARM high: SpO2 84 < 90, Ward 3 bed 07, 08:00 UTC #abcdef"
    assert said(language="zh") == "报警 高: 血氧 84 < 90, 三病区 07床, 08:00 UTC #abcdef"


def test_the_time_is_that_of_the_place() -> None:
    there = replace(BED, zone="Asia/Shanghai")
    assert body(transition(), there, "sms", "en", Wording()).endswith("Ward 3 bed 07, 16:00 #abcdef")
    assert clock_at(parse_iso("2026-03-29T00:59:59Z"), "Europe/Berlin") == "01:59"
    assert clock_at(parse_iso("2026-03-29T01:00:00Z"), "Europe/Berlin") == "03:00"
    assert clock_at(parse_iso("2026-10-25T01:00:00Z"), "Europe/Berlin") == "02:00"


def test_a_zone_that_this_machine_does_not_know_keeps_nobody_from_being_told() -> None:
    for zone in ("Mars/Olympus", "../secret"):
        there = replace(BED, zone=zone)
        assert body(transition(), there, "sms", "en", Wording()).endswith("08:00 UTC #abcdef")


def test_it_says_no_more_than_the_organisation_allows() -> None:
    assert said(detail="place") == "ALARM high: Ward 3 bed 07, 08:00 UTC #abcdef"
    assert said(detail="reference") == "ALARM high: Ward 3, 08:00 UTC #abcdef"
    assert said(detail="reference", channel="voice") == "Alarm high. Ward 3. Reference a, b, c, d, e, f."
    assert said(detail="reference", channel="in_app") == said(channel="in_app"), "who sees it is logged in"


def test_what_is_no_patient_is_named_always() -> None:
    text = body(transition(text={"en": "Silent", "zh": "无响应"}), GATEWAY, "sms", "en", Wording("reference"))
    assert text == "ALARM high: Silent, gateway gw-1, 08:00 UTC #abcdef"


@pytest.mark.parametrize(
    ("values", "en", "zh"),
    [
        ({"kind": "tell", "detail": {"step": 0, "of": 3, "why": "timetable"}}, "ALARM high", "报警 高"),
        (
            {"kind": "tell", "detail": {"step": 1, "of": 3, "why": "timetable"}},
            "ESCALATED 2/3, ALARM high",
            "升级 2/3，报警 高",
        ),
        ({"kind": "tell", "detail": {"step": 3, "why": "repeated"}}, "STILL UNANSWERED, ALARM high", None),
        (
            {"kind": "tell", "detail": {"step": 1, "why": "rejected"}},
            "REJECTED BY COLLEAGUE, ALARM high",
            None,
        ),
        (
            {"kind": "tell", "detail": {"step": 1, "why": "undelivered"}},
            "OTHERS NOT REACHED, ALARM high",
            None,
        ),
        ({"kind": "tell", "detail": {"step": 1, "why": "nobody"}}, "NOBODY ON DUTY, ALARM high", None),
        ({"kind": "tell", "detail": {"step": 0, "why": "no_wall"}}, "NO WALL SHOWS IT, ALARM high", None),
        ({"kind": "redirect", "detail": {}}, "REDIRECTED, ALARM high", "已转交，报警 高"),
        ({"kind": "continue", "detail": {"why": "reminder"}}, "REMINDER, ALARM high", "提醒，报警 高"),
        ({"kind": "continue", "detail": {"why": "resumed"}}, "SIGNALS AGAIN, ALARM high", None),
        ({"kind": "escalate", "priority": "medium"}, "WORSE, ALARM medium", "加重，报警 中"),
        ({"kind": "end"}, "ENDED", "已结束"),
        ({"kind": "end", "condition": "latched"}, "ENDED, NOT ACKNOWLEDGED", "已结束，未确认"),
        ({"kind": "reset"}, "CLOSED", "已关闭"),
        ({"kind": "ask"}, "MEASURE AGAIN", "请再测量一次"),
    ],
)
def test_each_kind_says_why_somebody_is_told(values: dict[str, Any], en: str, zh: str | None) -> None:
    assert heading(transition(**values), "en") == en
    assert zh is None or heading(transition(**values), "zh") == zh


def test_a_late_alarm_says_when_it_was_measured() -> None:
    assert "07:00 UTC" in said(late=True, onset=transition().at - 3600 * SECOND)


def test_every_rules_text_fits_one_sms_and_is_spoken_without_signs() -> None:
    for rule in load_rules():
        for language in ("en", "zh"):
            text = rule.explanation[language]
            for template in ("{limit}", "{score}", "{change}", "{silence}"):
                text = text.replace(template, "< 90")
            text = text.replace("{", "").replace("}", "")
            found = said(language=language, text={language: text})
            length = gsm_length(found)
            assert (len(found) <= 70) if length is None else (length <= 160), found
            assert language == "zh" or length is not None, found
            aloud = said("voice", language, text={language: text})
            assert not set(aloud) & set("<>≤≥%#·/()"), aloud


PLACES = st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF), max_size=30)
"""Names that leave room in a message; one character beyond these takes the room of two."""


@given(st.text(max_size=300), PLACES, st.sampled_from(["en", "zh"]))
def test_what_is_too_long_is_cut_but_never_place_or_reference(what: str, ward: str, language: Any) -> None:
    text = one_sms("ALARM high", what, f"{ward}, 08:00 UTC #abcdef", language=language)
    assert text.startswith("ALARM high: ")
    assert text.endswith("08:00 UTC #abcdef")
    length = gsm_length(text)
    assert (len(text.encode("utf-16-be")) <= 140) if length is None else (length <= 160)


@pytest.mark.parametrize(
    ("text", "en"),
    [
        ("SpO2 84 < 90", "oxygen saturation 84, limit 90"),
        ("BP 186/112 ≥ 180", "blood pressure 186 over 112, limit 180"),
        ("Escalated 3/4, alarm high", "Escalated, step 3 of 4, alarm high"),
        ("MAP 55 mmHg, mean of 5 min (limit < 60)", "mean arterial pressure 55, mean of 5 minutes, limit 60"),
        (
            "Nothing heard of the gateway for 45 s (limit 30 s)",
            "Nothing heard of the gateway for 45 seconds, limit 30 seconds",
        ),
        ("Glucose 3.1, -2.4 in 15 min (<= -2)", "Glucose 3.1, minus 2.4 in 15 minutes, limit minus 2"),
        ("Battery 9 % < 10", "Battery 9 percent, limit 10"),
    ],
)
def test_texts_are_spoken_without_signs(text: str, en: str) -> None:
    assert spoken(text, "en") == en


def test_chinese_is_spoken_without_signs() -> None:
    assert spoken("血氧 84 < 90", "zh") == "血氧 84，限值 90"
    assert spoken("血压 186/112 ≥ 180", "zh") == "血压 186，112，限值 180"
    assert spoken("升级 3/4，报警 高", "zh") == "升级，第 3 步，共 4 步，报警 高"


def test_a_reference_is_spelt() -> None:
    assert spelt("m_home") == "m, h, o, m, e"


def test_a_call_says_all_of_it() -> None:
    assert said("voice") == (
        "Alarm high. Oxygen saturation 84, limit 90. Ward 3 bed 07. Reference a, b, c, d, e, f."
    )
    assert said("voice", "zh") == "报警 高。血氧 84，限值 90。三病区 07床。编号 a, b, c, d, e, f。"


class Queued:
    def __init__(self, n: int, priority: str = "high", kind: str = "tell") -> None:
        self.alarm, self.kind, self.priority = f"alm_{n:06}", kind, priority
        self.body = f"ALARM {priority}: SpO2 {n}"


def test_a_flood_is_one_message_with_each_reference() -> None:
    found = [Queued(1), Queued(2), Queued(3, "low"), Queued(4), Queued(5, kind="end")]
    assert joined_body(found, "sms", "en") == (
        "5 MESSAGES, the worst: ALARM high: SpO2 1; also: high #000002 #000004; low #000003; ended #000005"
    )
    assert joined_body(found, "sms", "zh").endswith("；另有：高 #000002 #000004；低 #000003；已结束 #000005")
    assert joined_body(found, "voice", "en") == "ALARM high: SpO2 1 And 4 more."


def test_other_systems_and_our_pages_get_each_by_itself() -> None:
    assert joins_from("in_app") is None
    assert joins_from("webhook") is None
    assert joins_from("voice") == 2
    assert joins_from("sms") == joins_from("email") == 4
