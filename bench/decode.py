"""A compiled profile beside hand-written struct code that gives the same readings, in the same run."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Final

from bench.figures import Outcome
from devices.twins import encode
from firmware_profiles import DecodedReading, Profile, load_catalog
from hearthward.core.model import Quality

__all__ = ["measure"]

FRAMES: Final = 20_000
ROUNDS: Final = 7
_GOOD: Final = Quality(0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Decode = Callable[[bytes], tuple[DecodedReading, ...]]


class RefusedError(Exception):
    """The hand-written code's refusal."""


def _sfloat(raw: int) -> float | None:
    mantissa, exponent = raw & 0xFFF, raw >> 12
    if mantissa in (0x7FF, 0x800, 0x7FE, 0x802, 0x801):
        return None
    if mantissa & 0x800:
        mantissa -= 0x1000
    if exponent & 0x8:
        return mantissa / 10.0 ** (0x10 - exponent)
    return float(mantissa * 10**exponent)


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise RefusedError
    return value


def heart_rate(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A37 with contact bits; RR intervals are not in these frames."""
    flags = payload[0]
    if flags & 0x01:
        (rate,) = struct.unpack_from("<H", payload, 1)
        end = 3
    else:
        rate, end = payload[1], 2
    if len(payload) != end or flags & 0x18:
        raise RefusedError
    quality = Quality.SENSOR_OFF if flags & 0x06 == 0x04 else _GOOD
    value = _within(float(rate), 0, 350)
    return (DecodedReading("heart_rate", value, None, "/min", None, quality, None),)


def pulse_oximeter(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A5F without optional fields."""
    flags, spo2, pulse = struct.unpack("<BHH", payload)
    if flags:
        raise RefusedError
    out = []
    for metric, raw, unit, high in (("spo2", spo2, "%", 100), ("pulse_rate", pulse, "/min", 350)):
        value = _sfloat(raw)
        if value is not None:
            value = _within(value, 0, high)
            out.append(DecodedReading(metric, value, None, unit, None, _GOOD, None))
    return tuple(out)


def blood_pressure(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A35 in mmHg with time, pulse and status."""
    flags, *values = struct.unpack_from("<BHHH", payload)
    year, month, day, hour, minute, second, pulse, status = struct.unpack_from("<H5BHH", payload, 7)
    if flags != 0x16 or len(payload) != 18:
        raise RefusedError
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    device_time = (at.days * 86_400 + at.seconds) * 1_000_000_000
    quality = Quality.MOTION if status & 1 else _GOOD
    out = []
    names = ("nibp_systolic", "nibp_diastolic", "nibp_mean")
    for metric, raw in zip(names, values, strict=True):
        value = _sfloat(raw)
        if value is not None:
            value = _within(value, 0, 300)
            out.append(DecodedReading(metric, value, None, "mm[Hg]", device_time, quality, None))
    rate = _sfloat(pulse)
    if rate is not None:
        out.append(DecodedReading("pulse_rate", rate, None, "/min", device_time, quality, None))
    return tuple(out)


def _frames() -> dict[str, tuple[str, str, Decode, list[bytes]]]:
    """What is measured -> profile, source, hand-written decoder, frames."""
    at = datetime(2026, 3, 1, 8, 30, 15)  # noqa: DTZ001 - a device's clock has no zone
    return {
        "heart rate": (
            "sig-heart-rate",
            "2a37",
            heart_rate,
            [encode.heart_rate(40 + n % 300) for n in range(500)],
        ),
        "pulse oximeter": (
            "sig-pulse-oximeter",
            "2a5f",
            pulse_oximeter,
            [encode.plx_continuous(80 + n % 20, 50 + n % 90) for n in range(500)],
        ),
        "blood pressure": (
            "sig-blood-pressure",
            "2a35",
            blood_pressure,
            [
                encode.blood_pressure(100 + n % 80, 60 + n % 40, mean=80, pulse_rate=70, at=at)
                for n in range(500)
            ],
        ),
    }


def measure() -> Outcome:
    """Rounds of both, turn about; the median round counts."""
    outcome = Outcome(
        "decode",
        f"frames a second, median of {ROUNDS} rounds of {FRAMES} frames; both give the same readings",
    )
    catalog = load_catalog()
    for name, (profile_id, source, by_hand, frames) in _frames().items():
        profile = catalog.get(profile_id)
        _check_same(profile, source, by_hand, frames)
        compiled, hand = [], []
        for _ in range(ROUNDS):
            compiled.append(_rate(lambda f: profile.decode(source, f), frames))  # noqa: B023 - used at once
            hand.append(_rate(by_hand, frames))
        ratio = median(c / h for c, h in zip(compiled, hand, strict=True))
        outcome.add(f"{name}: compiled", median(compiled), "/s")
        outcome.add(f"{name}: by hand", median(hand), "/s")
        outcome.add(f"{name}: compiled / by hand", ratio, "", note="higher is better")
    return outcome


def _check_same(profile: Profile, source: str, by_hand: Decode, frames: list[bytes]) -> None:
    """The comparison is fair only when both give the same."""
    for frame in frames:
        theirs, ours = by_hand(frame), profile.decode(source, frame)
        if {r.metric: r for r in theirs} != {r.metric: r for r in ours}:
            msg = f"{profile.id}: {frame.hex()} decodes to {ours}, by hand to {theirs}"
            raise RuntimeError(msg)


def _rate(decode: Decode, frames: list[bytes]) -> float:
    """Frames a second."""
    rounds = FRAMES // len(frames)
    start = time.perf_counter()
    for _ in range(rounds):
        for frame in frames:
            decode(frame)
    return rounds * len(frames) / (time.perf_counter() - start)
