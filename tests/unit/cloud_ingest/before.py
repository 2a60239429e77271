"""What the release before this one left on the disk: schema 0002, snapshots and journal of version 2.

Made of a folder of today's: what that release did not know of is left out of it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
from alembic import command

from cloud_ingest.records.engine import _engine, _url
from cloud_ingest.records.upgrade import alembic_config
from rules.response.model import Responses

__all__ = ["as_before", "input_before", "snapshot_before"]

REVISION, VERSION = "0002", 2


def as_before(today: Path, path: Path) -> None:
    """Make the release before's database at ``path`` of today's one, which must be closed."""
    engine = _engine(_url(path), write=True)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), REVISION)
    engine.dispose()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("ATTACH ? AS today", (str(today),))
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table != "alembic_version" and not table.startswith("sqlite_"):
                _copy(db, table)
        for rowid, state in db.execute("SELECT rowid, state FROM snapshots").fetchall():
            db.execute("UPDATE snapshots SET state = ? WHERE rowid = ?", (snapshot_before(state), rowid))
        for rowid, kind, payload in db.execute("SELECT rowid, kind, payload FROM journal").fetchall():
            said = input_before(kind, payload)
            db.execute("UPDATE journal SET payload = ? WHERE rowid = ?", (said, rowid))
        assert not db.execute("PRAGMA foreign_key_check").fetchall()
        db.commit()


def _copy(db: sqlite3.Connection, table: str) -> None:
    """The rows of a table as far as it had these columns."""
    known = {row[1] for row in db.execute(f"PRAGMA today.table_info({table})")}
    names = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})") if row[1] in known)
    db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM today.{table}")  # noqa: S608


def snapshot_before(state: bytes) -> bytes:
    """Who accepted an alarm stood in its episode, and nothing else was known of the answer to it."""
    _, node, seq, rules, contexts, sources, subjects, answers, _ = _unpacked(state)
    known = Responses.of(answers).open
    for _, packed in subjects:
        packed[1] = [[*row[:15], *_owner(known.get(row[10])), *row[15:]] for row in packed[1]]
    return bytes(msgpack.packb([VERSION, node, seq, rules, contexts, sources, subjects]))


def _owner(response: Any) -> tuple[str | None, int | None]:
    return (None, None) if response is None else (response.owner, response.owned_at)


def input_before(kind: str, payload: bytes) -> bytes:
    """Commands were about alarms, by whom and with which note; configurations had no duty."""
    _, now, body = _unpacked(payload)
    return bytes(msgpack.packb([VERSION, now, body[: {"command": 4, "configuration": 3}.get(kind)]]))


def _unpacked(payload: bytes) -> Any:
    return msgpack.unpackb(payload, use_list=True, strict_map_key=False)
