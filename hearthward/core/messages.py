"""What accompanies frames: receipts, status, configuration documents, accounts.

Receipts and documents are signed by the cloud (``hearthward.trust.keys``): here they only say which bytes
are signed, and carry the signature.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from hearthward.core.columns import fits_int64
from hearthward.core.device_states import DeviceWord
from hearthward.core.errors import DecodeError
from hearthward.core.packing import VERSION, pack, unpack

__all__ = ["Account", "Accounts", "ConfigDocument", "Receipt", "Status", "StoredBlock"]

_DIGEST_BYTES: Final = 8
_DEVICES_AT: Final = 6
"""Where a status has its devices."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block that is committed: ``count`` numbers from ``first``, whose content has ``digest``."""

    first: int
    count: int
    digest: bytes

    @property
    def last(self) -> int:
        """The last number."""
        return self.first + self.count - 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What of one boot of one gateway is committed to storage; only this lets the edge delete.

    ``session`` repeats the frame's; each block is named with the digest of its content; ``gaps`` are the
    ranges declared lost that the books now have. Without a ``signature`` nobody believes it.
    """

    gateway: str
    boot: str
    session: str
    blocks: tuple[StoredBlock, ...]
    gaps: tuple[tuple[int, int], ...] = ()
    signature: bytes = b""

    def signed_part(self) -> bytes:
        """What the cloud signs."""
        return b"receipt" + pack(self._content())

    def _content(self) -> list[Any]:
        blocks, gaps = [[b.first, b.count, b.digest] for b in self.blocks], [list(g) for g in self.gaps]
        return [VERSION, self.gateway, self.boot, self.session, blocks, gaps]

    def signed(self, signature: bytes) -> Receipt:
        """The same with a signature."""
        return replace(self, signature=signature)

    def encode(self) -> bytes:
        """Receipt -> bytes."""
        return pack([*self._content(), self.signature])

    @classmethod
    def decode(cls, payload: bytes) -> Receipt:
        """Bytes -> receipt, its signature unchecked. Raises DecodeError and nothing else."""
        try:
            gateway, boot, session, blocks, gaps, signature = unpack(payload, "receipt")
            receipt = cls(
                gateway,
                boot,
                session,
                tuple(StoredBlock(*b) for b in blocks),
                tuple((first, last) for first, last in gaps),
                signature,
            )
            texts = all(isinstance(t, str) for t in (gateway, boot, session)) and isinstance(signature, bytes)
            good = texts and all(map(_is_stored, receipt.blocks)) and all(map(_is_range, receipt.gaps))
        except DecodeError:
            raise
        except Exception as error:
            msg = f"receipt is malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = "receipt has fields of the wrong type or empty ranges"
            raise DecodeError(msg, reason="malformed")
        return receipt


def _is_range(pair: tuple[object, object]) -> bool:
    first, last = pair
    return (
        fits_int64(first)
        and fits_int64(last)
        and isinstance(first, int)
        and isinstance(last, int)
        and 1 <= first <= last
    )


def _is_stored(block: StoredBlock) -> bool:
    return (
        fits_int64(block.first)
        and fits_int64(block.count)
        and block.first >= 1
        and block.count >= 1
        and fits_int64(block.last)
        and isinstance(block.digest, bytes)
        and len(block.digest) == _DIGEST_BYTES
    )


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
    devices: dict[str, DeviceWord] = field(default_factory=dict)
    """Device id -> where its session stands, and why; of a former release's gateway without the cause."""
    rejected: dict[str, dict[str, int]] = field(default_factory=dict)
    """Device id -> reason (of DecodeError) -> frames refused since the edge's start."""
    session: str = ""
    """The sending process's, as in its frames."""
    alarms: int = 0
    """Alarms that the rules at the edge have open."""
    trouble: dict[str, str] = field(default_factory=dict)
    """What the gateway itself cannot do -> why, in a word: ``trust`` -> ``key`` (it refuses this cloud)."""

    def encode(self) -> bytes:
        """Status -> bytes."""
        return pack(
            [
                VERSION,
                self.online,
                self.boot,
                self.version,
                self.config,
                self.wall,
                self.backlog,
                {device: word.packed() for device, word in self.devices.items()},
                self.rejected,
                self.session,
                self.alarms,
                self.trouble,
            ]
        )

    @classmethod
    def decode(cls, payload: bytes) -> Status:
        """Bytes -> status. Raises DecodeError and nothing else."""
        try:
            rest = unpack(payload, "status")
            if len(rest) > _DEVICES_AT:
                rest[_DEVICES_AT] = {d: DeviceWord.unpacked(raw) for d, raw in rest[_DEVICES_AT].items()}
            status = cls(*rest)
            typed = (
                type(status.online) is bool
                and all(
                    isinstance(t, str) for t in (status.boot, status.version, status.config, status.session)
                )
                and fits_int64(status.alarms)
                and fits_int64(status.wall)
                and fits_int64(status.backlog)
                and all(isinstance(device, str) for device in status.devices)
                and type(status.trouble) is dict
                and all(isinstance(t, str) for pair in status.trouble.items() for t in pair)
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
    the encoded body, so a half-written or altered document is refused. ``key`` is the public key by which
    the cloud signs documents and receipts, ``signature`` that of this one; neither is part of the digest.
    """

    gateway: str
    version: int
    body: dict[str, Any]
    key: bytes = b""
    signature: bytes = b""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over gateway, version and body."""
        raw = pack([self.gateway, self.version, self.body])
        return hashlib.blake2b(raw, digest_size=8).hexdigest()

    def signed_part(self) -> bytes:
        """What the cloud signs."""
        return b"config" + pack([self.gateway, self.version, self.body, self.key])

    def signed(self, key: bytes, signature: bytes) -> ConfigDocument:
        """The same with the signer's public key and signature."""
        return replace(self, key=key, signature=signature)

    def encode(self) -> bytes:
        """Document -> bytes, digest included."""
        return pack([VERSION, self.gateway, self.version, self.body, self.digest, self.key, self.signature])

    @classmethod
    def decode(cls, payload: bytes) -> ConfigDocument:
        """Bytes -> document. Raises DecodeError (malformed, version, digest) and nothing else."""
        try:
            gateway, version, body, digest, key, signature = unpack(payload, "configuration document")
            document = cls(gateway, version, body, key, signature)
            signed = isinstance(key, bytes) and isinstance(signature, bytes)
            typed = isinstance(gateway, str) and fits_int64(version) and isinstance(body, dict) and signed
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


class Account(NamedTuple):
    """One count of an edge's books: what ``kind`` came to for a device in an hour.

    Kinds are ``read``, ``accepted``, ``rejected:<reason>`` and ``dropped:<reason>``; the hour is that of the
    receive time, in UTC hours since 1970. ``n`` counts from the beginning of the boot. ``device`` is empty
    where it cannot be known any more.
    """

    device: str
    hour: int
    kind: str
    n: int


@dataclass(frozen=True, slots=True)
class Accounts:
    """What an edge has counted: rows that changed (or all), each cumulative, so that a repeat does no harm.

    ``accepted`` is the last number given out, ``backlog`` how many of those wait for a receipt, both as of
    the rows.
    """

    gateway: str
    boot: str
    accepted: int
    backlog: int
    rows: tuple[Account, ...]

    def encode(self) -> bytes:
        """Accounts -> bytes."""
        rows = [list(row) for row in self.rows]
        return pack([VERSION, self.gateway, self.boot, self.accepted, self.backlog, rows])

    @classmethod
    def decode(cls, payload: bytes) -> Accounts:
        """Bytes -> accounts. Raises DecodeError and nothing else."""
        try:
            gateway, boot, accepted, backlog, rows = unpack(payload, "accounts")
            found = cls(gateway, boot, accepted, backlog, tuple(Account(*row) for row in rows))
            counts = (accepted, backlog, *(n for row in found.rows for n in (row.hour, row.n)))
            texts = (gateway, boot, *(t for row in found.rows for t in (row.device, row.kind)))
            good = all(isinstance(t, str) for t in texts) and all(fits_int64(n) and n >= 0 for n in counts)
        except DecodeError:
            raise
        except Exception as error:
            msg = f"accounts are malformed: {type(error).__name__}"
            raise DecodeError(msg, reason="malformed") from error
        if not good:
            msg = "accounts have fields of the wrong type"
            raise DecodeError(msg, reason="malformed")
        return found
