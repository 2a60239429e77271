"""``hearthward ledger`` both ways: over a running cloud's API, and straight in the records."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.loss_ledger import Tally, hour_of
from cloud_ingest.receipts import write_blocks
from cloud_ingest.records import Records
from cloud_ingest.records.ledger import Told, write_accounts, write_tally
from cloud_ingest.stores.base import Outcome
from hearthward.app.ledger import show_ledger, write_off
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import RandomIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import Settings
from hearthward.core.wire import Block
from hearthward.trust.access import Scope
from tests.component.app.commands import invoke, refused
from tests.component.app.test_people import cloud, opened

SCOPE = Scope.system("main")
ASKED: dict[str, Any] = {"gateway": None, "device": None, "since": "24h", "by": None, "shape": None}


def fill(records: Records) -> None:
    """A gateway that has accepted five readings, of which three came and one was refused."""
    now = records.clock.now_ns()
    hour, tally = hour_of(now), Tally()
    batch = ReadingBatch.of([Reading("=oxi", "spo2", 97.0, None, None, now, now, digest=n) for n in range(4)])
    tally.stored(("gw-1", "b1"), batch.take([0, 1, 2]), [Outcome.NEW] * 3, now)
    tally.refused(("gw-1", "b1"), batch.take([3]), "implausible")
    told = Told(5, 0, 5, {("=oxi", hour, "read"): 5, ("=oxi", hour, "accepted"): 5})

    def write(session: Session) -> None:
        write_blocks(session, "main", ("gw-1", "b1"), [Block(1, 4, b"x")])
        write_tally(session, "main", tally, [("gw-1", "b1")], now)
        write_accounts(session, "main", {("gw-1", "b1"): told}, now)

    records.run_now(write)


@pytest.fixture
async def kept(tmp_path: Path) -> Settings:
    """A data folder with a ledger and no cloud running."""
    settings = Settings(data=tmp_path)
    async with opened(settings) as records:
        await asyncio.to_thread(fill, records)
    return settings


@pytest.fixture(params=["records", "running"])
async def settings(request: pytest.FixtureRequest, kept: Settings) -> AsyncIterator[Settings]:
    if request.param == "records":
        yield kept
        return
    async with cloud(kept):
        yield kept


async def test_as_text_json_and_csv_and_writing_off(settings: Settings):
    text, missing = await show_ledger(settings, **ASKED)
    assert missing
    lines = text.splitlines()
    assert lines[0] == "Of 5 readings read in the last 24 hours, 3 are stored, 1 rejected; 1 lost."
    assert lines[2].split()[:2] == ["GATEWAY", "READ"]
    assert lines[3].split() == [
        "gw-1",
        "5",
        "0",
        "5",
        "0",
        "0",
        "5",
        "3",
        "0",
        "0",
        "1",
        "(implausible",
        "1)",
        "1",
        "missing",
    ]
    assert "outbox b1 of gw-1 (in use): of 5 numbers given out 4 are committed" in text
    as_json, _ = await show_ledger(settings, **{**ASKED, "gateway": "gw-1", "shape": "json"})
    (line,) = json.loads(as_json)["lines"]
    assert (line["device"], line["figures"]["missing"]) == ("=oxi", 1)
    as_csv, _ = await show_ledger(settings, **{**ASKED, "by": "device", "shape": "csv"})
    (row,) = csv.DictReader(as_csv.splitlines())
    assert (row["device"], row["accepted"], row["rejected:implausible"], row["balance"]) == (
        "'=oxi",
        "5",
        "1",
        "missing",
    )
    assert (
        await write_off(settings, "gw-1", "b1", "lost for a test")
        == "written off of outbox b1 of gateway gw-1: 1"
    )
    text, missing = await show_ledger(settings, **ASKED)
    assert not missing
    assert "unaccounted" not in text
    with pytest.raises(ConfigError, match=r"balanced|unaccounted"):
        await write_off(settings, "gw-1", "b1", "again")
    with pytest.raises(ConfigError, match="since"):
        await show_ledger(settings, **{**ASKED, "since": "soon"})


def test_the_command_says_by_its_code_that_readings_are_missing(tmp_path: Path):
    assert "no readings were ever taken here" in refused("--data", tmp_path, "ledger")
    records = Records.open(tmp_path / "cloud" / "records.db", clock=SystemClock(), ids=RandomIds())
    fill(records)
    records.close_now()
    shown = invoke("--data", tmp_path, "ledger", "--by", "hour")
    assert (shown.exit_code, shown.stdout.splitlines()[2].split()[0]) == (3, "HOUR")
    done = invoke("--data", tmp_path, "ledger", "write-off", "gw-1", "b1", "--reason", "a test")
    assert (done.exit_code, done.stdout) == (0, "written off of outbox b1 of gateway gw-1: 1\n")
    assert invoke("--data", tmp_path, "ledger").exit_code == 0
    assert "--since" in refused("--data", tmp_path, "ledger", "--since", "soon")
    records = Records.open(tmp_path / "cloud" / "records.db", clock=SystemClock(), ids=RandomIds())
    entries = records.read_now(lambda s: records.audit(s).list(SCOPE, limit=9))
    records.close_now()
    (entry,) = [e for e in entries if e.detail.get("do") == "write_off"]
    assert (entry.actor, entry.resource_id, entry.detail["numbers"]) == ("command-line", "gw-1", 1)
