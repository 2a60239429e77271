"""A patient's own pages and the care team's side of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cloud_ingest.records.care import TaskDraft
from dashboards.own_words import Times, week_of
from dashboards.trend_models import Trend, TrendPoint
from dashboards.watching import Phones, watch_of
from hearthward.trust.access import Role, Scope
from rules.response.duty import Duty, Person, Shift
from tests.unit.dashboards.webworld import T0, S, World, alarm, reading, world

HOUR = 3600 * S
DAY = 24 * HOUR
PRESSURE = TaskDraft("measure", "nibp_systolic", "", ("00:30", "20:00"), None, "UTC", 3600)


def own(made: World, **more: str) -> httpx.AsyncClient:
    return made.client(made.principal(Role.PATIENT), cookie=True, accept="text/html", **more)


def hidden(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))


async def plan(made: World, draft: TaskDraft = PRESSURE) -> str:
    made_task = await made.backend.add_task(made.principal(Role.NURSE), made.ids["main", "patientA"], draft)
    assert made_task is not None
    return made_task.id


def sentence(html: str) -> str:
    found = re.search(r'<h1 id="say" data-read>(.*?)</h1>', html, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", "", found[1]).split())


def no_alarms(made: World) -> None:
    made.backend._of("main").alarms.clear()


# --- what the page says first ----------------------------------------------------------------------------


async def test_a_second_measurement_is_asked_for_with_the_time_to_rest_until():
    async with world() as made:
        no_alarms(made)
        values = {"nibp_systolic": 186.0, "nibp_diastolic": 112.0}
        patient = made.ids["main", "patientA"]
        more = {"condition": "asked", "values": values, "limit": "≥ 180/110"}
        made.backend.put_alarm("main", alarm(patient, started=made.clock.now_ns(), **more))
        async with own(made) as client:
            html = (await client.get("/me")).text
            assert sentence(html) == "Blood pressure 186/112 – very high."  # noqa: RUF001 - as it is set
            assert "At 00:06 (in 5 min)." in html
            assert 'href="/me/measure?metric=nibp_systolic">Measure again</a>' in html
            form = (await client.get("/me/measure?metric=nibp_systolic")).text
            assert "Measure again at 00:06 (in 5 min)." in form
            assert 'name="blood_glucose"' not in form
            made.clock.advance(301)
            assert "At 00:06" not in (await client.get("/me")).text
        async with own(made, **{"accept-language": "zh"}) as client:
            assert sentence((await client.get("/me")).text) == "血压 186/112 – 很高。"  # noqa: RUF001 - as it is set


async def test_an_alarm_then_a_task_then_what_was_received():
    async with world() as made:
        task = await plan(made)
        async with own(made) as client:
            html = (await client.get("/me")).text
            assert sentence(html) == "Your nurses can see: SpO2 84 &lt; 90"
            assert "Nobody has answered yet." in html
            no_alarms(made)
            html = (await client.get("/me")).text
            assert sentence(html).startswith("It is time (00:05): Take: Pill A")
            for key, due in ((made.ids["main", "taskA"], "00:05"), (task, "00:30")):
                form = {"due": f"2026-01-01T{due}:00Z", "state": "skipped", "back": "home"}
                answer = await client.post(f"/me/plan/{key}", data=form)
                assert (answer.status_code, answer.headers["location"]) == (303, "/me#today")
            html = (await client.get("/me")).text
            assert sentence(html) == "Received: Oxygen saturation 97 %"
            assert "Next at 08:00: Take: Pill A." in html
            at = made.clock.now_ns()
            values = (("nibp_systolic", 128.0), ("nibp_diastolic", 78.0), ("pulse_rate", 66.0))
            made.backend.put_readings(
                "main", [reading(made.ids["main", "deviceA"], m, v, at, group=7) for m, v in values]
            )
            assert sentence((await client.get("/me")).text) == "Received: Blood pressure 128/78 mmHg"


async def test_the_part_that_is_asked_for_again_is_not_audited_each_time():
    async with world() as made, own(made) as client:
        assert (await client.get("/me")).status_code == 200
        before = len(made.backend._of("main").audit)
        html = (await client.get("/me/now")).text
        assert "<section" in html
        assert "<html" not in html
        assert len(made.backend._of("main").audit) == before


async def test_whom_a_patient_can_call():
    async with world() as made, own(made) as client:
        assert "tel:" not in (await client.get("/me")).text
        made.app.state.phones = Phones("+861012345678", "120")
        html = (await client.get("/me")).text
        assert 'href="tel:+861012345678"' in html
        assert 'href="tel:120"' in html
        assert "In an emergency call 120." in html


def test_who_is_there_and_until_when():
    nurse = Person("u", "U", ("nurse",), None, ())
    there = Duty(people={"u": nurse}, patients={"p": "w"}, scheduled=frozenset({"w"}))
    shifts = (Shift("u", "nurse", "w", T0, T0 + HOUR), Shift("u", "doctor", None, T0 + HOUR, T0 + 2 * HOUR))
    assert watch_of(replace(there, shifts=shifts), "p", T0).until == T0 + 2 * HOUR
    gone = watch_of(replace(there, shifts=shifts), "p", T0 - S)
    assert (gone.there, gone.again) == (False, T0)
    other = watch_of(replace(there, shifts=(Shift("u", "nurse", "x", T0, T0 + HOUR),)), "p", T0)
    assert (other.there, other.again) == (False, None)
    assert watch_of(replace(there, scheduled=frozenset()), "p", T0).there
    assert not watch_of(replace(there, scheduled=frozenset()), "gone", T0).there
    assert not watch_of(Duty(patients={"p": "w"}), "p", T0).there


async def test_times_are_in_the_patients_own_zone():
    async with world() as made, own(made) as client:
        client.cookies["hearthward_zone"] = "Asia/Shanghai"
        assert "today 08:00" in (await client.get("/me")).text
        client.cookies["hearthward_zone"] = "Mars/Olympus"
        assert "today 00:00." in (await client.get("/me")).text


# --- measuring and feeling -------------------------------------------------------------------------------


async def test_a_symptom_takes_two_clicks_and_is_told_once():
    async with world() as made, own(made) as client:
        html = (await client.get("/me")).text
        assert 'href="/me/feel"' in html
        form = (await client.get("/me/feel")).text
        assert re.search(r'<button name="symptom" value="dizziness">', form)
        sent = {**hidden(form), "symptom": "dizziness"}
        first, again = [await client.post("/me/feel", data=sent) for _ in range(2)]
        assert first.headers["location"] == again.headers["location"]
        assert "Dizziness" in (await client.get(first.headers["location"])).text
        wrong = await client.post("/me/feel", data={**hidden(form), "entry": "e2", "symptom": "joy"})
        assert wrong.status_code == 422
        assert "Nothing was saved" in wrong.text


async def test_a_measurement_that_cannot_be_is_refused_on_its_own_form():
    async with world() as made, own(made) as client:
        form = (await client.get("/me/measure?metric=body_weight")).text
        wrong = await client.post(
            "/me/measure?metric=body_weight", data={**hidden(form), "body_weight": "9000"}
        )
        assert wrong.status_code == 422
        assert 'value="9000"' in wrong.text
        done = await client.post(
            "/me/measure?metric=body_weight", data={**hidden(form), "body_weight": "71.5"}
        )
        assert done.headers["location"].startswith("/me/measure?metric=body_weight&saved=")
        assert "71.5" in (await client.get(done.headers["location"])).text


# --- messages ------------------------------------------------------------------------


async def test_a_message_goes_to_the_nurses_and_its_way_is_shown():
    async with world() as made:
        async with own(made) as client:
            page = (await client.get("/me/messages")).text
            assert "Patient A is answered" in page
            made.clock.advance(1)
            form = {**hidden(page), "text": "My ankles are swollen."}
            assert (await client.post("/me/messages", data=form)).status_code == 303
            assert (await client.post("/me/messages", data=form)).status_code == 303
            part = (await client.get("/me/messages/thread")).text
            assert part.count("My ankles are swollen.") == 1
            assert "Received today 00:01" in part
            empty = await client.post("/me/messages", data={**hidden(page), "client": "x", "text": " "})
            assert empty.status_code == 422
            assert "Write something first." in empty.text
        async with made.client(made.principal(Role.NURSE), cookie=True) as nurse:
            inbox = (await nurse.get("/messages")).text
            assert "My ankles are swollen." in inbox
            assert "2 new" in inbox
            async with own(made) as client:
                assert "Sent to your nurses today 00:01" in (await client.get("/me/messages/thread")).text
            url = f"/patients/{made.ids['main', 'patientA']}/messages"
            talk = (await nurse.get(url)).text
            assert (await nurse.post(url, data={**hidden(talk), "text": "I call you."})).status_code == 303
            long = await nurse.post(url, data={**hidden(talk), "client": "y", "text": "x" * 2001})
            assert long.status_code == 422
            assert "2 new" not in (await nurse.get("/messages/list")).text
        async with own(made) as client:
            assert "1 new" in (await client.get("/me")).text
            page = (await client.get("/me/messages")).text
            assert "Seen by a nurse today 00:01" in page
            assert "The nurse" not in page
            assert "1 new" not in (await client.get("/me")).text


async def test_who_is_no_longer_in_care_cannot_write():
    async with world() as made, own(made) as client:
        patient = made.ids["main", "patientA"]
        made.clock.advance(1)
        await made.backend.end(Scope.system("main"), "patient", patient)
        answer = await client.post("/me/messages", data={"text": "Hello?", "client": "z"})
        assert answer.status_code == 422
        assert "Not sent: no longer in care here." in answer.text


async def test_messages_of_another_ward_are_not_there():
    async with world() as made, made.client(made.principal(Role.NURSE, wards="B"), cookie=True) as nurse:
        url = f"/patients/{made.ids['main', 'patientA']}/messages"
        assert (await nurse.get(url)).status_code == 404
        assert (await nurse.post(url, data={"text": "x", "client": "1"})).status_code == 404
        inbox = (await nurse.get("/messages")).text
        assert "Patient B" in inbox
        assert "Patient A" not in inbox


# --- the plan ------------------------------------------------------------------------


async def test_the_plan_is_kept_by_readings_and_answers():
    async with world() as made:
        no_alarms(made)
        await plan(made)
        task = made.ids["main", "taskA"]
        async with own(made) as client:
            html = (await client.get("/me/plan")).text
            assert html.count('class="due now"') == 2
            answer = await client.post(
                f"/me/plan/{task}", data={"due": "2026-01-01T00:05:00Z", "state": "done"}
            )
            assert answer.headers["location"] == "/me/plan"
            early = await client.post(
                f"/me/plan/{task}", data={"due": "2026-01-01T08:00:00Z", "state": "done"}
            )
            assert early.status_code == 422
            assert "too early or too late" in early.text
            for due in ("", "soon"):
                wrong = await client.post(f"/me/plan/{task}", data={"due": due, "state": "done"})
                assert wrong.status_code == 404
            made.backend.put_readings(
                "main", [reading(made.ids["main", "deviceA"], "nibp_systolic", 131, made.clock.now_ns())]
            )
            html = (await client.get("/me/plan")).text
            assert "2 of 2 were done." in html
            assert "done at 00:01" in html


async def test_a_nurse_keeps_the_plan():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as nurse:
        url = f"/patients/{made.ids['main', 'patientA']}/plan"
        page = (await nurse.get(url)).text
        assert "Pill A" in page
        form: dict[str, Any] = {"kind": "measure", "metric": "body_weight", "times": "7：30", "window": "60"}  # noqa: RUF001 - as a Chinese keyboard gives it
        form |= {"timezone": "Asia/Shanghai", "weekdays": ["1", "4"], "remind": "1"}
        done = await nurse.post(url, data=form)
        assert (done.status_code, done.headers["location"]) == (303, url)
        page = (await nurse.get(f"{url}?days=30")).text
        assert "07:30 · Mon, Thu" in page
        wrong = await nurse.post(url, data={**form, "times": "noon", "title": "Morning"})
        assert wrong.status_code == 422
        assert "is not valid: noon" in wrong.text
        assert 'value="Morning"' in wrong.text
        task = made.ids["main", "taskA"]
        made.clock.advance(1)
        assert (await nurse.post(f"{url}/{task}/end")).status_code == 303
        assert f"/plan/{task}/end" not in (await nurse.get(url)).text
        assert (await nurse.post(f"{url}/none/end")).status_code == 404
        log = [e.detail.get("do") for e in made.backend._of("main").audit if e.action == "manage_care_plan"]
        assert log == ["add", "end"]


async def test_the_plan_over_the_api():
    async with world() as made, made.client(made.principal(Role.DOCTOR)) as doctor:
        base = f"/api/v1/patients/{made.ids['main', 'patientA']}"
        found = (await doctor.get(f"{base}/plan")).json()
        assert [t["title"] for t in found["tasks"]] == ["Pill A"]
        assert {d["due"] for d in found["dues"]} >= {"2026-01-01T00:05:00Z", "2026-01-01T08:00:00Z"}
        for query in ("start=2026-01-02&end=2026-01-01", "start=2025-01-01&end=2026-01-01"):
            assert (await doctor.get(f"{base}/plan?{query}")).status_code == 422
        body = {"kind": "measure", "metric": "spo2", "times": ["08:00"]}
        added = await doctor.post(f"{base}/tasks", json=body)
        assert added.status_code == 201
        assert (await doctor.post(f"{base}/tasks", json={**body, "metric": "mood"})).status_code == 422
        task = made.ids["main", "taskA"]
        mark = {"due": "2026-01-01T00:05:00Z", "state": "done"}
        assert (await doctor.post(f"{base}/tasks/{task}/marks", json=mark)).json()["state"] == "done"
        assert (await doctor.post(f"{base}/tasks/none/marks", json=mark)).status_code == 404
        assert (await doctor.post(f"{base}/tasks/none/end")).status_code == 404
        made.clock.advance(1)
        sent = await doctor.post(f"{base}/messages", json={"text": "Hello"})
        assert (sent.status_code, sent.json()["from_care"]) == (201, True)
        assert (await doctor.post(f"{base}/messages/seen")).status_code == 204
        assert [m["text"] for m in (await doctor.get(f"{base}/messages")).json()["items"]][-1] == "Hello"
        assert [c["unseen"] for c in (await doctor.get("/api/v1/messages")).json()["items"]] == [1, 0]


# --- values ------------------------------------------------------------------------


def trend(values: dict[int, float]) -> Trend:
    points = [
        TrendPoint(time=T0 - days * DAY, low=v - 1, high=v + 1, mean=v, last=v, count=2)
        for days, v in values.items()
    ]
    return Trend(metric="nibp_systolic", unit="mm[Hg]", start=T0 - 14 * DAY, end=T0, step=HOUR, points=points)


@pytest.mark.parametrize(
    ("values", "change"),
    [({1: 130}, None), ({1: 130, 9: 134}, "same"), ({1: 130, 9: 120}, "higher"), ({1: 130, 9: 140}, "lower")],
)
def test_a_week_is_compared_with_the_one_before(values: dict[int, float], change: str | None):
    week = week_of(trend(values), Times("en", "UTC", T0))
    assert week is not None
    assert (week.change, week.mean, week.low, week.high, week.count) == (change, 130, 129, 131, 2)


def test_no_week_without_a_value_in_it():
    assert week_of(trend({9: 120}), Times("en", None, T0)) is None


def test_times_in_words():
    times = Times("en", "Asia/Shanghai", T0)
    assert [times.moment(T0 + n * DAY) for n in (-2, -1, 0, 1)] == [
        "Tuesday, 30 December 08:00",
        "yesterday 08:00",
        "today 08:00",
        "tomorrow 08:00",
    ]
    assert Times("zh_Hans", "Asia/Shanghai", T0).moment(T0 - 2 * DAY) == "12月30日 星期二 08:00"
    assert Times("en", None, T0).clock(T0) == "00:00 UTC"


async def test_values_in_words_and_the_sheet():
    async with world() as made, own(made) as client:
        device = made.ids["main", "deviceA"]
        start = T0 - HOUR
        made.backend.put_readings(
            "main", [reading(device, "nibp_systolic", 120 + n, start + n * HOUR // 4) for n in range(5)]
        )
        html = (await client.get("/me/values")).text
        assert "Between 120 and 124 mmHg, on average 122." in html
        assert '<svg class="spark"' in html
        sheet = (await client.get("/me/sheet")).text
        assert "Patient A" in sheet
        assert "<b>122</b>" in sheet
        assert "Plan: done" in sheet
        for page in (html, sheet):
            assert "style=" not in page


# --- a relative ---


async def test_a_relative_sees_what_they_were_let_and_no_form():
    async with world() as made:
        family = made.principal(Role.FAMILY)
        async with made.client(family, cookie=True) as client:
            for path in ("/me", "/me/plan", "/me/values", "/me/sheet"):
                html = (await client.get(path)).text
                assert "/me/feel" not in html
                assert 'action="/me' not in html
            for path in ("/me/messages", "/me/measure", "/me/feel"):
                assert (await client.get(path)).status_code in {403, 404}
            assert (await client.post(f"/me/plan/{made.ids['main', 'taskA']}")).status_code == 403
        made.backend.add_person("ann", "right horse battery", family)
        await made.backend.give_consent(made.principal(Role.PATIENT), family.user, sees=["plan"], until=None)
        async with made.client(family, cookie=True) as client:
            html = (await client.get("/me")).text
            assert "97" not in html
            assert "SpO2" not in html
            assert "Pill A" in html
            assert (await client.get("/me/values")).status_code == 404
            assert (await client.get("/me/sheet")).status_code == 404


# --- installed ------------------------------------------------------------------------


async def test_the_page_can_be_installed_and_says_so_without_a_connection():
    async with world() as made, made.client(**{"accept-language": "zh"}) as client:
        manifest = await client.get("/manifest.webmanifest")
        assert manifest.headers["content-type"] == "application/manifest+json"
        assert (manifest.json()["start_url"], manifest.json()["lang"]) == ("/me", "zh-Hans")
        icon = await client.get(manifest.json()["icons"][0]["src"])
        assert icon.status_code == 200
        offline = (await client.get("/offline")).text
        assert "现在无法连接" in offline
        assert "Patient" not in offline
    async with world() as made, own(made) as client:
        assert '<link rel="manifest" href="/manifest.webmanifest">' in (await client.get("/me")).text
