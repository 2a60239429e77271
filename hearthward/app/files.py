"""Writing small files whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from hearthward.core.errors import ConfigError

__all__ = ["check_writable", "make_folder", "write_atomically"]


def check_writable(path: Path, *read: Path | None) -> None:
    """Return if a file could be written there, making its folder; so that hours of work are not in vain.

    Raises ConfigError naming the path when it could not, or when it is one of those that are ``read``.
    """
    if any(one is not None and one.exists() and path.exists() and path.samefile(one) for one in read):
        msg = "is read here and would be overwritten: name another file to write to"
        raise ConfigError(msg, file=str(path))
    trial = path.with_name(f".{path.name}.{os.getpid()}.trial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error
    if path.is_dir():
        msg = "cannot be written: it is a folder"
        raise ConfigError(msg, file=str(path))


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot be written: {error.strerror}", file=str(path))


def make_folder(path: Path) -> None:
    """Make a folder unless it is there. Raises ConfigError naming the path."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the folder cannot be made: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write, sync and rename into place. Raises ConfigError naming the path when it cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise _unwritable(path, error) from error
