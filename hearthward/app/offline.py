"""What takes readings in, without broker, pages or notifier: for commands when no cloud runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cloud_ingest.feed import Feed
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records import Records
from cloud_ingest.rulebook import Rulebook
from cloud_ingest.telling.wording import Wording
from hearthward.app.cloud import event_clock_of
from hearthward.app.stores import open_store
from hearthward.core.errors import UplinkError
from hearthward.core.settings import Settings
from hearthward.core.telemetry import Telemetry

__all__ = ["offline_pipeline"]


@asynccontextmanager
async def offline_pipeline(settings: Settings, records: Records) -> AsyncIterator[Pipeline]:
    """The pipeline over the records of a folder that the caller has taken.

    What it decides is told to people once the cloud runs again; it sends no receipts.
    """
    clock = await event_clock_of(records) if settings.cloud.event_clock else records.clock
    records.clock = clock
    store = await open_store(settings, clock=clock)
    try:
        extra = [settings.cloud.rules_path] if settings.cloud.rules_path else []
        rulebook = await asyncio.to_thread(Rulebook.of_files, records, settings.cloud.tenant, *extra)
        pipeline = Pipeline(
            settings.cloud.tenant,
            records,
            store,
            _unsent,
            feed=Feed(),
            clock=clock,
            telemetry=Telemetry(),
            future_skew_s=settings.cloud.future_skew_s,
            wording=Wording(settings.messages.detail, settings.messages.language),
        )
        await pipeline.start(await rulebook.rules_in_force())
        try:
            yield pipeline
        finally:
            await pipeline.close()
    finally:
        await store.close()


async def _unsent(topic: str, _payload: bytes) -> None:
    msg = "no cloud runs"
    raise UplinkError(msg, topic=topic)
