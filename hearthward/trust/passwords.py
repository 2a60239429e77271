"""Passwords: argon2id hashes, and random ones that people can read aloud."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from hearthward.core.errors import ConfigError

__all__ = ["MAX_LENGTH", "MIN_LENGTH", "Passwords", "check_password", "readable_password"]

MIN_LENGTH: Final = 10
MAX_LENGTH: Final = 256
_CONSONANTS: Final = "bdfgklmnprstvwz"
_VOWELS: Final = "aeiou"
_PATTERN: Final = (_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS, _CONSONANTS)
_GROUPS: Final = 4


def check_password(password: str) -> str:
    """Return ``password`` if it may be set. Raises ConfigError saying why not."""
    if len(password) < MIN_LENGTH:
        msg = f"password: must have at least {MIN_LENGTH} characters; a short sentence is easy to remember"
        raise ConfigError(msg, field="password", reason="invalid")
    if len(password) > MAX_LENGTH:
        msg = f"password: must have at most {MAX_LENGTH} characters"
        raise ConfigError(msg, field="password", reason="invalid")
    return password


def readable_password(choice: Callable[[Sequence[str]], str] = secrets.choice) -> str:
    """A random password such as ``bikon-lavut-resod-mitag``: 65 bits, no letters that look alike."""
    return "-".join("".join(choice(letters) for letters in _PATTERN) for _ in range(_GROUPS))


class Passwords:
    """Hashes and verifies with argon2id; thread-safe; each call takes tens of milliseconds on purpose.

    The default cost is OWASP's (Password Storage Cheat Sheet: 19 MiB, two passes, one lane). ``memory_kib``
    is used while a call runs.
    """

    def __init__(self, *, memory_kib: int = 19 * 1024, passes: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=1, type=Type.ID)

    @classmethod
    def cheap(cls) -> Passwords:
        """The least cost there is: for tests and nothing else."""
        return cls(memory_kib=8, passes=1)

    def hash(self, password: str) -> str:
        """A salted hash with its parameters. Raises ConfigError when the password is too short or long."""
        return self._hasher.hash(check_password(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right; takes as long when there is no hash (an unknown user)."""
        try:
            matches = self._hasher.verify(password_hash or self._decoy, password[: MAX_LENGTH + 1])
        except (VerificationError, InvalidHashError):
            return False
        return matches and password_hash is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other parameters and should be made anew at the next login."""
        return self._hasher.check_needs_rehash(password_hash)

    @cached_property
    def _decoy(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe())
