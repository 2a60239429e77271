"""What every framer takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hearthward.core.errors import DecodeError

__all__ = ["Framed", "FramedBytes", "Framer"]


@dataclass(frozen=True, slots=True)
class FramedBytes:
    """One payload of the frame ``source``, for ``Profile.decode(source, payload)``.

    ``at`` is when its last byte was fed: it may be handed over later, when the next frames have confirmed it.
    """

    source: str
    payload: bytes
    at: int = 0


Framed = FramedBytes | DecodeError
"""A payload, or why bytes were refused: ``integrity``, ``malformed`` or ``oversized``.

The error's details: ``head`` (hexadecimal, the first bytes), ``count`` (so many refusals in one) and
``skipped`` (bytes).
"""


class Framer(Protocol):
    """Cuts one connection's stream; how it is chunked does not change the results."""

    source: str

    @property
    def pending(self) -> int:
        """How many bytes wait for the rest of their frame or group; bounded."""
        ...

    @property
    def in_frame(self) -> bool:
        """Whether the last bytes may be a frame's beginning: what comes next belongs to it then.

        Never by a delimiter: any line may be a frame, an answer on a line of its own, too.
        """
        ...

    def feed(self, data: bytes, now: int = 0) -> list[Framed]:
        """Take the next bytes of the stream, which came ``now``; returns what they completed, in order."""
        ...

    def end(self) -> list[DecodeError]:
        """The stream has ended: what was refused and not told yet.

        What waits for its rest is dropped: the end cut it off, it is not refused.
        """
        ...
