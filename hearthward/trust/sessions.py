"""Session tokens and one-time links: random secrets that only their holder knows.

The server keeps a SHA-256 of each; a stolen database opens no session. (The secrets have 256 random bits,
so a slow hash would add nothing.)
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "INVITATION_LIFETIME_S",
    "LINK_LIFETIME_S",
    "OWN_SESSION_LIFETIME_S",
    "SESSION_LIFETIME_S",
    "Token",
    "expired",
    "hash_token",
    "new_token",
    "session_key",
]

SESSION_LIFETIME_S: Final = 12 * 3600
"""A shift; after it people log in again. A wall display's session has no end."""
OWN_SESSION_LIFETIME_S: Final = 90 * 86_400
"""Of patients and relatives, from the last use: a telephone of their own, and tasks early in the morning."""
LINK_LIFETIME_S: Final = 24 * 3600
INVITATION_LIFETIME_S: Final = 72 * 3600
"""Of a link that a person is given by another: over a weekend."""
_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Token:
    """A new secret (to be handed out once, never kept, never shown by ``repr``) and the hash to keep."""

    secret: str = field(repr=False)
    hash: str


def new_token(random: Callable[[int], str] = secrets.token_urlsafe) -> Token:
    """Make a token of 256 random bits, safe in URLs and cookies."""
    secret = random(_BYTES)
    return Token(secret, hash_token(secret))


def hash_token(secret: str) -> str:
    """The hash under which a secret is kept, as 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def session_key(token_hash: str) -> str:
    """What a session is called in pages and addresses: tells nothing of its token nor of the hash."""
    return hashlib.sha256(b"hearthward session " + token_hash.encode()).hexdigest()[:16]


def expired(expires: int | None, now: int) -> bool:
    """Whether something with that expiry (UTC ns; None: never) has expired; at the very moment it has."""
    return expires is not None and now >= expires
