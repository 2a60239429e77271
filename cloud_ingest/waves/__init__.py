"""Where waveforms are kept: the port, its fake and its adapter, and how chunks become runs of samples."""

from cloud_ingest.waves.base import Held, NoWaves, WaveParcel, WaveStore
from cloud_ingest.waves.fake import MemoryWaves
from cloud_ingest.waves.renewing import RenewingWaves
from cloud_ingest.waves.sqlite import SqliteWaves

__all__ = ["Held", "MemoryWaves", "NoWaves", "RenewingWaves", "SqliteWaves", "WaveParcel", "WaveStore"]
