"""Where readings are kept: the time-series port, its fakes and its adapters."""

from cloud_ingest.stores.base import FOREVER, Delivery, Origins, Outcome, TimeSeriesStore
from cloud_ingest.stores.fake import MemoryServer, MemoryStore
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.stores.summaries import Summary

__all__ = [
    "FOREVER",
    "Delivery",
    "MemoryServer",
    "MemoryStore",
    "Origins",
    "Outcome",
    "SqliteStore",
    "Summary",
    "TimeSeriesStore",
]
