"""Floods: several messages that are due to one target at once are one message; none is left out.

Other systems and our own pages get each alarm by itself: they can sort. A phone can ring only once.
"""

# ruff: noqa: RUF001 - Chinese has commas of its own
from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from cloud_ingest.telling.wording import CLOSING, reference

__all__ = ["MOST", "joined_body", "joins_from"]

FROM: Final = 4
"""So many messages to one target are one."""
_FROM: Final[dict[str, int | None]] = {"in_app": None, "webhook": None, "voice": 2}
MOST: Final = 100
"""No more than so many in one message: an SMS holds 1,600 characters in all."""
_RANK: Final = {"high": 0, "medium": 1, "low": 2}
_WORDS: Final = {
    "high": {"en": "high", "zh": "高"},
    "medium": {"en": "medium", "zh": "中"},
    "low": {"en": "low", "zh": "低"},
    "ended": {"en": "ended", "zh": "已结束"},
}


class Queued(Protocol):
    """What is to be known of each message."""

    @property
    def alarm(self) -> str:
        """Which alarm it is about."""
        ...

    @property
    def kind(self) -> str:
        """The kind of transition."""
        ...

    @property
    def priority(self) -> str:
        """The alarm's."""
        ...

    @property
    def body(self) -> str:
        """What it says by itself."""
        ...


def joins_from(channel: str) -> int | None:
    """From how many messages to one target on they are joined; None: never."""
    return _FROM.get(channel, FROM)


def joined_body(messages: Sequence[Queued], channel: str, language: str) -> str:
    """All as one: the worst in full, and the reference of each other one.

    ``messages`` come worst first, as they were claimed.
    """
    worst, others = messages[0], messages[1:]
    zh = language == "zh"
    if channel == "voice":
        more = f"另有 {len(others)} 条。" if zh else f"And {len(others)} more."
        return f"{worst.body} {more}"
    listed: dict[str, list[str]] = {}
    for message in others:
        word = "ended" if message.kind in CLOSING else message.priority
        marks = listed.setdefault(word, [])
        if (mark := f"#{reference(message.alarm)}") not in marks:
            marks.append(mark)
    order = sorted(listed, key=lambda word: _RANK.get(word, len(_RANK)))
    groups = [
        f"{_WORDS.get(word, {}).get('zh' if zh else 'en', word)} {' '.join(listed[word])}" for word in order
    ]
    if zh:
        return f"{len(messages)} 条消息，最重要的：{worst.body}；另有：{'；'.join(groups)}"
    return f"{len(messages)} MESSAGES, the worst: {worst.body}; also: {'; '.join(groups)}"
