"""Ending a process cleanly."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

__all__ = ["run_until_signalled"]


async def run_until_signalled(main: Coroutine[Any, Any, Any]) -> None:
    """Run ``main`` to its end; SIGTERM and SIGINT cancel it, a clean end. Its errors pass through."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(main, name="main")
    signalled = False

    def stop() -> None:
        nonlocal signalled
        signalled = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not signalled:
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
