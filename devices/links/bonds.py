"""Bonds with paired devices in a file of their own: a gateway that restarts is still known to its devices."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Final

from bumble.keys import KeyStore, PairingKeys

from hearthward.core.files import write_durably

__all__ = ["FileBonds"]

_log = logging.getLogger(__name__)

MODE: Final = 0o600


class FileBonds(KeyStore):
    """bumble's port to pairing keys, in one JSON file that is written as a whole or not at all.

    A file that cannot be read is put aside, and said: its devices have to be paired again. Keys are never
    logged. Raises OSError when the file cannot be written: the pairing then counts as failed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, PairingKeys] | None = None
        self._writing = asyncio.Lock()

    async def get(self, name: str) -> PairingKeys | None:
        """The keys of a device, by its address as bumble writes it; None when there is no bond."""
        return (await self._all()).get(name)

    async def get_all(self) -> list[tuple[str, PairingKeys]]:
        """All bonds, by address."""
        return sorted((await self._all()).items())

    async def update(self, name: str, keys: PairingKeys) -> None:
        """Keep a bond, on the disk before this returns."""
        await self._write({**await self._all(), name: keys})

    async def delete(self, name: str) -> None:
        """Forget a bond. Raises KeyError when there is none."""
        left = dict(await self._all())
        del left[name]
        await self._write(left)

    async def _all(self) -> dict[str, PairingKeys]:
        if self._known is None:
            self._known = await asyncio.to_thread(self._read)
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
        async with self._writing:
            data = json.dumps({name: keys.to_dict() for name, keys in bonds.items()}, indent=1).encode()
            await asyncio.to_thread(write_durably, self._path, data, MODE)
            self._known = bonds
