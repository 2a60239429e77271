"""What other parts have noticed of a gateway or of a part of ours, kept until they say otherwise.

``Watch`` tells the rules of it: at once when it changes, and every ten seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from hearthward.core.codes import INTERNAL

__all__ = ["Facts"]


class Facts:
    """(subject, metric) -> value: subjects by ``rules.model.subject_key``, metrics of ``codes.INTERNAL``."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], float] = {}

    def put(self, subject: str, metric: str, value: float) -> None:
        """It is so from now on. Raises ValueError for what is no metric of our own."""
        if metric not in INTERNAL:
            msg = f"{metric!r} is nothing that a part of ours says of itself"
            raise ValueError(msg)
        self._known[subject, metric] = value

    def get(self, subject: str, metric: str) -> float | None:
        """What was last said of it."""
        return self._known.get((subject, metric))

    def forget(self, subject: str, metric: str | None = None) -> None:
        """Nothing is to be told of it any more (of all its metrics, where none is named)."""
        gone = [key for key in self._known if key[0] == subject and metric in {None, key[1]}]
        for key in gone:
            del self._known[key]

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        for (subject, metric), value in sorted(self._known.items()):
            yield subject, metric, value
