"""From the data folder that an earlier release left, killed in the middle of its work, to this one."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.component.app.commands import Command, command, invoke
from tests.component.app.test_ending import check_quiet

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.glob("schema_*.tar.xz"))
STORED = "SELECT boot, seq FROM readings JOIN origins ON origin = origins.id"


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def waiting(edge: Path) -> set[tuple[str, int]]:
    """(boot, number) of each reading in an outbox of the first release."""
    ((boot,),) = rows(edge / "outbox.db", "SELECT boot FROM meta WHERE id = 1")
    blocks = rows(edge / "outbox.db", "SELECT first, count FROM block")
    return {(boot, number) for first, count in blocks for number in range(first, first + count)}


def wait_until_stored(running: Command, series: Path, wanted: set[tuple[str, int]]) -> None:
    until = time.monotonic() + 60
    while missing := wanted - set(rows(series, STORED)):
        assert running.process.poll() is None, running.err
        assert time.monotonic() < until, f"{len(missing)} of {len(wanted)} readings missing"
        time.sleep(0.2)


@pytest.mark.parametrize("release", RELEASES)
def test_what_an_earlier_release_left_is_all_there(tmp_path: Path, release: str) -> None:
    data = tmp_path / "data"
    with tarfile.open(HERE / release) as archive:
        archive.extractall(data, filter="data")
    shutil.copytree(data, tmp_path / "before")
    before, ward = tmp_path / "before" / "virtual-ward", data / "virtual-ward"
    stored, undelivered = set(rows(before / "cloud" / "series.db", STORED)), waiting(before / "edge")
    assert len(stored) > 500
    assert len(undelivered - stored) > 100, "the gateway was cut off"
    alarms = rows(before / "cloud" / "records.db", "SELECT id, patient, onset, accepted_by FROM alarms")
    assert sum(accepted is not None for *_, accepted in alarms) == 1
    with command(tmp_path, "it", "--data", data, "run", "--port", "0") as running:
        running.wait_for("all 45 devices stream")
        wait_until_stored(running, ward / "cloud" / "series.db", stored | undelivered)
        assert running.stop() == 0
        check_quiet(running)
    now = rows(ward / "cloud" / "records.db", "SELECT id, patient, onset, accepted_by FROM alarms")
    assert set(alarms) <= set(now)
    doubled = "SELECT count(*) FROM (SELECT origin, seq FROM readings GROUP BY 1, 2 HAVING count(*) > 1)"
    assert rows(ward / "cloud" / "series.db", doubled) == [(0,)]
    assert not (ward / "edge" / "outbox.db").exists()
    told = invoke("--data", ward, "ledger")
    assert told.exit_code == 0, told.output
    assert "; 0 lost." in told.output
