"""Ids and randomness as a port, so that tests and replays are repeatable."""

from __future__ import annotations

import hashlib
import random
import re
import secrets
from typing import Protocol

from hearthward.core.errors import ConfigError

__all__ = ["GATEWAY_ID", "Ids", "RandomIds", "SeededIds", "check_id", "digest63", "stable_id"]

GATEWAY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Ids(Protocol):
    """A source of new ids and of randomness."""

    def new(self, kind: str) -> str:
        """Return a new id such as ``pat_3f9a...`` (letters, digits, ``_`` and ``-`` only)."""
        ...

    def uniform(self) -> float:
        """Return a number in [0, 1), for back-off jitter."""
        ...


class RandomIds:
    """Ids from the operating system's randomness."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def new(self, kind: str) -> str:
        """Return ``kind_`` and 80 random bits in hexadecimal."""
        return f"{kind}_{secrets.token_hex(10)}"

    def uniform(self) -> float:
        """Return a number in [0, 1)."""
        return self._random.random()


class SeededIds:
    """The fake of the port: the same ids for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, never for secrets

    def new(self, kind: str) -> str:
        """Return ``kind_`` and 80 seeded bits in hexadecimal."""
        return f"{kind}_{self._random.getrandbits(80):020x}"

    def uniform(self) -> float:
        """Return a seeded number in [0, 1)."""
        return self._random.random()


def check_id(text: str, what: str) -> str:
    """Return ``text`` if it can stand in an MQTT topic and client id; raises ConfigError if not."""
    if not GATEWAY_ID.fullmatch(text):
        msg = f"{what} {text!r} must be 1-64 of the characters A-Z a-z 0-9 _ -"
        raise ConfigError(msg, what=what)
    return text


def digest63(*parts: bytes) -> int:
    """A 63-bit digest (BLAKE2b) of the parts, length-prefixed; fits SQLite's signed integers."""
    h = hashlib.blake2b(digest_size=8)
    for part in parts:
        h.update(len(part).to_bytes(4, "big"))
        h.update(part)
    return int.from_bytes(h.digest(), "big") >> 1


def stable_id(kind: str, *parts: str | int) -> str:
    """An id that the same parts always give (for identities that a replay must find again)."""
    h = hashlib.blake2b(digest_size=10)
    for part in parts:
        raw = str(part).encode()
        h.update(len(raw).to_bytes(4, "big"))
        h.update(raw)
    return f"{kind}_{h.hexdigest()}"
