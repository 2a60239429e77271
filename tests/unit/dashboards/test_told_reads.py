"""What the audit says of reads: how they ended; nothing is shown that could not be written; no secrets."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dashboards.reads import outcome_of
from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Principal, Role, scope_of
from tests.unit.dashboards.test_consent import browser, family
from tests.unit.dashboards.webworld import World, world


def told(made: World, who: Principal) -> list[tuple[str, str, str]]:
    """(action, target, outcome) of what the audit has of somebody."""
    return [(e.action, e.target, e.outcome) for e in made.backend._lines("main") if e.actor == who.user]


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "done"), (304, "done"), (403, "refused"), (404, "refused"), (422, "failed")]
)
def test_a_read_ends_as_its_answer_does(status: int, outcome: str):
    assert outcome_of(status) == outcome


async def test_what_was_refused_is_not_done_and_the_patient_is_not_told_that_it_was_seen():
    async with family() as f:
        async with browser(f.made, f.ann) as hers:
            for path in ("/me", "/me/values"):
                assert (await hers.get(path)).status_code == 404
        nurse = f.made.principal(Role.NURSE, wards="B")
        patient = f.patient.patient
        async with browser(f.made, nurse) as other:
            for path in (f"/patients/{patient}", f"/messages/{patient}", f"/patients/{patient}/people"):
                assert (await other.get(path)).status_code == 404, path
        for who in (f.ann, nurse):
            lines = told(f.made, who)
            assert lines, "an attempt is written down"
            assert {outcome for _, _, outcome in lines} == {"refused"}
        looks = await f.backend.looks(scope_of(f.patient), patient or "", 0)
        assert [x for x in looks if x.who != "self"] == []
        await f.backend.give_consent(f.patient, f.ann.user, sees=["values"], until=None)
        async with browser(f.made, f.ann) as hers:
            assert (await hers.get("/me/values")).status_code == 200
        assert told(f.made, f.ann)[-1] == ("view_own_page", patient, "done")


async def test_what_cannot_be_written_down_is_not_shown(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        key = made.ids["main", "patientA"]
        async with browser(made, made.principal(Role.NURSE)) as nurse:
            assert "Patient A" in (await nurse.get(f"/patients/{key}")).text

            async def full(*_: Any, **__: Any) -> None:
                msg = "the records cannot be written"
                raise StoreUnavailable(msg)

            monkeypatch.setattr(made.backend, "audit", full)
            for path in (f"/patients/{key}", f"/api/v1/patients/{key}/readings.csv"):
                answer = await nurse.get(path)
                assert answer.status_code == 503, path
                assert "Patient A" not in answer.text
                assert "spo2" not in answer.text
                assert answer.headers["x-frame-options"] == "DENY"


async def test_a_read_that_broke_is_written_as_failed(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        who = made.principal(Role.NURSE)

        async def broken(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(made.backend, "readings", broken)
        async with browser(made, who) as nurse:
            with pytest.raises(ZeroDivisionError):
                await nurse.get(f"/api/v1/readings?patient={made.ids['main', 'patientA']}")
        assert told(made, who) == [("view_readings", made.ids["main", "patientA"], "failed")]


@pytest.mark.parametrize(
    ("path", "action", "said"),
    [
        ("/api/v1/patients/{patient}/readings.csv", "export_readings", "as a table to take away"),
        ("/patients/{patient}/entry?do=hide&read=no", "enter_reading", "your newest values"),
        ("/patients/{patient}/people", "invite_person", "your logins and relatives"),
        ("/admin/encounter/{stay}", "view_directory", "your record"),
        ("/admin/association/{worn}", "view_directory", "your record"),
    ],
)
async def test_whatever_shows_something_of_a_patient_stands_in_who_looked(path: str, action: str, said: str):
    async with family() as f:
        patient = f.patient.patient or ""
        items = f.backend._of("main").items
        own = {
            name: next(e.id for e in items[kind].values() if e.patient == patient)
            for name, kind in (("stay", "encounter"), ("worn", "association"))
        }
        nurse = f.made.principal(Role.NURSE)
        async with browser(f.made, nurse) as client:
            answer = await client.get(path.format(patient=patient, **own))
            assert answer.status_code == 200, answer.text
        looks = await f.backend.looks(scope_of(f.patient), patient, 0)
        assert [x.what for x in looks if x.who == "nurse"] == [[action]]
        async with browser(f.made, f.patient) as mine:
            assert said in (await mine.get("/me/consent")).text


async def test_the_secret_of_a_link_is_neither_logged_nor_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async with world() as made, made.client(accept="application/json") as client:

        async def busy(*_: Any, **__: Any) -> None:
            msg = "the records are busy"
            raise StoreUnavailable(msg)

        monkeypatch.setattr(made.backend, "link_login", busy)
        caplog.set_level(logging.DEBUG, "dashboards")
        answer = await client.post("/link/lnk_verysecret", data={"password": "x", "again": "x"})
        assert answer.status_code == 503
        said = [r.getMessage() for r in caplog.records if r.name.startswith("dashboards")]
        assert said == ["POST /link/... failed: the records are busy"]
        assert "verysecret" not in answer.text
