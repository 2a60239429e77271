from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from edge_agent.uplink import accounts
from edge_agent.uplink.accounts import Bookkeeper
from hearthward.core.messages import Account, Accounts


class Box:
    """What the bookkeeper needs of an outbox."""

    boot = "boot-1"

    def __init__(self, *rows: Account, waiting: int = 0) -> None:
        self.rows = list(rows)
        self.accepted = 9
        self.waiting = waiting
        self.empty = asyncio.Event()
        if not waiting:
            self.empty.set()

    def accounts(self, after: int = 0) -> tuple[int, list[Account]]:
        return len(self.rows), self.rows[after:]

    def backlog(self) -> int:
        return self.waiting

    async def drained(self) -> None:
        await self.empty.wait()


class Line:
    def __init__(self) -> None:
        self.sent: list[Accounts] = []
        self.arrived = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
        assert (topic, qos, retain) == ("hw/1/main/gw-1/account", 1, False)
        self.sent.append(Accounts.decode(payload))
        self.arrived.set()

    async def until(self, condition: Callable[[list[Accounts]], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition(self.sent):
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def keeping(box: Box, line: Line, every_s: float) -> AsyncIterator[None]:
    books = Bookkeeper(box, tenant="main", gateway="gw-1", every_s=every_s)  # type: ignore[arg-type]
    task = asyncio.create_task(books.run(line))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def row(n: int, kind: str = "read") -> Account:
    return Account("dev", 491_000, kind, n)


async def test_all_rows_go_after_a_connect_and_then_what_changed():
    box, line = Box(row(1), row(2)), Line()
    async with keeping(box, line, 0.05):
        await line.until(lambda sent: len(sent) == 1)
        assert line.sent[0] == Accounts("gw-1", "boot-1", 9, 0, (row(1), row(2)))
        box.rows.append(row(3))
        await line.until(lambda sent: len(sent) == 2)
        assert line.sent[1].rows == (row(3),)
    again = Line()
    async with keeping(box, again, 1000):
        await again.until(lambda sent: len(sent) == 1)
        assert again.sent[0].rows == (row(1), row(2), row(3))


async def test_the_end_of_a_backlog_is_told_though_nothing_was_counted():
    box, line = Box(row(1), waiting=500), Line()
    async with keeping(box, line, 0.05):
        await line.until(lambda sent: len(sent) == 1)
        assert line.sent[0].backlog == 500
        box.waiting = 0
        box.empty.set()
        await line.until(lambda sent: len(sent) == 2)
        assert line.sent[1] == Accounts("gw-1", "boot-1", 9, 0, ())


async def test_many_rows_go_in_several_messages():
    box, line = Box(*(row(n) for n in range(2 * accounts.ROWS + 1))), Line()
    async with keeping(box, line, 1000):
        await line.until(lambda sent: len(sent) == 3)
        assert [r for a in line.sent for r in a.rows] == box.rows
