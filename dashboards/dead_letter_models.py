"""Dead letters as API and pages show them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.dead_letter_view import blocks_of, hexdump, rows_of, waves_of
from cloud_ingest.records.models import DeadLetter as LetterRow
from cloud_ingest.replaying import Replayed, outcome_of
from dashboards.models import Instant

__all__ = [
    "BlockView",
    "DeadLetter",
    "DeadLetterBook",
    "DeadLetterDetail",
    "Dropped",
    "ReasonTotal",
    "ReplayResult",
    "ReplayedLetters",
    "RowView",
]

State = Literal["kept", "replayed", "refused"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeadLetter(_View):
    """Something refused, with its reason. ``outcome`` counts what a replay came to."""

    id: str
    at: Instant
    gateway: str = ""
    boot: str = ""
    topic: str = ""
    device: str = ""
    reason: str
    detail: str = ""
    size: int = Field(0, description="bytes")
    readings: int = Field(0, description="how many are in it; 0 where that is not known")
    state: State = "kept"
    replayed_at: Instant | None = None
    replayed_by: str | None = None
    outcome: dict[str, int] = Field(default_factory=dict)

    @classmethod
    def of(cls, row: LetterRow) -> DeadLetter:
        """From the records."""
        return cls.model_validate(facts_of(row))


class RowView(_View):
    """A reading in a letter."""

    number: int | None
    device: str
    metric: str
    value: float | None
    code: str | None
    measured: Instant
    received: Instant
    let_in: bool


class BlockView(_View):
    """A block of a whole frame."""

    first: int
    last: int
    decisions: bool
    waves: bool = False
    size: int


class WaveChunkView(_View):
    """A chunk of a waveform in a letter."""

    number: int | None
    device: str
    metric: str
    samples: int
    rate_hz: float
    measured: Instant = Field(description="time of its last sample")


class DeadLetterDetail(DeadLetter):
    """A letter with what is in it, as far as that can be read, and its first bytes."""

    rows: list[RowView] = Field(default_factory=list)
    waves: list[WaveChunkView] = Field(default_factory=list)
    blocks: list[BlockView] = Field(default_factory=list)
    hex: str = ""

    @classmethod
    def of(cls, row: LetterRow) -> DeadLetterDetail:
        """From the records."""
        return cls.model_validate(
            {
                **facts_of(row),
                "rows": rows_of(row),
                "waves": waves_of(row),
                "blocks": blocks_of(row) if row.boot is None else [],
                "hex": hexdump(row.payload),
            },
            from_attributes=True,
        )


class ReasonTotal(_View):
    """How many letters of one reason; ``open``: not let in by a replay, with so many readings."""

    reason: str
    letters: int
    open: int
    readings: int


class Dropped(_View):
    """Letters that were dropped for their age or number, since ever."""

    reason: str
    letters: int
    readings: int
    at: Instant


class DeadLetterBook(_View):
    """The letters asked for, newest first, and how many there are of each reason."""

    items: list[DeadLetter]
    reasons: list[ReasonTotal] = Field(default_factory=list)
    dropped: list[Dropped] = Field(default_factory=list)


class ReplayResult(_View):
    """What a replay of one letter came to; ``changed`` False: it had been let in before."""

    id: str
    reason: str
    state: State
    outcome: dict[str, int]
    changed: bool

    @classmethod
    def of(cls, done: Replayed) -> ReplayResult:
        """From the pipeline."""
        return cls.model_validate(
            {
                "id": str(done.id),
                "reason": done.reason,
                "state": done.state.value,
                "outcome": outcome_of(done.outcome),
                "changed": done.changed,
            }
        )


class ReplayedLetters(_View):
    """Letters that were replayed; ``next``: where to go on, when there are more of the reason."""

    items: list[ReplayResult]
    next: str | None = None


def facts_of(row: LetterRow) -> dict[str, object]:
    """What is listed of a letter."""
    return {
        "id": str(row.id),
        "at": row.at,
        "gateway": row.gateway or "",
        "boot": row.boot or "",
        "topic": row.topic,
        "reason": row.reason,
        "detail": row.detail,
        "size": row.size,
        "readings": row.readings,
        "state": row.state,
        "replayed_at": row.replayed_at,
        "replayed_by": row.replayed_by,
        "outcome": outcome_of(row.outcome or ""),
    }
