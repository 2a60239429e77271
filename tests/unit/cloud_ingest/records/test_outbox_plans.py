"""The outbox grows for ever and is asked all the time: nothing may read all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.outbox import Lease, Room, claim, confirm, next_due, settle, unreported

ASKED: dict[str, Callable[[Session], object]] = {
    "claim": lambda s: claim(s, {"sms": Room(16, 4, 100), "in_app": Room(256)}, 1, Lease(1, 8)),
    "next_due": lambda s: next_due(s, ["sms", "in_app"]),
    "unreported": lambda s: unreported(s, 100),
    "settle": lambda s: settle(s, "ntf_1", "confirmed", "", 1),
    "confirm": lambda s: confirm(s, "main", "alm_1", "usr_1"),
}


@pytest.mark.parametrize("name", ASKED)
def test_an_index_leads_to_what_is_looked_for(records: Records, name: str) -> None:
    def plans(session: Session) -> list[str]:
        made: list[tuple[str, Any]] = []
        connection = session.connection()

        def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
            made.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        ASKED[name](session)
        event.remove(connection, "before_cursor_execute", note)
        return [
            step[3]
            for statement, parameters in made
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    found = records.run_now(plans)
    assert found
    assert not [step for step in found if step.startswith("SCAN notifications")]
