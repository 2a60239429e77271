"""What a gateway sends: blocks of readings or decisions, in frames; and the topics of all messages.

All are msgpack. A *block* is a group commit's readings as columns, encoded once when the edge accepts
them and carried unchanged inside frames, so nothing is decoded on the way; or it carries what the rules
at the edge decided, or chunks of waveforms (``core.wave_blocks``), one number each. A *frame* carries
blocks of one gateway and boot. What answers or accompanies them (receipt, status, configuration,
accounts) is in ``hearthward.core.messages``; what a gateway finds around it, and how it is asked to look,
in ``hearthward.core.sightings``; the bytes of a watched device's frames in ``hearthward.core.raw_frames``.

MQTT topics: ``hw/1/<tenant>/<gateway>/<frame|receipt|status|config|applied|account|sightings|ask|raw>``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from hearthward.core.columns import fits_int64, pack_floats, pack_ints, unpack_floats, unpack_ints
from hearthward.core.errors import DecodeError
from hearthward.core.ids import GATEWAY_ID
from hearthward.core.messages import Accounts, ConfigDocument, Receipt, Status, StoredBlock
from hearthward.core.model import COLUMNS, ReadingBatch
from hearthward.core.packing import MAX_MESSAGE_BYTES, VERSION, pack, unpack, unpack_any
from hearthward.core.wave_blocks import carries_waves

__all__ = [
    "MAX_BLOCK",
    "MAX_FRAME_BYTES",
    "Accounts",
    "Block",
    "ConfigDocument",
    "Frame",
    "Gap",
    "Receipt",
    "Status",
    "StoredBlock",
    "TopicKind",
    "carries_decisions",
    "decode_block",
    "decode_decisions",
    "encode_block",
    "encode_decisions",
    "parse_topic",
    "topic",
]

BLOCK_VERSION: Final = 2
"""Of blocks, which stand in outboxes and dead letters for long; 2: with the column ``error``."""
_FORMER: Final = 1
"""Of blocks of readings without a known error, as all were once, and of decisions."""
_FORMER_COLUMNS: Final = tuple(name for name in COLUMNS if name != "error")
MAX_BLOCK: Final = 4096
"""Readings in one block at most."""
MAX_FRAME_BYTES: Final = MAX_MESSAGE_BYTES
_DECISIONS: Final = "decisions"
_DECISIONS_HEAD: Final = pack([_FORMER, _DECISIONS, []])[1:-1]
_NONE: Final = -(2**63)
"""Stands for None in columns of integers."""
_STRINGS: Final = frozenset({"device", "metric", "code", "author", "profile"})

TopicKind = Literal["frame", "receipt", "status", "config", "applied", "account", "sightings", "ask", "raw"]
_KINDS: Final[frozenset[str]] = frozenset(get_args(TopicKind))


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


def encode_block(batch: ReadingBatch) -> bytes:
    """Columns -> bytes. Raises ValueError when the batch is empty or longer than MAX_BLOCK."""
    n = len(batch)
    if not 0 < n <= MAX_BLOCK:
        msg = f"a block holds 1..{MAX_BLOCK} readings, not {n}"
        raise ValueError(msg)
    strings: dict[str | None, int] = {}
    columns: list[object] = []
    former = batch.error.count(None) == n
    for name in _FORMER_COLUMNS if former else COLUMNS:
        values = getattr(batch, name)
        if name in _STRINGS:
            columns.append(pack_ints([strings.setdefault(v, len(strings)) for v in values]))
        elif name == "value":
            columns.append(pack_floats(values))
        else:
            columns.append(pack_ints([_NONE if v is None else int(v) for v in values]))
    return pack([_FORMER if former else BLOCK_VERSION, n, list(strings), columns])


def decode_block(payload: bytes) -> ReadingBatch:
    """Bytes -> columns. Raises DecodeError (malformed, oversized, version) and nothing else."""
    try:
        found, (n, strings, columns) = unpack_any(payload, "block", (_FORMER, BLOCK_VERSION))
        if not 0 < n <= MAX_BLOCK:
            msg = f"block of {n} readings"
            raise DecodeError(msg, reason="oversized")
        if not all(s is None or isinstance(s, str) for s in strings):
            msg = "block's strings are not text"
            raise DecodeError(msg, reason="malformed")
        batch = ReadingBatch()
        former = found == _FORMER
        for name, packed in zip(_FORMER_COLUMNS if former else COLUMNS, columns, strict=True):
            setattr(batch, name, _column(name, packed, n, strings))
        if former:
            batch.error = [None] * n
    except DecodeError:
        raise
    except Exception as error:
        msg = f"block is malformed: {type(error).__name__}: {error}"
        raise DecodeError(msg, reason="malformed") from error
    return batch


_CONSTANT: Final = 2
_REQUIRED: Final = frozenset(COLUMNS) - {"value", "code", "device_time", "record", "author", "error"}


def _constant(name: str, value: object, strings: list[str | None]) -> int | str | None:
    """The one value of a column that is the same in all rows: most columns of a small block are."""
    if type(value) is not int or not fits_int64(value):
        msg = f"column {name} is of no number"
        raise ValueError(msg)
    found: int | str | None = None if value == _NONE else value
    if name in _STRINGS:
        if value < 0:
            msg = "negative string index"
            raise ValueError(msg)
        found = strings[value]
    if found is None and name in _REQUIRED:
        msg = f"column {name} lacks values"
        raise ValueError(msg)
    return found


def _column(name: str, packed: list[Any], n: int, strings: list[str | None]) -> list[Any]:
    values: list[Any]
    if len(packed) == _CONSTANT and packed[0] == "c" and name != "value":
        return [_constant(name, packed[1], strings)] * n
    if name == "value":
        values = unpack_floats(packed)
    else:
        values = unpack_ints(packed, n)
        if name in _STRINGS:
            if min(values) < 0:
                msg = "negative string index"
                raise ValueError(msg)
            values = [strings[i] for i in values]
        elif name not in _REQUIRED and _NONE in values:
            values = [None if v == _NONE else v for v in values]
    if len(values) != n:
        msg = f"column {name} has {len(values)} of {n} values"
        raise ValueError(msg)
    if name in _REQUIRED and (None in values or _NONE in values):
        msg = f"column {name} lacks values"
        raise ValueError(msg)
    return values


def encode_decisions(decisions: Sequence[bytes]) -> bytes:
    """Encoded decisions (``rules.travelling``) -> a block's payload. Raises ValueError: 1..MAX_BLOCK."""
    if not 0 < len(decisions) <= MAX_BLOCK:
        msg = f"a block holds 1..{MAX_BLOCK} decisions, not {len(decisions)}"
        raise ValueError(msg)
    return pack([_FORMER, _DECISIONS, list(decisions)])


