"""Writing small files whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from hearthward.core.errors import ConfigError

__all__ = ["write_atomically"]


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
        partial.unlink(missing_ok=True)
        msg = f"cannot write {path}: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error
