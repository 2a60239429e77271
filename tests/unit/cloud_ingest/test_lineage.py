from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.facts import Facts
from cloud_ingest.lineage import CONFLICT_S, MAX_BOOTS, REPLACED_S, BootSeen, Lineage
from cloud_ingest.records.models import Alarm, GatewayBoot
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.telemetry import Telemetry
from rules import RuleSet, load_rules
from tests.unit.cloud_ingest.ward import T0, HandClock, Ward, block, live, reading

GATEWAY = "gateway:gw-1"


class Cloud:
    """A lineage whose clocks stand still but for ``hear`` and ``wait``; seconds are since its start."""

    def __init__(self, rows: list[BootSeen] | None = None, at: float = 0.0) -> None:
        self.clock = EventClock(T0, frozen_monotonic=True)
        self.clock.advance(at)
        self.facts = Facts()
        self.lineage = Lineage(self.facts, self.clock, Telemetry())
        self.lineage.begin(rows or [])

    def hear(self, session: str, sent: float, *, boot: str = "boot-1", at: float | None = None) -> None:
        moment = round((sent if at is None else at) * SECOND)
        self.clock.follow(T0 + moment)
        self.lineage.heard("gw-1", boot, session, round(sent * SECOND))

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.lineage.tick()

    @property
    def conflict(self) -> bool:
        return self.facts.get(GATEWAY, "identity_conflict") == 1.0

    @property
    def replaced(self) -> bool:
        return self.facts.get(GATEWAY, "outbox_replaced") == 1.0


def test_one_machine_that_is_restarted_again_and_again_is_one():
    cloud = Cloud()
    for n in range(200):
        cloud.hear(f"s{n // 5}", float(n))
    assert not cloud.conflict
    assert not cloud.replaced
    assert [b.boot for b in cloud.lineage.unsaved()] == ["boot-1"]


@pytest.mark.parametrize("every", [0.3, 2.0, 30.0])
@pytest.mark.parametrize("other", ["boot-1", "boot-2"])
def test_two_machines_that_take_turns_are_two(every: float, other: str):
    """Copied with the outbox, or installed anew under the name of one that still runs."""
    cloud = Cloud()
    n = 0
    while not cloud.conflict:
        n += 1
        assert n * every < 10 + 6 * every
        cloud.hear("a", n * every)
        cloud.hear("b", (n + 0.5) * every, boot=other)
    assert cloud.replaced is (other == "boot-2")


def test_the_conflict_is_over_when_only_one_is_heard_for_ten_minutes():
    cloud = Cloud()
    for n in range(10):
        cloud.hear("a", n)
        cloud.hear("b", n + 0.5)
    assert cloud.conflict
    for n in range(int(CONFLICT_S / 10)):
        assert cloud.conflict
        cloud.hear("b", 10.0 + 10 * n)
        cloud.wait(1)
    cloud.wait(11)
    assert cloud.facts.get(GATEWAY, "identity_conflict") == 0.0
    cloud.wait(11)
    assert cloud.facts.get(GATEWAY, "identity_conflict") is None, "it is not said for ever what is not so"


def test_a_single_word_of_an_older_session_is_none():
    cloud = Cloud()
    cloud.hear("a", 0)
    cloud.hear("b", 10)
    cloud.hear("a", 12)
    cloud.hear("b", 13)
    assert not cloud.conflict


def test_other_content_under_the_same_numbers_is_proof_at_once():
    cloud = Cloud()
    cloud.lineage.cloned("gw-1", "boot-1")  # never heard of: not one of ours
    cloud.hear("a", 0)
    assert not cloud.conflict
    cloud.lineage.cloned("gw-1", "boot-1")
    assert cloud.conflict


def test_a_new_outbox_is_told_for_a_day_also_by_a_cloud_that_was_restarted():
    cloud = Cloud()
    cloud.hear("a", 0)
    assert not cloud.replaced
    cloud.hear("b", 100, boot="boot-2")
    assert cloud.replaced
    rows = cloud.lineage.unsaved()
    assert [(r.boot, r.last_session) for r in rows] == [("boot-1", "a"), ("boot-2", "b")]
    assert Cloud(rows, at=REPLACED_S).replaced
    late = Cloud(rows, at=REPLACED_S + 200)
    assert late.facts.get(GATEWAY, "outbox_replaced") == 0.0, "an alarm of before the restart ends"
    late.wait(20)
    assert late.facts.get(GATEWAY, "outbox_replaced") is None


def test_a_conflict_outlasts_a_restart_of_the_cloud():
    cloud = Cloud()
    for n in range(10):
        cloud.hear("a", n)
        cloud.hear("b", n + 0.5)
    rows = cloud.lineage.unsaved()
    assert Cloud(rows, at=300).conflict
    assert not Cloud(rows, at=2000).conflict


