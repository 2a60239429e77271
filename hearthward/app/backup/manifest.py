"""What a backup consists of: one small file, written last, that names all others with their digests."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from hearthward import __version__
from hearthward.app.files import write_atomically
from hearthward.core.errors import ConfigError

__all__ = ["MANIFEST", "Manifest", "Part", "copy_database", "copy_small_files", "digest_of"]

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
SMALL: Final = 1 << 20
_CHUNK: Final = 1 << 20
_NOT_COPIED: Final = frozenset({"token", ".lock"})
"""Of the running process, not of its data."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the backup: what it becomes again (``target``), how much of it counts, and its digest."""

    file: str
    target: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """``moment``: all that was committed by then (UTC ns) is in it. ``archive``: logs to be replayed."""

    moment: int
    parts: tuple[Part, ...]
    archive: tuple[Part, ...] = ()
    software: str = __version__
    counts: Mapping[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Put it in force, atomically. Raises ConfigError."""
        content = {"format": FORMAT, **asdict(self)}
        write_atomically(folder / MANIFEST, json.dumps(content, indent=1).encode(), 0o600)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a backup folder. Raises ConfigError: none, of another format, or damaged."""
        path = folder / MANIFEST
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version = content.pop("format")
            if version != FORMAT:
                msg = f"a backup of format {version}; this software reads {FORMAT}"
                raise ConfigError(msg, file=str(path))
            parts = tuple(Part(**part) for part in content.pop("parts"))
            archive = tuple(Part(**part) for part in content.pop("archive"))
            found = cls(parts=parts, archive=archive, **content)
            if type(found.moment) is not int or any(not _plain(p) for p in (*parts, *archive)):
                msg = "names files outside the folder, or is damaged"
                raise ConfigError(msg, file=str(path))
        except ConfigError:
            raise
        except FileNotFoundError as error:
            msg = f"{folder} is no backup: it has no {MANIFEST}"
            raise ConfigError(msg, file=str(folder)) from error
        except (OSError, ValueError, TypeError, KeyError) as error:
            msg = f"is damaged: {type(error).__name__}"
            raise ConfigError(msg, file=str(path)) from error
        return found

    @property
    def files(self) -> frozenset[str]:
        """All files that belong to it."""
        return frozenset({MANIFEST, *(p.file for p in (*self.parts, *self.archive))})


def _plain(part: Part) -> bool:
    names = (part.file, part.target)
    return all(Path(name).name == name and name not in {"", ".", ".."} for name in names) and part.size >= 0


def digest_of(path: Path, size: int | None = None) -> str:
    """The BLAKE2b digest of a file's first ``size`` bytes (None: all), in hexadecimal. Blocking."""
    digest = hashlib.blake2b(digest_size=16)
    left = path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def copy_database(source: Path, folder: Path, name: str) -> Part:
    """A consistent copy of an SQLite database that may be in use, synced. Blocking.

    Raises ConfigError naming the file. Readers and the writer of ``source`` go on meanwhile.
    """
    target = folder / name
    try:
        target.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            writing.execute("PRAGMA synchronous=FULL")
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode=DELETE").fetchone()
        target.chmod(0o600)
    except (sqlite3.Error, OSError) as error:
        msg = f"cannot be copied to {target}: {error}"
        raise ConfigError(msg, file=str(source)) from error
    return Part(name, source.name, target.stat().st_size, digest_of(target))


def copy_small_files(source: Path, folder: Path) -> list[Part]:
    """Keys and whatever else is small in the cloud's folder. Blocking. Raises ConfigError."""
    parts = []
    for path in sorted(source.iterdir()):
        if (
            not path.is_file()
            or path.name in _NOT_COPIED
            or any(ending.startswith(".db") for ending in path.suffixes)
            or path.name.startswith(".")
            or path.stat().st_size > SMALL
        ):
            continue
        name = f"file-{path.name}"
        write_atomically(folder / name, path.read_bytes(), 0o600)
        parts.append(Part(name, path.name, path.stat().st_size, digest_of(path)))
    return parts
