"""The newest decisions, told again when part of the outbox was damaged: an end may have been in it.

Without it the cloud would keep an alarm open that is over, and take the next one for the same. What the cloud
has heard already changes nothing there (``rules.adoption.is_news``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hearthward.core.errors import DecodeError
from hearthward.core.wire import Gap
from rules.travelling import Travelling

__all__ = ["RETOLD", "Key", "Words"]

RETOLD: Final = 256
"""So many of the newest words are told again: hours of what a ward's gateway decides, 200 kB."""
_DAMAGE: Final = "corrupt"

Key = tuple[str, str, int]
"""Of a decision: alarm, kind, event time."""


class Words:
    """The newest ``RETOLD`` decisions, as they travelled."""

    def __init__(self) -> None:
        self._words: dict[Key, bytes] = {}
        self._seen: frozenset[Gap] = frozenset()

    def resume(self, words: Iterable[bytes]) -> None:
        """Go on from what ``kept`` gave; what cannot be read is left out."""
        for payload in words:
            try:
                word = Travelling.decode(payload)
            except DecodeError:
                continue
            self.add((word.alarm, word.kind, word.at), payload)

    def add(self, key: Key, payload: bytes) -> None:
        """This was decided."""
        self._words.pop(key, None)
        self._words[key] = payload
        if len(self._words) > RETOLD:
            del self._words[next(iter(self._words))]

    def shift(self, by: int) -> None:
        """The clock was set by so much (ns): told again, they travel in frames of the new time."""
        for key, payload in self._words.items():
            self._words[key] = Travelling.decode(payload).shifted(by).encode()

    def kept(self) -> tuple[bytes, ...]:
        """All of them, the oldest first."""
        return tuple(self._words.values())

    def __iter__(self) -> Iterator[tuple[Key, bytes]]:
        return iter(self._words.items())

    def damaged(self, gaps: Iterable[Gap]) -> bool:
        """Whether ``gaps`` name damage that was not known yet: then all are to be told again."""
        found = frozenset(gap for gap in gaps if gap.reason == _DAMAGE)
        news, self._seen = found - self._seen, found
        return bool(news)
