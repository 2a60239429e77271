"""A process ends cleanly at SIGTERM and Ctrl-C, and passes its own errors on."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import suppress

import pytest

from hearthward.app.process import loading, run_until_signalled
from hearthward.core.errors import ConfigError


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_cancels_the_work_and_its_clean_up_is_waited_for(number: signal.Signals):
    steps = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    await run_until_signalled(work())
    assert steps == ["cleaned up"]


async def test_the_end_of_the_work_is_the_end():
    async def work() -> None:
        await asyncio.sleep(0)

    before = signal.getsignal(signal.SIGTERM)
    await run_until_signalled(work())
    assert signal.getsignal(signal.SIGTERM) == before


async def test_its_errors_pass_even_while_it_is_being_ended():
    async def fails() -> None:
        msg = "wrong"
        raise ConfigError(msg)

    with pytest.raises(ConfigError, match="wrong"):
        await run_until_signalled(fails())

    async def fails_at_the_end() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            await fails()

    with pytest.raises(ConfigError, match="wrong"):
        await run_until_signalled(fails_at_the_end())


async def test_a_cancellation_from_elsewhere_is_none_of_its_business():
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_until_signalled(work())


def test_what_is_loaded_is_never_walked_for_garbage_which_is_looked_for_again_afterwards():
    frozen = gc.get_freeze_count()
    with suppress(ImportError), loading():
        assert not gc.isenabled()
        kept = [[] for _ in range(100)]
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(kept)
