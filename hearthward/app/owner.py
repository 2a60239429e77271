"""How other commands of the same user find the running cloud: an address and a token in its folder.

The file ``token`` is readable by its owner only. It may outlive its process: the token is then worthless.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from hearthward.app.files import write_atomically
from hearthward.core.errors import ConfigError

__all__ = ["Owner", "owner_file", "read_owner", "remove_owner", "write_owner"]

MODE: Final = 0o600
MOST_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Owner:
    """A cloud that ran here: ``url`` is ``http[s]://host:port``; the token never shows in ``repr``."""

    url: str
    token: str = field(repr=False)


def owner_file(folder: Path) -> Path:
    """Where the owner of the cloud's folder leaves its address and token."""
    return folder / "token"


def write_owner(folder: Path, url: str, token: str) -> None:
    """Leave address and token in the cloud's folder, for this user only. Raises ConfigError."""
    content = json.dumps({"url": url, "token": token}) + "\n"
    write_atomically(owner_file(folder), content.encode(), mode=MODE)


def remove_owner(folder: Path, token: str) -> None:
    """Take the file away when the owner stops, unless it carries another owner's token by now."""
    try:
        owner = read_owner(folder)
    except ConfigError:
        return
    if owner is not None and owner.token == token:
        owner_file(folder).unlink(missing_ok=True)


def read_owner(folder: Path) -> Owner | None:
    """Who runs, or last ran, on the cloud's folder; None without the file.

    Raises ConfigError when the file is damaged, another user's, a link, or open to others: it would let
    somebody else see passwords.
    """
    path = owner_file(folder)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(path, "is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}")
    with os.fdopen(fd, "rb") as file:
        _check(path, os.fstat(fd))
        content = file.read(MOST_BYTES + 1)
    return _parsed(path, content)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        _refuse(path, "is not a regular file")
    if status.st_uid != os.geteuid():
        _refuse(path, f"belongs to user {status.st_uid}, not to you ({os.geteuid()})")
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~MODE:
        _refuse(path, f"is open to others (mode {mode:04o}, not {MODE:04o})")


def _parsed(path: Path, content: bytes) -> Owner:
    try:
        data: Any = json.loads(content)
        url, token = data["url"], data["token"]
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port
    except (ValueError, KeyError, TypeError, AttributeError):
        usable = None
    if len(content) > MOST_BYTES or not usable or not _fits_header(token):
        _refuse(path, "is not a token file")
    return Owner(url, token)


def _fits_header(token: object) -> bool:
    return isinstance(token, str) and token != "" and token.isascii() and token.isprintable()


def _refuse(path: Path, reason: str) -> NoReturn:
    msg = f"the token file {reason}; remove it and start the cloud again"
    raise ConfigError(msg, file=str(path))
