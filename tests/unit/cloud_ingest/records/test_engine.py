from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from io import StringIO
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.models import APPEND_ONLY, AuditRow, Base, Tenant
from cloud_ingest.records.upgrade import HEAD, REVISIONS, alembic_config
from hearthward.core.clock import EventClock, SystemClock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.ids import SeededIds


def reopen(path: Path | str) -> Records:
    return Records.open(path, clock=SystemClock(), ids=SeededIds())


def audit_row() -> AuditRow:
    return AuditRow(
        at=1,
        tenant="main",
        actor="u",
        action="a",
        resource_kind="k",
        resource_id="",
        outcome="done",
        detail={},
    )


def test_models_and_migrations_agree(records: Records) -> None:
    with records._writer.begin() as connection:
        command.check(alembic_config(connection))


def test_every_revision_is_known_and_the_last_is_head(records: Records) -> None:
    with records._writer.begin() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == REVISIONS
    assert scripts.get_heads() == [HEAD]


def test_every_table_carries_its_tenant() -> None:
    lacking = [
        t.name for t in Base.metadata.sorted_tables if t.name != "tenants" and "tenant" not in t.columns
    ]
    assert lacking == []


def test_foreign_keys_never_cross_tenants() -> None:
    for table in Base.metadata.sorted_tables:
        for constraint in table.foreign_key_constraints:
            assert "tenant" in constraint.column_keys, constraint.name


def test_the_migration_also_writes_postgresql() -> None:
    out = StringIO()
    config = Config(output_buffer=out)
    source = Path(sys.modules[alembic_config.__module__].__file__ or "").parent / "migrations"
    config.set_main_option("script_location", str(source))
    config.set_main_option("path_separator", "os")
    config.attributes["dialect"] = "postgresql"
    command.upgrade(config, HEAD, sql=True)
    sql = out.getvalue()
    assert "seq BIGSERIAL NOT NULL" in sql
    assert sql.count("EXECUTE FUNCTION hearthward_append_only()") == len(APPEND_ONLY)
    assert "RAISE(ABORT" not in sql


def test_sqlite_is_opened_durable_and_checked(records: Records) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    for engine in (records._writer, records._reader):
        with engine.connect() as connection:
            found = {p: connection.execute(text(f"PRAGMA {p}")).scalar() for p in pragmas}
        expected = pragmas if engine is records._writer else {**pragmas, "synchronous": found["synchronous"]}
        assert found == expected


def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.db"
    reopen(path).close_now()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reopening_keeps_data_and_needs_no_alembic(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    first = reopen(path)
    first.run_now(lambda session: session.add(audit_row()))
    first.close_now()
    script = (
        "import sys\n"
        "from cloud_ingest.records import Records\n"
        "from hearthward.core.clock import SystemClock\n"
        "from hearthward.core.ids import SeededIds\n"
        "from cloud_ingest.records.models import AuditRow\n"
        "r = Records.open(sys.argv[1], clock=SystemClock(), ids=SeededIds())\n"
        "print(r.read_now(lambda s: s.query(AuditRow).count()), 'alembic' in sys.modules)\n"
        "r.close_now()\n"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.stdout.split() == ["1", "False"]


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    reopen(path).close_now()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(ConfigError, match="9999, newer than this version's"):
        reopen(path)
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    raw.close()


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE recipes (id)")
    raw.commit()
    raw.close()
    with pytest.raises(ConfigError, match="not hearthward's"):
        reopen(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("milk, eggs and a very long list of other things" * 40)
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        reopen(path)


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(ConfigError, match="choose another data folder"):
        reopen(blocker / "records.db")


@pytest.mark.parametrize("url", ["mysql://db/x", "sqlite://", "nonsense://"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        reopen(url)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match="needs the Python package 'psycopg'") as caught:
        reopen("postgresql+psycopg://someone:secret@db/hearthward")
    assert "secret" not in str(caught.value)


def test_a_failed_upgrade_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.db"

    def fail(*_args: object, **_kw: object) -> None:
        message = "power cut"
        raise RuntimeError(message)

    with monkeypatch.context() as patched:
        patched.setattr("alembic.operations.Operations.create_index", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            reopen(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM sqlite_master")).all() == []
    engine.dispose()
    reopen(path).close_now()


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_audit_cannot_be_rewritten(records: Records, statement: str) -> None:
    records.run_now(lambda session: session.add(audit_row()))
    with pytest.raises(IntegrityError, match="append-only"):
        records.run_now(lambda session: session.execute(text(statement)))
    assert records.read_now(lambda session: session.query(AuditRow).one().actor) == "u"


async def test_writes_happen_in_one_thread_in_order(records: Records) -> None:
    def write(n: int, session: Session) -> int:
        row = audit_row()
        row.actor = str(n)
        session.add(row)
        return threading.get_ident()

    threads = await asyncio.gather(
        *(records.run(lambda session, n=n: write(n, session)) for n in range(20))  # type: ignore[misc]
    )
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    actors = await records.read(
        lambda session: [r.actor for r in session.query(AuditRow).order_by(AuditRow.seq)]
    )
    assert actors == [str(n) for n in range(20)]


async def test_what_raises_is_rolled_back(records: Records) -> None:
    def half(session: Session) -> None:
        session.add(audit_row())
        session.flush()
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        await records.run(half)
    assert await records.read(lambda session: session.query(AuditRow).count()) == 0


async def test_readers_cannot_write(records: Records) -> None:
    with pytest.raises(StoreUnavailable):
        await records.read(lambda session: session.add(audit_row()))
    assert await records.read(lambda session: session.query(Tenant).one().id) == "main"


async def test_a_reader_is_not_held_up_by_a_writer(records: Records) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        session.add(audit_row())
        session.flush()
        begun.set()
        go_on.wait(30)

    writing = asyncio.create_task(records.run(slow))
    await asyncio.to_thread(begun.wait, 30)
    assert await records.read(lambda session: session.query(AuditRow).count()) == 0
    go_on.set()
    await writing
    assert await records.read(lambda session: session.query(AuditRow).count()) == 1


async def test_a_database_locked_by_another_is_unavailable_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cloud_ingest.records.engine._PRAGMAS", ("PRAGMA busy_timeout=1", "PRAGMA journal_mode=WAL")
    )
    records = Records.open(tmp_path / "records.db", clock=EventClock(), ids=SeededIds())
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked") as caught:
        await records.run(lambda session: session.add(audit_row()))
    assert caught.value.retry
    other.execute("ROLLBACK")
    other.close()
    await records.run(lambda session: session.add(audit_row()))
    await records.close()


def test_a_start_that_the_disk_or_another_hinders_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start() -> Records:
        return Records.open(tmp_path / "records.db", clock=EventClock(), ids=SeededIds())

    few = "PRAGMA journal_mode=WAL", "PRAGMA max_page_count=8"
    monkeypatch.setattr("cloud_ingest.records.engine._PRAGMAS", few)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        start()
    monkeypatch.undo()
    start().close_now()
    monkeypatch.setattr("cloud_ingest.records.engine._PRAGMAS", ("PRAGMA busy_timeout=1",))
    other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        start()
    other.close()
    start().close_now()


async def test_only_what_may_happen_twice_is_committed_without_a_sync(records: Records) -> None:
    def level(session: Session) -> int:
        return int(session.execute(text("PRAGMA synchronous")).scalar_one())

    full, normal = 2, 1
    assert await records.run(level) == full
    assert await records.run(level, durable=False) == normal
    assert await records.run(level) == full
    await records.run(lambda s: s.add(audit_row()), durable=False)
    assert await records.read(lambda s: s.query(AuditRow).count()) == 1
