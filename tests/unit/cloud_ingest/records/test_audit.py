"""The audit port: one suite over the fake and the database."""

from __future__ import annotations

import pytest

from cloud_ingest.records import Records, RecordsAuditLog
from hearthward.core.errors import AccessError
from hearthward.trust.access import Action, Principal, Resource, Role, Scope
from hearthward.trust.audit import AuditEvent, AuditLog, MemoryAuditLog

NURSE = Principal("usr_1", "Nora N", "main", frozenset({Role.NURSE}))


@pytest.fixture(params=["memory", "records"])
def audit(request: pytest.FixtureRequest, records: Records) -> AuditLog:
    return MemoryAuditLog() if request.param == "memory" else RecordsAuditLog(records)


async def test_what_is_appended_is_there_newest_first(audit: AuditLog) -> None:
    resource = Resource("patient", "main", "w1", "p1")
    first = AuditEvent.of(1, NURSE, Action.VIEW_PATIENT, resource)
    second = AuditEvent.of(
        2, NURSE, Action.ACCEPT_ALARM, resource, resource_id="alm_1", outcome="refused", n=3
    )
    await audit.append(first)
    await audit.append(second)
    assert await audit.events("main") == [second, first]
    assert await audit.events("main", limit=1) == [second]
    assert (first.resource_id, first.actor, second.detail) == ("p1", "usr_1", {"n": 3})


async def test_tenants_are_apart(audit: AuditLog) -> None:
    await audit.append(AuditEvent(1, "other", "usr_9", "view_ward", "ward"))
    assert await audit.events("main") == []
    assert [e.actor for e in await audit.events("other")] == ["usr_9"]


def test_an_event_names_the_person_by_id_only() -> None:
    event = AuditEvent.of(1, NURSE, Action.VIEW_WARD, Resource("ward", "main", "w1"))
    assert "Nora" not in repr(event)


async def test_the_database_filters_and_pages(records: Records) -> None:
    log = RecordsAuditLog(records)
    for n in range(5):
        await log.append(AuditEvent(n, "main", f"usr_{n % 2}", "view_ward", "ward", f"w{n}"))
    scope = Scope.system("main")
    rows = await records.read(lambda s: records.audit(s).list(scope, actor="usr_0", limit=2))
    assert [r.resource_id for r in rows] == ["w4", "w2"]
    rest = await records.read(
        lambda s: records.audit(s).list(scope, actor="usr_0", before=rows[-1].seq, resource_kind="ward")
    )
    assert [r.resource_id for r in rest] == ["w0"]
    assert await records.read(lambda s: records.audit(s).list(scope, resource_id="w9")) == []


async def test_only_the_whole_tenant_reads_the_audit(records: Records) -> None:
    with pytest.raises(AccessError):
        await records.read(lambda s: records.audit(s).list(Scope("main", frozenset({"w1"}))))


def test_an_event_of_another_tenant_is_refused(records: Records) -> None:
    event = AuditEvent(1, "other", "usr_9", "view_ward", "ward")
    with pytest.raises(AccessError):
        records.run_now(lambda s: records.audit(s).append(Scope.system("main"), event))
