"""The port to one device: connect, listen, close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from firmware_profiles import DeviceFacts, Step

__all__ = ["DeviceLink", "OnPayload"]

OnPayload = Callable[[str, bytes], None]
"""Called on the event loop with (source, payload), in the order of arrival; must not block."""


class DeviceLink(Protocol):
    """One connection to one device; made for one ``connect`` and then done with."""

    async def connect(self) -> DeviceFacts:
        """Connect and return what the device says about itself.

        Raises:
            LinkError: not there, refused, or not in time; nothing stays open behind it.
        """
        ...

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Do the session's steps, then hand payloads to ``on_payload`` until the connection ends.

        Never returns normally: it ends with LinkError, or by being cancelled.

        Raises:
            LinkError: the device went away, or lacks what a step needs.
        """
        ...

    async def close(self) -> None:
        """Let go of the device; harmless at any time and more than once; raises nothing."""
        ...
