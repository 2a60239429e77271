"""What other parts have noticed of a gateway or of a part of ours, kept until they say otherwise.

``Watch`` tells the rules of it: at once when it changes, and every ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from hearthward.core.codes import INTERNAL

__all__ = ["FAILING", "Facts"]

FAILING: Final = "part_failing"
"""Whether a part of ours does not do its work (1) or does (0)."""


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

    def of_part(self, subject: str) -> Callable[[str | None], None]:
        """To be told why a part fails, and None once it does not; one that never did is no fact."""

        def tell(reason: str | None) -> None:
            if reason is not None or self.get(subject, FAILING) is not None:
                self.put(subject, FAILING, 0.0 if reason is None else 1.0)

        return tell

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
