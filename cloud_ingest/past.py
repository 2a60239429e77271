"""What there is to know of one patient and one rule around a past moment, wherever it is read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cloud_ingest.asof import InForce
from rules.context import Context
from rules.model import Measured, Readings
from rules.telling import Text

__all__ = ["Outcome", "Past", "Reason", "Recorded"]

Outcome = Literal["fired", "active", "pending", "asked", "trial", "blocked"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: a code to go by, the sentence, when it happened and by which alarm or entry, if any."""

    code: str
    text: Text
    at: int | None = None
    alarm: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the records have of one episode (UTC ns).

    ``asked``: when a second measurement was asked for; ``started``: when it was signalled, by event time;
    ``told``: when that was decided; all None when it was not.
    """

    id: str
    onset: int
    asked: int | None = None
    started: int | None = None
    told: int | None = None
    ended: int | None = None
    shadow: bool = False
    worklist: bool = False

    def covers(self, at: int) -> bool:
        """Whether the episode went on at ``at``."""
        return not self.worklist and self.onset <= at and (self.ended is None or at <= self.ended)


@dataclass(slots=True)
class Past:
    """All that is known of one patient and one rule around ``at`` (UTC ns).

    ``rules`` and ``known`` begin at ``start`` and hold every change; ``measured`` are readings in the order
    in which they were received, one measurement each. ``later`` were measured by ``at`` and received after
    it, ``refused`` never stored, ``drafts`` how many releases of the rule were never decided by.
    """

    patient: str
    rule: str
    at: int
    start: int
    end: int
    rules: list[InForce]
    known: list[tuple[int, Context]]
    measured: list[Readings] = field(default_factory=list)
    later: list[Measured] = field(default_factory=list)
    elsewhere: list[tuple[Measured, bool]] = field(default_factory=list)
    """Readings of a device of the patient's while it was not on them; True: it was on somebody else."""
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    """(received at, why, what)."""
    recorded: list[Recorded] = field(default_factory=list)
    drafts: int = 0
    now: int = 2**62
    """When it was asked."""
    first_known: int | None = None
    """When the rule first came into force here, if ever."""
