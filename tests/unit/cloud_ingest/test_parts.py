"""The smaller parts of the ingest: attribution, feed, receipts, inputs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest import receipts
from cloud_ingest.attribution import Attribution, Span
from cloud_ingest.feed import ClockMoved, Feed, Lagged
from cloud_ingest.inputs import decode_input, encode_input, kind_of, version_of
from cloud_ingest.receipts import BlockState, Committed
from cloud_ingest.records import Records
from cloud_ingest.records.models import FrameRow
from hearthward.core.clock import EventClock
from hearthward.core.errors import StoreError
from hearthward.core.ids import SeededIds
from hearthward.core.wire import Block, Gap
from rules import Command, Configuration, Context, Input, Limit, Readings, Rows, RuleSet, Tick
from rules.model import Adopt
from tests.unit.cloud_ingest.ward import RULES, rule


def test_attribution_finds_the_wearer_at_a_time():
    found = Attribution([Span("d", "p2", 20, None), Span("d", "p1", 5, 10), Span("e", "p1", 0, 3)])
    assert [found.patient("d", at) for at in (4, 5, 9, 10, 19, 20, 10**18)] == [
        None,
        "p1",
        "p1",
        None,
        None,
        "p2",
        "p2",
    ]
    assert found.patient("x", 5) is None
    assert {s.device for s in found.spans("p1")} == {"d", "e"}
    assert found.wearer("d", 21) == Span("d", "p2", 20, None)
    assert found.wearer("d", 1) is None


@given(st.lists(st.integers(0, 100), min_size=2, max_size=20, unique=True), st.integers(0, 100))
def test_attribution_agrees_with_looking_through_all(edges: list[int], at: int):
    edges.sort()
    spans = [Span("d", f"p{a}", a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    plain = next((s.patient for s in spans if s.start <= at < (s.end or 0)), None)
    assert Attribution(spans).patient("d", at) == plain


async def test_a_slow_listener_is_told_what_it_missed():
    feed = Feed()
    slow, quick = feed.subscribe(maxsize=3), feed.subscribe()
    for i in range(5):
        feed.publish(ClockMoved(i))
    assert await anext(slow) == Lagged(3)
    assert await anext(slow) == ClockMoved(3)
    feed.close()
    assert [e async for e in slow] == [ClockMoved(4)]
    assert [e async for e in quick] == [ClockMoved(i) for i in range(5)]
    assert [e async for e in feed.subscribe()] == []


async def test_a_closed_listener_ends_and_costs_nothing():
    feed = Feed()
    with feed.subscribe() as subscription:
        waiting = asyncio.create_task(anext(subscription, None))
        await asyncio.sleep(0)
        subscription.close()
        assert await waiting is None
    assert len(feed) == 0


def test_what_is_committed_tells_new_from_known_and_from_clones():
    account = Committed()
    first, other = Block(1, 3, b"abc"), Block(1, 3, b"xyz")
    assert account.judge(first) is BlockState.NEW
    account.add(first)
    assert account.judge(first) is BlockState.COMMITTED
    for clone in (other, Block(3, 2, b"x"), Block(1, 4, b"abc")):
        assert account.judge(clone) is BlockState.CLONED
    assert account.judge(Block(2, 1, b"x")) is BlockState.UNSURE, "it is looked up how these were cut"
    assert account.judge(Block(4, 1, b"x")) is BlockState.NEW
    account.digests.clear()
    for block in (first, other):
        assert account.judge(block) is BlockState.UNSURE, "without its digest only the numbers are known"


def test_gaps_are_news_only_once():
    account = Committed()
    account.add(Block(5, 2, b"x"))
    assert account.declare(Gap(1, 9, "full")) == [Gap(1, 4, "full"), Gap(7, 9, "full")]
    assert account.declare(Gap(1, 10, "full")) == [Gap(10, 10, "full")]


async def test_old_rows_are_merged_and_mean_the_same(tmp_path: Path):
    records = Records.open(tmp_path / "r.db", clock=EventClock(1), ids=SeededIds(1))
    source = ("gw-1", "boot-1")
    firsts = [1, 3, 5, 9, 11, 13, 15]
    for first in firsts:
        block = Block(first, 2, str(first).encode())
        await records.run(lambda s, b=block: receipts.write_blocks(s, "main", source, [b]))
    before = await records.read(lambda s: receipts.load_ledger(s, "main"))
    assert await records.run(lambda s: receipts.compact(s, "main", source, keep=2)) == 3
    assert await records.run(lambda s: receipts.compact(s, "main", source, keep=2)) == 0
    after = await records.read(lambda s: receipts.load_ledger(s, "main"))
    assert after.of(*source).blocks == before.of(*source).blocks
    assert set(after.of(*source).digests) == {13, 15}
    rows = await records.read(lambda s: s.query(FrameRow).order_by(FrameRow.first).all())
    assert [(r.first, r.last, r.blocks is None) for r in rows] == [
        (1, 6, True),
        (9, 12, True),
        (13, 14, False),
        (15, 16, False),
    ]
    await records.close()


ROWS = Rows.of([("p", "d", "spo2", 84.5, 10, 12, 0), ("p", "d", "heart_rate", None, 11, 11, 4)])


CONTEXT = Context(
    setting="home",
    adult=True,
    spo2_scale=2,
    limits=(
        Limit("spo2-low", "limit", 85.0, "Dr. Who", 5, "COPD", expires=50),
        Limit("spo2-low", "limit", 84.0, "Dr. Who", 6, "夜间", daily=(1320, 360), timezone="Asia/Shanghai"),
    ),
    expected={"spo2": 4, "heart_rate": 3},
)


SEEN = {"metric": "spo2", "device": "d", "time": 6, "value": 84.0, "received": 7}
WORD = Adopt(
    7,
    99,
    "alm_e",
    "p1",
    "spo2-low",
    5,
    6,
    limit="< 90",
    inputs=(SEEN,),
    last=7,
    ended=9,
    closing="reset",
    cleared=({**SEEN, "time": 9},),
    source="gw-1",
    rule_hash="00ff",
    told=False,
    config="c0ffee",
    decided=8,
    terms={"unusual": {"spo2": {"score": 0.8, "parts": [["range", "below", 3.0, 1.0, 84.0, 95.0]]}}},
)


@pytest.mark.parametrize(
    "event",
    [
        Readings(7, 99, ROWS),
        Readings(7, 99, Rows()),
        Readings(7, 99, ROWS, "gw-1", 98),
        Tick(7, 99),
        Command(7, 99, "accept", "alm_1", "usr_1", "在路上"),
        Configuration(7, 99, RULES, frozenset({"p1", "p2"})),
        Configuration(7, 99, RuleSet((rule(delay_s=2.5),))),
        Configuration(7, 99, RuleSet((rule(), replace(rule(delay_s=9.0), shadow=True)))),
        Configuration(7, 99, None, contexts={"p1": CONTEXT, "p2": None, "gateway:gw-1": Context()}),
        Configuration(7, 99, None, relearn={"p1": ("heart_rate", "spo2"), "p2": ("spo2",)}),
        Adopt(7, 99, "alm_e", "p1", "spo2-low", 5, 6, {"spo2": 84.0}, {"en": "low", "zh": "低"}),
        WORD,
    ],
)
def test_inputs_come_back_from_their_bytes(event: Input):
    assert decode_input(7, kind_of(event), encode_input(event)) == event


def test_what_version_3_said_of_a_gateways_alarm_is_read():
    body = ["alm_e", "p1", "spo2-low", 5, 6, [["spo2", 84.0]], [["en", "low"]]]
    found = decode_input(7, "adopt", msgpack.packb([3, 99, body]))
    assert found == Adopt(7, 99, "alm_e", "p1", "spo2-low", 5, 6, {"spo2": 84.0}, {"en": "low"})


def test_a_configuration_of_version_4_has_no_new_levels():
    _, now, body = msgpack.unpackb(encode_input(Configuration(7, 99, None, relearn={"p1": ("spo2",)})))
    assert decode_input(7, "configuration", msgpack.packb([4, now, body[:-1]])) == Configuration(7, 99, None)


def test_what_version_4_said_of_a_gateways_alarm_is_read():
    version, now, body = msgpack.unpackb(encode_input(WORD))
    assert version == 5
    found = decode_input(7, "adopt", msgpack.packb([4, now, body[:-1]]))
    assert found == replace(WORD, terms=None)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("tick", b""),
        ("tick", b"\x93\x7f\x01\x90"),
        ("dance", b"\x93\x02\x01\x90"),
        ("dance", b"\x93\x01\x01\x90"),
        ("command", b"\x93\x02\x01\x90"),
        ("configuration", b"\x93\x01\x01\x92\x90\x90"),
    ],
)
def test_damaged_inputs_are_refused(kind: str, payload: bytes):
    with pytest.raises(StoreError, match="journal row 7"):
        decode_input(7, kind, payload)


@pytest.mark.parametrize(
    ("event", "body"),
    [
        (Readings(7, 99, ROWS), [["p", "d", "spo2"], [0], [1], [2], [84.5], [10], [2], [0]]),
        (Tick(7, 99), []),
        (Command(7, 99, "accept", "alm_1", "usr_1", ""), ["accept", "alm_1", "usr_1", ""]),
    ],
)
def test_what_the_first_release_journaled_can_be_read(event: Input, body: list[Any]):
    payload = msgpack.packb([1, 99, body])
    found = decode_input(7, kind_of(event), payload)
    assert version_of(payload) == 1
    if isinstance(event, Readings):
        event = replace(event, rows=Rows.of([("p", "d", "spo2", 84.5, 10, 12, 0)]))
    assert found == event


@pytest.mark.parametrize("payload", [b"", b"\x93", b"\x92\x01\x02", b"?"])
def test_the_version_of_damaged_bytes_is_none(payload: bytes):
    assert version_of(payload) == 0
