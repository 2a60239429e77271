"""A reading as a point of a time-series server, and back, with nothing lost on the way.

A point is labels, one time and named numbers. What repeats (device, metric, profile, code, author, quality,
where it came from) is a label; all else is a number of its own. A server's time may be coarser than
ours and its numbers may hold less, so

- ``ns`` is what the time leaves out of the corrected time; other times are differences to that;
- an integer that the server cannot hold exactly stands in two, its upper 32 bits in ``<name>_hi``;
- a value that the server would round stands rounded, for other people's graphs, and exactly in ``bits``;
- ``shape`` says which numbers belong to the row: one of which some did not arrive is no row;
- ``lane`` (a label) tells readings apart that would otherwise have the same labels and time.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hearthward.core.errors import StoreRejected
from hearthward.core.ids import digest63
from hearthward.core.model import Reading, key_time

__all__ = [
    "MEASUREMENT",
    "Format",
    "Key",
    "Labels",
    "Origin",
    "Reader",
    "clean",
    "key_of",
    "unclean",
    "usual_group",
]

MEASUREMENT: Final = "hearthward"
"""What all series are called: ``hearthward_value``... in VictoriaMetrics, the measurement in InfluxDB."""
LONGEST_LABEL: Final = 1024
GRAPH_SCALE: Final = 10**4
"""A rounding server still holds a value below a million with four decimals exactly (measured)."""
GRAPH_LIMIT: Final = 1e6

Key = tuple[str, str, int, int, int]
"""Of a tenant's reading: device, metric, key time, record or else digest (see ``marks``), ordinal."""
Origin = tuple[str, str, int]
"""Gateway, boot, sequence number."""
Labels = tuple[tuple[str, str], ...]
"""Sorted, without those that are empty."""

_NUMBERS: Final = (
    "value",
    "bits",
    "bits_hi",
    "ns",
    "received",
    "received_hi",
    "device_time",
    "device_time_hi",
    "record",
    "record_hi",
    "digest",
    "digest_hi",
    "group",
    "group_hi",
    "seq",
    "seq_hi",
    "ordinal",
    "ordinal_hi",
    "error",
    "error_hi",
)
"""Each is a bit of ``shape``, in this order; only ever add at the end."""
_BIT: Final = {name: 1 << i for i, name in enumerate(_NUMBERS)}
_EMPTY_CODE: Final = 1 << 30
_EMPTY_AUTHOR: Final = 1 << 31
_UNFIT: Final = re.compile(r'[\x00-\x1f\x7f%"$\\]')
_ESCAPE: Final = re.compile(r"%([0-9a-f]{2})")


def key_of(reading: Reading) -> Key:
    """What makes a reading this one."""
    mark = reading.digest if reading.record is None else -1 - reading.record
    return reading.device, reading.metric, reading.key_time, mark, reading.ordinal


def clean(text: str) -> str:
    """A label's text without what line protocol or a query could stumble over. Raises StoreRejected."""
    if len(text) > LONGEST_LABEL or (not text.isprintable() and _surrogate(text)):
        msg = f"a text of {len(text)} characters that a time-series server would not take as a label"
        raise StoreRejected(msg)
    return _UNFIT.sub(lambda m: f"%{ord(m[0]):02x}", text)


