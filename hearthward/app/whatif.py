"""A changed rule tried on the stored history in a process of its own, so that the cloud goes on undisturbed.

The process reads records and store beside the running cloud, with less claim on the processor, and writes
nothing. It is killed when the trial is given up, and ends by itself when its parent does.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

import hearthward
from cloud_ingest.trying import HistoryTrier, Progress, TryAsked
from firmware_profiles import load_catalog
from hearthward.app.history import kept_records
from hearthward.app.stores import open_store
from hearthward.core.errors import ConfigError, HearthwardError, StoreUnavailable
from hearthward.core.settings import Settings
from rules.whatif import Trial

__all__ = ["ChildTrier", "main"]

LONGEST_LINE: Final = 64 * 1024 * 1024
NICE: Final = 10
"""How much the process stands back behind the cloud."""
_SIZE: Final = 8
_RESULT: Final = TypeAdapter(Trial)


class ChildTrier:
    """Tries a change in a new process; see ``cloud_ingest.trying.Trier``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __call__(self, asked: TryAsked, progress: Progress) -> Trial:
        """See Trier."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "hearthward.app.whatif",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            env=_environment(),
        )
        try:
            return await self._ask(process, asked, progress)
        finally:
            if process.returncode is None:
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    async def _ask(self, process: asyncio.subprocess.Process, asked: TryAsked, progress: Progress) -> Trial:
        assert process.stdin is not None  # noqa: S101 - a pipe, as it was made
        assert process.stdout is not None  # noqa: S101 - a pipe, as it was made
        order = pickle.dumps((self._settings.model_dump(), asked.to_data()))
        process.stdin.write(len(order).to_bytes(_SIZE, "big") + order)
        await process.stdin.drain()
        async for line in process.stdout:
            told = json.loads(line)
            if "done" in told:
                progress(told["done"], told["of"])
            elif "error" in told:
                raise (StoreUnavailable if told["retry"] else ConfigError)(told["error"])
            else:
                return _RESULT.validate_python(told["result"])
        code = await process.wait()
        msg = f"the process that tries it ended before it was done (exit {code})"
        raise StoreUnavailable(msg)


def _environment() -> dict[str, str]:
    """This process's own, with the way to this very package."""
    root = str(Path(hearthward.__file__).parent.parent)
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}


# -- the process


def main() -> None:
    """Read the order, try it, and tell of it line by line."""
    os.nice(NICE)
    pipe = sys.stdin.buffer
    size = int.from_bytes(pipe.read(_SIZE), "big")
    settings, data = pickle.loads(pipe.read(size))  # noqa: S301 - from the parent, by a pipe of its own
    threading.Thread(target=_end_with_parent, args=[pipe], name="parent", daemon=True).start()
    try:
        found = asyncio.run(_tried(Settings(**settings), TryAsked.of(data)))
    except HearthwardError as error:
        _tell({"error": error.message, "retry": error.retry})
        return
    _tell({"result": _RESULT.dump_python(found, mode="json")})


def _end_with_parent(pipe: BinaryIO) -> None:
    pipe.read()
    os._exit(1)


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def _tried(settings: Settings, asked: TryAsked) -> Trial:
    with kept_records(settings.data / "cloud" / "records.db") as session:

        async def read(work: Callable[[Session], Any]) -> Any:
            return work(session)

        store = await open_store(settings, read_only=True)
        try:
            trier = HistoryTrier(read, store, settings.cloud.tenant, load_catalog())
            return await trier(asked, lambda done, of: _tell({"done": done, "of": of}))
        finally:
            await store.close()


if __name__ == "__main__":
    main()
