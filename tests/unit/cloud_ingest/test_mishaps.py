"""What our own software fails on, and what it refuses, reaches the rules while it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_ingest import mishaps as mishaps_module
from cloud_ingest.dead_letter_flood import DEAD_LETTERS, LETTERS
from cloud_ingest.facts import FAILING, Facts
from cloud_ingest.gateway_trouble import GatewayTrouble
from cloud_ingest.gateways import GatewayBoard
from cloud_ingest.intake import Dead
from cloud_ingest.mishaps import INGEST, QUIET_S, RULES, Mishaps
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records.models import Alarm, DeadLetter
from cloud_ingest.refusals import AGAIN_NS
from cloud_ingest.sources import Message
from cloud_ingest.watch import Watch
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.codes import TROUBLES
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument
from rules import load_rules
from tests.unit.cloud_ingest.test_edge_words import decided, word
from tests.unit.cloud_ingest.test_pipeline import fails_on
from tests.unit.cloud_ingest.ward import T0, TENANT, HandClock, Ward, block, frame, live, message, reading


class Lately:
    """Facts, and what follows from them."""

    def __init__(self) -> None:
        self.facts, self.clock = Facts(), EventClock(10**18, frozen_monotonic=True)
        self.mishaps = Mishaps(self.facts, self.clock)

    def after(self, seconds: float) -> tuple[float | None, float | None, str]:
        """Whether rules and ingest fail, and the trouble of gw."""
        self.clock.advance(seconds)
        self.mishaps.look()
        part = [self.facts.get(p, FAILING) for p in (RULES, INGEST)]
        return part[0], part[1], TROUBLES[self.mishaps.of("gw")]


def test_a_mishap_stands_until_none_has_come_for_a_while():
    lately = Lately()
    assert lately.after(0) == (None, None, "none")
    lately.mishaps.begin()
    assert lately.after(0) == (0.0, 0.0, "none"), "an alarm of before the start ends"
    lately.mishaps.noticed("rules_failed", "gw")
    assert lately.after(QUIET_S - 1) == (1.0, 0.0, "readings_not_judged")
    lately.mishaps.noticed("internal_error", "gw")
    assert lately.after(1) == (0.0, 1.0, "frames_refused")
    lately.mishaps.noticed("internal_error", None)
    assert lately.after(QUIET_S - 1) == (0.0, 1.0, "none")
    assert lately.after(1) == (0.0, 0.0, "none")
    assert lately.mishaps.gateways == frozenset()


def test_the_gravest_of_a_gateway_is_told():
    lately = Lately()
    for kind in ("rules_failed", "unknown_rule", "other_time"):
        lately.mishaps.noticed(kind, "gw")
    assert lately.after(0)[2] == "readings_not_judged"
    assert lately.mishaps.gateways == {"gw"}


@pytest.mark.parametrize("kind", ["future", "cloned_gateway", "gateway_clock", "store_unavailable"])
def test_what_is_told_otherwise_is_no_mishap(kind: str):
    lately = Lately()
    lately.mishaps.noticed(kind, "gw")
    assert lately.after(0) == (None, None, "none")


@pytest.mark.parametrize(
    ("dead", "trouble"),
    [
        (Dead("t", "gw", "version", "", b"x"), "frames_refused"),
        (Dead("t", "gw", "tenant", "", b"x"), "none"),
        (Dead("t", None, "topic", "", b"x"), "none"),
        (Dead("t", "gw", "malformed", "", b"x", 3, "boot", [1, 2, 3]), "none"),
        (
            Dead("t", "gw", "malformed", "", decided(1, word("start", 1)).payload, 0, "boot", [1]),
            "decisions_refused",
        ),
        (Dead("t", "gw", "undecided", "", b"x", 3, "boot", [1, 2, 3]), "readings_not_judged"),
        (Dead("t", "gw", "implausible", "", b"x", 3, "boot", [1, 2, 3]), "none"),
    ],
)
def test_what_a_dead_letter_says_of_its_gateway(dead: Dead, trouble: str):
    lately = Lately()
    lately.mishaps.refused(dead)
    assert lately.after(0)[2] == trouble


def test_names_may_be_invented(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mishaps_module, "MAX_GATEWAYS", 2)
    lately = Lately()
    for gateway in ("a", "b", "c", "a"):
        lately.mishaps.noticed("other_time", gateway)
    assert lately.mishaps.gateways == {"a", "b"}


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    clock = EventClock(T0, frozen_monotonic=True)
    made = await Ward(tmp_path / "records.db", clock=clock).start()
    yield made
    await made.close()


def known(ward: Ward, part: str) -> float | None:
    return ward.pipeline._frames._facts.get(part, FAILING)


def trouble(ward: Ward, gateway: str = "gw-1") -> str:
    return TROUBLES[ward.pipeline.mishaps.of(gateway)]


async def test_readings_that_the_rules_fail_on_are_told_of(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    assert known(ward, RULES) == 0.0
    fails_on(monkeypatch, "pat_1")
    await ward.take(
        frame(block(1, reading(0, 84))), frame(block(1, reading(0, device="dev_2")), gateway="gw-2")
    )
    assert (known(ward, RULES), trouble(ward), trouble(ward, "gw-2")) == (1.0, "readings_not_judged", "none")
    ward.clock.advance(QUIET_S)
    await ward.pipeline.tick()
    assert (known(ward, RULES), trouble(ward)) == (0.0, "none")


async def test_engineers_and_nurses_get_an_alarm_of_readings_that_nobody_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = Ward(tmp_path / "told.db", clock=HandClock(T0, frozen_monotonic=True), rules=load_rules())
    watch, board = Watch(made.clock, Telemetry()), GatewayBoard(TENANT, made.feed, made.clock, Telemetry())
    made.pipeline = Pipeline(
        TENANT,
        made.records,
        made.store,
        made.publish,
        feed=made.feed,
        clock=made.clock,
        telemetry=made.telemetry,
        watch=watch,
        facts=watch.facts,
    )
    trouble = GatewayTrouble(watch.facts, made.clock, made.pipeline.mishaps)
    await made.start()
    try:
        fails_on(monkeypatch, "pat_1")
        for n in (1, 11, 21):
            made.clock.advance(10)
            await made.take(live(block(n, reading(n, 60.0)), at=n))
            trouble.look(board, lambda gateway: ConfigDocument(gateway, 1, {}))
            await made.pipeline.tick()
        alarms = {(a.rule, a.patient): a for a in await made.rows(Alarm)}
        assert {("part-failing", RULES), ("gateway-trouble", "gateway:gw-1")} <= alarms.keys()
        assert "raise no alarms" in alarms["gateway-trouble", "gateway:gw-1"].text_en
    finally:
        await made.close()


async def test_a_frame_that_our_code_fails_on_is_told_of_each_time(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    from cloud_ingest import intake

    def broken(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(intake, "screen", broken)
    bad = frame(block(1, reading(0)))
    for _ in range(4):
        await ward.take(bad)
        ward.clock.advance(QUIET_S / 3)
        await ward.pipeline.tick()
    assert (known(ward, INGEST), trouble(ward)) == (1.0, "frames_refused")
    assert len(await ward.rows(DeadLetter)) == 2, "once in ten minutes"


async def test_an_alarm_of_a_gateway_that_is_refused_is_told_of(ward: Ward):
    await ward.take(frame(decided(1, replace(word("start", 10), rule="no-such-rule")), at=12))
    assert trouble(ward) == "decisions_refused"


async def test_what_cannot_be_read_is_kept_once_in_a_while_and_counted_always(ward: Ward):
    garbage = Message("hw/1/main/gw-1/frame", b"garbage")
    other = message(frame(block(1, reading(0)), gateway="gw-9"), "hw/1/main/gw-1/frame")
    for _ in range(LETTERS):
        await ward.take(garbage)
    await ward.take(other, other)
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["malformed", "identity"]
    assert ward.telemetry.value("frames_refused_total", reason="malformed") == LETTERS
    assert (known(ward, DEAD_LETTERS), trouble(ward)) == (1.0, "frames_refused")
    ward.clock.advance(AGAIN_NS / SECOND)
    await ward.take(garbage)
    assert len(await ward.rows(DeadLetter)) == 3


async def test_what_comes_without_a_receipt_is_bounded_whatever_it_is_called(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
):
    from cloud_ingest import refusals

    monkeypatch.setattr(refusals, "MOST_BYTES", 100)
    monkeypatch.setattr(refusals, "MOST_LETTERS", 3)
    for n in range(9):
        await ward.take(Message(f"hw/1/main/gw-{n}/frame", b"x" * 40))
    assert len(await ward.rows(DeadLetter)) == 2
    ward.clock.advance(AGAIN_NS / SECOND)
    for n in range(9):
        await ward.take(Message(f"hw/1/main/gw-{n}/frame", b"x"))
    assert len(await ward.rows(DeadLetter)) == 5
    assert ward.telemetry.value("dead_letters_left_out_total", reason="malformed") == 7 + 6
