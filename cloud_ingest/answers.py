"""Tokens in addresses that the outside world calls back: each stands for one notification.

A token names the notification and proves with an HMAC (SHA-256) that this installation made it; nobody can
make another without the secret in the data folder.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Final

from hearthward.core.errors import ConfigError

__all__ = ["Answers"]

SECRET_BYTES: Final = 32
MAC_BYTES: Final = 24
FILE: Final = "answers.key"
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{32})")


class Answers:
    """Makes tokens and reads them; ``secret`` is at least 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET_BYTES:
            msg = f"the secret of callback addresses has {len(secret)} bytes; {SECRET_BYTES} are needed"
            raise ConfigError(msg)
        self._secret = secret

    @classmethod
    def open(cls, folder: Path) -> Answers:
        """With the secret kept in ``folder`` (0600), made there the first time. Raises ConfigError."""
        path = folder / FILE
        try:
            secret = path.read_bytes() if path.exists() else _make(path)
        except OSError as error:
            msg = f"the secret of callback addresses cannot be read or made: {error.strerror}"
            raise ConfigError(msg, file=str(path)) from error
        try:
            return cls(secret)
        except ConfigError as error:
            msg = f"{error.message}; remove the file, and calls under way can no longer be answered by key"
            raise ConfigError(msg, file=str(path)) from error

    def token_of(self, notification: str) -> str:
        """The token of a notification's id; the same id always gives the same."""
        return f"{notification}.{self._mac(notification)}"

    def notification_of(self, token: str) -> str | None:
        """The id of the notification that a token was made for; None for any other text."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        notification, mac = found.groups()
        return notification if hmac.compare_digest(mac, self._mac(notification)) else None

    def _mac(self, notification: str) -> str:
        digest = hmac.new(
            self._secret, b"hearthward answer:" + notification.encode(), hashlib.sha256
        ).digest()
        return base64.urlsafe_b64encode(digest[:MAC_BYTES]).decode()


def _make(path: Path) -> bytes:
    secret = secrets.token_bytes(SECRET_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return secret