def unclean(label: str) -> str:
    """The text that ``clean`` was given."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), label)


def _surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


@dataclass(frozen=True, slots=True)
class Format:
    """How one engine holds points: ``unit`` nanoseconds a step of its time, integers below ``whole``.

    ``rounds``: whether it rounds numbers that are no short decimals. ``suffix``: of an integer in a line.
    """

    unit: int
    whole: int
    rounds: bool
    suffix: str = ""

    # -- to the server

    def labels(self, tenant: str, reading: Reading, origin: Origin) -> Labels:
        """All labels but the lane. Raises StoreRejected."""
        return _labels(
            tenant,
            reading.device,
            reading.metric,
            reading.code or "",
            reading.author or "",
            reading.profile,
            int(reading.quality),
            int(reading.source),
            origin[0],
            origin[1],
        )

    def time(self, reading: Reading) -> int:
        """The point's time, in units."""
        return reading.corrected // self.unit

    def numbers(self, reading: Reading, seq: int) -> dict[str, float]:
        """The point's numbers, ``shape`` among them; ``value`` is the only float."""
        at = reading.corrected
        out: dict[str, float] = {}
        self._value(out, reading.value)
        if rest := at % self.unit:
            out["ns"] = rest
        self._put(out, "received", reading.received, at)
        if reading.device_time is not None:
            self._put(out, "device_time", reading.device_time, at, even_zero=True)
        if reading.record is not None:
            self._put(out, "record", reading.record, even_zero=True)
        self._put(out, "digest", reading.digest)
        usual = usual_group(reading.device, reading.key_time, reading.digest)
        if reading.group != usual:
            self._put(out, "group", reading.group, even_zero=True)
        self._put(out, "seq", seq)
        self._put(out, "ordinal", reading.ordinal)
        if reading.error is not None:
            self._put(out, "error", reading.error, even_zero=True)
        shape = sum(_BIT[name] for name in out)
        shape |= _EMPTY_CODE if reading.code == "" else 0
        shape |= _EMPTY_AUTHOR if reading.author == "" else 0
        out["shape"] = shape
        return out

    def _put(
        self, out: dict[str, float], name: str, value: int, base: int = 0, *, even_zero: bool = False
    ) -> None:
        """The difference to ``base``, or where that is too much, all of it in two."""
        if abs(value - base) >= self.whole:
            out[name], out[f"{name}_hi"] = value & 0xFFFFFFFF, value >> 32
        elif value != base or even_zero:
            out[name] = value - base

    def _value(self, out: dict[str, float], value: float | None) -> None:
        if value is None:
            return
        value = float(value)
        if not self.rounds:
            out["value"] = value
            return
        if abs(value) < GRAPH_LIMIT:
            shown = out["value"] = round(value * GRAPH_SCALE) / GRAPH_SCALE
            if shown == value and str(shown) == str(value):
                return
        bits = int.from_bytes(struct.pack(">d", value), "big")
        out["bits"], out["bits_hi"] = bits & 0xFFFFFFFF, bits >> 32

    # -- from the server

    def reader(self, labels: Mapping[str, str]) -> Reader:
        """What reads all points of these labels."""
        return Reader(self, labels)

    # -- line protocol

    def line(self, labels: Labels, lane: int, time: int, numbers: Mapping[str, float]) -> str:
        """One line; ``value`` is its only float."""
        at_lane = f",lane={lane}" if lane else ""
        shown = ",".join(
            [
                f"{name}={number!r}" if name == "value" else f"{name}={number}{self.suffix}"
                for name, number in numbers.items()
            ]
        )
        return f"{_head(labels)}{at_lane} {shown} {time}"


