"""A compiled profile beside hand-written struct code that gives the same readings, in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from statistics import median
from typing import Final

from bench import decode_by_hand as by_hand
from bench.figures import Outcome
from devices.twins import encode
from firmware_profiles import DecodedReading, Profile, load_catalog
from firmware_profiles.numbers import encode_float32, encode_sfloat

__all__ = ["measure"]

FRAMES: Final = 20_000
ROUNDS: Final = 7
TARGET: Final = 0.70
"""Of the hand-written code's speed, at least."""
Decode = Callable[[bytes], tuple[DecodedReading, ...]]
AT: Final = datetime(2026, 3, 1, 8, 30, 15)  # noqa: DTZ001 - a device's clock has no zone


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "little")


def _sfloat(value: float) -> bytes:
    return _u16(encode_sfloat(value))


def _temperature(n: int) -> bytes:
    return b"\x02" + encode_float32(34 + n % 80 / 10).to_bytes(4, "little") + encode.date_time(AT)


def _glucose(n: int) -> bytes:
    head = bytes([2 | n % 2]) + _u16(n) + encode.date_time(AT)
    return head + (_u16(n % 600) if n % 2 else b"") + _sfloat((60 + n % 200) / 1e5) + b"\x11"


def _cgm(n: int) -> bytes:
    record = (
        b"\x0b\x83" + _sfloat(60 + n % 200) + _u16(n) + b"\0" + _sfloat(n % 30 / 10) + _sfloat(90 + n % 10)
    )
    return record * (1 + n % 2)


def _packet(n: int) -> bytes:
    rate, spo2 = 60 + n % 90, 85 + n % 15
    slots = {0: rate >> 7, 1: rate & 127, 2: spo2}
    frames = ((1, 0x80 | (i == 0), (n + 9 * i) % 256, slots.get(i, 0)) for i in range(25))
    return b"".join(bytes([*frame, sum(frame) & 255]) for frame in frames)


def _cases() -> dict[str, tuple[str, str, Decode, list[bytes]]]:
    """What is measured -> profile, source, hand-written decoder, frames."""
    numbers = range(500)
    pressure = [
        encode.blood_pressure(100 + n % 80, 60 + n % 40, mean=80, pulse_rate=70, at=AT) for n in numbers
    ]
    oximeter = [encode.plx_continuous(80 + n % 20, 50 + n % 90) for n in numbers]
    return {
        "heart rate": (
            "sig-heart-rate",
            "2a37",
            by_hand.heart_rate,
            [encode.heart_rate(40 + n % 300) for n in numbers],
        ),
        "pulse oximeter": ("sig-pulse-oximeter", "2a5f", by_hand.pulse_oximeter, oximeter),
        "blood pressure": ("sig-blood-pressure", "2a35", by_hand.blood_pressure, pressure),
        "thermometer": (
            "sig-health-thermometer",
            "2a1c",
            by_hand.thermometer,
            list(map(_temperature, numbers)),
        ),
        "glucose": ("sig-glucose", "2a18", by_hand.glucose, list(map(_glucose, numbers))),
        "cgm": ("sig-cgm", "2aa7", by_hand.cgm, list(map(_cgm, numbers))),
        "nonin packet": ("nonin-df2", "df2", by_hand.nonin_packet, list(map(_packet, numbers))),
    }


def measure() -> Outcome:
    """Rounds of both, turn about; the median round counts."""
    outcome = Outcome(
        "decode",
        f"frames a CPU second, median of {ROUNDS} rounds of {FRAMES} frames; both give the same readings",
    )
    catalog = load_catalog()
    for name, (profile_id, source, written, frames) in _cases().items():
        profile = catalog.get(profile_id)
        _check_same(profile, source, written, frames)
        compiled, hand = [], []
        for _ in range(ROUNDS):
            compiled.append(_rate(lambda f: profile.decode(source, f), frames))  # noqa: B023 - used at once
            hand.append(_rate(written, frames))
        ratio = median(c / h for c, h in zip(compiled, hand, strict=True))
        outcome.add(f"{name}: compiled", median(compiled), "/s")
        outcome.add(f"{name}: by hand", median(hand), "/s")
        outcome.add(f"{name}: compiled / by hand", ratio, "", target=TARGET, at_least=True)
    return outcome


def _check_same(profile: Profile, source: str, written: Decode, frames: list[bytes]) -> None:
    """The comparison is fair only when both give the same."""
    for frame in frames:
        theirs, ours = written(frame), profile.decode(source, frame)
        if {r.metric: r for r in theirs} != {r.metric: r for r in ours}:
            msg = f"{profile.id}: {frame.hex()} decodes to {ours}, by hand to {theirs}"
            raise RuntimeError(msg)


def _rate(decode: Decode, frames: list[bytes]) -> float:
    """Frames a second of CPU: what else the machine does meanwhile is not counted."""
    rounds = FRAMES // len(frames)
    start = time.process_time()
    for _ in range(rounds):
        for frame in frames:
            decode(frame)
    return rounds * len(frames) / (time.process_time() - start)
