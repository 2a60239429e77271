from __future__ import annotations

import asyncio
import threading

import pytest

from hearthward.app.backup.aside import Aside


async def test_what_it_returns_or_raises_comes_back():
    aside = Aside()
    assert await aside.do(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await aside.do(lambda: 1 // 0)


async def test_work_that_hangs_is_waited_for_by_nobody_and_the_last_comes_after_it():
    aside, go, done = Aside(), threading.Event(), threading.Event()
    hanging = asyncio.create_task(aside.do(lambda: go.wait(30)))
    await asyncio.sleep(0)
    hanging.cancel()
    await asyncio.wait([hanging])
    aside.last(done.set, 0.01)
    assert not done.is_set()
    assert all(t.daemon for t in threading.enumerate() if t.name == "backup")
    go.set()
    assert done.wait(30)
