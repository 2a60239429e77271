"""From the first release's schema with data in it to this one: nothing lost, nothing left open."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from cloud_ingest.records import Records
from cloud_ingest.records.engine import _engine, _url
from cloud_ingest.records.models import (
    Alarm,
    DeliveryAttempt,
    DeviceCalibration,
    DeviceFinding,
    Notification,
    Patient,
    TransitionRow,
    User,
    Ward,
    WorkOrder,
)
from cloud_ingest.records.upgrade import HEAD, alembic_config, current
from hearthward.core.clock import SystemClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Scope

FIRST = """
INSERT INTO tenants VALUES ('main', 'main', 1);
INSERT INTO patients (tenant, id, name, language, created) VALUES ('main', 'p1', 'Ada', 'en', 1);
INSERT INTO alarms VALUES ('main', 'alm_1', 'p1', 'spo2-low', 'ff', 'high', 'active', 1, 2, NULL, 'Li', 3,
 'SpO2 84 < 90', '血氧', '< 90', '{"spo2": 84}', 0, 0, 'accept', 2);
INSERT INTO alarms VALUES ('main', 'alm_2', 'p1', 'spo2-low', 'ff', 'high', 'inactive', 1, 2, NULL, NULL,
 NULL, 'late', '', '< 90', '{}', 1, 1, 'late', 1);
INSERT INTO transitions VALUES ('main', 'alm_1', 1, 0, 'start', 'active', 'high', 'ff', 1, 1, 1,
 '{"spo2": 84}', '< 90', 'x', 'y', '[]', NULL, '', 0);
INSERT INTO notifications VALUES ('main', 'ntf_1', 'alm_1', 1, 0, 'start', 'high', 'sms', '+1', 'en', 'b',
 'queued', NULL, 0, 0, NULL, 1);
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as the first release left it."""
    path = tmp_path / "records.db"
    engine = _engine(_url(path), write=True)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
    with engine.begin() as connection:
        for statement in FIRST.strip().rstrip(";").split(";\n"):
            connection.execute(text(statement.replace(":", r"\:")))
    engine.dispose()
    return path


def test_data_of_the_first_schema_is_all_there_afterwards(old: Path) -> None:
    records = Records.open(old, clock=SystemClock(), ids=SeededIds())
    try:
        with records._writer.begin() as connection:
            assert current(connection) == HEAD
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            command.check(alembic_config(connection))
        first, late = records.read_now(lambda s: s.query(Alarm).order_by(Alarm.id).all())
        assert (first.condition, first.accepted_by, first.values_json) == ("active", "Li", {"spo2": 84})
        assert (first.signalled, first.shadow, first.kind, first.latching, first.audience) == (
            True,
            False,
            "physiological",
            False,
            [],
        )
        assert (late.worklist, late.signalled) == (True, False)
        (told,) = records.read_now(lambda s: s.query(TransitionRow).all())
        assert (told.shadow, told.detail, told.values_json) == (False, {}, {"spo2": 84})
        assert records.read_now(lambda s: s.query(Patient).one().pregnant) is False
        listed = records.read_now(lambda s: [a.id for a in records.alarms(s).list(Scope.system("main"))])
        assert sorted(listed) == ["alm_1", "alm_2"]
    finally:
        records.close_now()


SECOND = """
UPDATE alarms SET latching = 1, kind = 'technical', audience = '["engineer"]' WHERE id = 'alm_1';
INSERT INTO wards (tenant, id, name, created) VALUES ('main', 'w1', 'Ward 1', 1);
INSERT INTO users (tenant, id, login, name, roles, created)
 VALUES ('main', 'u1', 'nora', 'Nora', '["nurse"]', 1);
INSERT INTO delivery_attempts (tenant, notification, at, outcome, detail, latency_ms)
 VALUES ('main', 'ntf_1', 1, 'temporary', 'busy', 3.5);
"""


def test_data_of_the_second_schema_is_all_there_afterwards(old: Path) -> None:
    engine = _engine(_url(old), write=True)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0002")
    with engine.begin() as connection:
        for statement in SECOND.strip().rstrip(";").split(";\n"):
            connection.execute(text(statement))
    engine.dispose()
    records = Records.open(old, clock=SystemClock(), ids=SeededIds())
    try:
        with records._writer.begin() as connection:
            assert current(connection) == HEAD
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            command.check(alembic_config(connection))
        first, late = records.read_now(lambda s: s.query(Alarm).order_by(Alarm.id).all())
        assert (first.condition, first.accepted_by, first.accepted_at) == ("active", "Li", 3)
        assert (first.latching, first.kind, first.audience) == (True, "technical", ["engineer"])
        assert (first.signal, first.rejected, first.root, first.policy) == ("on", [], None, "")
        assert (first.step, first.next_to, first.episodes, first.since) == (0, [], 0, None)
        assert (late.worklist, late.signalled) == (True, False)
        (note,) = records.read_now(lambda s: s.query(Notification).all())
        assert (note.who, note.target, note.step, note.state, note.body) == ("+1", "+1", None, "queued", "b")
        (attempt,) = records.read_now(lambda s: s.query(DeliveryAttempt).all())
        assert (attempt.notification, attempt.latency_ms) == ("ntf_1", 3.5)
        user, ward = records.read_now(lambda s: (s.query(User).one(), s.query(Ward).one()))
        assert (user.phone, user.email, user.pin_hash, user.badge_hash) == (None, None, None, None)
        assert ward.wall_expected is False
    finally:
        records.close_now()


NINTH = """
INSERT INTO work_orders (tenant, id, device, kind, text, state, opened, assignee, told)
 VALUES ('main', 'wo_1', 'oxi', 'other', '{}', 'assigned', 5, 'u1', 6);
