"""The fake of the port: remembers what it was told to show."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent.annunciation.base import LinkState, LocalAlarm

__all__ = ["FakeAnnunciator"]


class FakeAnnunciator:
    """``shown`` has every call; ``broken`` makes it fail."""

    name = "fake"

    def __init__(self, *, broken: bool = False) -> None:
        self.shown: list[tuple[tuple[LocalAlarm, ...], LinkState]] = []
        self.broken = broken
        self.closed = False

    @property
    def alarms(self) -> tuple[LocalAlarm, ...]:
        """What it shows now."""
        return self.shown[-1][0] if self.shown else ()

    def show(self, alarms: Sequence[LocalAlarm], link: LinkState) -> None:
        """See the port."""
        if self.broken:
            msg = "the lamp is broken"
            raise OSError(msg)
        self.shown.append((tuple(alarms), link))

    def close(self) -> None:
        """See the port."""
        self.closed = True
