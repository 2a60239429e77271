"""What is in a dead letter, for people: its rows or blocks as far as they can be read, and its bytes.

No patient is named; readings are known by their device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cloud_ingest.dead_letters import numbers_of, ranges_of
from cloud_ingest.records.models import DeadLetter
from hearthward.core.errors import DecodeError
from hearthward.core.wave_blocks import carries_waves, decode_waves
from hearthward.core.wire import Frame, decode_block

__all__ = ["BlockIn", "RowIn", "WaveIn", "blocks_of", "hexdump", "rows_of", "waves_of"]

MOST_ROWS: Final = 500
MOST_BYTES: Final = 4096
WIDTH: Final = 16


@dataclass(frozen=True, slots=True)
class RowIn:
    """A reading: its number, what it says, and whether a replay has let it in. Times are UTC ns."""

    number: int | None
    device: str
    metric: str
    value: float | None
    code: str | None
    measured: int
    received: int
    let_in: bool


@dataclass(frozen=True, slots=True)
class BlockIn:
    """A block of a whole frame, unread."""

    first: int
    last: int
    decisions: bool
    waves: bool
    size: int


@dataclass(frozen=True, slots=True)
class WaveIn:
    """A chunk of a waveform: its number, of what, and its last sample's time (UTC ns)."""

    number: int | None
    device: str
    metric: str
    samples: int
    rate_hz: float
    measured: int


def rows_of(letter: DeadLetter) -> list[RowIn]:
    """The readings, ``MOST_ROWS`` at most; none where they cannot be read."""
    if letter.boot is None and not letter.seqs:
        return []
    try:
        batch = decode_block(letter.payload)
    except DecodeError:
        return []
    numbers: Sequence[int | None] = numbers_of(letter.seqs)
    if len(numbers) != len(batch):
        numbers = [None] * len(batch)
    done = ranges_of(letter.done)
    return [
        RowIn(number, r.device, r.metric, r.value, r.code, r.corrected, r.received, i in done)
        for i, (number, r) in enumerate(islice(zip(numbers, batch, strict=True), MOST_ROWS))
    ]


def blocks_of(letter: DeadLetter) -> list[BlockIn]:
    """The blocks of a whole frame; none where it is none."""
    try:
        frame = Frame.decode(letter.payload)
    except DecodeError:
        return []
    blocks = frame.blocks[:MOST_ROWS]
    return [BlockIn(b.first, b.last, b.decisions, b.waves, len(b.payload)) for b in blocks]


def waves_of(letter: DeadLetter) -> list[WaveIn]:
    """The chunks of waveforms, ``MOST_ROWS`` at most; none where they cannot be read."""
    if letter.boot is None or not carries_waves(letter.payload):
        return []
    try:
        chunks = decode_waves(letter.payload)
    except DecodeError:
        return []
    numbers: Sequence[int | None] = numbers_of(letter.seqs)
    if len(numbers) != len(chunks):
        numbers = [None] * len(chunks)
    return [
        WaveIn(number, c.device, c.metric, len(c.samples), c.rate_hz, c.corrected)
        for number, c in islice(zip(numbers, chunks, strict=True), MOST_ROWS)
    ]


def hexdump(payload: bytes, most: int = MOST_BYTES) -> str:
    """The first ``most`` bytes: place, sixteen bytes, and as text what can be printed."""
    return "\n".join(_lines(payload[:most]))


def _lines(payload: bytes) -> Iterator[str]:
    for at in range(0, len(payload), WIDTH):
        part = payload[at : at + WIDTH]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in part)  # noqa: PLR2004 - printable ASCII
        yield f"{at:06x}  {part.hex(' '):<{3 * WIDTH - 1}}  {text}"
