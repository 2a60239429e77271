"""The directory's pages, giving devices by scanning, the audit, and their CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from importlib import import_module

import httpx
import pytest

from dashboards.csv_stream import BATCH, stream_csv
from dashboards.directory_port import AskedItems
from dashboards.paging import Pager, page_number
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import World, world

SCOPE = Scope.system("main")


def browser(
    made: World, role: Role = Role.ADMIN, wards: str | None = None, **headers: str
) -> httpx.AsyncClient:
    return made.client(made.principal(role, wards=wards), cookie=True, **headers)


async def fleet(made: World, count: int = 120) -> None:
    """More devices than fit a page, and than fit a list to choose from."""
    for n in range(count):
        fields = {
            "id": f"cuff-{n:03}",
            "gateway": made.ids["main", "gatewayA"],
            "transport": "ble",
            "address": f"C0:00:00:00:00:{n:02X}",
            "label": f"Cuff {n}",
        }
        await made.backend.create(SCOPE, "device", fields)


def rows_of(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))


# --- lists ------------------------------------------------------------------------------------------


async def test_the_overview_counts_finds_and_leads_on():
    async with world() as made, browser(made) as client:
        text = (await client.get("/admin")).text
        for path in ("/admin/ward", "/admin/device", "/assign", "/staff", "/channels", "/audit"):
            assert f'href="{path}"' in text
        await made.backend.change(SCOPE, "patient", made.ids["main", "patientA"], {"name": "Rosa Lindqvist"})
        found = (await client.get("/admin?q=LINDQ+rosa")).text
        assert f'href="/admin/patient/{made.ids["main", "patientA"]}"' in found
        assert made.ids["main", "patientB"] not in found
        assert "Nothing of that is here" in (await client.get("/admin?q=Zeppelin")).text
        audit = made.backend._of("main").audit
        assert "Zeppelin" not in repr(audit), "what is searched for may be a name"


async def test_a_list_is_paged_searched_and_filtered_by_its_address():
    async with world() as made, browser(made) as client:
        await fleet(made)
        first = (await client.get("/admin/device")).text
        assert "1–50 of 122" in first  # noqa: RUF001 - a range
        assert 'id="device-cuff-000"' in first
        last = (await client.get("/admin/device?page=3")).text
        assert "101–122 of 122" in last  # noqa: RUF001 - a range
        assert 'id="device-cuff-000"' not in last
        assert 'href="/admin/device?page=2"' in last
        assert 'id="device-cuff-007"' in (await client.get("/admin/device?q=cuff+00:07")).text
        of_b = (await client.get(f"/admin/device?ward={made.ids['main', 'wardB']}")).text
        assert "main-oxi-B" in of_b
        assert "cuff-000" not in of_b
        beyond = (await client.get("/admin/device?page=99")).text
        assert "None yet" in beyond
        assert 'rel="prev" href="/admin/device?page=3"' in beyond
        assert (await client.get("/admin/device?page=x")).status_code == 200


async def test_past_entries_are_shown_when_asked_for():
    async with world() as made, browser(made) as client:
        await client.post(f"/admin/device/{made.ids['main', 'deviceB']}/end")
        assert "main-oxi-B" not in (await client.get("/admin/device")).text
        shown = (await client.get("/admin/device?ended=1")).text
        assert "main-oxi-B" in shown
        assert 'class="chip weak">ended' in shown


async def test_an_entrys_page_shows_what_names_it_and_only_what_the_role_may_do():
    async with world() as made:
        device, patient = made.ids["main", "deviceA"], made.ids["main", "patientA"]
        async with browser(made) as client:
            text = (await client.get(f"/admin/device/{device}")).text
            assert f'href="/admin/patient/{patient}"' in text
            assert "Who wears what" in text
            assert 'action="/admin/device/main-oxi-A/end"' in text
            person = (await client.get(f"/admin/patient/{patient}")).text
            assert "Ward A A-01" in person
            assert device in person
            assert (await client.get("/admin/device/none")).status_code == 404
        async with browser(made, Role.ENGINEER) as client:
            text = (await client.get(f"/admin/device/{device}")).text
            assert "Patient A" not in text
            assert patient not in text
            assert 'action="/admin/device/main-oxi-A"' in text
            assert (await client.get(f"/admin/patient/{patient}")).status_code == 403
        async with browser(made, Role.NURSE, wards="A") as client:
            assert (
                'action="/admin/device/main-oxi-A"' not in (await client.get(f"/admin/device/{device}")).text
            )
            other = made.ids["main", "patientB"]
            assert (await client.get(f"/admin/patient/{other}")).status_code == 404
            assert "Patient B" not in (await client.get("/admin/patient?q=Patient")).text


async def test_an_association_is_corrected_from_its_page_to_another_patient():
    async with world() as made, browser(made) as client:
        key, other = made.ids["main", "associationA"], made.ids["main", "patientB"]
        shown = await client.get(f"/admin/association/{key}")
        assert "Correct" in shown.text
        form = {"patient": other, "start": "2025-12-31T23:00:00Z", "end": "2025-12-31T23:30:00Z"}
        done = await client.post(f"/admin/association/{key}", data=form)
        assert done.status_code == 303
        assert done.headers["location"].endswith("?done=change")
        row = made.backend._of("main").items["association"][key]
        assert (row.patient, row.end) == (other, row.start + 1800 * 1_000_000_000)
        bad = await client.post(f"/admin/association/{key}", data={**form, "start": "soon"})
        assert bad.status_code == 422
        assert f'id="association-{key}-start-why"' in bad.text


async def test_where_there_is_too_much_for_a_list_one_types_what_it_is_called():
    async with world() as made, browser(made) as client:
        await fleet(made)
        page = (await client.get("/admin/association")).text
        assert 'hx-get="/admin/choices/device"' in page
        assert '<option value="cuff-000">' not in page
        offered = (await client.get("/admin/choices/device?device=cuff+7")).text
        assert '<option value="Cuff 7 (cuff-007)">' in offered
        assert (await client.get("/admin/choices/device?device=")).text.count("<option") == 10
        patient = made.ids["main", "patientB"]
        gave = await client.post(
            "/admin/association", data={"device": "Cuff 7 (cuff-007)", "patient": patient}
        )
        assert gave.status_code == 303
        rows = made.backend._of("main").items["association"].values()
        assert [a.patient for a in rows if a.device == "cuff-007"] == [patient]
        await made.backend.change(SCOPE, "device", "cuff-008", {"label": "Cuff 9"})
        several = await client.post("/admin/association", data={"device": "cuff 9", "patient": patient})
        assert several.status_code == 422
        assert "cuff-008, cuff-009" in several.text
        none = await client.post("/admin/association", data={"device": "the red one", "patient": patient})
        assert "does not exist: the red one" in none.text


async def test_lists_leave_as_csv_and_name_nobody_to_an_engineer():
    async with world() as made:
        await fleet(made)
        async with browser(made) as client:
            rows = rows_of(await client.get("/admin/device.csv?q=cuff"))
            assert len(rows) == 121
            assert rows[0][:3] == ["id", "gateway", "transport"]
            named = rows_of(await client.get("/admin/association.csv"))
            assert "Patient A" in {row[named[0].index("patient_name")] for row in named[1:]}
        async with browser(made, Role.ENGINEER) as client:
            assert "Patient A" not in (await client.get("/admin/device.csv")).text
            assert (await client.get("/admin/association.csv")).status_code == 403


async def test_a_csv_is_sent_while_it_is_made_and_holds_no_formula():
    made = 0

    async def rows() -> AsyncIterator[Sequence[object]]:
        nonlocal made
        for made in range(10 * BATCH):
            yield made, "=1+1", None, "-5 mmHg", -5

    answer = stream_csv("x.csv", ("n", "a", "b", "c", "d"), rows())
    pieces = [
        bytes(piece) if isinstance(piece, memoryview) else piece
        async for piece in _first(answer.body_iterator)
    ]
    text = "".join(p if isinstance(p, str) else p.decode() for p in pieces)
    assert made < 2 * BATCH, "the first piece did not wait for the last row"
    assert list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))[1] == [
        "0",
        "'=1+1",
        "",
        "'-5 mmHg",
        "-5",
    ]


async def _first(pieces: AsyncIterator[str | bytes | memoryview]) -> AsyncIterator[str | bytes | memoryview]:
    async for piece in pieces:
        yield piece
        return


def test_pages_of_a_list():
    empty = Pager("/x", {}, 0)
    assert (empty.first_shown, empty.last_shown, empty.last) == (0, 0, 1)
    third = Pager("/x", {"q": "a b", "page": "3"}, 130, 3)
    assert (third.first_shown, third.last_shown, third.last) == (101, 130, 3)
    assert (third.to(1), third.to(2)) == ("/x?q=a+b", "/x?q=a+b&page=2")
    assert [page_number(t) for t in ("", "0", "-1", "7", "x", "9" * 30)] == [1, 1, 1, 7, 1, 100_000]


# --- giving devices ---------------------------------------------------------------------------------


def patients_of(made: World, device: str) -> list[str]:
    """On whom a device is now."""
    rows = made.backend._of("main").items["association"].values()
    return [a.patient for a in rows if a.device == device and a.end is None]


async def test_a_device_is_given_by_scanning_its_code_and_the_wristband():
    async with world() as made, browser(made, Role.NURSE) as client:
        await fleet(made, 3)
        await made.backend.change(SCOPE, "patient", made.ids["main", "patientB"], {"mrn": "100234"})
        start = (await client.get("/assign")).text
        assert "autofocus" in start
        known = (await client.get("/assign?device=c0:00:00:00:00:02")).text
        assert "Cuff 2" in known
        assert "It is on nobody." in known
        done = await client.post("/assign", data={"device": "cuff-002", "patient": "100234"})
        assert done.status_code == 303
        assert patients_of(made, "cuff-002") == [made.ids["main", "patientB"]]
        told = (await client.get(done.headers["location"])).text
        assert "From now on its values belong to this patient" in told
        assert "Patient B" in told
        assert "Ward B B-01" in told
        again = await client.post("/assign", data={"device": "Cuff 2", "patient": "b-01"})
        assert again.status_code == 409
        assert "on this patient already" in again.text
        made.clock.advance(60)
        shown = (await client.get("/assign?device=cuff-002")).text
        (was,) = re.findall(r'name="was" value="([^"]+)"', shown)
        off = await client.post("/assign/off", data={"device": "cuff-002", "was": was})
        assert off.status_code == 303
        assert patients_of(made, "cuff-002") == []
        assert "Taken off" in (await client.get(off.headers["location"])).text
        nobody = await client.post("/assign/off", data={"device": "cuff-002"})
        assert (nobody.status_code, "It is on nobody" in nobody.text) == (409, True)


async def test_a_device_is_taken_off_only_whom_the_page_has_shown():
    async with world() as made, browser(made, Role.NURSE) as client:
        device, other = made.ids["main", "deviceA"], made.ids["main", "patientB"]
        was = made.ids["main", "associationA"]
        assert f'name="was" value="{was}"' in (await client.get(f"/assign?device={device}")).text
        await made.backend.give_device(SCOPE, device, other, was=was)  # by a colleague
        made.clock.advance(30)
        for sent in ({"device": device, "was": was}, {"device": device}):
            late = await client.post("/assign/off", data=sent)
            assert late.status_code == 409
            assert "Meanwhile somebody else has given this device away" in late.text
            assert "Patient B" in late.text
            assert patients_of(made, device) == [other]


async def test_a_device_on_somebody_else_is_given_away_only_after_asking():
    async with world() as made, browser(made, Role.NURSE) as client:
        device, to = made.ids["main", "deviceA"], made.ids["main", "patientB"]
        asked = await client.post("/assign", data={"device": device, "patient": to})
        assert asked.status_code == 409
        assert "Give it away?" in asked.text
        assert patients_of(made, device) == [made.ids["main", "patientA"]]
        sure = {"device": device, "patient": to, "was": made.ids["main", "associationA"]}
        assert (await client.post("/assign", data=sure)).status_code == 303
        assert patients_of(made, device) == [to]
        line = next(e for e in reversed(made.backend._of("main").audit) if e.action == "assign_device")
        assert line.detail == {
            "do": "give",
            "device": device,
            "patient": to,
            "taken_off": made.ids["main", "associationA"],
            "patient_was": made.ids["main", "patientA"],
        }
        stale = await client.post("/assign", data={**sure, "patient": made.ids["main", "patientA"]})
        assert stale.status_code == 409
        assert patients_of(made, device) == [to], "what was confirmed is no longer so"


async def test_what_was_scanned_is_not_known_or_fits_several():
    async with world() as made, browser(made, Role.NURSE) as client:
        device = made.ids["main", "deviceA"]
        unknown = await client.get("/assign?device=nothing-like-it")
        assert "no such device here: nothing-like-it" in unknown.text
        several = (await client.get("/assign?device=main-oxi")).text
        assert "Several devices are called so" in several
        assert 'href="/assign?device=main-oxi-B"' in several
        nobody = await client.post("/assign", data={"device": device, "patient": "Zeppelin"})
        assert (nobody.status_code, "no such patient here: Zeppelin" in nobody.text) == (422, True)
        part = await client.post("/assign", data={"device": device, "patient": "Patient"})
        assert part.status_code == 422
        assert "Patient A" in part.text
        assert "Patient B" in part.text
        assert (await client.post("/assign", data={"device": "", "patient": "x"})).status_code == 422


async def test_a_device_of_another_wards_patient_is_not_taken_away():
    async with world() as made:
        here, there = made.ids["main", "patientA"], made.ids["main", "associationB"]
        gateway, device = made.ids["main", "gatewayA"], made.ids["main", "deviceB"]
        await made.backend.change(SCOPE, "device", device, {"gateway": gateway})
        async with browser(made, Role.NURSE, wards="A") as client:
            shown = await client.get(f"/assign?device={device}")
            assert "another ward" in shown.text
            assert "Patient B" not in shown.text
            for was in ("", there):
                gone = await client.post("/assign", data={"device": device, "patient": here, "was": was})
                assert gone.status_code == 422
        assert patients_of(made, device) == [made.ids["main", "patientB"]]


# --- audit ------------------------------------------------------------------------------------------


async def test_the_audit_is_filtered_by_who_what_whom_and_when():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        async with browser(made, Role.NURSE) as client:
            await client.get(f"/admin/patient/{patient}")
            await client.get(f"/admin/association/{made.ids['main', 'associationA']}")
            await client.get(f"/admin/patient/{made.ids['main', 'patientB']}")
        async with browser(made) as client:
            every = (await client.get("/audit")).text
            assert ">looked at a patient</td>" in every
            assert "Patient A" in every
            own = (await client.get("/audit?patient=Patient+A&kind=association")).text
            assert made.ids["main", "associationA"] in own
            assert "Patient B" not in own
            assert "Patient B" not in (await client.get(f"/audit?patient={patient}")).text
            assert "None." in (await client.get("/audit?who=somebody")).text
            other = (await client.get("/audit?action=login")).text
            assert not re.search(r">looked at[^<]*</td>", other)
            assert "None." in (await client.get("/audit?to=2020-01-01")).text
            for wrong in ("from=yesterday", "patient=Patient+Zebulon"):
                answer = await client.get(f"/audit?{wrong}")
                assert answer.status_code == 422
                assert 'aria-invalid="true"' in answer.text
            rows = rows_of(await client.get(f"/audit.csv?patient={patient}"))
            assert rows[0][:3] == ["number", "time", "actor"]
            assert {row[6] for row in rows[1:]} >= {patient}
            assert (await client.get("/audit.csv?from=soon")).status_code == 422
        audit = made.backend._of("main").audit
        assert [e.detail.get("do") for e in audit if e.kind == "audit"][-1] == "export"
        assert "Patient A" not in repr(audit)


async def test_the_audit_is_paged_and_for_the_whole_organisations_keepers_only():
    async with world() as made:
        who = made.principal(Role.NURSE)
        for n in range(150):
            await made.backend.audit(who, "view_ward", "wall", target=f"t{n}")
        async with browser(made) as client:
            first = (await client.get("/audit?action=view_ward")).text
            assert "t149" in first
            assert ">t49<" not in first
            older = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
            assert ">t49<" in (await client.get(older)).text
            assert (await client.get("/audit?before=x")).status_code == 200
        async with browser(made, Role.ADMIN, wards="A") as client:
            assert (await client.get("/audit")).status_code == 403
            assert (await client.get("/audit.csv")).status_code == 403
        async with browser(made, Role.NURSE) as client:
            assert (await client.get("/audit")).status_code == 403


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/admin", "给患者分配设备"),
        ("/admin/device?q=oxi", "下载 CSV"),
        ("/admin/device/main-oxi-A", "基本信息"),
        ("/assign", "扫描设备条码"),
        ("/audit", "谁在何时做了或查看了什么"),
        ("/devices", "下载 CSV"),
    ],
)
async def test_the_pages_are_chinese_for_who_reads_chinese(path: str, words: str):
    async with world() as made, browser(made, **{"accept-language": "zh-CN"}) as client:
        assert words in (await client.get(path)).text


async def test_the_devices_page_is_searched_and_paged():
    async with world() as made, browser(made, Role.ENGINEER) as client:
        await fleet(made)
        assert "cuff-000" not in (await client.get("/devices?page=3")).text
        found = (await client.get("/devices?q=Cuff+11")).text
        assert "cuff-011" in found
        assert "cuff-000" not in found


async def test_fields_named_in_the_port_stay_within_the_scope():
    async with world() as made:
        ward = Scope("main", frozenset({made.ids["main", "wardA"]}))
        names = await made.backend.item_names(ward, {"patient": {made.ids["main", "patientB"]}})
        assert names == {}
        found = await made.backend.item_page(ward, AskedItems("patient", "patient"))
        assert [p.id for p in found.items] == [made.ids["main", "patientA"]]


async def test_where_there_are_many_people_staff_are_shown_a_ward_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(import_module("dashboards.pages.staff"), "CROWD", 0)
    async with world() as made, browser(made) as client:
        team, patient = made.ids["main", "teamB"], made.ids["main", "patientB"]
        only_a = replace(made.principal(Role.NURSE, wards="A"), user="usr_of_a", name="Nurse of A")
        made.backend.add_person("of-a", "right horse battery", only_a)
        first = (await client.get("/staff")).text
        assert "Patient A" in first
        assert "Patient B" not in first
        assert "Nurse of A" in first
        ward = made.ids["main", "wardB"]
        other = (await client.get(f"/staff?ward={ward}")).text
        assert "Patient B" in other
        assert f'id="team-{team}"' in other
        assert 'value="usr_of_a"' not in other
        draft = {"name": "Team B", "ward": "", "members": ["usr_of_a"], "at": ward}
        assert (await client.post(f"/teams/{team}", data=draft)).headers["location"] == (
            f"/staff?done=team&ward={ward}#teams"
        )
        kept = (await client.get(f"/staff?ward={ward}")).text
        assert 'value="usr_of_a" checked' in kept, "whom the ward does not show stays a member"
        wrong = await client.post("/assignments", data={"patient": patient, "to": "", "at": ward})
        assert wrong.status_code == 422
        assert "Patient B" in wrong.text