def carries_decisions(payload: bytes) -> bool:
    """Whether a block's payload says that it has decisions; it may be damaged all the same."""
    return payload[1 : 1 + len(_DECISIONS_HEAD)] == _DECISIONS_HEAD


def decode_decisions(payload: bytes) -> tuple[bytes, ...]:
    """The payload of a block of decisions -> each one, encoded. Raises DecodeError and nothing else."""
    parts = unpack(payload, "block of decisions", _FORMER)
    good = (
        len(parts) == 2  # noqa: PLR2004 - the word and the list
        and parts[0] == _DECISIONS
        and isinstance(parts[1], list)
        and 0 < len(parts[1]) <= MAX_BLOCK
        and all(isinstance(d, bytes) for d in parts[1])
    )
    if not good:
        msg = "block of decisions is malformed"
        raise DecodeError(msg, reason="malformed")
    return tuple(parts[1])


@dataclass(frozen=True, slots=True)
class Block:
    """A group commit: ``count`` readings (or decisions, or chunks of waves) from ``first`` on, encoded."""

    first: int
    count: int
    payload: bytes

    @property
    def last(self) -> int:
        """The last sequence number."""
        return self.first + self.count - 1

    @property
    def decisions(self) -> bool:
        """Whether it carries decisions, not readings."""
        return carries_decisions(self.payload)

    @property
    def waves(self) -> bool:
        """Whether it carries chunks of waveforms, not readings."""
        return carries_waves(self.payload)

    def digest(self) -> bytes:
        """Eight bytes that tell this block's content from any other."""
        return hashlib.blake2b(self.payload, digest_size=8).digest()

    def stored(self) -> StoredBlock:
        """As a receipt names it."""
        return StoredBlock(self.first, self.count, self.digest())


@dataclass(frozen=True, slots=True)
class Gap:
    """Sequence numbers that will never come, and why (``full``, ``corrupt``)."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What a gateway sends: blocks of one boot, with its clocks at the moment of sending.

    ``boot`` is the random id made with the outbox, ``session`` that of the process that sends, which the
    receipt repeats; ``wall``/``mono`` are nanoseconds; ``synchronised`` says whether wall was;
    ``event_time`` whether wall is a recording's time. ``config`` is the hash of the configuration document
    in force.
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
    session: str = ""

    def encode(self) -> bytes:
        """Frame -> bytes."""
        return pack(
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
                self.session,
            ]
        )

    @classmethod
    def decode(cls, payload: bytes) -> Frame:
        """Bytes -> frame; blocks stay encoded. Raises DecodeError and nothing else."""
        raw = unpack(payload, "frame")
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
                session=raw[9],
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
        and isinstance(frame.session, str)
    )
    if not typed:
        msg = "frame has fields of the wrong type or empty ranges"
        raise DecodeError(msg, reason="malformed")
    if not GATEWAY_ID.fullmatch(frame.gateway) or not GATEWAY_ID.fullmatch(frame.boot):
        msg = "frame's gateway or boot id has characters outside A-Z a-z 0-9 _ -"
        raise DecodeError(msg, reason="identity")
