"""Makes the stores of readings and of waveforms that the settings ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.stores.engine import Engine, Examined, Server
from cloud_ingest.stores.influxdb import InfluxDB2
from cloud_ingest.stores.server import ServerStore
from cloud_ingest.stores.shipper import DAY_NS, Shipping
from cloud_ingest.stores.spool import SpooledStore
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.stores.sqlite import SqliteStore
from cloud_ingest.stores.victoriametrics import VictoriaMetrics
from cloud_ingest.waves.base import WaveStore
from cloud_ingest.waves.renewing import RenewingWaves
from hearthward.core.clock import Clock, SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from hearthward.core.store_settings import StoreSettings
from hearthward.core.telemetry import Telemetry

__all__ = ["examine_server", "open_store", "open_waves"]

_ENGINES: Final[dict[str, Callable[[Server], Engine]]] = {
    "victoriametrics": VictoriaMetrics,
    "influxdb2": InfluxDB2,
}
_FILE: Final = "series.db"
_WAVES: Final = "waves.db"


async def open_store(
    settings: Settings,
    *,
    clock: Clock | None = None,
    telemetry: Telemetry | None = None,
    read_only: bool = False,
) -> TimeSeriesStore:
    """The store of the cloud's folder; a server is not asked yet. Raises ConfigError.

    ``read_only``: the folder may be in use by a running cloud.
    """
    path, chosen = settings.data / "cloud" / _FILE, settings.cloud.store
    if not chosen.server:
        return await asyncio.to_thread(SqliteStore, path, read_only=read_only)
    engine = await asyncio.to_thread(_engine, chosen)
    try:
        file = await asyncio.to_thread(SpoolFile, path, read_only=read_only)
    except BaseException:
        engine.close()
        raise
    clock = clock or SystemClock()
    shipping = Shipping(
        batch=chosen.batch,
        kept_ns=int(chosen.kept_days * DAY_NS),
        max_bytes=chosen.spool_bytes,
        safety_s=chosen.safety_s,
    )
    return SpooledStore(
        file, ServerStore(engine, clock), clock=clock, telemetry=telemetry or Telemetry(), shipping=shipping
    )


async def open_waves(
    settings: Settings, *, clock: Clock | None = None, telemetry: Telemetry | None = None
) -> WaveStore:
    """The store of waveforms in the cloud's folder; a garbled file is moved aside. Raises ConfigError.

    Nothing is decided by waveforms: no damage to them may keep the cloud from its alarms.
    """
    path = settings.data / "cloud" / _WAVES
    return await RenewingWaves.open(path, clock=clock or SystemClock(), telemetry=telemetry or Telemetry())


def examine_server(chosen: StoreSettings) -> Examined:
    """Ask the server. Raises StoreUnavailable, ConfigError."""
    engine = _engine(chosen)
    try:
        return engine.examine()
    finally:
        engine.close()


def _engine(chosen: StoreSettings) -> Engine:
    _check_file(chosen.ca)
    token = "" if chosen.token is None else chosen.token.get_secret_value()
    server = Server(
        url=(chosen.url or "").rstrip("/"),
        token=token,
        org=chosen.org,
        bucket=chosen.bucket,
        timeout_s=chosen.timeout_s,
        ca=chosen.ca,
    )
    return _ENGINES[chosen.kind](server)


def _check_file(path: Path | None) -> None:
    if path is not None and not path.is_file():
        msg = f"cloud.store.ca: no such file {path}"
        raise ConfigError(msg, key="cloud.store.ca")
