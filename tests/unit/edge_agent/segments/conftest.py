from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_agent.encoding import encode_all
from edge_agent.segments.fake import MemoryDisk
from edge_agent.segments.store import MIN_SEGMENTS, SMALLEST, NewBlock, Store, Work
from hearthward.core.wire import encode_decisions
from tests.unit.edge_agent.batches import make_batch

OpenStore = Callable[..., Store]


class Bench:
    """A disk in memory and the stores opened on it, one boot after the other."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.boots = 0
        self.digest = 0

    def open(self, max_bytes: int = (MIN_SEGMENTS + 2) * SMALLEST) -> Store:
        def boot() -> str:
            self.boots += 1
            return f"boot-{self.boots}"

        return Store(self.disk, max_bytes, boot, lambda: 7)

    def readings(self, n: int, *, fat: bool = False) -> list[NewBlock]:
        self.digest += n
        return encode_all([make_batch(self.digest, n, fat=fat)])[0]

    @staticmethod
    def decision(size: int = 10) -> NewBlock:
        return NewBlock(1, encode_decisions([bytes(size)]), decisions=True)

    def append(self, store: Store, n: int, *, fat: bool = False) -> int:
        """Append ``n`` readings; returns their first number."""
        return store.commit(Work(blocks=self.readings(n, fat=fat))).first


@pytest.fixture
def bench() -> Bench:
    return Bench()
