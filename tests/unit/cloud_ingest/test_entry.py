"""Observations by hand: what is taken, what is refused and in which words, and that a repetition is one."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.entry import (
    DECIDED_S,
    ENTERABLE,
    ENTERABLE_BY_PATIENT,
    UNITS,
    Draft,
    EntryDesk,
    EntryError,
    bounds,
    manual_device,
    manual_patient,
)
from cloud_ingest.intake import Inspector, Intake, screen
from cloud_ingest.receipts import Ledger
from hearthward.core.clock import EventClock
from hearthward.core.codes import INTERNAL, METRICS
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch, Source
from hearthward.core.wire import Block, Frame, encode_block

S = 1_000_000_000
HOUR = 3600 * S
T0 = 1_767_225_600 * S


class Store:
    """Keeps what was taken; ``fail`` says what happens instead, before or after it is stored."""

    def __init__(self) -> None:
        self.clock = EventClock(T0)
        self.rows: list[Reading] = []
        self.taken: list[tuple[ReadingBatch, list[str]]] = []
        self.fail = ""
        self.desk = EntryDesk(self.clock, self.earlier, self.take)

    async def earlier(self, device: str, start: int, end: int) -> ReadingBatch:
        found = [r for r in self.rows if r.device == device and start <= r.corrected < end]
        return ReadingBatch.of(found[::-1])

    async def take(self, batch: ReadingBatch, patients: list[str]) -> None:
        await asyncio.sleep(0)
        if self.fail == "before":
            msg = "the disk is full"
            raise StoreUnavailable(msg)
        self.rows += [r for r in batch if r not in self.rows]
        if self.fail == "after":
            msg = "the disk is full"
            raise StoreUnavailable(msg)
        self.taken.append((batch, patients))

    async def enter(self, key: str = "ent_1", author: str = "usr_li", **more: Any) -> ReadingBatch:
        values = more.pop("values", {"pain": 3})
        return await self.desk.enter("pat_1", Draft(key, values, **more), author)

    async def refused(self, **more: Any) -> EntryError:
        with pytest.raises(EntryError) as caught:
            await self.enter(**more)
        assert not self.rows
        return caught.value


async def test_one_entry_is_one_group_with_author_source_and_time():
    store = Store()
    given_ = {"consciousness": "C", "supplemental_oxygen": "oxygen", "respiratory_rate": 18, "pain": "3"}
    batch = await store.enter(values=given_, at=T0 - HOUR)
    assert batch.metric == list(given_)
    assert batch.code == ["C", "oxygen", None, None]
    assert batch.value == [None, None, 18.0, 3.0]
    assert set(batch.device) == {"manual:pat_1"} == {manual_device("pat_1")}
    assert (set(batch.corrected), set(batch.received)) == ({T0 - HOUR}, {T0})
    assert (set(batch.source), set(batch.author)) == ({Source.MANUAL}, {"usr_li"})
    assert len(set(batch.group)) == len(set(batch.digest)) == 1
    assert batch.group[0] > 0
    assert batch.ordinal == [0, 1, 2, 3]
    assert store.taken == [(batch, ["pat_1"] * 4)]


async def test_the_same_entry_again_is_the_same_readings_and_is_taken_for_a_repetition():
    store = Store()
    first = await store.enter(values={"pain": 3, "symptom": "nausea"})
    store.clock.advance(30)
    again = await store.enter(values={"pain": 3, "symptom": "nausea"})
    assert again == first
    assert len(store.rows) == 2
    other = await store.enter("ent_2", values={"pain": 3, "symptom": "nausea"})
    assert other.received != first.received
    assert len(store.rows) == 4


@pytest.mark.parametrize(
    "change",
    [{"values": {"pain": 4}}, {"values": {"pain": 3, "spo2": 97}}, {"author": "usr_2"}, {"at": T0 - S}],
)
async def test_an_id_cannot_be_used_for_something_else(change: dict[str, Any]):
    store = Store()
    await store.enter()
    with pytest.raises(EntryError) as caught:
        await store.enter(**change)
    assert [(p.field, p.code) for p in caught.value.problems] == [("id", "taken")]
    assert len(store.rows) == 1


async def test_the_same_id_for_another_patient_is_another_entry():
    store = Store()
    await store.enter()
    await store.desk.enter("pat_2", Draft("ent_1", {"pain": 5}), "usr_li")
    assert [r.device for r in store.rows] == ["manual:pat_1", "manual:pat_2"]


async def test_an_entry_that_was_stored_and_not_decided_is_decided_when_it_is_sent_again():
    store = Store()
    for fail in ("before", "after"):
        store.fail = fail
        with pytest.raises(StoreUnavailable):
            await store.enter()
        store.clock.advance(5)
    store.fail = ""
    batch = await store.enter()
    assert len(store.rows) == 1
    assert store.taken == [(batch, ["pat_1"])]


async def test_an_old_entry_is_not_decided_again():
    store = Store()
    await store.enter()
    store.clock.advance(DECIDED_S + 1)
    assert len(await store.enter()) == 1
    assert len(store.taken) == 1


async def test_two_at_once_are_one():
    store = Store()
    first, second = await asyncio.gather(store.enter(), store.enter())
    assert first == second
    assert len(store.rows) == 1


@pytest.mark.parametrize(
    ("more", "field", "code", "message"),
    [
        ({"values": {}}, "values", "empty", "nothing was entered: give at least one value"),
        ({"values": {"urine": 1}}, "urine", "unknown", "urine: there is no such metric"),
        ({"values": {"pleth": 50}}, "pleth", "not_enterable", "cannot be entered by hand"),
        ({"values": {"battery_level": 50}}, "battery_level", "not_enterable", "cannot be entered by hand"),
        ({"values": {"device_serial": "1"}}, "device_serial", "not_enterable", "cannot be entered by hand"),
        ({"values": {"spo2": "abc"}}, "spo2", "number", "spo2: abc is not a number"),
        ({"values": {"spo2": "1e1"}}, "spo2", "number", "spo2: 1e1 is not a number"),
        ({"values": {"spo2": True}}, "spo2", "number", "spo2: True is not a number"),
        ({"values": {"spo2": math.nan}}, "spo2", "number", "spo2: nan is not a number"),
        ({"values": {"spo2": 10**400}}, "spo2", "number", "is not a number"),
        ({"values": {"spo2": 101}}, "spo2", "range", "spo2: 101 is not within 0 to 100 %"),
        (
            {"values": {"body_temperature": 98.6}},
            "body_temperature",
            "range",
            "body_temperature: 98.6 is not within 10 to 50 Cel",
        ),
        (
            {"values": {"blood_glucose": 5.5}},
            "blood_glucose",
            "range",
            "blood_glucose: 5.5 is not within 10 to 2000 mg/dL",
        ),
        (
            {"values": {"blood_glucose": 500}, "units": {"blood_glucose": "mmol/L"}},
            "blood_glucose",
            "range",
            "blood_glucose: 500 is not within 0.6 to 111 mmol/L",
        ),
        (
            {"values": {"blood_glucose": 5}, "units": {"blood_glucose": "g"}},
            "blood_glucose",
            "unit",
            "blood_glucose: g is none of the units mg/dL, mmol/L",
        ),
        ({"values": {"pain": 3.5}}, "pain", "whole", "pain: 3.5 is not a whole number from 0 to 10"),
        ({"values": {"pain": 11}}, "pain", "whole", "pain: 11 is not a whole number from 0 to 10"),
        (
            {"values": {"consciousness": "X"}},
            "consciousness",
            "code",
            "consciousness: X is none of A, C, V, P, U",
        ),
        (
            {"values": {"nibp_systolic": 80, "nibp_diastolic": 120}},
            "nibp_diastolic",
            "order",
            "nibp_diastolic: 120 must be below the systolic pressure of 80 mm[Hg]",
        ),
        ({"at": T0 + 61 * S}, "at", "future", "is in the future"),
        ({"at": T0 - 24 * HOUR - 1}, "at", "old", "is more than 24 hours ago"),
        ({"key": "a b"}, "id", "id", "id: a b must be 1-64 of the characters"),
        (
            {"values": {"consciousness": "A"}, "enterable": ENTERABLE_BY_PATIENT},
            "consciousness",
            "not_yours",
            "consciousness is for staff to enter",
        ),
    ],
)
async def test_refusals_name_the_field_the_value_and_the_bounds(
    more: dict[str, Any], field: str, code: str, message: str
):
    error = await Store().refused(**more)
    assert [(p.field, p.code) for p in error.problems] == [(field, code)]
    assert message in error.message


async def test_one_wrong_value_refuses_the_whole_entry_and_everything_wrong_is_named():
    error = await Store().refused(values={"pain": 3, "spo2": 130, "consciousness": "Z"}, at=T0 + HOUR)
    assert [p.field for p in error.problems] == ["at", "spo2", "consciousness"]


@pytest.mark.parametrize(
    ("metric", "value", "unit", "canonical"),
    [
        ("blood_glucose", "5,5", "mmol/L", 99.1),
        ("blood_glucose", 99, "mg/dL", 99.0),
        ("body_temperature", 98.6, "[degF]", 37.0),
        ("body_temperature", "36.6", None, 36.6),
        ("body_weight", 150, "[lb_av]", 68.04),
        ("respiratory_rate", 0, None, 0.0),
        ("pain", 10, None, 10.0),
        ("spo2", "\uff19\uff17", None, 97.0),  # full-width, as a Chinese keyboard writes 97
    ],
)
async def test_units_and_ways_of_writing(metric: str, value: object, unit: str | None, canonical: float):
    units = {} if unit is None else {metric: unit}
    batch = await Store().enter(values={metric: value}, units=units)
    assert batch.value == [canonical]


async def test_a_clock_a_little_ahead_means_now():
    batch = await Store().enter(at=T0 + 59 * S)
    assert batch.corrected == [T0]
    assert batch.received == [T0]


@given(st.sampled_from(sorted(ENTERABLE)), st.data())
def test_whatever_is_taken_no_store_refuses_and_whatever_is_refused_names_its_field(
    metric: str, data: st.DataObject
):
    known = METRICS[metric]
    values: st.SearchStrategy[Any] = st.floats() | st.integers() | st.text(max_size=8)
    if known.codes:
        values |= st.sampled_from(known.codes)
    else:
        values |= st.floats(*bounds(metric))
    unit = data.draw(st.sampled_from([None, known.unit, *UNITS.get(metric, {})]))
    draft = Draft("ent_1", {metric: data.draw(values)}, {} if unit is None else {metric: unit})
    store = Store()
    batch, refusal = asyncio.run(taken_or_refused(store, draft))
    if refusal is not None:
        assert {p.field for p in refusal.problems} == {metric}
        assert metric in refusal.message
        assert not store.rows
    else:
        assert not screen(batch, T0)
        assert batch.value[0] is not None or known.place(batch.code[0]) is not None


async def taken_or_refused(store: Store, draft: Draft) -> tuple[ReadingBatch, EntryError | None]:
    try:
        return await store.desk.enter("pat_1", draft, "usr_li"), None
    except EntryError as error:
        return ReadingBatch(), error


def test_what_may_be_entered_is_in_the_vocabulary():
    assert ENTERABLE_BY_PATIENT < ENTERABLE < set(METRICS)
    assert not ENTERABLE & INTERNAL
    assert {"consciousness", "supplemental_oxygen", "respiratory_rate"} <= ENTERABLE - ENTERABLE_BY_PATIENT
    for metric in ENTERABLE:
        low, high = bounds(metric)
        assert METRICS[metric].low <= low < high <= METRICS[metric].high


def test_no_gateway_can_send_what_is_entered_by_hand():
    assert manual_patient(manual_device("pat_1")) == "pat_1"
    assert manual_patient("oxi-1") is None
    row = Reading("manual:pat_1", "spo2", 97.0, None, None, T0, T0, source=Source.MANUAL, author="usr_li")
    frame = Frame("gw-1", "boot-1", (Block(1, 1, encode_block(ReadingBatch.of([row]))),), wall=T0, mono=1)
    intake = Intake()
    Inspector("main", Ledger(), 60 * S).take(frame, "hearthward/v1/main/gw-1/frame", T0, intake)
    assert not intake.parts
    assert [dead.reason for dead in intake.dead] == ["reserved"]
