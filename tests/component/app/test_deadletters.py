"""``hearthward deadletter`` both ways: over a running cloud's API, and straight in the folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_ingest.dead_letters import write_dead
from cloud_ingest.intake import Dead
from cloud_ingest.records import Records
from cloud_ingest.records.models import AuditRow, DeadLetter
from hearthward.app.deadletters import list_letters, replay_letters, show_letter
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import Settings
from hearthward.core.wire import encode_block
from tests.component.app.commands import invoke, refused
from tests.component.app.test_people import cloud, opened

TOPIC = "hw/1/main/gw-1/frame"


def fill(records: Records) -> None:
    """One that is good by now, one that never will be, and a message that is no frame."""
    now = records.clock.now_ns()

    def rows(*values: float) -> bytes:
        at = now - 60 * SECOND
        made = [Reading("oxi-1", "spo2", v, None, None, at, at, digest=n) for n, v in enumerate(values)]
        return encode_block(ReadingBatch.of(made))

    dead = [
        Dead(TOPIC, "gw-1", "future", "spo2 measured later", rows(97.0, 96.0), 2, "boot-1", [4, 5]),
        Dead(TOPIC, "gw-1", "implausible", "spo2 101", rows(101.0), 1, "boot-1", [6]),
        Dead("nonsense", None, "topic", "not a topic", b"\x00hello"),
    ]
    records.run_now(lambda s: write_dead(s, "main", dead, now))


@pytest.fixture
async def kept(tmp_path: Path) -> Settings:
    """A data folder with dead letters and no cloud running."""
    settings = Settings(data=tmp_path)
    async with opened(settings) as records:
        await asyncio.to_thread(fill, records)
    return settings


@pytest.fixture(params=["folder", "running"])
async def settings(request: pytest.FixtureRequest, kept: Settings) -> AsyncIterator[Settings]:
    if request.param == "folder":
        yield kept
        return
    async with cloud(kept):
        yield kept


async def listed(settings: Settings, **asked: object) -> str:
    usual = {"reason": "", "gateway": "", "state": None, "since": "", "limit": 200, "as_json": False}
    return await list_letters(settings, **{**usual, **asked})  # type: ignore[arg-type]


async def test_list_show_and_replay(settings: Settings):
    table = (await listed(settings)).splitlines()
    assert [line.split()[0] for line in table[:4]] == ["ID", "3", "2", "1"]
    assert "future: 1 letters, 1 not let in with 2 readings" in table
    assert len(json.loads(await listed(settings, gateway="gw-1", as_json=True))["items"]) == 2
    assert (await listed(settings, since="1h", reason="topic")).splitlines()[1].split()[0] == "3"
    assert (await listed(settings, since="2100-01-01T00:00:00Z")).startswith("no dead letters")

    shown = await show_letter(settings, 1, as_json=False)
    assert "gateway:  gw-1, outbox boot-1" in shown
    assert "4  oxi-1  spo2  97" in shown
    raw = await show_letter(settings, 3, as_json=False)
    assert "000000  00 68 65 6c 6c 6f" in raw
    assert ".hello" in raw

    tried, whole = await replay_letters(settings, (1, 2), reason="", dry_run=True, as_json=False)
    assert not whole
    assert tried.splitlines()[-1] == "2 dead letters would be replayed: 2 stored, 1 refused as implausible"
    done, whole = await replay_letters(settings, (), reason="future", dry_run=False, as_json=False)
    assert (whole, done.splitlines()) == (
        True,
        ["1  future  replayed: 2 stored", "1 dead letters replayed: 2 stored"],
    )
    again, whole = await replay_letters(settings, (1,), reason="", dry_run=False, as_json=True)
    assert whole
    assert json.loads(again)[0]["changed"] is False
    nothing, whole = await replay_letters(settings, (), reason="future", dry_run=False, as_json=False)
    assert (whole, nothing) == (True, "0 dead letters replayed: nothing")


async def test_what_is_done_is_audited_and_kept(kept: Settings):
    await show_letter(kept, 2, as_json=True)
    await replay_letters(kept, (2,), reason="", dry_run=False, as_json=False)
    async with opened(kept) as records:
        audit = await records.read(lambda s: s.query(AuditRow).order_by(AuditRow.seq).all())
        assert [(a.actor, a.action, a.resource_id) for a in audit] == [
            ("command-line", "view_system", "2"),
            ("command-line", "replay_dead_letter", "2"),
        ]
        row = await records.read(lambda s: s.get(DeadLetter, 2))
        assert row is not None
        assert (row.state, row.replayed_by) == ("refused", "command-line")


async def test_what_does_not_exist_is_said(settings: Settings):
    with pytest.raises(ConfigError, match="99"):
        await show_letter(settings, 99, as_json=False)
    with pytest.raises(ConfigError):
        await replay_letters(settings, (99,), reason="", dry_run=False, as_json=False)
    with pytest.raises(ConfigError, match="--reason"):
        await replay_letters(settings, (), reason="", dry_run=False, as_json=False)
    with pytest.raises(ConfigError, match="neither a period"):
        await listed(settings, since="yesterday")


async def test_the_command_itself(kept: Settings):
    async def told(*arguments: str) -> str:
        done = await asyncio.to_thread(invoke, "--data", kept.data, "deadletter", *arguments)
        return str(done.stdout)

    assert "implausible" in await told("list")
    assert "oxi-1" in await told("show", "1")
    assert "2 stored" in await told("replay", "1")
    missing = await asyncio.to_thread(refused, "--data", kept.data, "deadletter", "show", "7")
    assert "dead letter 7" in missing
