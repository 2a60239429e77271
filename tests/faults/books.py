"""What the virtual instruments have sent, line by line: one side of the account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["BREACH", "METRICS", "SERIALS", "Books", "Line"]

METRICS: Final = ("spo2", "pulse_rate", "perfusion_index")
SERIALS: Final = 9000
"""Lines of one instrument that can be told apart: the perfusion index counts them, in hundredths."""
BREACH: Final = 240


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one instrument; ``sent`` is monotonic seconds, ``wall`` UTC seconds."""

    device: str
    serial: int
    sent: float
    wall: float
    breach: bool = False

    @property
    def values(self) -> dict[str, float]:
        """What it says; nobody else ever says the same."""
        return {
            "spo2": float(95 + self.serial % 4),
            "pulse_rate": float(BREACH if self.breach else 60 + self.serial % 40),
            "perfusion_index": self.serial / 100,
        }


@dataclass(slots=True)
class Books:
    """All lines, and the times at which nobody can say whether a line was taken.

    ``unsure`` are stretches (monotonic seconds) around the death of the gateway: a line that was sent then
    may have died with it before it was accepted. What was seen in a frame on the wire was accepted.
    """

    lines: dict[tuple[str, int], Line] = field(default_factory=dict)
    unsure: list[tuple[float, float]] = field(default_factory=list)
    on_wire: set[tuple[str, int]] = field(default_factory=set)

    def enter(self, line: Line) -> None:
        """A line was handed to the operating system whole."""
        key = line.device, line.serial
        if key in self.lines:
            msg = f"serial {line.serial} of {line.device} is used up"
            raise ValueError(msg)
        self.lines[key] = line

    def accepted(self, line: Line) -> bool:
        """Whether it must be stored, or be counted as lost."""
        if (line.device, line.serial) in self.on_wire:
            return True
        return not any(start <= line.sent <= end for start, end in self.unsure)

    def between(self, start: float, end: float) -> Iterator[Line]:
        """Lines sent in ``[start, end)``."""
        return (line for line in self.lines.values() if start <= line.sent < end)
