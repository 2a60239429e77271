from __future__ import annotations

from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from cloud_ingest.channels.speech import KEYS, Outcome, answer_twiml, call_twiml

ACTION = "https://alarms.example.org/api/v1/channels/twilio/voice/tok?a=1&b=2"
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def said(document: str) -> str:
    return " ".join(say.text or "" for say in ET.fromstring(document).iter("Say"))  # noqa: S314


def test_a_call_is_what_twilios_own_library_would_write():
    response = VoiceResponse()
    gather = Gather(num_digits=1, timeout=10, method="POST", action=ACTION)
    voice = {"voice": "Polly.Amy", "language": "en-GB"}
    gather.say("Alarm high.", **voice)
    gather.pause(length=1)
    gather.say("Alarm high.", **voice)
    gather.pause(length=1)
    gather.say("Press 1 to accept the alarm. Press 2 if you cannot come. Press 9 to hear it again.", **voice)
    response.append(gather)
    response.say("No key was pressed. The alarm has not been accepted. Goodbye.", **voice)
    assert ET.canonicalize(call_twiml("Alarm high.", "en", ACTION)) == ET.canonicalize(str(response))


def test_what_the_keys_mean():
    assert KEYS == {"1": "accept", "2": "reject", "9": "repeat"}


@pytest.mark.parametrize("language", ["en", "zh", "zh_Hans", "de"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_answer_is_said_in_the_language_and_ends_the_call(outcome: Outcome, language: str):
    document = answer_twiml(outcome, language)
    assert "{" not in said(document)
    assert any(c > "\u4e00" for c in said(document)) == language.startswith("zh")
    assert ET.fromstring(document).find("Hangup") is not None  # noqa: S314


def test_another_key_is_asked_for_again():
    document = ET.fromstring(answer_twiml("other_key", "en", action=ACTION))  # noqa: S314
    gather = document.find("Gather")
    assert gather is not None
    assert gather.get("action") == ACTION
    assert document.find("Hangup") is None


def test_who_has_taken_it_is_said():
    assert said(answer_twiml("taken", "en", by="Dr Li & Co <x>")).startswith("Dr Li & Co <x> has already")
    assert said(answer_twiml("taken", "zh", by="李医生")).startswith("李医生已接受")
    assert said(answer_twiml("taken", "en")).startswith("Somebody else has already")


@given(st.text(max_size=3000), st.sampled_from(["en", "zh"]), st.sampled_from([None, ACTION]))
def test_any_text_gives_a_document_that_twilio_takes(text: str, language: str, action: str | None):
    document = call_twiml(text, language, action)
    root = ET.fromstring(document)  # noqa: S314
    assert root.tag == "Response"
    assert len(document) <= 4000
    assert (root.find("Gather") is not None) == (action is not None)


@pytest.mark.parametrize("sign", ["<", "报", "x"])
@pytest.mark.parametrize("action", [None, ACTION])
def test_the_longest_text_is_cut_to_what_twilio_takes(sign: str, action: str | None):
    document = call_twiml(sign * 5000, "zh", action)
    assert len(document) <= 4000
    assert said(document).startswith(sign * 100)
