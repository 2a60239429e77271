"""The consent of a device's user: whom a gateway asks for, with the code that the device gave them."""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hearthward.core.files import keep_durably

__all__ = ["NO_USER", "Consent", "Consents"]

logger = logging.getLogger(__name__)

NO_USER: Final = 255
"""User Data Service 1.1: nobody; what is measured is told as far as the device tells it to anybody."""

_CONSENT: Final = 0x02
_RESPONSE: Final = 0x20
_REFUSED: Final = 0x05


@dataclass(frozen=True, slots=True)
class Consent:
    """User ``user`` of the device (0 to 254, or ``NO_USER``) and their code (0 to 9999)."""

    user: int
    code: int = 0

    @property
    def request(self) -> bytes:
        """As the User Control Point takes it."""
        return struct.pack("<BBH", _CONSENT, self.user, self.code)

    @staticmethod
    def answered() -> bytes:
        """How its answer begins."""
        return bytes((_RESPONSE, _CONSENT))

    @staticmethod
    def why_not(answer: bytes) -> str:
        """Why it was refused, in words; empty for an answer that is a yes."""
        value = answer[2] if len(answer) > 2 else 0  # noqa: PLR2004 - response, what to, value
        if value == 1:
            return ""
        return "user and code do not go together" if value == _REFUSED else f"its answer is {value:#04x}"


class Consents:
    """The consents that a gateway was given, by the device's address, in a file of their own (None: memory).

    Read anew at each question, for another process may have written it. A file that cannot be read counts as
    none, and is said. Codes are never logged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, Consent] = {}

    async def of(self, address: str) -> Consent | None:
        """The consent for a device, if one was given."""
        return (await self._all()).get(address.upper())

    async def keep(self, address: str, consent: Consent) -> None:
        """Keep a consent instead of the one before. Raises OSError."""
        self._known = {**await self._all(), address.upper(): consent}
        if self._path is not None:
            table = {key: [one.user, one.code] for key, one in sorted(self._known.items())}
            await keep_durably(self._path, json.dumps(table, indent=1).encode(), 0o600)

    async def _all(self) -> dict[str, Consent]:
        if self._path is not None:
            self._known = await asyncio.to_thread(_read, self._path)
        return self._known


def _read(path: Path) -> dict[str, Consent]:
    try:
        table = json.loads(path.read_bytes())
        return {str(key): Consent(int(user), int(code)) for key, (user, code) in table.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logger.warning("the consents in %s cannot be read (%s): give them anew", path, type(error).__name__)
        return {}
