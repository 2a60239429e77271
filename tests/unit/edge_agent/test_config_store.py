from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from edge_agent import ConfigStore, check_document, device_configs
from edge_agent.config_store import FORMER
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.wire import ConfigDocument

BODY: dict[str, Any] = {
    "tenant": "main",
    "timezone": "Europe/Vienna",
    "devices": [
        {
            "id": "hr",
            "transport": "ble",
            "address": "C0:00:00:00:00:01",
            "profile": "sig-heart-rate",
            "timezone": None,
            "interval_s": 1,
            "patient": "p1",
        },
        {
            "id": "mon",
            "transport": "serial",
            "address": "/dev/ttyS0",
            "profile": None,
            "timezone": "Asia/Tokyo",
            "interval_s": None,
            "patient": None,
        },
    ],
    "rules": {"hash": "0" * 16},
    "issued": 1,
}


def test_a_saved_document_is_loaded_and_replaced(tmp_path: Path):
    store = ConfigStore(tmp_path / "edge" / "config")
    assert store.load() is None
    for version in (1, 2):
        document = ConfigDocument("gw", version, BODY)
        store.save(document)
        assert store.load() == document
    assert sorted(p.name for p in store.path.parent.iterdir()) == ["config", "config.copy"]


def test_a_half_written_or_altered_document_counts_as_none_and_is_kept(tmp_path: Path):
    store = ConfigStore(tmp_path / "config")
    whole = ConfigDocument("gw", 1, BODY).encode()
    for damaged in (b"", whole[:-1], whole.replace(b"p1", b"p2")):
        store.path.write_bytes(damaged)
        assert store.load() is None
        assert not store.path.exists()
        assert (tmp_path / "config.garbled").read_bytes() == damaged


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b.replace(b"p1", b"p2"), None])
def test_a_damaged_file_is_made_again_from_its_copy(tmp_path: Path, damage: Callable[[bytes], bytes] | None):
    store = ConfigStore(tmp_path / "config")
    document = ConfigDocument("gw", 1, BODY)
    store.save(document)
    if damage is None:
        store.path.unlink()
    else:
        store.path.write_bytes(damage(store.path.read_bytes()))
    assert (store.load(), store.copied) == (document, True)
    assert (tmp_path / "config.garbled").exists() == (damage is not None)
    assert (store.load(), store.copied) == (document, False)
    store.path.write_bytes(b"")
    store.copy.write_bytes(b"")
    assert (store.load(), store.copied) == (None, False)


def test_a_file_that_cannot_be_read_is_no_end_while_there_is_a_copy(tmp_path: Path):
    store = ConfigStore(tmp_path / "config")
    document = ConfigDocument("gw", 1, BODY)
    store.save(document)
    store.path.unlink()
    store.path.mkdir()
    assert (store.load(), store.copied) == (document, True)
    store.copy.unlink()
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        store.load()


def test_a_missing_or_damaged_copy_is_made_again_and_one_that_cannot_be_made_does_no_harm(tmp_path: Path):
    store = ConfigStore(tmp_path / "config")
    (tmp_path / "config.copy.new").mkdir()
    for version in (1, 2):
        document = ConfigDocument("gw", version, BODY)
        store.save(document)
        assert (store.load(), store.copied) == (document, False)
        assert not store.copy.exists()
    (tmp_path / "config.copy.new").rmdir()
    for _ in range(2):
        assert store.load() == document
        assert store.copy.read_bytes() == store.path.read_bytes()
        store.copy.write_bytes(b"garbled")


def test_a_failed_save_leaves_the_former_document(tmp_path: Path):
    store = ConfigStore(tmp_path / "config")
    store.save(ConfigDocument("gw", 1, BODY))
    (tmp_path / "config.new").mkdir()
    with pytest.raises(StoreUnavailable, match=str(tmp_path / "config")):
        store.save(ConfigDocument("gw", 2, BODY))
    loaded = store.load()
    assert loaded is not None
    assert loaded.version == 1
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        ConfigStore(tmp_path).load()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (ConfigDocument("other", 9, BODY), "gateway"),
        (ConfigDocument("gw", 9, BODY | {"tenant": "else"}), "tenant"),
        (ConfigDocument("gw", 4, BODY), "older"),
    ],
)
def test_documents_that_may_not_come_into_force(document: ConfigDocument, reason: str):
    current = ConfigDocument("gw", 5, BODY)
    with pytest.raises(ConfigError) as caught:
        check_document(document, gateway="gw", tenant="main", current=current)
    assert caught.value.details["reason"] == reason


def test_the_same_or_a_newer_version_may_come_into_force():
    current = ConfigDocument("gw", 5, BODY)
    for document in (current, ConfigDocument("gw", 5, BODY | {"issued": 2}), ConfigDocument("gw", 6, BODY)):
        check_document(document, gateway="gw", tenant="main", current=current)
    check_document(current, gateway="gw", tenant="main", current=None)


def test_devices_take_the_gateways_time_zone_unless_they_have_their_own():
    first, second = device_configs(ConfigDocument("gw", 1, BODY))
    assert (first.id, first.transport, first.profile, first.timezone) == (
        "hr",
        "ble",
        "sig-heart-rate",
        "Europe/Vienna",
    )
    assert (second.address, second.profile, second.timezone, second.interval_s) == (
        "/dev/ttyS0",
        None,
        "Asia/Tokyo",
        None,
    )


@pytest.mark.parametrize(
    "devices",
    [
        None,
        "x",
        [7],
        [{"id": "a"}],
        [BODY["devices"][0] | {"transport": "pigeon"}],
        [BODY["devices"][0] | {"address": 5}],
        [BODY["devices"][0], BODY["devices"][0]],
    ],
)
def test_a_body_without_proper_devices_is_refused(devices: Any):
    with pytest.raises(ConfigError) as caught:
        device_configs(ConfigDocument("gw", 1, BODY | {"devices": devices}))
    assert caught.value.details["reason"] == "body"


def test_a_document_that_the_release_before_has_stored_is_taken_over_unsigned(tmp_path: Path):
    store = ConfigStore(tmp_path / "config")
    document = ConfigDocument("gw", 7, BODY)
    store.path.write_bytes(msgpack.packb([FORMER, "gw", 7, BODY, document.digest]))
    assert store.load() == document
    assert store.former
    store.save(document.signed(b"key", b"signature"))
    assert store.load() == document.signed(b"key", b"signature")
    assert not store.former


@pytest.mark.parametrize(
    "content",
    [[FORMER], [FORMER, "gw", 7, BODY, "0" * 16], [FORMER, 5, 7, BODY, ""], [FORMER, "gw", "7", [], ""]],
)
def test_what_only_looks_like_one_of_the_release_before_is_moved_aside(content: list[Any], tmp_path: Path):
    store = ConfigStore(tmp_path / "config")
    store.path.write_bytes(msgpack.packb(content))
    assert store.load() is None
    assert (tmp_path / "config.garbled").exists()
    assert not store.former
