"""What people are told of an alarm, in English and Chinese: short, and no more than the organisation allows.

There is never a name, a birth date or a hospital number in it. Times are those of the place, or else say that
they are UTC. One SMS where possible: 160
characters of GSM 03.38, or 70 where others are needed (3GPP TS 23.038).
"""

# ruff: noqa: RUF001 - Chinese has commas of its own
from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloud_ingest.telling.spoken import spelt, spoken
from hearthward.core.clock import SECOND, iso
from rules.model import Transition

__all__ = [
    "CLOSING",
    "Detail",
    "Language",
    "Place",
    "Wording",
    "body",
    "clock_at",
    "gsm_length",
    "heading",
    "one_sms",
    "reference",
]

Language = Literal["en", "zh"]
Text = dict[str, str]
Detail = Literal["reference", "place", "values"]
"""``reference``: priority, ward and the alarm's reference; ``place``: also the bed; ``values``: also what."""

CLOSING: Final = ("end", "reset")
"""Kinds of transition that end an alarm."""
REFERENCE: Final = 6
"""Characters of an alarm's id by which people speak of it."""
GSM_LENGTH: Final = 160
UCS2_LENGTH: Final = 70
_PRIORITY: Final[dict[str, Text]] = {
    "high": {"en": "high", "zh": "高"},
    "medium": {"en": "medium", "zh": "中"},
    "low": {"en": "low", "zh": "低"},
}
_WHY: Final[dict[str, Text]] = {
    "repeated": {"en": "STILL UNANSWERED", "zh": "仍无人应答"},
    "rejected": {"en": "REJECTED BY COLLEAGUE", "zh": "同事已拒绝"},
    "redirected": {"en": "REDIRECTED", "zh": "已转交"},
    "undelivered": {"en": "OTHERS NOT REACHED", "zh": "未能联系上他人"},
    "nobody": {"en": "NOBODY ON DUTY", "zh": "无人值班"},
    "released": {"en": "GIVEN BACK", "zh": "已退回"},
    "no_wall": {"en": "NO WALL SHOWS IT", "zh": "无墙屏显示"},
    "reconnected": {"en": "STILL ON", "zh": "仍在持续"},
    "resumed": {"en": "SIGNALS AGAIN", "zh": "恢复报警"},
    "reminder": {"en": "REMINDER", "zh": "提醒"},
}
"""Before ``ALARM``: why somebody is told, or told again."""
_KIND: Final[dict[str, Text]] = {
    "escalate": {"en": "WORSE", "zh": "加重"},
    "de-escalate": {"en": "LESS URGENT", "zh": "减轻"},
    "update": {"en": "CHANGED", "zh": "有变化"},
    "redirect": {"en": "REDIRECTED", "zh": "已转交"},
}
_ENDED: Final[Text] = {"en": "ENDED", "zh": "已结束"}
_LATCHED: Final[Text] = {"en": "ENDED, NOT ACKNOWLEDGED", "zh": "已结束，未确认"}
_CLOSED: Final[Text] = {"en": "CLOSED", "zh": "已关闭"}
_ASK: Final[Text] = {"en": "MEASURE AGAIN", "zh": "请再测量一次"}
_PLAIN: Final = str.maketrans(
    {"·": ",", "…": "..", "–": "-", "−": "-", "≤": "<=", "≥": ">=", "₂": "2", "°": "", "’": "'", "×": "x"}
)
"""What an SMS in English is written without, so that it stays in the short alphabet."""
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE: Final = frozenset("^{}\\[~]|€")


