from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from bumble.keys import PairingKeys

from devices.links.bonds import FileBonds

KEYS = PairingKeys(ltk=PairingKeys.Key(bytes(range(16))))


async def test_what_is_kept_is_there_for_the_next(tmp_path: Path):
    path = tmp_path / "edge" / "bonds.json"
    await FileBonds(path).update("AA/P", KEYS)
    again = FileBonds(path)
    assert await again.get("AA/P") == KEYS
    assert await again.get("BB/P") is None
    assert await again.get_all() == [("AA/P", KEYS)]
    await again.delete("AA/P")
    assert await FileBonds(path).get_all() == []
    with pytest.raises(KeyError):
        await again.delete("AA/P")


@pytest.mark.parametrize("damage", ["", "[1]", '{"AA/P": 3}', '{"AA/P": {"ltk": {"value": "xy"}}}', "\ufffe"])
async def test_a_damaged_file_is_put_aside_and_said(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "bonds.json"
    path.write_text(damage)
    with caplog.at_level(logging.ERROR):
        assert await FileBonds(path).get_all() == []
    assert "pair the devices again" in caplog.text
    assert (tmp_path / "bonds.json.damaged").read_text() == damage


async def test_a_bond_that_cannot_be_written_is_not_kept(tmp_path: Path):
    (tmp_path / "file").write_text("")
    bonds = FileBonds(tmp_path / "file" / "bonds.json")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        await bonds.update("AA/P", KEYS)


async def test_devices_that_pair_at_the_same_time_are_all_kept(tmp_path: Path):
    path = tmp_path / "bonds.json"
    bonds = FileBonds(path)
    await asyncio.gather(*(bonds.update(f"{n}/P", KEYS) for n in range(4)))
    assert [name for name, _ in await FileBonds(path).get_all()] == ["0/P", "1/P", "2/P", "3/P"]


async def test_what_another_process_paired_is_known_and_not_written_over(tmp_path: Path):
    path = tmp_path / "bonds.json"
    gateway, command = FileBonds(path), FileBonds(path)
    assert await gateway.get("AA/P") is None
    await command.update("AA/P", KEYS)
    assert await gateway.get("AA/P") == KEYS
    await gateway.update("BB/P", KEYS)
    await command.delete("AA/P")
    assert [name for name, _ in await gateway.get_all()] == ["BB/P"]


async def test_a_damaged_file_that_two_ask_for_at_once_is_put_aside_once(tmp_path: Path):
    (tmp_path / "bonds.json").write_text("{")
    bonds = FileBonds(tmp_path / "bonds.json")
    assert await asyncio.gather(bonds.get("AA/P"), bonds.get("BB/P")) == [None, None]
