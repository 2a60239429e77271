"""How the loss ledger's counts are read: what is asked often is never searched for row by row."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from cloud_ingest.balance import ACCEPTED, READ, AskedLedger, LedgerReport
from cloud_ingest.loss_ledger import LATE, STORED, Count
from cloud_ingest.records import Records
from cloud_ingest.records.ledger import write_tally

from .conftest import SYSTEM

HOUR = 500_000


def written(records: Records) -> None:
    kinds = ((READ, 100), (ACCEPTED, 100), (STORED, 97), (LATE, 2), ("rejected:future", 3))
    tally = [
        Count(gateway, "b", device, HOUR + n, kind, count)
        for gateway in ("gw-1", "gw-2")
        for device in ("d-1", "d-2")
        for n in range(3)
        for kind, count in kinds
    ]
    records.run_now(lambda s: write_tally(s, "main", tally, [], 1))


def report(session: Session, records: Records) -> LedgerReport:
    return records.ledger(session).report(SYSTEM, AskedLedger(HOUR, HOUR + 2))


def test_a_report_of_all_gateways_adds_up_hours_and_devices(records: Records):
    written(records)
    found = records.run_now(lambda s: report(s, records))
    assert [line.gateway for line in found.lines] == ["gw-1", "gw-2"]
    one = found.lines[0].figures
    assert (one.read, one.accepted, one.stored, one.late) == (400, 400, 388, 8)
    assert one.rejected == {"future": 12} or one.rejected_at_gateway == {"future": 12}
    assert (found.total.read, found.total.stored) == (800, 776)


def test_counts_of_what_went_wrong_are_found_by_their_own_index(records: Records):
    written(records)

    def plans(session: Session) -> list[str]:
        asked: list[tuple[str, Any]] = []
        connection = session.connection()

        def heard(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if "ledger_counts" in statement:
                asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", heard)
        report(session, records)
        event.remove(connection, "before_cursor_execute", heard)
        return [
            " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters))
            for sql, parameters in asked
        ]

    plain, others = records.run_now(plans)
    assert "PRIMARY KEY (tenant=? AND hour>? AND hour<?)" in plain
    assert "ix_ledger_counts_others (tenant=? AND hour>? AND hour<?)" in others
