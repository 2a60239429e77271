"""Fakes: a ``Fleet`` without devices that remembers which ones it was given; outbox and state in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from devices.session import DeviceConfig
from edge_agent.decision_store import Kept
from hearthward.core.device_states import DeviceWord
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.ranges import RangeSet
from hearthward.core.wave_blocks import encode_waves
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import Block, Gap, encode_block, encode_decisions
from rules.state import State

__all__ = ["FakeFleet", "FakeOutbox", "FakeStateStore"]


class FakeFleet:
    """Takes configurations; ``applied`` is set at each; every device is ``streaming`` while it runs."""

    def __init__(self) -> None:
        self.configs: list[DeviceConfig] = []
        self.running = False
        self.applied = asyncio.Event()
        self.troubled: dict[str, str] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False

    async def apply(self, configs: Iterable[DeviceConfig]) -> None:
        """Remember the devices. Raises ConfigError, changing nothing, when two share an id."""
        wanted = list(configs)
        if len({c.id for c in wanted}) < len(wanted):
            msg = "a device is configured twice"
            raise ConfigError(msg)
        self.configs = wanted
        self.applied.set()

    def words(self) -> dict[str, DeviceWord]:
        """Each device's state."""
        return {c.id: DeviceWord("streaming" if self.running else "idle") for c in self.configs}

    def trouble(self) -> dict[str, str]:
        """What the test said that it cannot do."""
        return self.troubled


class FakeOutbox:
    """What the decider needs of an outbox, in memory: blocks until they are receipted.

    ``full`` refuses everything; ``urgent`` has the numbers that decisions rest on.
    """

    def __init__(self, boot: str = "boot-1") -> None:
        self.boot = boot
        self.blocks: list[Block] = []
        self.accepted = 0
        self.full = False
        self.urgent = RangeSet()
        self.gaps: tuple[Gap, ...] = ()
        self._listeners: list[Callable[[], None]] = []

    def add(self, batch: ReadingBatch) -> Block:
        """Accept readings as one block."""
        return self._add(len(batch), encode_block(batch))

    async def append(self, batch: ReadingBatch) -> tuple[int, int]:
        """As ``Outbox.append``."""
        block = self.add(batch)
        return block.first, block.last

    async def append_decisions(
        self, decisions: Sequence[bytes], rests_on: Iterable[tuple[int, int]] = ()
    ) -> tuple[int, int]:
        """As ``Outbox.append_decisions``."""
        block = self._add(len(decisions), encode_decisions(decisions))
        for span in [*rests_on, (block.first, block.last)]:
            self.urgent.add(*span)
        return block.first, block.last

    async def append_waves(self, chunks: Sequence[WaveformChunk]) -> tuple[int, int]:
        """As ``Outbox.append_waves``, at once."""
        block = self._add(len(chunks), encode_waves(chunks))
        return block.first, block.last

    def _add(self, count: int, payload: bytes) -> Block:
        if self.full:
            msg = "the disk is full"
            raise StoreUnavailable(msg)
        block = Block(self.accepted + 1, count, payload)
        self.blocks.append(block)
        self.accepted = block.last
        for listener in self._listeners:
            listener()
        return block

    async def pending(
        self, after: int, max_readings: int, max_bytes: int = 1 << 19, until: int | None = None
    ) -> list[Block]:
        """As ``Outbox.pending``; ``max_bytes`` is not looked at."""
        del max_bytes
        out: list[Block] = []
        for block in self.blocks:
            if block.first <= after or (until is not None and block.first > until):
                continue
            if out and sum(b.count for b in out) + block.count > max_readings:
                break
            out.append(block)
        return out

    def receipted(self, *firsts: int) -> None:
        """The blocks that begin with these numbers are stored and gone."""
        self.blocks = [b for b in self.blocks if b.first not in firsts]

    def on_commit(self, listener: Callable[[], None]) -> None:
        """As ``Outbox.on_commit``."""
        self._listeners.append(listener)


class FakeStateStore:
    """A ``StateStore`` in memory."""

    def __init__(self) -> None:
        self.payload: bytes | None = None

    def load(self) -> tuple[Kept, State] | None:
        """See the port."""
        return None if self.payload is None else Kept.decode(self.payload)

    def save(self, kept: Kept) -> None:
        """See the port."""
        self.payload = kept.encode()
