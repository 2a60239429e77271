"""The learned risk on wall, sheet, details and page: what is shown to whom, in both languages."""

from __future__ import annotations

import re

import pytest

from dashboards.live import hub as hubs
from dashboards.live.views import risk_shown
from dashboards.risk_models import Risk, RiskReason, ScoreMove, ScoreTrend
from dashboards.risk_words import factors, went
from hearthward.trust.access import Role, scope_of
from tests.unit.dashboards.followed import follow, until
from tests.unit.dashboards.webworld import T0, S, World, seeded, world

RISK = Risk(
    state="known",
    value=0.34,
    at=T0 + 30 * S,
    trend="up",
    before=0.12,
    before_at=T0 - 6 * 3600 * S,
    reasons=[
        RiskReason(name="respiratory_rate", odds=1.94, value=26),
        RiskReason(name="stay_h", odds=1.1, value=31.26),
        RiskReason(name="consciousness", odds=0.8, value=2),
        RiskReason(name="temperature", odds=0.78, value=None),
    ],
)
WENT = ScoreTrend(
    since=T0 - 6 * 3600 * S,
    change=2,
    moved=[
        ScoreMove(name="respiratory_rate", then=0, now=3),
        ScoreMove(name="temperature", then=1, now=0),
    ],
    left_out=["supplemental_oxygen", "consciousness"],
)
STALE = RISK.model_copy(update={"state": "stale", "trend": "down"})


def put(made: World, risk: Risk | None, place: str = "A") -> str:
    patient = made.ids["main", f"patient{place}"]
    made.backend.put_risk("main", patient, risk)
    return patient


