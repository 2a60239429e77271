"""Why an alarm fired and why a rule did not, over API and pages: who may ask, what is audited and shown."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.models import AlarmInput, AlarmTransition, Delivery
from dashboards.subjects import name_of
from hearthward.core.clock import iso
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import RULES, T0, S, World, alarm, reading, seeded, world

RULE = RULES.by_id["spo2-low"]
NOW = T0 + 60 * S


def put(made: World, **more: Any) -> str:
    """An alarm of patient A as the real product tells it."""
    key = more.pop("key", "alm_why")
    seen = AlarmInput(metric="spo2", value=84, device="main-oxi-A", time=T0 + 20 * S, received=T0 + 21 * S)
    start = AlarmTransition(kind="start", condition="active", at=T0 + 30 * S, limit="< 90", inputs=[seen])
    made.backend.put_alarm(
        "main",
        alarm(
            made.ids["main", "patientA"],
            key,
            **{
                "rule_hash": RULE.hash,
                "onset": T0 + 20 * S,
                "started": T0 + 30 * S,
                "transitions": [start],
                "deliveries": [
                    Delivery(channel="in_app", recipient="wall", state="handed_over", at=T0 + 30 * S)
                ],
                **more,
            },
        ),
    )
    return key


async def entries(made: World) -> list[Any]:
    return list(await made.backend.audit_entries(Scope.system("main")))


async def test_the_api_tells_rule_values_limits_and_hops():
    async with world() as made:
        key = put(made)
        async with made.client(made.principal(Role.NURSE)) as client:
            answer = await client.get(f"/api/v1/alarms/{key}/why")
        found = answer.json()
        assert answer.status_code == 200
        assert (found["kind"], found["rule"]["hash"], found["rule"]["version"]) == ("alarm", RULE.hash, 1)
        assert found["predicates"]["found"]["en"].startswith("SpO2 84 % is below 90")
        assert [(h["name"], h["delay_ms"]) for h in found["hops"]] == [
            ("measured", None),
            ("received", 1000),
            ("lasted", 9000),
            ("decided", 0),
            ("notified", 0),
        ]
        assert found["onset"] == iso(T0 + 20 * S)
        (line, *_) = await entries(made)
        assert (line.action, line.kind, line.target) == ("view_alarms", "alarm", key)


async def test_the_api_names_the_predicate_in_the_way():
    async with world() as made:
        patient = made.ids["main", "patientA"]
        async with made.client(made.principal(Role.NURSE)) as client:
            answer = await client.get(
                f"/api/v1/patients/{patient}/why-not/spo2-low", params={"at": iso(T0 + 59 * S)}
            )
        found = answer.json()
        assert answer.status_code == 200, answer.text
        assert found["outcome"] == "fired", "the world's own alarm of that patient"
        async with made.client(made.principal(Role.NURSE)) as client:
            for old in list(made.backend._of("main").alarms.values()):
                made.backend.put_alarm(
                    "main", old.model_copy(update={"condition": "inactive", "ended": T0 + 40 * S})
                )
            answer = await client.get(f"/api/v1/patients/{patient}/why-not/spo2-low")
        found = answer.json()
        assert found["outcome"] == "blocked"
        assert found["reasons"][0]["code"] == "not_met"
        assert "SpO2 97 % is not below 88 " in found["text"]["en"]
        assert "limit set by Doctor" in found["text"]["en"]
        assert found["predicates"]["blocks"] is True
        assert found["at"] == iso(NOW)
        (line, *_) = await entries(made)
        assert (line.action, line.kind, line.target) == ("view_readings", "patient", patient)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("spo2-low?at=tomorrow", 422, "at"),
        (f"spo2-low?at={iso(T0 + 600 * S)}", 422, "still to come"),
        ("nope", 422, "nope"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_the_field(query: str, status: int, words: str):
    async with world() as made:
        patient = made.ids["main", "patientA"]
        async with made.client(made.principal(Role.NURSE)) as client:
            answer = await client.get(f"/api/v1/patients/{patient}/why-not/{query}")
        assert answer.status_code == status
        assert words in answer.text


async def test_another_ward_s_patients_are_not_there():
    async with world() as made:
        key = put(made)
        async with made.client(made.principal(Role.NURSE, wards="B")) as client:
            for path in (
                f"/api/v1/alarms/{key}/why",
                f"/alarms/{key}/why",
                f"/api/v1/patients/{made.ids['main', 'patientA']}/why-not/spo2-low",
                f"/patients/{made.ids['main', 'patientA']}/why-not",
            ):
                answer = await client.get(path)
                assert answer.status_code == 404, path
                assert "84" not in answer.text


async def test_patients_see_their_own_and_engineers_nothing():
    async with world() as made:
        key = put(made)
        path = f"/api/v1/alarms/{key}/why"
        async with made.client(made.principal(Role.PATIENT)) as client:
            assert (await client.get(path)).status_code == 200
        async with made.client(made.principal(Role.ENGINEER)) as client:
            assert (await client.get(path)).status_code == 403


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Condition, with values and limits", "SpO2 84 % is below 90", "holds", "1 s", "handed over"]),
        ("zh", ["条件、数值与限值", "血氧 84 % 满足 &lt; 90", "成立", "1 秒", "已移交", "从测量到人员"]),
    ],
)
async def test_the_page_of_an_alarm_in_both_languages(language: str, words: list[str]):
    async with world() as made:
        key = put(made)
        async with made.client(
            made.principal(Role.NURSE), cookie=True, **{"accept-language": language}
        ) as client:
            answer = await client.get(f"/alarms/{key}/why")
        assert answer.status_code == 200
        for word in words:
            assert word in answer.text, word


@pytest.mark.parametrize(("language", "words"), [("en", "in the way"), ("zh", "阻碍因素")])
async def test_the_page_of_why_not_asks_and_answers(language: str, words: str):
    async with world() as made:
        patient = made.ids["main", "patientB"]
        made.backend._of("main").alarms.clear()
        made.backend.put_readings("main", [reading("main-oxi-B", "spo2", 93, T0 + 30 * S)])
        async with made.client(
            made.principal(Role.NURSE), cookie=True, **{"accept-language": language}
        ) as client:
            form = await client.get(f"/patients/{patient}/why-not")
            assert form.status_code == 200
            assert 'name="rule"' in form.text
            assert words not in form.text
            answer = await client.get(
                f"/patients/{patient}/why-not", params={"rule": "spo2-low", "at": iso(T0 + 31 * S)}
            )
            assert answer.status_code == 200
            assert words in answer.text
            assert "93 %" in answer.text
            wrong = await client.get(f"/patients/{patient}/why-not", params={"rule": "spo2-low", "at": "x"})
            assert wrong.status_code == 422
            assert 'role="alert"' in wrong.text


async def test_the_wall_s_details_lead_there():
    async with world() as made:
        key = put(made)
        patient = made.ids["main", "patientA"]
        await seeded(made)
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            page = (await client.get(f"/ward/patient/{patient}")).text
        assert f'href="/alarms/{key}/why"' in page
        assert f'href="/patients/{patient}/why-not"' in page


async def test_a_worklist_entry_and_an_unknown_rule_are_marked():
    async with world() as made:
        late = put(made, key="late_1", worklist=True, condition="inactive")
        old = put(made, key="alm_old", rule_hash="0123456789abcdef")
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            assert "Worklist: no alarm" in (await client.get(f"/alarms/{late}/why")).text
            assert "content was not kept" in (await client.get(f"/alarms/{old}/why")).text


@pytest.mark.parametrize(("language", "again"), [("en", "then measure again."), ("zh", "然后再量一次。")])
async def test_a_second_measurement_is_asked_of_the_patient_and_seen_by_the_nurse(language: str, again: str):
    async with world() as made:
        made.backend._of("main").alarms.clear()
        put(made, condition="asked", values={"nibp_systolic": 186, "nibp_diastolic": 112})
        lang = {"accept-language": language}
        async with made.client(made.principal(Role.PATIENT), cookie=True, **lang) as client:
            page = (await client.get("/me")).text
            assert again in page
            assert "186/112" in page
        async with made.client(made.principal(Role.NURSE)) as client:
            assert (await client.get("/api/v1/alarms")).json()["items"] == []
            (asked,) = (await client.get("/api/v1/alarms", params={"asked": True})).json()["items"]
            assert asked["condition"] == "asked"


async def test_a_gateways_alarm_names_the_gateway():
    async with world() as made:
        gateway = await name_of(made.backend, Scope.system("main"), "gateway:gw-1")
        assert gateway.startswith("gw-1")
        assert await name_of(made.backend, Scope.system("main"), "component:broker") == "broker"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Risk of deterioration 34 % computed by the risk model", "<td>the risk model</td>", "34 %"]),
        ("zh", ["风险模型算出病情恶化风险 34 %", "<td>风险模型</td>"]),
    ],
)
async def test_a_computed_risk_is_called_by_its_name(language: str, words: list[str]):
    """Not by that of the reading it is to the rules."""
    async with world() as made:
        risk = AlarmInput(
            metric="detector:deterioration",
            value=0.34,
            device="model:deterioration",
            time=T0 + 20 * S,
            received=T0 + 21 * S,
        )
        start = AlarmTransition(kind="start", condition="active", at=T0 + 30 * S, inputs=[risk])
        key = put(made, rule="deterioration", rule_hash="", limit="≥ 30 %", transitions=[start])
        async with made.client(
            made.principal(Role.NURSE), cookie=True, **{"accept-language": language}
        ) as client:
            answer = await client.get(f"/alarms/{key}/why")
        assert answer.status_code == 200
        for expected in words:
            assert expected.casefold() in answer.text.casefold()
        seen = answer.text.partition('class="source"')[0]  # what follows is the rule's own file
        assert "detector:deterioration" not in seen
        assert "model:deterioration" not in seen
