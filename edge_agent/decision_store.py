"""The rules' state at the edge, kept in one file that is never half-written."""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final, Protocol

import msgpack

from edge_agent.relearning import Level
from hearthward.core.errors import RuleError, StoreUnavailable
from rules.state import State

__all__ = ["DecisionStore", "Kept", "StateStore"]

log = logging.getLogger(__name__)

_VERSION: Final = 3
_FORMER: Final = frozenset({1, 2})
"""Without the words, without the levels; still read."""
_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class Kept:
    """The state after the block that ends with number ``stepped`` of the outbox ``boot``, as bytes.

    ``words`` are the newest decisions as they travelled (``edge_agent.retelling``), ``relearned`` the levels
    that the state has learned anew (``edge_agent.relearning``).
    """

    boot: str
    stepped: int
    state: bytes
    words: tuple[bytes, ...] = ()
    relearned: tuple[Level, ...] = ()

    def encode(self) -> bytes:
        """Kept -> bytes, with a digest before them."""
        packed = zlib.compress(msgpack.packb([_VERSION, *astuple(self)]), 1)
        return hashlib.blake2b(packed, digest_size=_DIGEST).digest() + packed

    @classmethod
    def decode(cls, payload: bytes) -> tuple[Kept, State]:
        """Bytes -> what was kept, and its state. Raises RuleError when they are damaged."""
        digest, packed = payload[:_DIGEST], payload[_DIGEST:]
        if hashlib.blake2b(packed, digest_size=_DIGEST).digest() != digest:
            msg = "its digest does not match its content"
            raise RuleError(msg)
        try:
            version, boot, stepped, state, *more = msgpack.unpackb(zlib.decompress(packed))
            words, relearned = [*more, [], []][:2]
            levels = tuple((patient, metric, at) for patient, metric, at in relearned)
            kept = cls(boot, stepped, state, tuple(words), levels)
        except Exception as error:
            msg = f"it cannot be read: {type(error).__name__}"
            raise RuleError(msg) from error
        if version not in {_VERSION, *_FORMER}:
            msg = f"it is of version {version!r:.20}; this software reads {_VERSION}"
            raise RuleError(msg)
        return kept, State.from_bytes(state)


class StateStore(Protocol):
    """Where a gateway's snapshot is kept: ``DecisionStore``, in tests ``edge_agent.fake.FakeStateStore``."""

    def load(self) -> tuple[Kept, State] | None:
        """What was kept last, or None. Blocking. Raises StoreUnavailable."""
        ...

    def save(self, kept: Kept) -> None:
        """Keep this instead, durably. Blocking. Raises StoreUnavailable."""
        ...


class DecisionStore:
    """One gateway's snapshot of its rules' state, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> tuple[Kept, State] | None:
        """What was kept last, or None. Blocking.

        A damaged file counts as none: it is moved aside and logged; deciding begins anew, with the readings
        that are still in the outbox. Raises StoreUnavailable when the file cannot be read.
        """
        try:
            payload = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable(self.path, "read", error) from error
        try:
            return Kept.decode(payload)
        except RuleError as error:
            aside = self.path.with_name(f"{self.path.name}.garbled")
            self.path.replace(aside)
            log.error("%s: %s; moved to %s, deciding begins anew", self.path, error, aside)  # noqa: TRY400
            return None

    def save(self, kept: Kept) -> None:
        """Write a new file, sync it, give it the name, sync the folder. Blocking. Raises StoreUnavailable."""
        temporary = self.path.with_name(f"{self.path.name}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(kept.encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unavailable(self.path, "written", error) from error


def _unavailable(path: Path, what: str, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"the rules' state {path} cannot be {what}: {error.strerror}", path=str(path))
