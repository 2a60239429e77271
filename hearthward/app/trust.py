"""The keys of a data folder's cloud and gateway, as the command line shows them."""

from __future__ import annotations

from typing import Final

from hearthward.app.cloud import key_file
from hearthward.app.edge import CLOUD_KEY
from hearthward.core.errors import ConfigError
from hearthward.core.lock import FileLock
from hearthward.core.settings import Settings
from hearthward.trust.keys import SigningKey, fingerprint

__all__ = ["forget_cloud", "show_cloud_key", "show_trust"]


NOTHING: Final = "nothing to forget: this gateway has believed no cloud yet"


def show_cloud_key(settings: Settings) -> str:
    """The public key of the cloud, which has been started at least once. Raises ConfigError."""
    path = key_file(settings)
    if not path.exists():
        msg = "no cloud has been started with this data folder yet"
        raise ConfigError(msg, file=str(path))
    public = SigningKey.of_file(path).public
    return f"public key   {public.hex()}\nfingerprint  {fingerprint(public)}"


def show_trust(settings: Settings) -> str:
    """Whom the gateway believes, and why. Raises StoreUnavailable."""
    from edge_agent.trust_store import kept_cloud

    if settings.edge.cloud_key is not None:
        key, why = bytes.fromhex(settings.edge.cloud_key), "by edge.cloud_key"
    else:
        kept = kept_cloud(settings.data / "edge" / CLOUD_KEY)
        if kept is None:
            return "no cloud yet: the first one that this gateway hears of is believed"
        key, why = kept, "the first one that this gateway heard of"
    return f"public key   {key.hex()}\nfingerprint  {fingerprint(key)}\nbelieved     {why}"


def forget_cloud(settings: Settings) -> str:
    """Have the gateway believe the next cloud. Raises ConfigError: it runs, or its key is set."""
    from edge_agent import trust_store

    if settings.edge.cloud_key is not None:
        msg = "the cloud's key is set: change or remove edge.cloud_key"
        raise ConfigError(msg, key="edge.cloud_key")
    folder = settings.data / "edge"
    if not folder.is_dir():
        return NOTHING
    lock = FileLock(folder / "outbox.lock", f"the gateway's folder {folder}")
    lock.acquire()
    try:
        key = trust_store.forget_cloud(folder / CLOUD_KEY)
    finally:
        lock.release()
    if key is None:
        return NOTHING
    return (
        f"forgotten: {fingerprint(key)}; the next cloud that this gateway hears of is believed, "
        "until then the stored configuration holds"
    )
