"""What is said in a call, as TwiML; pure, so that the pages that take the keys can use it too.

Source: Twilio, TwiML ``<Gather>``, ``<Say>`` and its text-to-speech voices.
"""

# ruff: noqa: RUF001 - Chinese has commas of its own
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = ["KEYS", "Key", "Outcome", "answer_twiml", "call_twiml"]

Key = Literal["accept", "reject", "repeat"]
KEYS: Final[Mapping[str, Key]] = {"1": "accept", "2": "reject", "9": "repeat"}
Outcome = Literal["accepted", "rejected", "ended", "taken", "tested", "other_key", "risen", "open", "failed"]

WAIT_S: Final = 10
"""How long a key is waited for after the text."""
LONGEST: Final = 600
"""Characters of a text that are read out."""
DOCUMENT: Final = 4000
"""Characters of a document that Twilio takes."""

_VOICES: Final = {
    "en": {"voice": "Polly.Amy", "language": "en-GB"},
    "zh": {"voice": "Polly.Zhiyu", "language": "cmn-CN"},
}
_MENU: Final = {
    "en": "Press 1 to accept the alarm. Press 2 if you cannot come. Press 9 to hear it again.",
    "zh": "接受报警请按1。无法前来请按2。重听请按9。",
}
_NO_KEY: Final = {
    "en": "No key was pressed. The alarm has not been accepted. Goodbye.",
    "zh": "没有按键，报警尚未被接受。再见。",
}
_NO_WAY_BACK: Final = {
    "en": "This call cannot take an answer. Please accept the alarm in the app. Goodbye.",
    "zh": "本次通话无法接收应答，请在应用中接受报警。再见。",
}
_ANSWERS: Final[Mapping[Outcome, Mapping[str, str]]] = {
    "accepted": {
        "en": "Thank you. You have accepted the alarm. Goodbye.",
        "zh": "谢谢，您已接受报警。再见。",
    },
    "rejected": {
        "en": "You cannot come. The next person will be told. Goodbye.",
        "zh": "已记录您无法前来，将通知下一位。再见。",
    },
    "ended": {
        "en": "This alarm is already over. Goodbye.",
        "zh": "该报警已经结束。再见。",
    },
    "taken": {
        "en": "{by} has already accepted this alarm. Goodbye.",
        "zh": "{by}已接受该报警。再见。",
    },
    "tested": {
        "en": "Thank you. The test has arrived, and so has your key. Goodbye.",
        "zh": "谢谢，测试已收到，按键有效。再见。",
    },
    "other_key": {"en": "That key has no meaning here.", "zh": "该按键无效。"},
    "risen": {
        "en": "The alarm has become graver since this call. It is not accepted. Please use the app. Goodbye.",
        "zh": "本次呼叫之后报警已加重，尚未被接受，请使用应用。再见。",
    },
    "open": {
        "en": "You have answered this call before. The alarm is present, and nobody has accepted it. "
        "Please use the app. Goodbye.",
        "zh": "您已应答过本次呼叫。报警仍在持续，尚无人接受，请使用应用。再见。",
    },
    "failed": {
        "en": "Your answer could not be recorded. The alarm is not accepted. Please use the app. Goodbye.",
        "zh": "未能记录您的应答，报警尚未被接受，请使用应用。再见。",
    },
}
_SOMEBODY: Final = {"en": "Somebody else", "zh": "其他人"}
_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def call_twiml(text: str, language: str, action: str | None) -> str:
    """The document of a call: the text twice, then one key; ``action`` is where the key is posted to.

    ``text`` is worded for being read out already. Without ``action`` the call takes no answer, and says so.
    """
    said = text[:LONGEST]
    while len(document := _call(said, language, action)) > DOCUMENT:
        said = said[: len(said) // 2]
    return document


def _call(said: str, language: str, action: str | None) -> str:
    response = Element("Response")
    if action is None:
        _say(response, language, said, said, _in(_NO_WAY_BACK, language))
    else:
        _say(_gather(response, action), language, said, said, _in(_MENU, language))
        _say(response, language, _in(_NO_KEY, language))
    return _document(response)


def answer_twiml(outcome: Outcome, language: str, *, action: str | None = None, by: str = "") -> str:
    """What to say after a key; ``other_key`` with ``action`` asks for another one, all others end the call.

    ``by`` is who has ``taken`` the alarm.
    """
    response = Element("Response")
    said = _in(_ANSWERS[outcome], language).format(by=by or _in(_SOMEBODY, language))
    if outcome == "other_key" and action is not None:
        _say(_gather(response, action), language, said, _in(_MENU, language))
        _say(response, language, _in(_NO_KEY, language))
    else:
        _say(response, language, said)
        SubElement(response, "Hangup")
    return _document(response)


def _in(words: Mapping[str, str], language: str) -> str:
    return words["zh" if language.startswith("zh") else "en"]


def _gather(response: Element, action: str) -> Element:
    return SubElement(
        response, "Gather", {"numDigits": "1", "timeout": str(WAIT_S), "method": "POST", "action": action}
    )


def _say(parent: Element, language: str, *sentences: str) -> None:
    for n, sentence in enumerate(sentences):
        if n:
            SubElement(parent, "Pause", {"length": "1"})
        said = SubElement(parent, "Say", _VOICES["zh" if language.startswith("zh") else "en"])
        said.text = _NOT_IN_XML.sub(" ", sentence)


def _document(response: Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + tostring(response, encoding="unicode")
