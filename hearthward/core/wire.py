"""What travels between edge and cloud: blocks of readings, frames, receipts, status, configuration.

All are msgpack. A *block* is a group commit's readings as columns, encoded once when the edge accepts
them and carried unchanged inside frames, so nothing is decoded on the way. A *frame* carries blocks of
one gateway and boot; a *receipt* names the ranges of sequence numbers that are committed to storage.

MQTT topics: ``hw/1/<tenant>/<gateway>/<frame|receipt|status|config|applied>``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import msgpack

from hearthward.core.columns import fits_int64, pack_floats, pack_ints, unpack_floats, unpack_ints
from hearthward.core.errors import DecodeError
from hearthward.core.ids import GATEWAY_ID
from hearthward.core.model import COLUMNS, ReadingBatch

__all__ = [
    "MAX_BLOCK",
    "MAX_FRAME_BYTES",
    "Block",
    "ConfigDocument",
    "Frame",
    "Gap",
    "Receipt",
    "Status",
    "TopicKind",
    "decode_block",
    "encode_block",
    "parse_topic",
    "topic",
]

VERSION: Final = 1
MAX_BLOCK: Final = 4096
"""Readings in one block at most."""
MAX_FRAME_BYTES: Final = 1 << 20
"""A larger frame is refused unread (nats-server's own default limit of a payload)."""
_NONE: Final = -(2**63)
"""Stands for None in columns of integers."""
_STRINGS: Final = frozenset({"device", "metric", "code", "author", "profile"})

TopicKind = Literal["frame", "receipt", "status", "config", "applied"]
_KINDS: Final = frozenset({"frame", "receipt", "status", "config", "applied"})


def topic(tenant: str, gateway: str, kind: TopicKind) -> str:
    """The MQTT topic of a gateway's messages of one kind."""
    return f"hw/1/{tenant}/{gateway}/{kind}"


def parse_topic(text: str) -> tuple[str, str, TopicKind]:
    """Topic -> (tenant, gateway, kind). Raises DecodeError (reason ``topic``)."""
    parts = text.split("/")
    if (
        len(parts) != 5  # noqa: PLR2004 - hw/1/tenant/gateway/kind
        or parts[:2] != ["hw", "1"]
        or not GATEWAY_ID.fullmatch(parts[2])
        or not GATEWAY_ID.fullmatch(parts[3])
        or parts[4] not in _KINDS
    ):
        msg = f"not a topic of this system: {text[:200]!r}"
        raise DecodeError(msg, reason="topic")
    return parts[2], parts[3], cast("TopicKind", parts[4])


def _pack(value: object) -> bytes:
    return cast("bytes", msgpack.packb(value))


def _unpack(payload: bytes, what: str) -> list[Any]:
    """The parts after the version, whatever they are: callers check. Raises DecodeError."""
    if len(payload) > MAX_FRAME_BYTES:
        msg = f"{what} of {len(payload)} bytes exceeds {MAX_FRAME_BYTES}"
        raise DecodeError(msg, reason="oversized")
    try:
        parts: list[Any]
        version, *parts = msgpack.unpackb(payload, strict_map_key=True, raw=False)
    except Exception as error:
        msg = f"{what} is not msgpack: {type(error).__name__}"
        raise DecodeError(msg, reason="malformed") from error
    if type(version) is not int or version != VERSION:
        msg = f"{what} of version {version!r:.20}; this software reads {VERSION}"
        raise DecodeError(msg, reason="version")
    return parts


def encode_block(batch: ReadingBatch) -> bytes:
    """Columns -> bytes. Raises ValueError when the batch is empty or longer than MAX_BLOCK."""
    n = len(batch)
    if not 0 < n <= MAX_BLOCK:
        msg = f"a block holds 1..{MAX_BLOCK} readings, not {n}"
        raise ValueError(msg)
    strings: dict[str | None, int] = {}
    columns: list[object] = []
    for name in COLUMNS:
        values = getattr(batch, name)
        if name in _STRINGS:
            columns.append(pack_ints([strings.setdefault(v, len(strings)) for v in values]))
        elif name == "value":
            columns.append(pack_floats(values))
        else:
            columns.append(pack_ints([_NONE if v is None else int(v) for v in values]))
    return _pack([VERSION, n, list(strings), columns])


def decode_block(payload: bytes) -> ReadingBatch:
    """Bytes -> columns. Raises DecodeError (malformed, oversized, version) and nothing else."""
    try:
        n, strings, columns = _unpack(payload, "block")
        if not 0 < n <= MAX_BLOCK:
            msg = f"block of {n} readings"
            raise DecodeError(msg, reason="oversized")
        if not all(s is None or isinstance(s, str) for s in strings):
            msg = "block's strings are not text"
            raise DecodeError(msg, reason="malformed")
        batch = ReadingBatch()
        for name, packed in zip(COLUMNS, columns, strict=True):
            setattr(batch, name, _column(name, packed, n, strings))
    except DecodeError:
        raise
    except Exception as error:
        msg = f"block is malformed: {type(error).__name__}: {error}"
        raise DecodeError(msg, reason="malformed") from error
    return batch


_REQUIRED: Final = frozenset(COLUMNS) - {"value", "code", "device_time", "record", "author"}


def _column(name: str, packed: list[Any], n: int, strings: list[str | None]) -> list[Any]:
    values: list[Any]
    if name == "value":
        values = unpack_floats(packed)
    else:
        values = unpack_ints(packed, n)
        if name in _STRINGS:
            if min(values) < 0:
                msg = "negative string index"
                raise ValueError(msg)
            values = [strings[i] for i in values]
        elif name not in _REQUIRED:
            values = [None if v == _NONE else v for v in values]
    if len(values) != n:
        msg = f"column {name} has {len(values)} of {n} values"
        raise ValueError(msg)
    if name in _REQUIRED and (None in values or _NONE in values):
        msg = f"column {name} lacks values"
        raise ValueError(msg)
    return values


@dataclass(frozen=True, slots=True)
class Block:
    """A group commit: ``count`` readings numbered from ``first``, and their encoded columns."""

    first: int
    count: int
    payload: bytes

    @property
    def last(self) -> int:
        """The last sequence number."""
        return self.first + self.count - 1

    def digest(self) -> bytes:
        """Eight bytes that tell this block's content from any other."""
        return hashlib.blake2b(self.payload, digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers that will never come, and why (``full``, ``corrupt``)."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What a gateway sends: blocks of one boot, with its clocks at the moment of sending.

    ``boot`` is the random id made with the outbox file; ``wall``/``mono`` are nanoseconds;
    ``synchronised`` says whether wall was; ``event_time`` whether wall is a recording's time.
    ``config`` is the hash of the configuration document in force.
    """

    gateway: str
    boot: str
    blocks: tuple[Block, ...]
    wall: int
    mono: int
    synchronised: bool = True
    event_time: bool = False
    config: str = ""
    gaps: tuple[Gap, ...] = ()
    transitions: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Frame -> bytes."""
        return _pack(
            [
                VERSION,
                self.gateway,
                self.boot,
                [[b.first, b.count, b.payload] for b in self.blocks],
                self.wall,
                self.mono,
                self.synchronised,
                self.event_time,
                self.config,
                [[g.first, g.last, g.reason] for g in self.gaps],
                list(self.transitions),
            ]
        )

    @classmethod
    def decode(cls, payload: bytes) -> Frame:
        """Bytes -> frame; blocks stay encoded. Raises DecodeError and nothing else."""
        raw = _unpack(payload, "frame")
        try:
            frame = cls(
                gateway=raw[0],
                boot=raw[1],
                blocks=tuple(Block(*b) for b in raw[2]),
                wall=raw[3],
                mono=raw[4],
                synchronised=raw[5],
                event_time=raw[6],
                config=raw[7],
                gaps=tuple(Gap(*g) for g in raw[8]),
                transitions=tuple(raw[9]),
            )
            _check_frame(frame)
        except DecodeError:
            raise
        except Exception as error:
            msg = f"frame is malformed: {type(error).__name__}: {error}"
            raise DecodeError(msg, reason="malformed") from error
        return frame


def _check_frame(frame: Frame) -> None:
    typed = (
        isinstance(frame.gateway, str)
        and isinstance(frame.boot, str)
        and isinstance(frame.config, str)
        and fits_int64(frame.wall)
        and fits_int64(frame.mono)
        and type(frame.synchronised) is bool
        and type(frame.event_time) is bool
        and all(
            fits_int64(b.first)
            and fits_int64(b.count)
            and isinstance(b.payload, bytes)
            and b.first >= 1
            and 0 < b.count <= MAX_BLOCK
            and fits_int64(b.last)
            for b in frame.blocks
        )
        and all(
            fits_int64(g.first)
            and fits_int64(g.last)
            and isinstance(g.reason, str)
            and 1 <= g.first <= g.last
            for g in frame.gaps
        )
        and all(isinstance(t, bytes) for t in frame.transitions)
    )
    if not typed:
        msg = "frame has fields of the wrong type or empty ranges"
        raise DecodeError(msg, reason="malformed")
    if not GATEWAY_ID.fullmatch(frame.gateway) or not GATEWAY_ID.fullmatch(frame.boot):
        msg = "frame's gateway or boot id has characters outside A-Z a-z 0-9 _ -"
        raise DecodeError(msg, reason="identity")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The ranges of one boot of one gateway that are committed to storage; only this lets the edge delete."""

    gateway: str
    boot: str
    ranges: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        """Receipt -> bytes."""
        return _pack([VERSION, self.gateway, self.boot, [list(r) for r in self.ranges]])

    @classmethod
    def decode(cls, payload: bytes) -> Receipt:
        """Bytes -> receipt. Raises DecodeError and nothing else."""
        try:
            gateway, boot, ranges = _unpack(payload, "receipt")
            receipt = cls(gateway, boot, tuple((a, b) for a, b in ranges))
            numbers = [n for pair in receipt.ranges for n in pair]
            typed = isinstance(gateway, str) and isinstance(boot, str) and all(map(fits_int64, numbers))
        except DecodeError:
            raise
        except Exception as error:
            msg = f"receipt is malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not typed or any(a < 1 or b < a for a, b in receipt.ranges):
            msg = "receipt has fields of the wrong type or empty ranges"
            raise DecodeError(msg, reason="malformed")
        return receipt


def _are_counts(value: object) -> bool:
    """Whether it is text -> text -> integers from 0 on."""
    return type(value) is dict and all(
        isinstance(device, str)
        and type(reasons) is dict
        and all(isinstance(reason, str) and fits_int64(n) and n >= 0 for reason, n in reasons.items())
        for device, reasons in value.items()
    )


@dataclass(frozen=True, slots=True)
class Status:
    """A gateway's retained status; ``online=False`` is its last will, the rest then being as connected."""

    online: bool
    boot: str = ""
    version: str = ""
    config: str = ""
    wall: int = 0
    backlog: int = 0
    devices: dict[str, str] = field(default_factory=dict)
    """Device id -> session state with the reason, e.g. ``connected`` or ``backoff: out of range``."""
    rejected: dict[str, dict[str, int]] = field(default_factory=dict)
    """Device id -> reason (of DecodeError) -> frames refused since the edge's start; a status without it
    is one of an older edge."""

    def encode(self) -> bytes:
        """Status -> bytes."""
        return _pack(
            [
                VERSION,
                self.online,
                self.boot,
                self.version,
                self.config,
                self.wall,
                self.backlog,
                self.devices,
                self.rejected,
            ]
        )

    @classmethod
    def decode(cls, payload: bytes) -> Status:
        """Bytes -> status. Raises DecodeError and nothing else."""
        try:
            rest = _unpack(payload, "status")
            status = cls(*rest)
            typed = (
                type(status.online) is bool
                and all(isinstance(t, str) for t in (status.boot, status.version, status.config))
                and fits_int64(status.wall)
                and fits_int64(status.backlog)
                and type(status.devices) is dict
                and all(isinstance(t, str) for pair in status.devices.items() for t in pair)
                and _are_counts(status.rejected)
            )
            if not typed:
                msg = "status has fields of the wrong type"
                raise DecodeError(msg, reason="malformed")
        except DecodeError:
            raise
        except Exception as error:
            msg = f"status is malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        return status


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """What a gateway shall do, as one versioned, hashed document: its devices, patients and rules.

    ``body`` is plain data (see docs/ARCHITECTURE.md, Configuration document). ``digest`` is BLAKE2b over
    the encoded body, so a half-written or altered document is refused.
    """

    gateway: str
    version: int
    body: dict[str, Any]

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over gateway, version and body."""
        raw = _pack([self.gateway, self.version, self.body])
        return hashlib.blake2b(raw, digest_size=8).hexdigest()

    def encode(self) -> bytes:
        """Document -> bytes, digest included."""
        return _pack([VERSION, self.gateway, self.version, self.body, self.digest])

    @classmethod
    def decode(cls, payload: bytes) -> ConfigDocument:
        """Bytes -> document. Raises DecodeError (malformed, version, digest) and nothing else."""
        try:
            gateway, version, body, digest = _unpack(payload, "configuration document")
            document = cls(gateway, version, body)
            typed = isinstance(gateway, str) and fits_int64(version) and isinstance(body, dict)
            good = typed and document.digest == digest
        except DecodeError:
            raise
        except Exception as error:
            msg = f"configuration document is malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = "configuration document's digest does not match its content"
            raise DecodeError(msg, reason="digest")
        return document
