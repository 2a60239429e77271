"""What nurses have around the wall: menus, messages, notes about a patient, the plan, the sheet."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from cloud_ingest.records.care import TaskDraft
from dashboards.pages.header import JOBS, menus_of
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import S, World, reading, seeded, world


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def links(made: World, role: Role, path: str) -> list[tuple[str, str]]:
    async with made.client(made.principal(role), cookie=True) as client:
        html = (await client.get(path)).text
    nav = re.search(r'(?s)<nav class="jobs".*?</nav>', html)
    assert nav, "no header"
    return re.findall(r'<a href="([^"]+)"(?: aria-current="(\w+)")?>', nav[0])


async def test_the_header_has_what_a_role_may_open_by_job():
    async with world() as made:
        await seeded(made)
        nurse = [path for path, _ in await links(made, Role.NURSE, "/alarms")]
        assert nurse[:4] == ["/ward", "/alarms", "/messages", "/handover"]
        assert "/deadletters" not in nurse
        engineer = [path for path, _ in await links(made, Role.ENGINEER, "/devices")]
        assert {"/devices", "/ledger", "/deadletters", "/channels"} <= set(engineer)
        assert "/ward" not in engineer
        async with made.client(made.principal(Role.PATIENT), cookie=True) as client:
            assert 'class="jobs"' not in (await client.get("/me")).text


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("/alarms", ("/alarms", "page")),
        ("/oncall", ("/staff", "true")),
        ("/inactivations", ("/alarms", "true")),
        ("/rules", ("/rules", "page")),
    ],
)
async def test_the_page_that_is_open_is_marked(path: str, marked: tuple[str, str]):
    async with world() as made:
        await seeded(made)
        assert [link for link in await links(made, Role.NURSE, path) if link[1]] == [marked]


async def test_a_job_of_one_page_is_that_page():
    async with world() as made:
        await seeded(made)

        class Caller:
            def may(self, action: object) -> bool:
                return action == "view_rules"

        (menu,) = menus_of(Caller(), "/rules")  # type: ignore[arg-type]
        assert (menu.name, [link.path for link in menu.links], menu.here) == ("", ["/rules"], True)


def test_every_page_of_the_header_is_there_once():
    paths = [entry[0] for _, entries in JOBS for entry in entries]
    assert len(paths) == len(set(paths))


async def test_unseen_messages_are_counted_in_the_header_for_whom_they_are_meant():
    async with world() as made:
        hub = await seeded(made)
        badge = '<b class="badge"'
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            html = (await client.get("/alarms")).text
            assert re.search(rf"Messages {badge}[^>]*>2<", html)
            await client.get(f"/patients/{made.ids['main', 'patientA']}/messages")
            async with asyncio.timeout(5):
                while hub.unseen(Scope.system("main")) != 1:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0)
        async with made.client(made.principal(Role.NURSE, wards="A"), cookie=True) as client:
            assert badge not in (await client.get("/alarms")).text, "ward B's are not theirs"
        async with made.client(made.principal(Role.ADMIN), cookie=True) as client:
            assert badge not in (await client.get("/alarms")).text


async def test_an_open_conversation_fetches_itself_and_sees_nothing_by_that():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        nurse = made.principal(Role.NURSE)
        async with made.client(nurse, cookie=True) as client:
            html = (await client.get(f"/patients/{patient}/messages")).text
            address = re.search(r'hx-get="(/patients/[^"]+/messages/list)" hx-trigger="every 10s"', html)
            assert address
            assert "I have seen it" not in html, "by opening it they are seen"
            own = made.principal(Role.PATIENT)
            await made.backend.write_message(own, patient, "And now my arm hurts", client="late")
            part = (await client.get(address[1])).text
            assert "And now my arm hurts" in part
            assert "I have seen it" in part
            assert "<html" not in part
            assert await made.backend.unseen_messages(nurse, patient) == 1
            done = await client.post(f"/patients/{patient}/messages/seen", data={})
            assert done.status_code == 303
            assert await made.backend.unseen_messages(nurse, patient) == 0
            assert "I have seen it" not in (await client.get(address[1])).text
        async with made.client(made.principal(Role.NURSE, wards="B"), cookie=True) as client:
            assert (await client.get(address[1])).status_code == 404
            assert (await client.post(f"/patients/{patient}/messages/seen")).status_code == 404
        async with made.client(own, cookie=True) as client:
            assert (await client.get(address[1])).status_code == 404


async def test_a_note_stands_on_the_patients_page_and_the_hand_over_sheet_until_it_is_struck_out():
    async with world() as made:
        await seeded(made)
        patient = made.ids["main", "patientA"]
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            page = f"/patients/{patient}"
            done = await client.post(f"{page}/notes", data={"text": "No blood pressure on the left arm"})
            assert (done.status_code, done.headers["location"]) == (303, f"{page}#notes")
            html = (await client.get(page)).text
            standing = re.search(r'(?s)<ul class="standing".*?</ul>', html)
            assert standing
            assert "left arm" in standing[0]
            assert "hears badly" in standing[0]
            sheet = plain((await client.get(f"/handover?ward={made.ids['main', 'wardA']}")).text)
            assert "No blood pressure on the left arm Nurse" in sheet
            key = made.ids["main", "noteA"]
            assert (await client.post(f"{page}/notes/{key}/strike")).status_code == 303
            html = (await client.get(page)).text
            assert "<s>Patient A hears badly</s>" in html
            assert "struck out by Nurse" in html
            assert "hears badly" not in re.findall(r'(?s)<ul class="standing".*?</ul>', html)[0]
            assert "hears badly" not in (await client.get(f"/handover?ward={made.ids['main', 'wardA']}")).text
        lines = [e for e in await made.backend.audit_entries(Scope.system("main")) if e.kind == "note"]
        assert [(e.action, e.target, e.detail["do"]) for e in lines] == [
            ("write_note", patient, "strike"),
            ("write_note", patient, "write"),
        ]


async def test_a_note_that_is_refused_is_not_lost():
    async with world() as made:
        await seeded(made)
        page = f"/patients/{made.ids['main', 'patientA']}"
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            long = "Nil by mouth. " * 200
            answer = await client.post(f"{page}/notes", data={"text": long})
            assert answer.status_code == 422
            assert long.strip() in answer.text
            assert "Not kept: at most 2000 characters" in answer.text
            assert 'aria-invalid="true"' in answer.text
            assert "Write something first." in (await client.post(f"{page}/notes", data={"text": " "})).text


async def test_notes_are_the_care_teams():
    async with world() as made:
        await seeded(made)
        page = f"/patients/{made.ids['main', 'patientA']}"
        async with made.client(made.principal(Role.NURSE, wards="B"), cookie=True) as client:
            assert (await client.post(f"{page}/notes", data={"text": "x"})).status_code == 404
        for role, status in ((Role.ADMIN, 403), (Role.DISPLAY, 403), (Role.PATIENT, 403)):
            async with made.client(made.principal(role), cookie=True) as client:
                assert (await client.post(f"{page}/notes", data={"text": "x"})).status_code == status
        async with made.client(made.principal(Role.DISPLAY), cookie=True) as client:
            assert "hears badly" not in (await client.get(page)).text, "a screen that all can see"
        async with made.client(made.principal(Role.PATIENT)) as client:
            assert (await client.get(f"/api/v1{page}/notes")).status_code == 403
        made.clock.advance(1)
        async with made.client(made.principal(Role.DOCTOR)) as client:
            made_now = await client.post(f"/api/v1{page}/notes", json={"text": "Allergic to latex"})
            assert made_now.status_code == 201
            struck = await client.post(f"/api/v1{page}/notes/{made_now.json()['id']}/strike")
            assert struck.json()["struck_name"]
            texts = [n["text"] for n in (await client.get(f"/api/v1{page}/notes")).json()["items"]]
            assert texts == ["Allergic to latex", "Patient A hears badly"]
            assert (await client.post(f"/api/v1{page}/notes/pnt_none/strike")).status_code == 404


async def test_the_patients_page_says_what_is_planned_and_when_next():
    async with world() as made:
        await seeded(made)
        patient = made.ids["main", "patientA"]
        nurse = made.principal(Role.NURSE)
        await made.backend.add_task(
            nurse, patient, TaskDraft("measure", "spo2", "", ("00:02",), None, "UTC", 900)
        )
        async with made.client(nurse, cookie=True) as client:
            text = plain((await client.get(f"/patients/{patient}")).text)
            assert "Take: Pill A 00:05, 08:00 now next 2026-01-01 00:05" in text
            kept = "last time: done 2026-01-01 00:00:59 UTC · 1 of 1 done in 7 days"
            assert f"Measure: Oxygen saturation 00:02 next 2026-01-02 00:02:00 UTC · {kept}" in text
            made.clock.advance(24 * 3600)
            made.backend.put_readings("main", [reading("main-oxi-A", "spo2", 96, made.clock.now_ns() - S)])
            text = plain((await client.get(f"/patients/{patient}")).text)
            assert re.search(r"Pill A 00:05, 08:00 .*?last time: missed", text)
            for task in [made.ids["main", "taskA"]]:
                await made.backend.end_task(nurse, patient, task)
        async with made.client(nurse, cookie=True) as client:
            assert "Pill A" not in (await client.get(f"/patients/{patient}")).text
        empty = made.ids["main", "patientB"]
        await made.backend.end_task(nurse, empty, made.ids["main", "taskB"])
        async with made.client(nurse, cookie=True) as client:
            assert "Nothing is planned for this patient." in (await client.get(f"/patients/{empty}")).text


async def test_one_patients_detail_needs_that_tile_only_and_is_none_of_another_ward():
    async with world() as made:
        hub = await seeded(made)
        patient = made.ids["main", "patientA"]
        scope = Scope.system("main")
        shown = next(t for t in hub.snapshot(scope)["tiles"] if t["id"] == patient)
        assert hub.tile(scope, patient) == shown
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            assert "A-01 · Patient A" in (await client.get(f"/ward/patient/{patient}")).text
        async with made.client(made.principal(Role.NURSE, wards="B"), cookie=True) as client:
            assert (await client.get(f"/ward/patient/{patient}")).status_code == 404


async def test_the_ward_sheet_comes_piece_by_piece():
    async with world() as made:
        await seeded(made)
        sent: list[bytes] = []
        await made.app(*_asked(made, "/ward/print", sent))
        assert len(sent) > 1, "it is not made whole before its beginning is sent"
        assert sent[0].startswith(b"<!doctype html>")
        assert b"".join(sent).rstrip().endswith(b"</html>")


def _asked(made: World, path: str, sent: list[bytes]) -> tuple[dict[str, Any], Any, Any]:
    """What an ASGI server hands to the application for one GET of a nurse."""
    token = made.backend.open_session(made.principal(Role.NURSE))
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"cookie", f"hearthward_session={token}".encode()), (b"accept", b"text/html")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("ward.test", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "app": made.app,
    }
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            sent.append(message["body"])

    return scope, receive, send
