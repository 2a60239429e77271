"""One patient under watch: the course of the vital signs, and when and why a risk was last told."""

from __future__ import annotations

from math import inf
from typing import Any, Final

from rules.models.deterioration import Course, Deterioration, Reason

__all__ = ["JUDGED_EVERY_S", "Watch"]

JUDGED_EVERY_S: Final = 300.0
"""A patient's risk is told anew at most as often (s): the model looks at hours."""
KEPT: Final = 3
_VERSION: Final = 1


class Watch:
    """``reasons`` are what raised the risk most when it was last told, the greatest first."""

    __slots__ = ("course", "judged", "reasons")

    def __init__(self) -> None:
        self.course = Course()
        self.judged = -inf
        self.reasons: tuple[Reason, ...] = ()

    def judge(self, model: Deterioration, now: float) -> float | None:
        """The risk at ``now`` (s), in hundredths; None: it is not its time, or too little is known."""
        if now - self.judged < JUDGED_EVERY_S:
            return None
        risk = model.risk(self.course, now)
        if risk is None:
            return None
        self.judged = now
        self.reasons = risk.reasons[:KEPT]
        return round(risk.value, 2)  # finer it would be news at each reading

    def shift(self, by: float) -> None:
        """All was measured so much (s) later than told."""
        self.course.shift(by)
        self.judged += by

    def copy(self) -> Watch:
        """The same, to be changed on its own."""
        return Watch.unpacked(self.pack())

    def pack(self) -> list[Any]:
        """All of it as plain data; equal histories give equal data."""
        return [_VERSION, self.course.pack(), self.judged, [list(reason) for reason in self.reasons]]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Watch:
        """The watch that ``pack`` gave. Raises ValueError when it is of another version."""
        version, course, judged, reasons = packed
        if version != _VERSION:
            msg = f"a watched patient of version {version}; this software reads {_VERSION}"
            raise ValueError(msg)
        out = cls()
        out.course, out.judged = Course.unpacked(course), judged
        out.reasons = tuple(Reason(*reason) for reason in reasons)
        return out
