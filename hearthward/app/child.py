"""Long work on the stored history in a process of its own, so that the cloud goes on undisturbed.

The process has less claim on the processor. It is killed when the work is given up, and ends by itself when
its parent does.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import hearthward
from hearthward.core.errors import ConfigError, HearthwardError, StoreUnavailable

__all__ = ["ask_child", "run_child", "tell_progress"]

LONGEST_LINE: Final = 64 * 1024 * 1024
NICE: Final = 10
"""How much the process stands back behind the cloud."""
_SIZE: Final = 8


async def ask_child(module: str, order: tuple[Any, ...], progress: Callable[[int, int], None]) -> Any:
    """What ``module``, run in a new process, makes of ``order``, as plain data.

    Raises ConfigError or StoreUnavailable as the process did, and StoreUnavailable when it ended too soon.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
        env=_environment(),
    )
    try:
        return await _ask(process, order, progress)
    finally:
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def _ask(
    process: asyncio.subprocess.Process, order: tuple[Any, ...], progress: Callable[[int, int], None]
) -> Any:
    assert process.stdin is not None  # noqa: S101 - a pipe, as it was made
    assert process.stdout is not None  # noqa: S101 - a pipe, as it was made
    packed = pickle.dumps(order)
    process.stdin.write(len(packed).to_bytes(_SIZE, "big") + packed)
    await process.stdin.drain()
    async for line in process.stdout:
        told = json.loads(line)
        if "done" in told:
            progress(told["done"], told["of"])
        elif "error" in told:
            raise (StoreUnavailable if told["retry"] else ConfigError)(told["error"])
        else:
            return told["result"]
    code = await process.wait()
    msg = f"the process that tries it ended before it was done (exit {code})"
    raise StoreUnavailable(msg)


def _environment() -> dict[str, str]:
    """This process's own, with the way to this very package."""
    root = str(Path(hearthward.__file__).parent.parent)
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}


# -- the process


def run_child(work: Callable[[tuple[Any, ...]], Awaitable[Any]]) -> None:
    """Read the order, do the work, and tell of it line by line."""
    os.nice(NICE)
    pipe = sys.stdin.buffer
    size = int.from_bytes(pipe.read(_SIZE), "big")
    order = pickle.loads(pipe.read(size))  # noqa: S301 - from the parent, by a pipe of its own
    threading.Thread(target=_end_with_parent, args=[pipe], name="parent", daemon=True).start()

    async def run() -> Any:
        return await work(order)

    try:
        found = asyncio.run(run())
    except HearthwardError as error:
        _tell({"error": error.message, "retry": error.retry})
        return
    _tell({"result": found})


def tell_progress(done: int, of: int) -> None:
    """Tell the parent how far it has got."""
    _tell({"done": done, "of": of})


def _end_with_parent(pipe: BinaryIO) -> None:
    pipe.read()
    os._exit(1)


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