def test_what_is_written_is_not_written_again_and_changes_meanwhile_are_not_forgotten():
    cloud = Cloud()
    cloud.hear("a", 0)
    rows = cloud.lineage.unsaved()
    cloud.hear("a", 61)
    cloud.lineage.saved(rows)
    (again,) = cloud.lineage.unsaved()
    assert again.last_seen == T0 + 61 * SECOND
    cloud.lineage.saved([again])
    cloud.hear("a", 62)
    assert cloud.lineage.unsaved() == []


def test_invented_outboxes_push_out_neither_each_other_s_gateway_nor_the_one_that_speaks():
    cloud = Cloud()
    cloud.hear("a", 0)
    for n in range(500):
        cloud.hear(f"s{n}", 100.0 * n, boot=f"forged-{n}")
        cloud.hear("a", 100.0 * n + 50)
    assert cloud.replaced
    rows = cloud.lineage.unsaved()
    assert len(rows) == MAX_BOOTS
    assert {"boot-1", "forged-499"} <= {r.boot for r in rows}
    assert min(r.last_seen for r in rows) > T0 + 48_000 * SECOND, "those heard last"


def test_a_cloud_whose_table_has_too_many_knows_those_that_were_heard_last():
    rows = [BootSeen("gw-1", f"boot-{n}", T0, T0 + n, "s") for n in range(100)]
    cloud = Cloud(rows[50:] + rows[:50])
    cloud.hear("s", 100, boot="boot-99")
    assert [r.first_seen for r in cloud.lineage.unsaved()] == [T0]
    cloud.hear("s", 101, boot="boot-50")
    assert [r.first_seen for r in cloud.lineage.unsaved()] == [T0, T0 + 101 * SECOND], "forgotten"


@given(
    lives=st.lists(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), min_size=1, max_size=8),
    data=st.data(),
)
def test_whatever_waits_in_queues_one_machine_is_never_two(lives: list[list[float]], data: st.DataObject):
    """Through restarts, each frame any time late and in any order after its session's first."""
    words: list[tuple[float, str, float]] = []
    now = 0.0
    for n, steps in enumerate(lives):
        for step in steps:
            now += step
            late = data.draw(st.floats(0, 1000)) if step is not steps[0] else 0.0
            words.append((now + late, f"s{n}", now))
    cloud = Cloud()
    for at, session, sent in sorted(words):
        cloud.hear(session, sent, at=at)
        assert not cloud.conflict


@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.1, 60)), min_size=20, max_size=60),
)
def test_two_machines_are_found_as_soon_as_both_have_spoken_often_enough(steps: list[tuple[str, float]]):
    cloud, now, heard = Cloud(), 0.0, ""
    for who, step in steps:
        now += step
        cloud.hear(who, now)
        heard += who if not heard.endswith(who) else ""
    if cloud.conflict:
        assert len(heard) > 3, "both have spoken, in turns"


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    shipped = load_rules().by_id
    rules = RuleSet(tuple(shipped[i] for i in ("gateway-cloned", "gateway-replaced")))
    made = await Ward(tmp_path / "records.db", clock=HandClock(T0), rules=rules).start()
    yield made
    await made.close()


async def test_boots_are_kept_in_the_transaction_of_what_came(ward: Ward):
    await ward.take(live(block(1, reading(0)), at=0, session="a"))
    await ward.take(live(block(1, reading(1)), at=1, boot="boot-2", session="b", mono=2 * SECOND))
    rows = {r.boot: (r.first_seen, r.last_session, r.conflict_at) for r in await ward.rows(GatewayBoot)}
    assert rows == {"boot-1": (T0, "a", None), "boot-2": (T0, "b", None)}


async def test_the_table_keeps_the_boots_that_were_heard_last(ward: Ward):
    for n in range(MAX_BOOTS + 10):
        await ward.take(live(block(1, reading(n)), at=n, boot=f"boot-{n}", session=f"s{n}", mono=n * SECOND))
        ward.clock.advance(1)
    kept = {r.boot for r in await ward.rows(GatewayBoot)}
    assert kept == {f"boot-{n}" for n in range(10, MAX_BOOTS + 10)}


async def test_a_clone_s_readings_under_the_same_numbers_are_told_of(ward: Ward):
    await ward.take(live(block(1, reading(0, 97)), at=0, session="a"))
    await ward.take(live(block(1, reading(0, 60)), at=0, session="b"))
    facts = {(s, m): v for s, m, v in ward.pipeline._frames.lineage._facts}
    assert facts["gateway:gw-1", "identity_conflict"] == 1.0
    assert await ward.rows(Alarm) == []  # the watch tells the rules, which a ward of tests has not