@pytest.mark.parametrize(
    ("risk", "shown"),
    [
        (RISK, ["known", "34 % ↑", (T0 + 30 * S) // 1_000_000]),
        (STALE, ["stale", "34 % ↓", (T0 + 30 * S) // 1_000_000]),
        (RISK.model_copy(update={"trend": "steady"}), ["known", "34 %", (T0 + 30 * S) // 1_000_000]),
        (Risk(state="unknown"), ["unknown", "\u2013", 0]),
        (
            RISK.model_copy(update={"news2": WENT}),
            ["known", "34 % ↑ · NEWS2 +2", (T0 + 30 * S) // 1_000_000],
        ),
        (
            RISK.model_copy(update={"news2": WENT.model_copy(update={"change": 1})}),
            ["known", "34 % ↑", (T0 + 30 * S) // 1_000_000],
        ),
        (STALE.model_copy(update={"news2": WENT}), ["stale", "34 % ↓", (T0 + 30 * S) // 1_000_000]),
        (
            Risk(state="unknown", news2=WENT.model_copy(update={"change": -3})),
            ["unknown", "\u2013 · NEWS2 \u22123", 0],
        ),
    ],
    ids=["up", "stale", "steady", "unknown", "score up", "score by a point", "score stale", "score alone"],
)
def test_what_stands_on_a_tile(risk: Risk, shown: list[object]):
    assert risk_shown(risk) == shown


def test_what_it_is_made_of_is_said_in_both_languages():
    assert [(f.name, f.odds, f.raises) for f in factors(RISK, "en")] == [
        ("respiratory rate 26", "1.9", True),
        ("hours since the first value 31.3", "1.1", True),
        ("consciousness V", "0.8", False),
        ("temperature (not known)", "0.78", False),
    ]
    assert [f.name for f in factors(RISK, "zh")] == [
        "呼吸频率 26",
        "距首个数值的小时数 31.3",
        "意识 V",
        "体温(未知)",
    ]
    assert factors(None, "en") == factors(Risk(state="unknown"), "en") == []


def test_how_the_score_went_is_said_in_both_languages():
    risk = RISK.model_copy(update={"news2": WENT})
    since = WENT.since
    assert went(risk, "en") == (
        "+2",
        "respiratory rate 0 → 3, temperature 1 → 0",
        "oxygen, consciousness",
        since,
    )
    assert went(risk, "zh") == ("+2", "呼吸频率 0 → 3、体温 1 → 0", "吸氧、意识", since)
    none = ScoreTrend(since=since, change=None, left_out=["pulse"])
    assert went(RISK.model_copy(update={"news2": none}), "en") == ("", "", "pulse", since)
    assert went(RISK, "en") is went(None, "en") is None


async def test_a_tile_has_it_and_the_stream_tells_of_a_change(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hubs, "RISK_S", 0.05)
    async with world() as made:
        patient = put(made, RISK)
        hub = await seeded(made)
        nurse = scope_of(made.principal(Role.NURSE, wards="A"))
        (tile,) = hub.snapshot(nurse)["tiles"]
        assert tile["k"] == risk_shown(RISK)
        queue = await follow(hub, nurse)
        put(made, RISK, "B")  # of a ward that is not theirs
        put(made, RISK.model_copy(update={"value": 0.41}))
        patch = await until(queue, "patch")
        assert [(t["id"], t["k"][1]) for t in patch["tiles"]] == [(patient, "41 % ↑")]
        put(made, None)
        patch = await until(queue, "patch")
        assert patch["tiles"][0]["k"] is None
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def shown(made: World, path: str, language: str = "en") -> str:
    await seeded(made)
    async with made.client(
        made.principal(Role.NURSE), cookie=True, **{"accept-language": language}
    ) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


@pytest.mark.parametrize("where", ["/patients/{}", "/ward/patient/{}"], ids=["page", "details"])
@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            [
                "Risk of deterioration",
                "34 % ↑",
                "rising : 12 %",
                "respiratory rate 26: \u00d71.9",
                "much weaker",
            ],
        ),
        ("zh", ["病情恶化风险", "34 % ↑", "上升 : 12 %", "呼吸频率 26: \u00d71.9", "未录入意识状态"]),
    ],
    ids=["en", "zh"],
)
async def test_page_and_details_say_value_age_trend_and_reasons(where: str, language: str, words: list[str]):
    async with world() as made:
        text = await shown(made, where.format(put(made, RISK)), language)
        for word in words:
            assert word.replace(" : ", ": ") in text.replace(" : ", ": "), word
        assert "holds back no alarm" in text or "不会抑制任何报警" in text


@pytest.mark.parametrize("where", ["/patients/{}", "/ward/patient/{}"], ids=["page", "details"])
async def test_page_and_details_say_how_the_score_went_and_what_could_not_be_compared(where: str):
    async with world() as made:
        path = where.format(put(made, RISK.model_copy(update={"news2": WENT})))
        text = (await shown(made, path)).replace(" :", ":")
        assert "+2 points since" in text
        assert "respiratory rate 0 → 3, temperature 1 → 0" in text
        assert "not known at both times: oxygen, consciousness" in text
        text = (await shown(made, path, "zh")).replace(" :", ":")
        assert "起 +2 分" in text
        assert "呼吸频率 0 → 3、体温 1 → 0" in text
        none = ScoreTrend(since=T0 - 6 * 3600 * S, change=None, left_out=["pulse"])
        put(made, RISK.model_copy(update={"news2": none}))
        assert "trend not known: no parameter is known both now and at" in await shown(made, path)
        put(made, RISK)
        assert "not known at both times" not in await shown(made, path)


async def test_stale_is_struck_unknown_is_said_and_who_it_is_not_for_has_nothing():
    async with world() as made:
        patient = put(made, STALE)
        await seeded(made)
        path = f"/patients/{patient}"
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            text = (await client.get(path)).text
            assert "<s>34 % ↓</s>" in text
            assert "from values that are too old" in text
            put(made, Risk(state="unknown"))
            text = (await client.get(path)).text
            assert "not known: the model wants 6 hours" in text
            assert "What the learned risk is made of" not in text
            put(made, None)
            assert "Risk of deterioration" not in (await client.get(path)).text


async def test_no_low_risk_is_praised():
    """Never "you are fine": neither a tick nor the colour of what is well."""
    async with world() as made:
        patient = put(made, RISK.model_copy(update={"value": 0.01, "trend": "down"}))
        await seeded(made)
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            for path in (f"/patients/{patient}", f"/ward/patient/{patient}"):
                html = (await client.get(path)).text
                part = html[html.index("Risk of deterioration") :][:1500]
                assert "✓" not in part
                assert "good" not in part


async def test_the_sheet_says_how_old_it_is():
    async with world() as made:
        put(made, STALE)
        text = await shown(made, "/ward/print")
        assert "Risk 34 % ↓" in text
        assert "from values that are too old" in text


async def test_a_patient_is_told_nothing_of_it():
    async with world() as made:
        put(made, RISK)
        await seeded(made)
        async with made.client(made.principal(Role.PATIENT), cookie=True) as client:
            for path in ("/me", "/me/values"):
                answer = await client.get(path)
                assert answer.status_code == 200
                assert "34 %" not in answer.text
            assert (await client.get("/api/v1/wall")).status_code == 403
