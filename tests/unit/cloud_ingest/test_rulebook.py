"""Which rules are in force: shipped, released here, on trial; over real records and across restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.releases import Act
from cloud_ingest.rulebook import Rulebook, Shipped, tried
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Principal, Role, Scope
from rules import RuleFileError, load_rules
from rules.loader import LIBRARY
from tests.unit.cloud_ingest.made import made_rule, transition
from tests.unit.dashboards.webworld import RULE

NOW = 1_800_000_000 * SECOND
SYSTEM = Scope.system("main")
LI = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))
MAX = Principal("usr_2", "Max", "main", frozenset({Role.ADMIN}))
OWN = made_rule(id="site-own", version=1)


def opened(folder: Path, clock: EventClock) -> Records:
    return Records.open(folder / "records.db", clock=clock, wall=clock, ids=SeededIds(1))


@pytest.fixture
def clock() -> EventClock:
    return EventClock(NOW, frozen_monotonic=True)


@pytest.fixture
async def book(tmp_path: Path, clock: EventClock) -> AsyncIterator[Rulebook]:
    records = opened(tmp_path, clock)
    yield Rulebook(records, "main", [Shipped(made_rule(), "shipped text"), Shipped(OWN)])
    await records.close()


async def release(book: Rulebook, source: str, *acts: tuple[Act, Principal]) -> str:
    made = await book.draft(SYSTEM, source, note="", who=LI)
    for act, who in acts:
        await book.advance(SYSTEM, made.id, act, who=who)
    return made.id


ACTIVE: tuple[tuple[Act, Principal], ...] = (("shadow", LI), ("approve", MAX), ("activate", MAX))


async def test_the_shipped_library_is_in_force_and_its_contents_are_kept(tmp_path: Path, clock: EventClock):
    records = opened(tmp_path, clock)
    book = Rulebook.of_files(records, "main")
    rules = await book.rules_in_force()
    assert rules.hash == load_rules().hash
    for rule in rules:
        history = await book.history(rule.id, NOW)
        assert history is not None
        assert [v.hash for v in history.versions] == [rule.hash]
        assert history.text in {p.read_text("utf-8") for p in LIBRARY.glob("*.yaml")}
        assert history.versions[0].source == history.text
    await records.close()


async def test_a_trial_runs_beside_the_rule_in_force(book: Rulebook):
    before = (await book.rules_in_force()).hash
    await release(book, RULE, ("shadow", LI))
    rules = await book.rules_in_force()
    assert [r.key for r in rules] == ["site-own", "spo2-low", "spo2-low@shadow"]
    assert (rules.by_id["spo2-low"].version, rules.by_id["spo2-low@shadow"].version) == (1, 2)
    assert rules.hash != before


async def test_an_approved_release_stays_on_trial_until_it_is_put_in_force(book: Rulebook):
    made = await release(book, RULE, ("shadow", LI), ("approve", MAX))
    assert "spo2-low@shadow" in (await book.rules_in_force()).by_id
    await book.advance(SYSTEM, made, "activate", who=LI)
    rules = await book.rules_in_force()
    assert [(r.key, r.version) for r in rules] == [("site-own", 1), ("spo2-low", 2)]


async def test_what_is_released_is_in_force_after_a_restart(
    book: Rulebook, tmp_path: Path, clock: EventClock
):
    made = await release(book, RULE, *ACTIVE)
    await release(book, RULE.replace("id: spo2-low", "id: brand-new"), *ACTIVE)
    expected = (await book.rules_in_force()).hash
    await book._records.close()
    records = opened(tmp_path, clock)
    again = Rulebook(records, "main", book.shipped.values())
    rules = await again.rules_in_force()
    assert rules.hash == expected
    assert [(r.key, r.version) for r in rules] == [("brand-new", 2), ("site-own", 1), ("spo2-low", 2)]
    await again.advance(SYSTEM, made, "rollback", who=MAX)
    assert (await again.rules_in_force()).by_id["spo2-low"] == made_rule()
    await records.close()


DEEP = (
    RULE.replace("id: spo2-low", "id: spo2-deep")
    .replace("value: 89", "value: 85")
    .replace("max_lateness_s: 3600\n", "max_lateness_s: 3600\nraises: spo2-low\n")
)


async def refused(book: Rulebook, source: str, *acts: tuple[Act, Principal]) -> str:
    with pytest.raises(ConfigError) as caught:
        await release(book, source, *acts)
    assert caught.value.details["code"] == "stages"
    assert caught.value.details["reason"] == "conflict"
    return str(caught.value.details["value"])


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        (
            DEEP.replace("raises: spo2-low", "raises: spo2-lo"),
            "raises: there is no rule 'spo2-lo' (did you mean",
        ),
        (DEEP.replace("priority: high", "priority: low"), "raises: 'spo2-low' is of high priority already"),
    ],
    ids=["unknown", "less urgent"],
)
async def test_a_stage_that_does_not_fit_is_not_even_tried(book: Rulebook, source: str, wrong: str):
    assert wrong in await refused(book, source, ("shadow", LI))
    (row,) = await book.releases()
    assert row.state == "draft", "nothing is half done"
    assert [r.key for r in await book.rules_in_force()] == ["site-own", "spo2-low"]


async def test_a_stage_is_tried_beside_the_trial_of_the_other_but_put_in_force_after_it(book: Rulebook):
    base = RULE.replace("id: spo2-low", "id: brand-new")
    deep = DEEP.replace("raises: spo2-low", "raises: brand-new")
    other = await release(book, base, ("shadow", LI))
    made = await release(book, deep, ("shadow", LI), ("approve", MAX))
    with pytest.raises(ConfigError, match="raises: there is no rule 'brand-new'") as caught:
        await book.advance(SYSTEM, made, "activate", who=MAX)
    assert caught.value.details["code"] == "stages"
    assert {r.state for r in await book.releases()} == {"shadow", "approved"}
    for act, who in ACTIVE[1:]:
        await book.advance(SYSTEM, other, act, who=who)
    await book.advance(SYSTEM, made, "activate", who=MAX)
    assert (await book.rules_in_force()).by_id["spo2-deep"].raises == "brand-new"


async def test_what_a_stage_raises_is_not_replaced_by_what_it_does_not_fit(book: Rulebook):
    deep = DEEP.replace("priority: high", "priority: medium").replace("raises: spo2-low", "raises: brand-new")
    base = RULE.replace("id: spo2-low", "id: brand-new").replace("priority: high", "priority: low")
    await release(book, base, *ACTIVE)
    await release(book, deep, *ACTIVE)
    graver = base.replace("priority: low", "priority: high").replace("version: 2", "version: 3")
    assert "'spo2-deep' raises it: 'brand-new' is of high priority already" in await refused(
        book, graver, ("shadow", LI)
    )


async def test_a_rule_of_ones_own_is_gone_when_it_is_rolled_back(book: Rulebook):
    made = await release(book, RULE.replace("id: spo2-low", "id: brand-new"), *ACTIVE)
    assert "brand-new" in (await book.rules_in_force()).by_id
    await book.advance(SYSTEM, made, "rollback", who=LI)
    assert "brand-new" not in (await book.rules_in_force()).by_id
    history = await book.history("brand-new", NOW)
    assert history is not None
    assert (history.entry, len(history.releases), len(history.versions)) == (None, 1, 1)
    assert await book.history("never", NOW) is None


async def test_what_is_in_force_already_is_no_draft(book: Rulebook):
    await release(book, RULE, *ACTIVE)
    with pytest.raises(ConfigError, match="in force already"):
        await book.draft(SYSTEM, RULE, note="", who=LI)


async def test_a_release_that_cannot_be_read_is_named_and_nothing_falls_back_silently(book: Rulebook):
    made = await release(book, RULE, *ACTIVE)

    def damage(session: Session) -> None:
        session.execute(text("DROP TRIGGER rule_versions_no_update"))
        session.execute(text("UPDATE rule_versions SET content = '{\"id\": 1}' WHERE version = 2"))

    await book._records.run(damage)
    with pytest.raises(ConfigError, match=f"release {made} of rule spo2-low cannot be read"):
        await book.rules_in_force()


async def test_a_trial_is_compared_with_the_rule_in_force_over_seven_days(book: Rulebook, clock: EventClock):
    await release(book, RULE, ("shadow", LI))
    rules = await book.rules_in_force()
    active, shadow = rules.by_id["spo2-low"], rules.by_id["spo2-low@shadow"]
    day = 86_400 * SECOND

    def alarms(session: Session) -> None:
        made = [
            transition("start", "alm_old", rule_hash=active.hash, at=NOW - day),
            transition("start", "alm_1", rule_hash=active.hash, at=NOW + 9 * day),
            transition("ask", "alm_asked", rule_hash=active.hash, at=NOW + 9 * day, condition="asked"),
            transition("start", "shd_0", rule_hash=shadow.hash, at=NOW + day, shadow=True),
            *(
                transition("start", f"shd_{n}", rule_hash=shadow.hash, at=NOW + 8 * day, shadow=True)
                for n in (1, 2, 3)
            ),
        ]
        part = {"why": "raised", "part": {"rule": active.id, "rule_hash": active.hash}}
        made += [
            transition("start", "alm_2", rule_hash="another", at=NOW + 9 * day),
            transition("escalate", "alm_2", rule_hash=active.hash, at=NOW + 9 * day, detail=part),
        ]
        apply_transitions(session, "main", made, NOW)

    await book._records.run(alarms)
    clock.follow(NOW + 10 * day)
    entry = next(e for e in await book.entries(clock.now_ns()) if e.id == "spo2-low")
    assert entry.trial is not None
    assert (entry.trial.since, entry.trial.episodes, entry.trial.alarms) == (NOW + 3 * day, 3, 2)


def test_examples_decide_whether_a_rule_may_be_tried():
    tried(RULE)
    with pytest.raises(ConfigError, match="firing"):
        tried(RULE.replace("{spo2: 84}", "{spo2: 96}"))
    with pytest.raises(RuleFileError, match="draft"):
        tried("- no\n- rule\n")
