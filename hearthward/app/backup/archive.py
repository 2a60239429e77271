"""The log of stored readings since the last whole copy of the series: what was committed, in order.

A record is its length, the CRC-32 of its bytes, and the bytes: tenant, gateway, boot, numbers, and the
readings as a block. A log cut short ends with the last whole record.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import msgpack

from cloud_ingest.stores.base import Delivery, Origins
from hearthward.core.errors import DecodeError
from hearthward.core.wire import decode_block, encode_block

__all__ = ["Log", "encode", "replay"]

_HEAD: Final = struct.Struct("<II")
MAX_RECORD: Final = 4 << 20


def encode(tenant: str, delivery: Delivery) -> bytes:
    """One delivery as a record."""
    origins = delivery.origins
    seqs = list(origins.seqs)
    content = [tenant, origins.gateway, origins.boot, seqs, encode_block(delivery.batch)]
    body = cast("bytes", msgpack.packb(content))
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


class Log:
    """A log being written; ``size`` is how many bytes of it are on the disk, ``digest`` theirs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def append(self, records: Sequence[bytes]) -> None:
        """Write and sync. Blocking. Raises OSError; what was written of it is overwritten by the next."""
        data = b"".join(records)
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], self.size + done)
        os.fsync(self._fd)
        self.size += len(data)
        self._digest.update(data)

    @property
    def digest(self) -> str:
        """As ``manifest.digest_of`` the file."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def replay(path: Path, size: int) -> Iterator[tuple[str, Delivery]]:
    """The (tenant, delivery) of every record within the first ``size`` bytes.

    Raises DecodeError (``integrity``, ``truncated``) at a damaged record: what came before it was given.
    """
    with path.open("rb") as file:
        at = 0
        while at < size:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                msg = f"{path.name} ends at {at} of {size} bytes"
                raise DecodeError(msg, reason="truncated")
            length, crc = _HEAD.unpack(head)
            if length > MAX_RECORD:
                msg = f"{path.name}: no record at {at}"
                raise DecodeError(msg, reason="integrity")
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != crc:
                msg = f"{path.name}: the record at {at} is damaged"
                raise DecodeError(msg, reason="integrity")
            tenant, gateway, boot, seqs, block = msgpack.unpackb(body)
            yield tenant, Delivery(decode_block(block), Origins(gateway, boot, seqs))
            at += _HEAD.size + length
