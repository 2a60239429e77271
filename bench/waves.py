"""A pleth of 75 Hz: what a second of it costs from the wire to the cloud's file, and what an hour takes."""

from __future__ import annotations

import asyncio
import math
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from bench.figures import Outcome
from cloud_ingest.waves import SqliteWaves, WaveParcel
from devices.waves import WaveStamper
from edge_agent.encoding import encode_all_waves
from edge_agent.segments.fake import MemoryDisk
from edge_agent.segments.store import Store, Work
from firmware_profiles import load_catalog
from hearthward.core.clock import SECOND
from hearthward.core.wave_blocks import decode_waves
from hearthward.core.waves import WaveformChunk

__all__ = ["measure"]

RATE: Final = 75
PACKET: Final = 25
DEVICES: Final = (1, 8, 50)
SECONDS: Final = 300
WARM_S: Final = 10
"""Then a segment is begun, which knows what blocks have in common: as all but an outbox's first do."""
ROUNDS: Final = 5
START: Final = 1_772_000_000 * SECOND
GATEWAYS: Final = 10
TOGETHER: Final = 30
"""Chunks of each gateway in one transaction of the cloud's file."""
OUTBOX_BYTES: Final = 256 << 20
RAW: Final = RATE * 3600
"""Bytes an hour of samples of one byte."""


def measure() -> Outcome:
    """CPU of a chunk of one second, each step; bytes an hour."""
    outcome = Outcome("waves", f"pleth of {RATE} Hz and 8 bits with noise, median of {ROUNDS} rounds")
    decoded, cut = zip(*(_from_the_wire() for _ in range(ROUNDS)), strict=True)
    outcome.add("CPU a chunk: frames, readings and samples of a Nonin's bytes", median(decoded), "us")
    outcome.add("CPU a chunk: stamped and joined", median(cut), "us", target=100)
    for devices in DEVICES:
        found = [_stored(devices) for _ in range(ROUNDS)]
        encode, commit, decode, size = (median(column) for column in zip(*found, strict=True))
        outcome.add(f"CPU a chunk: encoded, {devices} at once", encode, "us", target=100)
        outcome.add(f"CPU a chunk: deflated and written, {devices} at once (no sync)", commit, "us")
        outcome.add(f"CPU a chunk: decoded, {devices} at once", decode, "us")
        outcome.add(
            f"outbox an hour of one pleth, {devices} at once",
            size / 1000,
            "kB",
            target=2 * RAW / 1000,
            note=f"{size / RAW:.2f} bytes a sample",
        )
    kept, dropped = zip(*(asyncio.run(_in_the_cloud()) for _ in range(ROUNDS)), strict=True)
    outcome.add(f"CPU a chunk: into the cloud's file, {GATEWAYS} gateways", median(kept), "us", target=100)
    outcome.add("CPU a chunk: dropped from it, where there are too many", median(dropped), "us")
    return outcome


def _samples(seed: int) -> list[int]:
    """A pulse of about 70 a minute on the breath, with noise."""
    rng = random.Random(seed)  # noqa: S311 - the same each time
    out = []
    for n in range(SECONDS * RATE):
        beat, breath = n / RATE * 70 / 60 + seed / 7, math.sin(n / RATE * 1.5)
        shape = math.exp(-(((beat % 1) - 0.25) ** 2) * 40) + 0.35 * math.exp(-(((beat % 1) - 0.6) ** 2) * 60)
        out.append(min(255, max(0, round(60 + 140 * shape + 10 * breath + rng.gauss(0, 1)))))
    return out


def _from_the_wire() -> tuple[float, float]:
    """CPU microseconds a second of pleth: framing and decoding, then stamping."""
    profile = load_catalog().get("nonin-df2")
    (source,) = profile.sources
    samples = _samples(0)
    data = b"".join(_packet(samples[n : n + PACKET]) for n in range(0, len(samples), PACKET))
    framer, decode = profile.framer(), profile.wave_decoders[source]
    begun = time.process_time()
    waves = []
    for at in range(0, len(data), 5 * PACKET):
        for framed in framer.feed(data[at : at + 5 * PACKET]):
            payload = getattr(framed, "payload", b"")
            profile.decode(source, payload)
            waves.append(decode(payload))
    between = time.process_time()
    stamper, chunks = WaveStamper("oxi-1", 1), list[WaveformChunk]()
    for n, wave in enumerate(waves):
        at = START + n * PACKET * SECOND // RATE
        chunks += stamper.take(wave, at, at, profile.hash)
    ended = time.process_time()
    if sum(len(chunk.samples) for chunk in chunks) != len(samples):
        msg = "samples were lost on the way"
        raise RuntimeError(msg)
    return (between - begun) / SECONDS * 1e6, (ended - between) / SECONDS * 1e6


def _packet(samples: list[int]) -> bytes:
    out = b""
    for n, sample in enumerate(samples):
        frame = bytes([1, 0x81 if n == 0 else 0x80, sample, {1: 72, 2: 97}.get(n, 0)])
        out += frame + bytes([sum(frame) & 255])
    return out


def _stored(devices: int) -> tuple[float, float, float, float]:
    """CPU microseconds a chunk to encode, to commit and to decode; bytes an hour of one pleth on the disk."""
    lines = [_samples(device) for device in range(devices)]
    store = Store(MemoryDisk(), OUTBOX_BYTES, lambda: "boot-1", lambda: START // 3600 // SECOND)
    chunks = [[_chunk(device, n, line) for device, line in enumerate(lines)] for n in range(SECONDS)]
    encode = commit = decode = 0.0
    for n, together in enumerate(chunks):
        if n == WARM_S:
            store.journal.roll()
        begun = time.process_time()
        blocks, _ = encode_all_waves([[chunk] for chunk in together])
        encoded = time.process_time()
        store.commit(Work(blocks=blocks))
        committed = time.process_time()
        for block in blocks:
            decode_waves(block.payload)
        decode += time.process_time() - committed
        commit += committed - encoded
        encode += encoded - begun
    size = sum(segment.data_bytes for segment in list(store.shelf.segments.values())[1:])
    store.close()
    done, kept = SECONDS * devices, (SECONDS - WARM_S) * devices
    return encode / done * 1e6, commit / done * 1e6, decode / done * 1e6, size / kept * 3600


async def _in_the_cloud() -> tuple[float, float]:
    """CPU microseconds a chunk to store, and to drop half of them again for their size."""
    line = _samples(0)
    parcels = [
        [
            WaveParcel(f"gw-{g}", [_chunk(g, n, line) for n in range(at, at + TOGETHER)])
            for g in range(GATEWAYS)
        ]
        for at in range(0, SECONDS, TOGETHER)
    ]
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteWaves(Path(folder) / "waves.db")
        begun = time.process_time()
        stored = sum([await store.append("main", together) for together in parcels])
        between = time.process_time()
        dropped = await store.prune(0, SECONDS * GATEWAYS * RATE)
        ended = time.process_time()
        await store.close()
    return (between - begun) / stored * 1e6, (ended - between) / dropped * 1e6


def _chunk(device: int, n: int, line: list[int]) -> WaveformChunk:
    at = START + n * SECOND + device
    return WaveformChunk(
        device=f"oximeter-{device:03}",
        metric="pleth",
        received=at,
        corrected=at,
        run=4_611_686_018_427_387_904 + device * 7_919_000_003,
        first=n * RATE,
        rate_hz=float(RATE),
        scale=1.0,
        unit="1",
        samples=tuple(line[n * RATE : (n + 1) * RATE]),
        profile="0123456789abcdef",
    )
