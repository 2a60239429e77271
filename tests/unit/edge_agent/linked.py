"""A link to the hospital that the test cuts."""

from __future__ import annotations


class HandLink:
    """Connected while ``up``; ``receipts`` and ``waiting`` are as set."""

    def __init__(self) -> None:
        self.up = True
        self.receipts = 0
        self.waiting = 0

    def connected(self) -> bool:
        return self.up

    def receipted(self) -> float:
        return self.receipts

    def backlog(self) -> int:
        return self.waiting