class Reader:
    """Gives back the readings of one set of labels."""

    __slots__ = ("_author", "_code", "_device", "_metric", "_profile", "_quality", "_source", "_where")

    def __init__(self, form: Format, labels: Mapping[str, str]) -> None:
        def text(name: str) -> str:
            return unclean(labels.get(name, ""))

        self._device, self._metric, self._profile = text("device"), text("metric"), text("profile")
        self._code, self._author = text("code"), text("author")
        self._quality, self._source = int(labels.get("quality", 0)), int(labels.get("source", 0))
        self._where = form.unit, text("gateway"), text("boot")

    def identity(self, time: int, numbers: Mapping[str, float]) -> tuple[Key, Origin] | None:
        """Which reading it is, and from where; None when not all of it is there (or it is none of ours)."""
        found = _whole_row(numbers)
        if found is None:
            return None
        unit, gateway, boot = self._where
        at = time * unit + int(found.get("ns", 0))
        record, digest = _whole(found, "record"), _whole(found, "digest") or 0
        received = _whole(found, "received", at)
        key_at = key_time(
            _whole(found, "device_time", at), at if received is None else received, self._quality
        )
        mark = digest if record is None else -1 - record
        key = self._device, self._metric, key_at, mark, _whole(found, "ordinal") or 0
        return key, (gateway, boot, _whole(found, "seq") or 0)

    def row(self, time: int, numbers: Mapping[str, float]) -> Reading | None:
        """What was stored there; None when not all of it is there (or it is none of ours)."""
        found = _whole_row(numbers)
        if found is None:
            return None
        shape = int(found["shape"])
        at = time * self._where[0] + int(found.get("ns", 0))
        device_time, received = _whole(found, "device_time", at), _whole(found, "received", at)
        received = at if received is None else received
        digest, group = _whole(found, "digest") or 0, _whole(found, "group")
        if group is None:
            group = usual_group(self._device, key_time(device_time, received, self._quality), digest)
        return Reading(
            self._device,
            self._metric,
            _value_of(found),
            self._code if self._code or shape & _EMPTY_CODE else None,
            device_time,
            received,
            at,
            _whole(found, "record"),
            digest,
            _whole(found, "ordinal") or 0,
            group,
            self._source,
            self._author if self._author or shape & _EMPTY_AUTHOR else None,
            self._quality,
            self._profile,
            _whole(found, "error"),
        )


def _whole_row(numbers: Mapping[str, float]) -> Mapping[str, float] | None:
    """The numbers that belong to the row, if all have arrived."""
    shape = numbers.get("shape")
    if shape is None:
        return None
    there = _names(int(shape))
    if len(numbers) == len(there) + 1 and there <= numbers.keys():
        return numbers
    if not there <= numbers.keys():
        return None
    return {"shape": shape, **{name: numbers[name] for name in there}}


@lru_cache(256)
def _names(shape: int) -> frozenset[str]:
    return frozenset(name for name in _NUMBERS if shape & _BIT[name])


@lru_cache(50_000)
def _labels(  # noqa: PLR0913, PLR0917 - one for each label
    tenant: str,
    device: str,
    metric: str,
    code: str,
    author: str,
    profile: str,
    quality: int,
    source: int,
    gateway: str,
    boot: str,
) -> Labels:
    found = {
        "author": clean(author),
        "boot": clean(boot),
        "code": clean(code),
        "device": clean(device),
        "gateway": clean(gateway),
        "metric": clean(metric),
        "profile": clean(profile),
        "quality": str(quality) if quality else "",
        "source": str(source) if source else "",
        "tenant": clean(tenant),
    }
    return tuple((name, text) for name, text in found.items() if text)


@lru_cache(50_000)
def _head(labels: Labels) -> str:
    return MEASUREMENT + "".join(f",{name}={_escaped(text)}" for name, text in labels)


def _escaped(text: str) -> str:
    return text.replace(" ", "\\ ").replace(",", "\\,").replace("=", "\\=")


def _whole(found: Mapping[str, float], name: str, base: int = 0) -> int | None:
    """An integer put together again."""
    low = found.get(name)
    if low is None:
        return None
    high = found.get(f"{name}_hi")
    return base + int(low) if high is None else int(high) << 32 | int(low)


def _value_of(found: Mapping[str, float]) -> float | None:
    if "bits" in found:
        bits = int(found["bits_hi"]) << 32 | int(found["bits"])
        (exact,) = struct.unpack(">d", bits.to_bytes(8, "big"))
        return float(exact)
    value = found.get("value")
    return None if value is None else float(value)


def usual_group(device: str, at: int, digest: int) -> int:
    """The group that a gateway gives a device's reading: it need not be stored (``devices.stamping``)."""
    return digest63(device.encode(), str(at).encode(), digest.to_bytes(8, "big"))
