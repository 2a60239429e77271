"""Blocks of waveform chunks: how waves travel inside frames, beside blocks of readings and decisions.

A block's ``count`` is the number of its chunks: each has one sequence number. In the books chunks are no
readings (docs/ledger.md): numbers balance with them, counts by device and hour do not have them. Layout,
msgpack: ``[1, "waves", strings, rows]``; a row has the places of device, metric, unit and profile among the
strings, the numbers of the chunk (``corrected`` as the difference to ``received``), how many samples it has,
and these as ``columns.pack_ints`` packs them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from hearthward.core.columns import fits_int64, pack_ints, unpack_ints
from hearthward.core.errors import DecodeError
from hearthward.core.packing import MAX_MESSAGE_BYTES, pack, unpack
from hearthward.core.waves import MAX_RATE_HZ, MAX_SAMPLES, MIN_RATE_HZ, WaveformChunk, in_range

__all__ = ["MAX_CHUNKS", "carries_waves", "decode_waves", "encode_waves", "samples_in"]

MAX_CHUNKS: Final = 1024
"""Chunks in one block at most."""
_VERSION: Final = 1
"""Of blocks (``wire.BLOCK_VERSION``)."""
_WAVES: Final = "waves"
_COUNT: Final = -2
"""Where a row has how many samples it is."""
_HEAD: Final = pack([_VERSION, _WAVES])[1:]


def encode_waves(chunks: Sequence[WaveformChunk]) -> bytes:
    """Chunks -> a block's payload.

    Raises ValueError: 1..MAX_CHUNKS, of samples, rates and numbers as ``core.waves`` bounds them, in all no
    more than a message can have.
    """
    if not 0 < len(chunks) <= MAX_CHUNKS:
        msg = f"a block holds 1..{MAX_CHUNKS} chunks of waveforms, not {len(chunks)}"
        raise ValueError(msg)
    strings: dict[str | None, int] = {}
    rows = []
    for chunk in chunks:
        if (wrong := _wrong(chunk)) is not None:
            msg = f"a chunk of {chunk.metric!r} by {chunk.device!r} cannot travel: {wrong}"
            raise ValueError(msg)
        texts = [chunk.device, chunk.metric, chunk.unit, chunk.profile]
        rows.append(
            [
                *(strings.setdefault(text, len(strings)) for text in texts),
                chunk.received,
                chunk.corrected - chunk.received,
                chunk.run,
                chunk.first,
                float(chunk.rate_hz),
                float(chunk.scale),
                int(chunk.quality),
                len(chunk.samples),
                pack_ints(list(chunk.samples)),
            ]
        )
    payload = pack([_VERSION, _WAVES, list(strings), rows])
    if len(payload) > MAX_MESSAGE_BYTES:
        msg = f"a block of {len(payload)} bytes of waveforms exceeds {MAX_MESSAGE_BYTES}"
        raise ValueError(msg)
    return payload


def carries_waves(payload: bytes) -> bool:
    """Whether a block's payload says that it has waveforms; it may be damaged all the same."""
    return payload[1 : 1 + len(_HEAD)] == _HEAD


def samples_in(payload: bytes) -> int:
    """How many samples a block of waveforms says that it has; 0: none that can be decoded.

    What never changes is packed as one number: a message of 1 MiB may have some 80 million samples.
    """
    try:
        _, _, rows = unpack(payload, "block of waveforms", _VERSION)
        counts = [row[_COUNT] for row in rows]
        sound = len(counts) <= MAX_CHUNKS and all(type(n) is int and 0 < n <= MAX_SAMPLES for n in counts)
        return sum(counts) if sound else 0
    except Exception:  # noqa: BLE001 - decode_waves says what is wrong with it
        return 0


def decode_waves(payload: bytes) -> tuple[WaveformChunk, ...]:
    """The payload of a block of waveforms -> its chunks. Raises DecodeError and nothing else."""
    try:
        word, strings, rows = unpack(payload, "block of waveforms", _VERSION)
        if word != _WAVES or not isinstance(strings, list) or not isinstance(rows, list):
            msg = "block of waveforms is malformed"
            raise DecodeError(msg, reason="malformed")
        if not 0 < len(rows) <= MAX_CHUNKS:
            msg = f"block of {len(rows)} chunks of waveforms"
            raise DecodeError(msg, reason="oversized")
        return tuple(_chunk(strings, *row) for row in rows)
    except DecodeError:
        raise
    except Exception as error:
        msg = f"block of waveforms is malformed: {type(error).__name__}: {error}"
        raise DecodeError(msg, reason="malformed") from error


def _chunk(  # noqa: PLR0913, PLR0917 - a row of the block
    strings: list[Any],
    device: int,
    metric: int,
    unit: int,
    profile: int,
    received: int,
    later: int,
    run: int,
    first: int,
    rate_hz: float,
    scale: float,
    quality: int,
    n: int,
    packed: list[Any],
) -> WaveformChunk:
    """One row -> its chunk. Raises anything on damage."""
    if type(n) is not int or not 0 < n <= MAX_SAMPLES:
        msg = f"chunk of {n!r:.20} samples"
        raise DecodeError(msg, reason="oversized")
    places = device, metric, unit, profile
    if not all(type(place) is int and 0 <= place < len(strings) for place in places):
        msg = "a string's place is none"
        raise ValueError(msg)
    samples = tuple(unpack_ints(packed, n))
    if type(received) is not int or type(later) is not int:
        msg = "a time is no integer"
        raise ValueError(msg)
    if len(samples) != n or type(rate_hz) is not float or type(scale) is not float:
        msg = f"chunk has {len(samples)} of {n} samples, or no rate and scale"
        raise ValueError(msg)
    texts = [strings[place] for place in places]
    chunk = WaveformChunk(
        texts[0],
        texts[1],
        received,
        received + later,
        run,
        first,
        rate_hz,
        scale,
        texts[2],
        samples,
        quality,
        texts[3],
    )
    if (wrong := _wrong(chunk)) is not None:
        raise ValueError(wrong)
    return chunk


def _wrong(chunk: WaveformChunk) -> str | None:
    """What is out of bounds or of the wrong type in a chunk."""
    counts = chunk.run, chunk.first, chunk.quality
    numbers = chunk.received, chunk.corrected, chunk.corrected - chunk.received, *counts
    texts = chunk.device, chunk.metric, chunk.profile
    steps = chunk.rate_hz, chunk.scale
    if not all(isinstance(text, str) for text in texts) or not isinstance(chunk.unit, str | None):
        return "a text is none"
    if not all(map(fits_int64, numbers)) or min(counts) < 0:
        return "a number is out of bounds"
    if not all(type(value) in {int, float} and math.isfinite(value) for value in steps) or chunk.scale == 0:
        return f"rate {chunk.rate_hz} or scale {chunk.scale} is no number that can be"
    if not MIN_RATE_HZ <= chunk.rate_hz <= MAX_RATE_HZ:
        return f"a rate of {chunk.rate_hz} Hz"
    return _wrong_samples(chunk.samples)


def _wrong_samples(samples: Sequence[int]) -> str | None:
    if not 0 < len(samples) <= MAX_SAMPLES:
        return f"{len(samples)} samples, not 1..{MAX_SAMPLES}"
    if not in_range(samples):
        return "a sample has more than 32 bits"
    return None
