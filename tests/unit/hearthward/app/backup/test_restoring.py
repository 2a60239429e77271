"""What a restore leaves behind, whenever it ends; backups of real data are in tests/component/app."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from cloud_ingest.records import Records
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app.backup.restoring import must_be_whole, restore
from hearthward.app.backup.taking import take_once
from hearthward.app.cloud import open_records
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import SeededIds
from hearthward.core.settings import Settings

CLOCK = SystemClock()


class Killed(BaseException):
    """In place of kill -9."""


async def make(cloud: Path) -> None:
    await Records.open(cloud / "records.db", clock=CLOCK, ids=SeededIds()).close()
    await SqliteStore(cloud / "series.db").close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of an empty cloud."""
    folder = tmp_path_factory.mktemp("of")
    cloud = folder / "cloud"
    cloud.mkdir()
    asyncio.run(make(cloud))
    (cloud / "signing-key.pem").write_bytes(b"of the backup")
    take_once(cloud, folder / "backup", CLOCK)
    return folder / "backup"


async def restored(backup: Path, data: Path, *, force: bool = False) -> Path | None:
    return (await restore(backup, data, tenant="main", clock=CLOCK, force=force)).before


async def test_any_file_is_data_and_none_is_replaced(backup: Path, tmp_path: Path):
    cloud = tmp_path / "cloud"
    cloud.mkdir()
    (cloud / "series.db").write_bytes(b"the only one")  # records.db is lost
    with pytest.raises(ConfigError, match="already holds data"):
        await restored(backup, tmp_path)
    assert (cloud / "series.db").read_bytes() == b"the only one"
    before = await restored(backup, tmp_path, force=True)
    assert before is not None
    assert (before / "series.db").read_bytes() == b"the only one"
    assert (cloud / "signing-key.pem").read_bytes() == b"of the backup"
    assert names(tmp_path) == {"cloud", before.name}


async def test_killed_at_any_rename_it_leaves_all_files_and_no_cloud_starts(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    renamed, rename = [], Path.rename

    def until(last: int) -> None:
        def one(path: Path, to: Path) -> Path:
            if len(renamed) >= last:
                raise Killed
            renamed.append(path.name)
            return rename(path, to)

        renamed.clear()
        monkeypatch.setattr(Path, "rename", one)

    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "series.db").write_bytes(b"the only one")
    settings = Settings(data=tmp_path)
    until(1)
    with pytest.raises(Killed):
        await restored(backup, tmp_path, force=True)
    assert renamed == ["cloud"]
    fresh = tmp_path / "cloud.restoring"
    assert (fresh / "signing-key.pem").read_bytes() == b"of the backup"
    with pytest.raises(ConfigError, match=r"not finished.*restore BACKUP --force.*is in .*cloud\.before-"):
        async with open_records(settings):
            pass
    assert not (tmp_path / "cloud").exists()
    monkeypatch.setattr(Path, "rename", rename)
    await restored(backup, tmp_path)
    must_be_whole(tmp_path)
    async with open_records(settings):
        pass
    (before,) = names(tmp_path) - {"cloud"}
    assert (tmp_path / before / "series.db").read_bytes() == b"the only one"


async def test_killed_while_it_copies_no_cloud_starts_with_what_was_there(backup: Path, tmp_path: Path):
    (tmp_path / "cloud.restoring").mkdir()
    (tmp_path / "cloud.restoring" / "series.db").write_bytes(b"half")
    (tmp_path / "cloud").mkdir()
    with pytest.raises(ConfigError, match=r"remove cloud\.restoring to go on with what is in cloud$"):
        async with open_records(Settings(data=tmp_path)):
            pass
    await restored(backup, tmp_path)
    assert (tmp_path / "cloud" / "series.db").read_bytes() != b"half"
    must_be_whole(tmp_path)


async def test_what_cannot_be_restored_leaves_all_as_it_was(tmp_path: Path):
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "records.db").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="no backup"):
        await restored(tmp_path, tmp_path, force=True)
    assert names(tmp_path) == {"cloud"}
    assert (tmp_path / "cloud" / "records.db").read_bytes() == b"mine"


async def test_a_link_to_another_disk_stays_one(backup: Path, tmp_path: Path):
    (tmp_path / "disk" / "cloud").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cloud").symlink_to(tmp_path / "disk" / "cloud")
    await restored(backup, tmp_path / "data")
    assert (tmp_path / "data" / "cloud").is_symlink()
    assert (tmp_path / "disk" / "cloud" / "records.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_root_gives_what_it_restores_to_the_owner_of_the_data_folder(backup: Path, tmp_path: Path):
    os.chown(tmp_path, 1234, 1235)
    await restored(backup, tmp_path)
    cloud = tmp_path / "cloud"
    found = [cloud, *(cloud / name for name in names(cloud))]
    assert len(found) >= 5
    assert {(p.stat().st_uid, p.stat().st_gid) for p in found} == {(1234, 1235)}
