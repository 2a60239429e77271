from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import CloudTrust
from hearthward.app.edge import CLOUD_KEY
from hearthward.app.trust import forget_cloud, show_cloud_key, show_trust
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.lock import FileLock
from hearthward.core.messages import ConfigDocument
from hearthward.core.settings import Settings, load_settings
from hearthward.trust.keys import SigningKey, fingerprint


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(None, data=tmp_path)


async def believe(folder: Path, key: SigningKey) -> None:
    document = ConfigDocument("gw-1", 1, {}).signed(key.public, b"x")
    await CloudTrust(folder / "edge" / CLOUD_KEY, clock=SystemClock()).keep(document)


def test_the_key_of_a_cloud_is_shown_once_there_is_one(settings: Settings):
    with pytest.raises(ConfigError, match="no cloud has been started"):
        show_cloud_key(settings)
    key = SigningKey.of_file(settings.data / "cloud" / "signing-key.pem")
    said = show_cloud_key(settings)
    assert key.public.hex() in said
    assert fingerprint(key.public) in said


async def test_whom_a_gateway_believes_is_shown_and_forgotten_only_on_purpose(settings: Settings):
    assert "no cloud yet" in show_trust(settings)
    assert "nothing to forget" in forget_cloud(settings)
    key = SigningKey.new()
    await believe(settings.data, key)
    assert key.public.hex() in show_trust(settings)
    assert fingerprint(key.public) in forget_cloud(settings)
    assert "no cloud yet" in show_trust(settings)


async def test_a_running_gateway_forgets_nothing(settings: Settings):
    await believe(settings.data, SigningKey.new())
    with FileLock(settings.data / "edge" / "outbox.lock", "x"), pytest.raises(ConfigError, match="in use"):
        forget_cloud(settings)
    assert "first one" in show_trust(settings)


def test_a_key_that_is_set_is_changed_there(tmp_path: Path):
    key = SigningKey.new().public
    settings = load_settings(None, data=tmp_path, edge={"cloud_key": key.hex()})
    assert "by edge.cloud_key" in show_trust(settings)
    with pytest.raises(ConfigError, match=r"change or remove edge\.cloud_key"):
        forget_cloud(settings)
