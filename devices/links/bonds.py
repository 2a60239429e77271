"""Bonds with paired devices in a file of their own: a gateway that restarts is still known to its devices."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Final

from bumble.keys import KeyStore, PairingKeys

from hearthward.core.files import keep_durably

__all__ = ["FileBonds"]

_log = logging.getLogger(__name__)

MODE: Final = 0o600
_Version = tuple[int, int, int]


class FileBonds(KeyStore):
    """bumble's port to pairing keys, in one JSON file that is written as a whole or not at all.

    It is read anew whenever somebody else has written it. A file that cannot be read is put aside, and said:
    its devices have to be paired again. Keys are never logged. Raises OSError when the file cannot be
    written: the pairing then counts as failed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, PairingKeys] = {}
        self._read_from: _Version | None = None
        self._at_it = asyncio.Lock()

    async def get(self, name: str) -> PairingKeys | None:
        """The keys of a device, by its address as bumble writes it; None when there is no bond."""
        async with self._at_it:
            return (await self._all()).get(name)

    async def get_all(self) -> list[tuple[str, PairingKeys]]:
        """All bonds, by address."""
        async with self._at_it:
            return sorted((await self._all()).items())

    async def update(self, name: str, keys: PairingKeys) -> None:
        """Keep a bond, on the disk before this returns."""
        async with self._at_it:
            await self._write({**await self._all(), name: keys})

    async def delete(self, name: str) -> None:
        """Forget a bond. Raises KeyError when there is none."""
        async with self._at_it:
            left = dict(await self._all())
            del left[name]
            await self._write(left)

    async def _all(self) -> dict[str, PairingKeys]:
        version = await asyncio.to_thread(_version, self._path)
        if version != self._read_from:
            self._known = await asyncio.to_thread(self._read)
            self._read_from = version
        return self._known

    def _read(self) -> dict[str, PairingKeys]:
        try:
            raw: dict[str, dict[str, Any]] = json.loads(self._path.read_bytes())
            return {name: PairingKeys.from_dict(keys) for name, keys in raw.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            aside = self._path.with_name(f"{self._path.name}.damaged")
            self._path.replace(aside)
            _log.error(
                "the bonds in %s cannot be read (%s); kept as %s: pair the devices again",
                self._path,
                type(error).__name__,
                aside,
            )
            return {}

    async def _write(self, bonds: dict[str, PairingKeys]) -> None:
        data = json.dumps({name: keys.to_dict() for name, keys in bonds.items()}, indent=1).encode()
        await keep_durably(self._path, data, MODE)
        self._known, self._read_from = bonds, await asyncio.to_thread(_version, self._path)


def _version(path: Path) -> _Version | None:
    """What changes with each writing of the file; None without a file."""
    try:
        at = path.stat()
    except FileNotFoundError:
        return None
    return at.st_ino, at.st_mtime_ns, at.st_size