@dataclass(frozen=True, slots=True)
class Wording:
    """What the organisation has decided: how much is said outside, and the language of who has none."""

    detail: Detail = "values"
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subject is, by language: the ward alone, and in full.

    ``private``: it is somebody's; what is no patient (a gateway, a component) is named always. ``zone`` is
    the time zone there; None: not known.
    """

    ward: Text
    full: Text
    private: bool = True
    zone: str | None = None


def reference(alarm: str) -> str:
    """By what people speak of an alarm: the end of its id."""
    return alarm[-REFERENCE:]


def heading(transition: Transition, language: Language) -> str:
    """What kind of message it is, with the priority: ``ESCALATED 2/3, ALARM high``."""
    if transition.kind == "ask":
        return _ASK[language]
    if transition.kind in CLOSING:
        if transition.condition == "latched":
            return _LATCHED[language]
        return (_CLOSED if transition.kind == "reset" else _ENDED)[language]
    alarm = "报警" if language == "zh" else "ALARM"
    priority = _PRIORITY.get(transition.priority, {}).get(language, transition.priority)
    said = _before(transition, language)
    comma = "，" if language == "zh" else ", "
    return f"{said}{comma if said else ''}{alarm} {priority}"


def body(transition: Transition, place: Place, channel: str, language: Language, wording: Wording) -> str:
    """The text for one channel; ``in_app`` says all that is known, ``voice`` is to be spoken."""
    detail = "values" if channel == "in_app" or not place.private else wording.detail
    what = (transition.text.get(language) or transition.text.get("en") or transition.rule).strip()
    where = (place.ward if detail == "reference" else place.full)[language]
    head = heading(transition, language)
    if channel == "voice":
        return _said(head, what if detail == "values" else "", where, transition.alarm, language)
    when = clock_at(transition.onset if transition.late else transition.at, place.zone)
    rest = ", ".join(part for part in (where, f"{when} #{reference(transition.alarm)}") if part)
    parts = (head, what if detail == "values" else "", rest)
    return one_sms(*parts, language=language) if channel == "sms" else _joined(*parts)


def clock_at(at: int, zone: str | None) -> str:
    """The time of day (of UTC ns) in a zone: ``22:02``; ``14:02 UTC`` where that is not known."""
    try:
        where = None if zone is None else ZoneInfo(zone)
    except (
        ZoneInfoNotFoundError,
        ValueError,
    ):  # not known to this machine: people are told all the same
        where = None
    if where is None:
        return f"{iso(at)[11:16]} UTC"
    return f"{datetime.fromtimestamp(at // SECOND, UTC).astimezone(where):%H:%M}"


def one_sms(head: str, what: str, rest: str, *, language: Language) -> str:
    """The parts as one short text; of what is too long only ``what`` is cut, never place or reference."""
    if language == "en":
        head, what, rest = (part.translate(_PLAIN) for part in (head, what, rest))
    whole = _joined(head, what, rest)
    too_long = _excess(whole)
    if too_long <= 0 or not what:
        return whole
    cut = ".." if gsm_length(whole) is not None else "…"
    kept = what[: max(0, len(what) - too_long - len(cut))].rstrip()
    return _joined(head, f"{kept}{cut}" if kept else "", rest)


def gsm_length(text: str) -> int | None:
    """Its length in the short alphabet of SMS, or None when it cannot be written in it."""
    if not all(c in _GSM or c in _GSM_TWICE for c in text):
        return None
    return len(text) + sum(c in _GSM_TWICE for c in text)


def _excess(text: str) -> int:
    """How many characters it is longer than one SMS."""
    short = gsm_length(text)
    if short is not None:
        return short - GSM_LENGTH
    return len(text.encode("utf-16-be")) // 2 - UCS2_LENGTH


def _joined(head: str, what: str, rest: str) -> str:
    return f"{head}: {', '.join(part for part in (what, rest) if part)}"


def _before(transition: Transition, language: Language) -> str:
    if transition.kind in _KIND:
        return _KIND[transition.kind][language]
    detail = transition.detail
    if (why := detail.get("why")) in _WHY and transition.kind in {"tell", "continue"}:
        return _WHY[why][language]
    step, of = detail.get("step", 0), detail.get("of", 1)
    if transition.kind == "tell" and step:
        return f"升级 {step + 1}/{of}" if language == "zh" else f"ESCALATED {step + 1}/{of}"
    return ""


def _said(head: str, what: str, where: str, alarm: str, language: Language) -> str:
    """The spoken form, without symbols."""
    number = spelt(reference(alarm))
    parts = [spoken(part, language) for part in (head.capitalize(), what, where) if part]
    if language == "zh":
        return "。".join([*parts, f"编号 {number}"]) + "。"
    return ". ".join([*(p[:1].upper() + p[1:] for p in parts), f"Reference {number}"]) + "."
