"""The site's calibration of the learned risk: learned when asked for, kept as a draft, shown in force."""

from __future__ import annotations

import asyncio
import re

import pytest

from cloud_ingest.calibrating import Calibrated, Learned, Score
from dashboards.calibrations import Calibrations
from hearthward.app.recalibrate import rule_text
from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Role
from rules import load_rules
from rules.conditions import Calibration
from tests.unit.dashboards.webworld import World, world

PATH = "/api/v1/rules/deterioration/calibration"
LEARNED = Learned(
    412, 31, Score(0.0912, 0.3141, 0.213), Score(0.0527, 0.2104, 0.076), Calibration(1, 0.9, -1.1), None
)
REFUSED = Learned(
    40, 3, LEARNED.before, LEARNED.after, LEARNED.calibration, "40 stays are too few: 100 are needed", "few"
)


class Fixed:
    """Learns what it was told to, when it is let."""

    def __init__(self, found: Calibrated | Exception, *, held: bool = False) -> None:
        self.found, self.calls, self.go = found, 0, asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self) -> Calibrated:
        self.calls += 1
        await self.go.wait()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def learns(made: World, found: Calibrated | Exception, *, held: bool = False) -> Fixed:
    fixed = Fixed(found, held=held)
    made.backend.shipped = load_rules()
    made.app.state.calibrations = Calibrations(made.backend.clock, fixed)
    return fixed


async def settled(made: World) -> None:
    task = made.app.state.calibrations._task
    await asyncio.gather(task, return_exceptions=True)


def said(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_it_is_learned_once_at_a_time_and_changes_nothing():
    async with world() as made, made.client(made.principal(Role.DOCTOR)) as client:
        fixed = learns(
            made, Calibrated(LEARNED, {"too little was measured": 7}, rule_text(LEARNED)), held=True
        )
        assert (await client.get(PATH)).json() == {"offered": True, "now": None, "run": None}
        first = await client.post(PATH)
        assert (first.status_code, first.json()["run"]["state"]) == (202, "running")
        await asyncio.sleep(0)
        assert (await client.post(PATH)).json()["run"]["began"] == first.json()["run"]["began"]
        assert fixed.calls == 1
        fixed.go.set()
        await settled(made)
        told = (await client.get(PATH)).json()
        assert told["now"] is None, "nothing has changed"
        run = told["run"]
        assert (run["state"], run["slope"], run["intercept"], run["unmeasured"]) == ("done", 0.9, -1.1, 7)
        assert (run["evidence"]["cases"], run["evidence"]["bad"]) == (412, 31)
        assert run["evidence"]["after"] == {"mean": 0.076, "brier": 0.0527, "loss": 0.2104}
        assert "\nversion: 2\n" in run["text"]
        line = made.backend._of("main").audit[-1]
        assert (line.action, line.target, line.detail) == (
            "draft_rule",
            "deterioration",
            {"do": "recalibrate"},
        )


async def test_what_was_learned_is_a_draft_then_tried_approved_and_shown_with_what_it_rests_on():
    async with world() as made:
        learns(made, Calibrated(LEARNED, {}, rule_text(LEARNED)))
        made.app.state.calibrations.start("Dr Weber")
        await settled(made)
        weber, max_ = made.principal(Role.DOCTOR), made.principal(Role.ADMIN)
        async with made.client(weber) as client, made.client(max_) as second:
            for expected in (2, 3):
                text = (await client.get(PATH)).json()["run"]["text"]
                assert f"\nversion: {expected}\n" in text, "the next number that is free"
                body = {"text": text, "note": "ours"}
                kept = await client.post("/api/v1/rules/drafts", json=body)
                assert kept.status_code == 201, kept.text
            draft = kept.json()["id"]
            for person, act in ((client, "shadow"), (second, "approve"), (second, "activate")):
                done = await person.post(f"/api/v1/rules/releases/{draft}/{act}")
                assert done.status_code == 200, done.text
            now = (await client.get(PATH)).json()["now"]
        assert (now["slope"], now["intercept"], now["training"], now["counts"]) == (0.9, -1.1, 1, True)
        assert now["release"]["id"] == draft
        assert now["evidence"]["cases"] == 412
        assert now["evidence"]["before"] == {"mean": 0.213, "brier": 0.0912, "loss": 0.3141}
        for language, words in (
            (
                "en",
                [
                    "Made",
                    "Learned from 412 stays; 31 of them ended badly",
                    "21.3 %",
                    "7.6 %",
                    "0.0527",
                    "0.9, -1.1",
                ],
            ),
            ("zh-CN", ["从 412 次住院中学习", "重新校准", "7.6 %", "斜率与截距"]),
        ):
            async with made.client(weber, cookie=True, **{"accept-language": language}) as client:
                text = said((await client.get("/rules/deterioration")).text)
                assert all(word in text for word in words), text[:3000]
                assert "calibration-title" not in (await client.get("/rules/spo2-low")).text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Nothing is to be changed: there are too few stays"),
        ("zh-CN", "无需更改:已注明结局的住院次数太少"),
    ],
    ids=["en", "zh"],
)
async def test_on_the_page_it_is_asked_for_watched_and_refused_in_words(language: str, words: str):
    async with world() as made:
        fixed = learns(made, Calibrated(REFUSED), held=True)
        doctor = made.principal(Role.DOCTOR)
        async with made.client(doctor, cookie=True, **{"accept-language": language}) as client:
            shown = (await client.get("/rules/deterioration")).text
            assert 'action="/rules/deterioration/calibration"' in shown
            begun = await client.post("/rules/deterioration/calibration", data={})
            assert (begun.status_code, begun.headers["location"]) == (303, "/rules/deterioration#calibration")
            part = await client.get("/rules/deterioration/calibration", headers={"hx-request": "true"})
            assert 'hx-trigger="every 2s"' in part.text
            assert 'action="/rules/deterioration/calibration"' not in part.text, "it runs"
            fixed.go.set()
            await settled(made)
            part = await client.get("/rules/deterioration/calibration", headers={"hx-request": "true"})
            assert part.headers["hx-refresh"] == "true"
            text = (await client.get("/rules/deterioration")).text
            assert words in said(text)
            assert 'name="text"' not in text.partition('id="calibration"')[2].partition("</section>")[0]


