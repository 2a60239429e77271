"""Where a device stands and why, as the API and the pages say it: in plain words, in both languages."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup, escape

from dashboards.models import Condition
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.device_words import ADVICE, Language, is_well, reason_parts, state_word

__all__ = ["advice_of", "condition_of", "reason_of", "spoken_in", "state_of", "well"]


def condition_of(word: DeviceWord, *, online: bool = True, last_seen: int = 0) -> Condition:
    """What a gateway told, as the API has it; of one that is offline, what it told counts no more."""
    if not online:
        word = DeviceWord("offline", Cause.GATEWAY_OFFLINE, last_seen)
    before, after = reason_parts(DeviceWord(word.state, word.cause), "en")
    return Condition(
        state=word.state,
        cause=word.cause.value,
        since=word.since or None,
        reason=before + after,
        detail=word.detail,
        next_s=word.next_s,
    )


def spoken_in(language: str) -> Language:
    """The words' language for a language of the pages (``en``, ``zh_Hans``)."""
    return "zh" if language.startswith("zh") else "en"


def well(condition: Condition | None) -> bool:
    """Whether its values come."""
    return condition is not None and is_well(_word(condition))


def state_of(condition: Condition | None, language: str) -> str:
    """Its state in a word or two; of one that nobody has told of yet: unknown."""
    return state_word(DeviceWord("") if condition is None else _word(condition), spoken_in(language))


def reason_of(condition: Condition | None, language: str, moment: Callable[[int], str]) -> Markup:
    """Why no values come and since when, ``out of range since 14:02``; empty when nothing is wrong.

    ``moment`` puts a time (UTC ns) into words or markup.
    """
    if condition is None:
        return Markup()
    word = _word(condition)
    before, after = reason_parts(word, spoken_in(language))
    if not before or not word.since:
        return escape(before)
    return escape(before) + moment(word.since) + escape(after)


def advice_of(condition: Condition | None, language: str) -> str:
    """What a person can do about it; empty when nothing is wrong."""
    said = None if condition is None else ADVICE.get(_word(condition).cause)
    return "" if said is None else said[spoken_in(language)]


def _word(condition: Condition) -> DeviceWord:
    cause = Cause(condition.cause) if condition.cause in set(Cause) else Cause.OTHER
    return DeviceWord(condition.state, cause, condition.since or 0, condition.detail, condition.next_s)
