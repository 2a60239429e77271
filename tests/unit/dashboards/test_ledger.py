"""The loss ledger over the API and as a page: what it says, who sees which gateway, and writing off."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_ingest.balance import AskedLedger, Book
from cloud_ingest.loss_ledger import Count, hour_of
from dashboards.ledger_models import LedgerView, asked_of
from dashboards.pages.ledger import REASONS
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import SECRET, T0, S, World, world

NOW = hour_of(T0)


async def asked(made: World, query: str = "", role: Role = Role.ENGINEER, **who: Any) -> Any:
    async with made.client(made.principal(role, **who)) as client:
        answer = await client.get(f"/api/v1/ledger?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def page(made: World, query: str = "", language: str = "en", **who: Any) -> str:
    async with made.client(made.principal(Role.ENGINEER, **who), cookie=True) as client:
        answer = await client.get(f"/ledger?{query}", headers={"accept-language": language})
    assert answer.status_code == 200, answer.text
    return " ".join(answer.text.split())


async def test_gateways_in_the_order_of_a_reading_s_way():
    async with world() as made:
        found = await asked(made)
    assert [line["gateway"] for line in found["lines"]] == ["main-gw-A", "main-gw-B"]
    assert found["lines"][0]["figures"] == {
        "read": 6,
        "rejected_at_gateway": {"truncated": 1},
        "accepted": 5,
        "dropped": {},
        "waiting": 0,
        "sent": 5,
        "stored": 3,
        "duplicate": 0,
        "rejected": {},
        "late": 1,
        "missing": 2,
        "written_off": 0,
        "unknown": 0,
        "untold": 0,
        "clones": 0,
        "balance": "missing",
    }
    assert found["total"]["missing"] == 4
    assert found["text"]["en"] == "Of 12 readings read in the last 24 hours, 6 are stored; 4 lost."
    assert found["text"]["zh"] == "最近 24 小时读取 12 个读数：已存储 6 个；丢失 4 个。"  # noqa: RUF001
    assert [(b["boot"], b["numbers"], b["unaccounted"]) for b in found["outboxes"]] == [("boot-1", 5, 2)] * 2
    assert SECRET not in str(found)


async def test_from_gateway_to_device_to_hour():
    async with world() as made:
        devices = await asked(made, "gateway=main-gw-A")
        hours = await asked(made, "gateway=main-gw-A&device=main-oxi-A&since=7d")
        by_hour = await asked(made, "gateway=main-gw-A&by=hour")
    assert [(line["gateway"], line["device"]) for line in devices["lines"]] == [("main-gw-A", "main-oxi-A")]
    assert [b["gateway"] for b in devices["outboxes"]] == ["main-gw-A"]
    assert [line["hour"] for line in hours["lines"]] == ["2026-01-01T00:00:00Z"]
    assert hours["start"] == "2025-12-25T01:00:00Z"
    assert by_hour["lines"] == hours["lines"]


async def test_a_ward_s_engineer_sees_the_ward_s_gateways():
    async with world() as made:
        found = await asked(made, wards="B")
        assert [line["gateway"] for line in found["lines"]] == ["main-gw-B"]
        assert [b["gateway"] for b in found["outboxes"]] == ["main-gw-B"]
        async with made.client(made.principal(Role.ENGINEER, wards="B")) as client:
            body = {"gateway": "main-gw-A", "boot": "boot-1", "reason": "x"}
            answer = await client.post("/api/v1/ledger/write-offs", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown")


@pytest.mark.parametrize("role", [Role.NURSE, Role.DOCTOR, Role.PATIENT, Role.DISPLAY])
async def test_it_is_for_engineers_and_administrators(role: Role):
    async with world() as made, made.client(made.principal(role)) as client:
        assert (await client.get("/api/v1/ledger")).status_code == 403
        assert (await client.get("/ledger")).status_code == 403


@pytest.mark.parametrize("since", ["", "24", "x", "0h", "401d", "99999d", "-1d", "1m"])
async def test_a_period_that_cannot_be_is_refused(since: str):
    async with world() as made, made.client(made.principal(Role.ENGINEER)) as client:
        answer = await client.get("/api/v1/ledger", params={"since": since})
        shown = await client.get("/ledger", params={"since": since})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")
    assert shown.status_code == 422


async def test_writing_off_ends_the_difference_and_is_audited():
    async with world() as made:
        body = {"gateway": "main-gw-A", "boot": "boot-1", "reason": " disk   replaced "}
        async with made.client(made.principal(Role.ENGINEER)) as client:
            done = await client.post("/api/v1/ledger/write-offs", json=body)
            again = await client.post("/api/v1/ledger/write-offs", json=body)
            empty = await client.post("/api/v1/ledger/write-offs", json={**body, "reason": "  "})
            elsewhere = await client.post("/api/v1/ledger/write-offs", json={**body, "boot": "boot-9"})
        assert (done.json()["numbers"], done.json()["reason"]) == (2, "disk replaced")
        assert (again.status_code, empty.status_code, elsewhere.status_code) == (409, 422, 422)
        found = await asked(made, "gateway=main-gw-A")
        assert [(b["unaccounted"], b["written_off"]) for b in found["outboxes"]] == [(0, 2)]
        entries = await made.backend.audit_entries(Scope.system(made.backend.tenant))
    (entry,) = [e for e in entries if e.detail.get("do") == "write_off"]
    assert (entry.actor, entry.target, entry.detail["numbers"]) == ("usr_engineer", "main-gw-A", 2)


async def test_the_page_says_in_words_whether_the_books_balance():
    async with world() as made:
        english, chinese = await page(made), await page(made, language="zh-CN")
        below = await page(made, "gateway=main-gw-A")
    assert "✗ The books do not balance" in english
    assert "Of 12 readings read in the last 24 hours, 6 are stored; 4 lost." in english
    assert "✗ missing 2" in english
    assert '1 <span class="small">too short</span>' in english
    assert "/ledger?gateway=main-gw-A&amp;since=24h" in english
    assert 'href="/ledger?gateway=main-gw-A&amp;device=main-oxi-A&amp;since=24h"' in below
    assert "账目不平" in chinese
    assert SECRET not in english + chinese


async def test_the_page_writes_off():
    async with world() as made, made.client(made.principal(Role.ENGINEER), cookie=True) as client:
        form = {"gateway": "main-gw-A", "boot": "boot-1", "since": "7d"}
        refused = await client.post("/ledger/write-off", data={**form, "reason": ""})
        assert refused.status_code == 422
        assert "Say why nothing more is expected of this outbox." in refused.text
        done = await client.post("/ledger/write-off", data={**form, "reason": "gone"})
        assert (done.status_code, done.headers["location"]) == (
            303,
            "/ledger?gateway=main-gw-A&since=7d&done=2#outboxes",
        )
        shown = await client.get(done.headers["location"])
        assert "Written off: 2" in shown.text


async def test_balanced_waiting_and_silent_gateways_are_told_apart():
    async with world() as made:
        made.backend._ledger_books.clear()
        made.backend._ledger_counts.clear()
        assert "No reading in this period." in await page(made)
        book = Book("main-gw-A", "boot-1", accepted=3, settled=3, told=T0, heard=T0)
        book.committed.add(1, 3)
        counts = [Count("main-gw-A", "boot-1", "d", NOW, kind, 3) for kind in ("accepted", "stored")]
        made.backend.put_ledger("main", book, counts)
        balanced = await page(made)
        assert "✓ The books balance" in balanced
        assert "Of 3 readings read in the last 24 hours, 3 are stored; 0 lost." in balanced
        assert "Outboxes by numbers" not in balanced
        silent = Book("main-gw-B", "old", heard=T0)
        made.backend.put_ledger("main", silent, [Count("main-gw-B", "old", "e", NOW, "stored", 9)])
        both = await page(made)
        assert "? keeps no books" in both
        assert "3 are stored; 0 lost. 9 more came from gateways that keep no books." in both
        made.backend._ledger_books["main"].remove(book)
        assert "Nobody can say whether the books balance" in await page(made)
        waits = Book("main-gw-A", "boot-1", accepted=5, backlog=2, told=T0, heard=T0)
        waits.committed.add(1, 3)
        made.backend.put_ledger("main", waits, [Count("main-gw-A", "boot-1", "d", NOW, "accepted", 2)])
        assert "The books balance so far; readings wait at gateways" in await page(made)
        found = await asked(made, "gateway=main-gw-A")
        assert (found["total"]["waiting"], found["total"]["sent"], found["total"]["balance"]) == (
            2,
            3,
            "waiting",
        )


async def test_what_came_before_its_gateway_told_of_it_was_read():
    async with world() as made:
        book = Book("main-gw-A", "boot-1", accepted=3, settled=3, told=T0, heard=T0)
        book.committed.add(1, 9)
        counts = [Count("main-gw-A", "boot-1", "d", NOW - 1, *n) for n in (("accepted", 3), ("stored", 9))]
        made.backend.put_ledger("main", book, counts)
        made.backend._ledger_counts["main"] = counts
        found, shown = await asked(made, "gateway=main-gw-A"), await page(made, "gateway=main-gw-A")
    assert (found["total"]["untold"], found["total"]["balance"]) == (6, "balanced")
    assert found["text"]["en"] == "Of 9 readings read in the last 24 hours, 9 are stored; 0 lost."
    assert "not told yet 6" in shown


async def test_earlier_losses_are_told_though_they_belong_to_no_line():
    async with world() as made:
        made.backend._ledger_counts.clear()
        found = await asked(made)
        shown = await page(made)
    assert found["earlier"] == 4
    text = "No reading came in the last 24 hours. Of earlier readings 4 are unaccounted for."
    assert found["text"]["en"] == text
    assert "✗ The books do not balance" in shown


def test_periods():
    assert asked_of("24h", T0) == AskedLedger(NOW - 23, NOW + 1)
    assert asked_of("7d", T0, gateway="g").by == "device"
    assert asked_of("7d", T0, gateway="g", device="d").by == "hour"
    assert asked_of("1h", T0, by="hour").by == "hour"
    with pytest.raises(ValueError, match="none of"):
        asked_of("1h", T0, by="moon")


def test_every_reason_that_readings_are_rejected_for_has_words():
    from cloud_ingest.intake import screen
    from hearthward.core.model import ReadingBatch
    from tests.unit.dashboards.webworld import reading

    batch = ReadingBatch.of(
        [reading("d", m, v, T0) for m, v in (("x", 1.0), ("spo2", None), ("spo2", 999.0))]
    )
    batch.append(reading("d", "spo2", 97.0, T0 + 999 * S))
    assert set(screen(batch, T0)) <= set(REASONS)


def test_the_answer_can_be_read_back():
    made = LedgerView.model_validate_json(LedgerView.of(_report()).model_dump_json())
    assert made == LedgerView.of(_report())


def _report() -> Any:
    from cloud_ingest.balance import ledger_report

    book = Book("g", "b", accepted=1, told=T0, heard=T0)
    return ledger_report(
        AskedLedger(NOW, NOW + 1, "hour"), [Count("g", "b", "d", NOW, "accepted", 1)], [book]
    )