INSERT INTO work_orders (tenant, id, device, kind, text, state, opened) VALUES
 ('main', 'wo_2', 'oxi', 'other', '{}', 'open', 7);
INSERT INTO work_notes (tenant, work, number, at, do, text) VALUES
 ('main', 'wo_1', 1, 5, 'open', ''), ('main', 'wo_1', 2, 8, 'assign', 'Nora'),
 ('main', 'wo_2', 1, 7, 'open', '');
INSERT INTO device_calibrations VALUES ('main', 'oxi', 3, 365, 'u1', 4);
INSERT INTO device_findings (tenant, id, device, kind, about, evidence, confidence, text, opened, seen) VALUES
 ('main', 'f1', 'oxi', 'calibration', '', '{"calibrated": "1970-01-01"}', 1, '{}', 5, 6),
 ('main', 'f2', 'oxi', 'battery', '', '{}', 1, '{}', 5, 6);
"""


def test_work_orders_of_the_ninth_schema_keep_whose_they_are_and_what_was_told(old: Path) -> None:
    engine = _engine(_url(old), write=True)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0009")
    with engine.begin() as connection:
        for statement in NINTH.strip().rstrip(";").split(";\n"):
            connection.execute(text(statement.replace('": "', r'"\: "')))
    engine.dispose()
    records = Records.open(old, clock=SystemClock(), ids=SeededIds())
    try:
        with records._writer.begin() as connection:
            command.check(alembic_config(connection))
        findings = records.read_now(lambda s: s.query(DeviceFinding).order_by(DeviceFinding.id).all())
        assert [(f.id, f.about) for f in findings] == [("f1", "1970-01-01"), ("f2", "")]
        orders = records.read_now(lambda s: s.query(WorkOrder).order_by(WorkOrder.id).all())
        assert [(o.id, o.assignee, o.assigned) for o in orders] == [("wo_1", "u1", 8), ("wo_2", None, None)]
        untold = records.read_now(
            lambda s: [(n.work, n.do) for n, _ in records.fleet(s).untold(Scope.system("main"), 0)]
        )
        assert untold == [("wo_2", "open")]  # and nothing of what was long over
        (kept,) = records.read_now(lambda s: s.query(DeviceCalibration).all())
        assert (kept.calibrated, kept.every_days, kept.every_hours, kept.hours_since) == (3, 365, None, 0)
    finally:
        records.close_now()


def test_after_the_third_schema_alarms_latch_and_attempts_cannot_be_rewritten(old: Path) -> None:
    records = Records.open(old, clock=SystemClock(), ids=SeededIds())
    try:
        records.run_now(
            lambda s: s.execute(text("UPDATE alarms SET condition = 'latched' WHERE id = 'alm_1'"))
        )
        with pytest.raises(IntegrityError, match="CHECK"):
            records.run_now(lambda s: s.execute(text("UPDATE alarms SET signal = 'odd'")))
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            records.run_now(lambda s: s.execute(text("DELETE FROM alarms WHERE id = 'alm_1'")))
        again = "INSERT INTO notifications SELECT * FROM notifications"
        with pytest.raises(IntegrityError, match="UNIQUE"):
            records.run_now(lambda s: s.execute(text(again)))
    finally:
        records.close_now()


def test_references_to_alarms_still_hold_after_the_table_was_built_anew(old: Path) -> None:
    records = Records.open(old, clock=SystemClock(), ids=SeededIds())
    try:
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            records.run_now(lambda s: s.execute(text("DELETE FROM alarms WHERE id = 'alm_1'")))
        with pytest.raises(IntegrityError, match="append-only"):
            records.run_now(lambda s: s.execute(text("UPDATE transitions SET note = 'x'")))
        records.run_now(lambda s: s.execute(text("UPDATE alarms SET condition = 'asked' WHERE id = 'alm_1'")))
        with pytest.raises(IntegrityError, match="CHECK"):
            records.run_now(lambda s: s.execute(text("UPDATE alarms SET condition = 'odd'")))
    finally:
        records.close_now()


def test_an_upgrade_that_fails_leaves_the_first_schema(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kw: object) -> None:
        message = "power cut"
        raise RuntimeError(message)

    with monkeypatch.context() as patched:
        patched.setattr("alembic.operations.Operations.create_index", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            Records.open(old, clock=SystemClock(), ids=SeededIds())
    engine = _engine(_url(old), write=True)
    with engine.connect() as connection:
        assert current(connection) == "0001"
        assert connection.execute(text("SELECT count(*) FROM alarms")).scalar() == 2
    engine.dispose()