async def test_a_failure_is_told_without_its_words_on_the_page_and_it_may_be_asked_for_again():
    async with world() as made:
        fixed = learns(made, StoreUnavailable("series.db is locked"))
        async with made.client(made.principal(Role.DOCTOR), cookie=True) as client:
            await client.post("/rules/deterioration/calibration", data={})
            await settled(made)
            text = (await client.get("/rules/deterioration")).text
            assert "That could not be done" in text
            assert "Try again in a while." in text
            assert 'action="/rules/deterioration/calibration"' in text
            assert (await client.get(PATH)).json()["run"]["error"] == "series.db is locked"
            async with made.client(made.principal(Role.NURSE)) as other:
                run = (await other.get(PATH)).json()["run"]
                assert (run["state"], run["error"]) == ("failed", "")
            fixed.found = ZeroDivisionError("a defect")
            await client.post("/rules/deterioration/calibration", data={})
            await settled(made)
            assert (await client.get(PATH)).json()["run"]["state"] == "failed"


@pytest.mark.parametrize("role", [Role.NURSE, Role.ENGINEER, Role.PATIENT])
async def test_who_writes_no_rules_does_not_ask_for_it(role: Role):
    async with world() as made, made.client(made.principal(role)) as client:
        fixed = learns(made, Calibrated(LEARNED))
        assert (await client.post(PATH)).status_code == 403
        assert fixed.calls == 0
        async with made.client(made.principal(Role.NURSE), cookie=True) as pages:
            text = (await pages.get("/rules/deterioration")).text
            assert 'action="/rules/deterioration/calibration"' not in text
            assert "Calibrated to this site" in text


@pytest.mark.parametrize(("role", "wards"), [(Role.NURSE, ""), (Role.DOCTOR, "A"), (Role.DOCTOR, "")])
async def test_the_page_asks_again_only_for_who_is_shown_what_comes_of_it(role: Role, wards: str):
    """Else each open page of another is refused, and audited so, every two seconds."""
    async with world() as made:
        who = made.principal(role, wards=wards) if wards else made.principal(role)
        async with made.client(who, cookie=True) as pages:
            fixed = learns(made, Calibrated(LEARNED), held=True)
            made.app.state.calibrations.start("Li Na")
            text = (await pages.get("/rules/deterioration")).text
            assert "Calibrated to this site" in text
            shown = role is Role.DOCTOR and not wards
            assert ('hx-get="/rules/deterioration/calibration"' in text) == shown
            fixed.go.set()
            await settled(made)


async def test_a_doctor_of_one_ward_does_not_and_that_is_audited():
    async with world() as made, made.client(made.principal(Role.DOCTOR, wards="A")) as client:
        fixed = learns(made, Calibrated(LEARNED))
        assert (await client.post(PATH)).status_code == 403
        assert fixed.calls == 0
        assert made.backend._of("main").audit[-1].outcome == "refused"


async def test_where_nobody_learns_it_is_not_offered():
    async with world() as made, made.client(made.principal(Role.DOCTOR)) as client:
        made.backend.shipped = load_rules()
        assert not (await client.get(PATH)).json()["offered"]
        refused = await client.post(PATH)
        assert refused.status_code == 422
        assert "hearthward rules recalibrate" in refused.json()["detail"]


async def test_it_is_given_up_at_the_end():
    async with world() as made:
        fixed = learns(made, Calibrated(LEARNED), held=True)
        held: Calibrations = made.app.state.calibrations
        async with held.running():
            run = held.start("Li Na")
            await asyncio.sleep(0)
        assert (run.state, fixed.calls) == ("failed", 1)
