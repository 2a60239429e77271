"""The burden of alarms over the API, as a table, and as a page; who may see whom in it."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from dashboards.models import AlarmTransition
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import T0, S, World, alarm, world

DAY = 86_400 * S
HERE = "from=2025-12-31T00:00:00Z&to=2026-01-01T00:00:59Z"


def more(made: World) -> None:
    """Besides the two alarms of the wards: an answered one, and one of a device."""
    patient = made.ids["main", "patientA"]
    lines = [
        AlarmTransition(kind="start", at=T0 + 20 * S, priority="medium"),
        AlarmTransition(kind="tell", at=T0 + 25 * S, detail={"step": 1, "told": [["sms", "usr_doctor"]]}),
        AlarmTransition(kind="undelivered", at=T0 + 26 * S, actor="@notifier"),
        AlarmTransition(
            kind="signal", at=T0 + 27 * S, actor="usr_nurse", detail={"axes": {"signal": "audio_paused"}}
        ),
        AlarmTransition(kind="accept", at=T0 + 30 * S, actor="usr_nurse"),
        AlarmTransition(kind="end", at=T0 + 40 * S),
    ]
    made.backend.put_alarm(
        "main",
        alarm(
            patient,
            "alm_x",
            priority="medium",
            started=T0 + 20 * S,
            condition="inactive",
            transitions=lines,
            rule="=cmd",
        ),
    )
    made.backend.put_alarm(
        "main", alarm("device:main-oxi-A", "alm_y", kind="technical", rule="sensor-off", started=T0 + 21 * S)
    )


async def asked(made: World, role: Role = Role.NURSE, query: str = HERE, **who: Any) -> Any:
    async with made.client(made.principal(role, **who)) as client:
        answer = await client.get(f"/api/v1/burden?{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(found: Any) -> dict[str, Any]:
    return {row["key"]: row["figures"] for row in found["rows"]}


async def test_figures_of_every_ward():
    async with world() as made:
        more(made)
        found = await asked(made)
        total = found["total"]
        assert (total["alarms"], total["high"], total["medium"], total["technical"]) == (4, 3, 1, 1)
        assert (total["acted"], total["acted_share"], total["response_median_s"]) == (1, 0.25, 10.0)
        assert (total["duration_median_s"], total["escalated"], total["undelivered"]) == (20.0, 1, 1)
        assert (total["audio_pauses"], total["escalated_share"]) == (1, 0.25)
        wards = rows(found)
        assert {k: f["alarms"] for k, f in wards.items()} == {
            made.ids["main", "wardA"]: 3,
            made.ids["main", "wardB"]: 1,
        }
        assert wards[made.ids["main", "wardA"]]["bed_days"] == pytest.approx(3659 / 86_400, abs=1e-4)
        assert [row["name"]["en"] for row in found["rows"]] == ["Ward A", "Ward B"]
        read = made.backend._of("main").audit[-1]
        assert (read.action, read.kind) == ("view_burden", "burden")


async def test_filters_and_rows():
    async with world() as made:
        more(made)
        ward = made.ids["main", "wardA"]
        assert (await asked(made, query=f"{HERE}&ward={ward}"))["total"]["alarms"] == 3
        by_rule = await asked(made, query=f"{HERE}&by=rule&rule=spo2-low")
        assert {k: f["alarms"] for k, f in rows(by_rule).items()} == {"spo2-low": 2}
        assert by_rule["rows"][0]["name"]["zh"]
        by_day = await asked(made, query=f"{HERE}&by=day&zone=Asia/Shanghai")
        assert {k: f["alarms"] for k, f in rows(by_day).items()} == {"2026-01-01": 4}
        assert (await asked(made, query="from=2025-12-20&to=2025-12-31"))["total"]["alarms"] == 0
        whole_day = await asked(made, query="from=2026-01-01&to=2026-01-01")
        assert whole_day["total"]["alarms"] == 4, "a date is meant to its end, and never beyond now"
        assert whole_day["end"] == "2026-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=2026-01-01&to=2025-01-01", "to"),
        ("from=2020-01-01&to=2026-01-01", "from"),
        ("ward=none", "ward"),
        ("zone=Mars/Olympus", "zone"),
    ],
)
async def test_what_cannot_be_answered_names_its_field(query: str, field: str):
    async with world() as made:
        async with made.client(made.principal(Role.ADMIN)) as client:
            answer = await client.get(f"/api/v1/burden?{query}")
            page = await client.get(f"/burden?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field
        assert page.status_code == 422
        assert 'role="alert"' in page.text


async def test_engineers_see_devices_and_no_patient():
    async with world() as made:
        more(made)
        patient = made.ids["main", "patientA"]
        for url in (f"/api/v1/burden?{HERE}&by=patient", f"/api/v1/burden.csv?{HERE}&by=patient"):
            async with made.client(made.principal(Role.ENGINEER)) as client:
                answer = await client.get(url)
            assert patient not in answer.text
            assert "Patient A" not in answer.text
        found = await asked(made, Role.ENGINEER, f"{HERE}&by=patient")
        assert {k: f["alarms"] for k, f in rows(found).items()} == {"": 3, "device:main-oxi-A": 1}
        assert {s["subject"] for s in found["sources"]} == {"", "device:main-oxi-A"}
        async with made.client(made.principal(Role.ENGINEER), cookie=True) as client:
            page = await client.get(f"/burden?{HERE}&by=patient")
        assert patient not in page.text
        assert "patients not shown here" in page.text
        seen = await asked(made, Role.NURSE, f"{HERE}&by=patient")
        assert {r["name"].get("en") for r in seen["rows"]} == {"Patient A", "Patient B", "main-oxi-A"}


async def test_a_nurse_of_one_ward_sees_that_ward():
    async with world() as made:
        more(made)
        found = await asked(made, Role.NURSE, f"{HERE}&by=patient", wards="B")
        assert [row["name"]["en"] for row in found["rows"]] == ["Patient B"]
        async with made.client(made.principal(Role.NURSE, wards="B")) as client:
            other = await client.get(f"/api/v1/burden?ward={made.ids['main', 'wardA']}")
        assert other.status_code == 422


async def test_the_table_holds_the_same_and_no_formula():
    async with world() as made:
        more(made)
        async with made.client(made.principal(Role.DOCTOR)) as client:
            answer = await client.get(f"/api/v1/burden.csv?{HERE}&by=rule")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "burden-2025-12-31-2026-01-01-rule.csv" in answer.headers["content-disposition"]
        table = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert {r["key"]: r["alarms"] for r in table} == {
            "spo2-low": "2",
            "'=cmd": "1",
            "sensor-off": "1",
            "total": "4",
        }
        assert table[-1]["acted_share"] == "0.25"


async def test_the_page_leads_to_the_alarms_behind_a_figure():
    async with world() as made:
        more(made)
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            page = await client.get(f"/burden?{HERE}")
            days = await client.get(f"/burden?{HERE}&by=day")
        ward = made.ids["main", "wardA"]
        start = "from=2025-12-31T00%3A00%3A00Z&amp;to=2026-01-01T00%3A00%3A59Z"
        assert f'href="/alarms?show=all&amp;{start}&amp;ward={ward}"' in page.text
        assert f"ward={ward}&amp;priority=medium" in page.text
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            listed = await client.get(f"/alarms?show=all&{HERE}&ward={ward}&priority=medium")
        assert "alm_x" in listed.text
        assert "main-alm-A" not in listed.text
        assert f"patient={made.ids['main', 'patientA']}" in page.text
        assert "<svg" in page.text
        assert "burden.csv?from=2025-12-31T00%3A00%3A00Z" in page.text
        assert (
            "/alarms?show=all&amp;from=2026-01-01T00%3A00%3A00Z&amp;to=2026-01-01T00%3A00%3A59Z" in days.text
        )


async def test_an_empty_period_is_said_in_words_in_both_languages():
    async with world() as made:
        for language, words in (("en", "No alarm"), ("zh-CN", "没有报警")):
            async with made.client(
                made.principal(Role.DOCTOR), cookie=True, **{"accept-language": language}
            ) as client:
                page = await client.get("/burden?from=2025-12-20&to=2025-12-21")
            assert page.status_code == 200
            assert words in page.text
