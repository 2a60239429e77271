"""A changed rule tried on the stored history in a process of its own, so that the cloud goes on undisturbed.

The process reads records and store beside the running cloud, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from cloud_ingest.trying import HistoryTrier, Progress, TryAsked
from firmware_profiles import load_catalog
from hearthward.app.child import ask_child, run_child, tell_progress
from hearthward.app.history import kept_records
from hearthward.app.stores import open_store
from hearthward.core.settings import Settings
from rules.whatif import Trial

__all__ = ["ChildTrier", "main"]

_RESULT: Final = TypeAdapter(Trial)


class ChildTrier:
    """Tries a change in a new process; see ``cloud_ingest.trying.Trier``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __call__(self, asked: TryAsked, progress: Progress) -> Trial:
        """See Trier."""
        order = self._settings.model_dump(), asked.to_data()
        found = await ask_child("hearthward.app.whatif", order, progress)
        return _RESULT.validate_python(found)


# -- the process


def main() -> None:
    """Try what the parent asks for."""
    run_child(lambda order: _main(*order))


async def _main(settings: dict[str, Any], data: dict[str, Any]) -> Any:
    found = await _tried(Settings(**settings), TryAsked.of(data))
    return _RESULT.dump_python(found, mode="json")


async def _tried(settings: Settings, asked: TryAsked) -> Trial:
    with kept_records(settings.data / "cloud" / "records.db") as session:

        async def read(work: Callable[[Session], Any]) -> Any:
            return work(session)

        store = await open_store(settings, read_only=True)
        try:
            trier = HistoryTrier(read, store, settings.cloud.tenant, load_catalog())
            return await trier(asked, tell_progress)
        finally:
            await store.close()


if __name__ == "__main__":
    main()
