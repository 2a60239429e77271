"""The page of a patient: what is known now, since when, and how far it can be relied on."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from dataclasses import replace

import pytest

from dashboards.live.states import known_of
from dashboards.models import Value
from hearthward.core.model import Quality
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.measured import HOUR, MEMORY, measure
from tests.unit.dashboards.webworld import SECRET, T0, S, World, alarm, reading, seeded

NAMES = ("Oxygen saturation", "Pulse rate", "Temperature", "Perfusion index")


async def test_the_page_of_a_patient_has_everything_on_it(made: World):
    measure(made, [95, 96, 84, 97])
    measure(made, [70, 71], metric="pulse_rate")
    patient = made.ids["main", "patientA"]
    made.backend.put_alarm(
        "main", alarm(patient, "old", condition="inactive", ended=T0 + S, text={"en": "OLD"})
    )
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        address = f"/patients/{patient}"
        form = {"note": "probe <slipped>", "next": f"{address}#notes"}
        done = await client.post("/alarms/main-alm-A/note", data=form)
        assert (done.status_code, done.headers["location"]) == (303, f"{address}#notes")
        text = (await client.get(address)).text
        for part in (
            "Patient A",
            "A-01",
            "SpO2 84 &lt; 90",
            "/alarms/main-alm-A/why",
            f'hx-get="/patients/{patient}/trends/spo2?window=1h"',
            f'hx-get="/patients/{patient}/trends/pulse_rate?window=1h"',
            "probe &lt;slipped&gt;",
            "Patient A has COPD",
            "main-oxi-A",
            "OLD",
            f"/patients/{patient}/limits",
            f"/patients/{patient}/entry",
            "/handover",
            "readings.csv?from=",
            'action="/alarms/main-alm-A/accept"',
            'action="/alarms/main-alm-A/note"',
            f"{address}/plan",
            f"{address}/messages",
        ):
            assert part in text, part
        other = await client.get(f"/patients/{made.ids['other', 'patientA']}")
        assert (other.status_code, SECRET in other.text) == (404, False)


async def test_a_value_that_cannot_be_relied_on_is_struck_through_and_says_why(made: World):
    patient = made.ids["main", "patientA"]
    await seeded(made)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        fresh = (await client.get(f"/patients/{patient}")).text
        made.clock.advance(600)
        old = (await client.get(f"/patients/{patient}")).text
    assert "<s>97" not in fresh
    assert "NEWS2" in fresh
    assert "not known: respiration" in fresh
    assert "<s>97" in old
    assert "? stale" in old or "? device offline" in old


async def test_what_was_measured_nobody_knows_when_stands_beside_the_values_of_now(made: World):
    await seeded(made)
    now, patient = made.clock.now_ns(), made.ids["main", "patientA"]
    made.backend.put_readings(
        "main",
        [
            reading("main-oxi-A", "spo2", 97, now - S),
            reading("main-oxi-A", "spo2", 71, now, quality=MEMORY),
            reading("main-oxi-A", "body_weight", 82, now, quality=MEMORY | int(Quality.CLOCK_UNSET)),
            reading("main-oxi-A", "body_temperature", 33.5, now - S, quality=MEMORY),
            reading("main-oxi-A", "blood_glucose", 41, now, quality=int(Quality.INVALID)),
            reading("main-oxi-A", "body_temperature", 36.6, now),
        ],
    )
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        pages = [
            (await client.get(path)).text for path in (f"/patients/{patient}", f"/ward/patient/{patient}")
        ]
        asked = {"patient": patient, "metric": "body_weight"}
        *_, weight = (await client.get("/api/v1/readings", params=asked)).json()["items"]
    for text in pages:
        newest, beside = text.split("No values of now, and no alarms. Look at them:")
        assert "97" in newest
        listed = beside.split("</ul>")[0]
        assert "Oxygen saturation 71" in listed
        assert "Weight 82" in listed
        assert listed.count("from the device's memory, time unknown") == 2
        assert listed.count("not valid, says the device") == 1
        assert "Temperature" not in listed, "a newer one is known"
        assert "body_temperature" not in listed
    assert weight["quality"] == ["clock_unset", "from_store", "time_unknown"]


async def test_what_is_known_against_a_value_is_said_wherever_it_is_shown(made: World):
    hub, scope, now = await seeded(made), Scope.system("main"), made.clock.now_ns()
    patient, ward = made.ids["main", "patientA"], made.ids["main", "wardA"]
    off, demo = int(Quality.SENSOR_OFF | Quality.POOR_SIGNAL), int(Quality.DEMO)
    made.backend.put_readings(
        "main",
        [
            reading("main-oxi-A", "spo2", 97, now, quality=off),
            reading("main-oxi-A", "pulse_rate", 70, now, quality=demo),
            reading("main-oxi-A", "body_temperature", 36.6, now - HOUR // 2),
            reading("main-oxi-A", "perfusion_index", 3, now),
        ],
    )
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        pages = [
            (await client.get(path)).text
            for path in (f"/patients/{patient}", f"/ward/patient/{patient}", f"/handover?ward={ward}")
        ]
        sheet = (await client.get(f"/api/v1/handover?ward={ward}")).json()
    for text in pages:
        parts = {name: re.split("</div>|</tr>|</li>", text.split(name)[1])[0] for name in NAMES}
        assert "? sensor off" in parts["Oxygen saturation"], text
        assert "demo data" in parts["Pulse rate"]
        assert "? stale" in parts["Temperature"], "also what is on no tile"
        assert "?" not in parts["Perfusion index"]
    values = {v["metric"]: (v["state"], v["quality"]) for v in sheet["patients"][0]["values"]}
    assert values["spo2"] == ("sensor_off", ["sensor_off", "poor_signal"])
    assert values["pulse_rate"] == ("live", ["demo"])
    assert values["body_temperature"] == ("stale", [])
    await made.backend.end(scope, "association", made.ids["main", "associationA"])
    async with asyncio.timeout(10):
        while hub.states(scope, patient, await made.backend.newest(scope, patient))["spo2"] != "none":  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the hub has no event for it
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        assert "? no device" in (await client.get(f"/patients/{patient}")).text
    made.app.state.hub._trouble = "source"
    assert hub.states(scope, patient, await made.backend.newest(scope, patient)) == {}, (
        "not known is not live"
    )


async def test_how_far_a_time_may_be_off_stands_beside_it_where_it_is_no_trifle(made: World):
    now, patient = made.clock.now_ns(), made.ids["main", "patientA"]
    kept = reading("main-oxi-A", "body_temperature", 36.6, now - S)
    rows = [
        replace(kept, device_time=now - HOUR, error=90 * S),
        replace(kept, metric="pulse_rate", value=70, error=S // 2),
        replace(kept, metric="perfusion_index", value=3, error=None),
        replace(kept, metric="clock_skew", value=3600, quality=int(Quality.CLOCK_WRONG)),
    ]
    made.backend.put_readings("main", rows)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        for path in (f"/patients/{patient}", f"/ward/patient/{patient}"):
            text = (await client.get(path)).text
            assert text.count("±") == 1, path
            assert "± 2 min" in text
            assert "Clock ahead by" not in text, "an alarm says it; it is nothing of the patient's"
        table = (await client.get(f"/api/v1/patients/{patient}/readings.csv")).text
        found = (await client.get(f"/api/v1/readings?patient={patient}&metric=body_temperature")).json()
    errors = {
        r["metric"]: r["time_error_s"] for r in csv.DictReader(io.StringIO(table.removeprefix("\ufeff")))
    }
    assert errors == {
        "spo2": "",
        "body_temperature": "90.0",
        "pulse_rate": "0.5",
        "perfusion_index": "",
        "clock_skew": "",
    }
    assert found["items"][0]["time_error_s"] == 90


async def test_no_alarm_is_said_only_while_something_is_measured(made: World):
    hub = await seeded(made)
    patient, scope = made.ids["main", "patientA"], Scope.system("main")
    old = await made.backend.alarm(scope, "main-alm-A")
    assert old is not None
    made.backend.put_alarm("main", old.model_copy(update={"condition": "inactive", "ended": T0}))
    measure(made, [97, 97])
    measure(made, [70, 70], metric="pulse_rate")
    paths = f"/patients/{patient}", f"/ward/patient/{patient}"
    async with asyncio.timeout(10):
        while hub.known(scope, patient, await made.backend.newest(scope, patient)) != "all":  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the hub has no event for it
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        for path in paths:
            assert "No alarm of this patient is active." in (await client.get(path)).text
        made.clock.advance(3)
        measure(made, [97])
        made.backend.put_readings(
            "main", [reading("main-oxi-A", "pulse_rate", 70, made.clock.now_ns(), quality=int(Quality.DEMO))]
        )
        for path in paths:
            text = (await client.get(path)).text
            assert "No alarm of this patient is active." not in text, "demo values are not watched"
            assert "No alarm is known; not all is measured and watched now." in text
        made.clock.advance(3 * 3600)
        for path in paths:
            text = (await client.get(path)).text
            assert "No alarm of this patient is active." not in text
            assert "No alarm is known; nothing is measured now." in text


@pytest.mark.parametrize(
    ("shown", "states", "quality", "known"),
    [
        ([["97", "live", 1, 1, []]], {"spo2": "live"}, (), "all"),
        ([["97", "live", 1, 1, []], ["", "none", 0, 0, []]], {"spo2": "live"}, (), "all"),
        ([["97", "live", 1, 1, []], ["", "never", 0, 1, []]], {"spo2": "live"}, (), "part"),
        ([["97", "live", 1, 1, ["demo"]]], {"spo2": "live"}, ("demo",), "part"),
        ([], {"spo2": "live"}, ("test",), "part"),
        ([], {"spo2": "ageing"}, (), "part"),
        ([["97", "stale", 1, 1, []]], {"spo2": "stale"}, (), "nothing"),
        ([["", "none", 0, 0, []]], {"spo2": "none"}, (), "nothing"),
        ([], {}, (), "nothing"),
    ],
)
def test_how_much_is_known_is_what_is_live_and_watched_of_what_is_worn(
    shown: list[list[object]], states: dict[str, str], quality: tuple[str, ...], known: str
):
    newest = Value(device="main-oxi-A", metric="spo2", value=97, time=T0, received=T0, quality=list(quality))
    assert known_of(shown, [newest], states) == known


def test_a_battery_that_is_told_once_an_hour_takes_nothing_from_what_is_known():
    oxygen, battery = (
        Value(device="main-oxi-A", metric=metric, value=97, time=T0, received=T0)
        for metric in ("spo2", "battery_level")
    )
    states = {"spo2": "live", "battery_level": "stale"}
    assert known_of([["97", "live", 1, 1, []]], [oxygen, battery], states) == "all"


async def test_what_is_known_now_fetches_itself_and_says_how_old_it_is(made: World):
    await seeded(made)
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        whole = (await client.get(f"/patients/{patient}")).text
        part = (await client.get(f"/patients/{patient}", headers={"HX-Request": "true"})).text
        made.clock.advance(10)
        old = await made.backend.alarm(Scope.system("main"), "main-alm-A")
        assert old is not None
        made.backend.put_alarm("main", old.model_copy(update={"text": {"en": "SpO2 79 < 85"}}))
        later = (await client.get(f"/patients/{patient}", headers={"HX-Request": "true"})).text
    polled = f'<div id="now" hx-get="/patients/{patient}" hx-trigger="every 10s" hx-swap="outerMorph">'
    assert polled in whole
    assert part.strip().startswith(polled)
    assert "<html" not in part
    assert "Alarms now" in part
    assert "Newest values" in part
    assert "SpO2 79" in later
    for text, at in ((part, T0 + 60 * S), (later, T0 + 70 * S)):
        assert f'id="late-{at}"' in text, "another one each time: it appears when no other comes"
    assert "As of <time" in part
    assert 'id="note-main-alm-A"' in part, "what is typed stays with its alarm, whatever comes above it"


async def test_a_patient_is_shown_their_own_page_instead(made: World):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.PATIENT), cookie=True) as client:
        for path in (f"/patients/{patient}", f"/patients/{patient}/trends/spo2"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/me")


async def test_a_wall_shows_the_page_without_what_takes_a_person(made: World):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(Role.DISPLAY), cookie=True) as client:
        text = (await client.get(f"/patients/{patient}")).text
    assert "/trends/spo2" in text
    assert f"/patients/{patient}/entry" not in text
    assert f"/patients/{patient}/limits" not in text
    assert "/assign" not in text
    assert "/note" not in text
    assert "readings.csv" not in text
    async with made.client(made.principal(Role.DISPLAY)) as client:
        refused = await client.get(f"/api/v1/patients/{patient}/readings.csv")
        looked = await client.get(f"/api/v1/patients/{patient}/trend?metric=spo2")
    assert (refused.status_code, looked.status_code) == (403, 200)
    entry = made.backend._of("main").audit[-2]
    assert (entry.action, entry.outcome, entry.target) == ("export_readings", "refused", patient)


@pytest.mark.parametrize("role", [Role.NURSE, Role.PATIENT])
async def test_who_takes_values_away_is_written_down(made: World, role: Role):
    patient = made.ids["main", "patientA"]
    async with made.client(made.principal(role)) as client:
        answer = await client.get(f"/api/v1/patients/{patient}/readings.csv?metric=spo2")
    assert answer.status_code == 200
    entry = made.backend._of("main").audit[-1]
    assert (entry.action, entry.outcome, entry.target) == ("export_readings", "done", patient)
    assert entry.detail["metric"] == "spo2"


async def test_what_came_too_late_is_an_entry_of_its_moment_and_not_still_present(made: World):
    patient, now = made.ids["main", "patientA"], made.clock.now_ns()
    measure(made, [95, 96])
    for key, onset in (("alm_old", now - 20 * 24 * HOUR), ("alm_late", now - HOUR // 2)):
        late = alarm(patient, key, condition="inactive", worklist=True, onset=onset, started=now)
        made.backend.put_alarm("main", late)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        part = (await client.get(f"/patients/{patient}/trends/spo2?window=1h")).text
        assert "/alarms/alm_old/why" not in part, "it was weeks before"
        line = part.split("/alarms/alm_late/why")[1].split("</li>")[0]
        assert "came too late" in line
        assert "still present" not in line
        drawn = (await client.get(f"/alarms?show=worklist&patient={patient}")).text
        widths = [
            float(w) for w in re.findall(r'<rect class="h" x="[\d.]+" y="[\d.]+" width="([\d.]+)"', drawn)
        ]
        assert len(widths) == 2
        assert max(widths) < 10, "moments, no bars up to now"


async def test_the_newest_value_says_when_it_was_measured(made: World):
    patient, at = made.ids["main", "patientA"], made.clock.now_ns() - HOUR // 2
    rows = [reading("main-oxi-A", "pulse_rate", 80, at), reading("main-oxi-A", "pulse_rate", 70, at - 60 * S)]
    made.backend.put_readings("main", rows)
    scope = Scope.system("main")
    trend = await made.backend.trend(scope, patient, "pulse_rate", at - 24 * HOUR, made.clock.now_ns())
    assert (trend.points[-1].last, trend.newest) == (80, at)
    async with made.client(made.principal(Role.NURSE), cookie=True) as client:
        part = (await client.get(f"/patients/{patient}/trends/pulse_rate?window=24h")).text
        said = re.search(r"newest <b>80</b> \(<time[^>]*>", part)
        assert said is not None, part
