"""Sums of spans: the same as adding up the days by hand, kept until days are written anew."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from cloud_ingest.device_health.kept_days import row_of_day
from cloud_ingest.device_health.span_sums import MOST, SpanBook, SpanSums
from cloud_ingest.device_health.sums import DOUBTS, NUMBERS, DaySums, Totals, quality_of
from cloud_ingest.records import Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.fleet_days import set_counts
from tests.unit.cloud_ingest.ward import TENANT, Ward

SEVEN = st.lists(st.integers(0, 50), min_size=7, max_size=7)
COUNTS = st.lists(st.integers(0, 9), min_size=len(DOUBTS), max_size=len(DOUBTS))


def totals(numbers: list[int], doubts: list[int]) -> Totals:
    return Totals(
        **dict(zip(NUMBERS, numbers, strict=True)),
        doubts={name: n for name, n in zip(DOUBTS, doubts, strict=True) if n},
    )


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(SEVEN, COUNTS)))
def test_columns_say_what_rows_said(found: dict[str, tuple[list[int], list[int]]]):
    sums = SpanSums([(device, *numbers, *doubts) for device, (numbers, doubts) in found.items()])
    each = {device: totals(*row) for device, row in found.items()}
    for device in "abcd":
        one = each.get(device, Totals())
        assert sums.totals([device]) == one
        assert sums.used(device) == one.used
        worst = quality_of(one).worst
        assert sums.worst(device) == (2.0 if worst is None else worst)
    assert sums.totals("abcd") == Totals.together(each.values())


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    made = await Ward(tmp_path / "records.db").start()
    yield made
    await made.close()


async def test_they_are_added_up_once_until_days_are_written_anew(ward: Ward):
    one = DaySums("dev_1", 100, hours=0b11, span=3, stored=10, late=20, doubts={"jump": 2, "suspect": 2})

    async def put(sums: DaySums) -> None:
        await ward.records.run(lambda s: set_counts(s, TENANT, [sums]))

    for sums in (one, DaySums("dev_1", 99, stored=5), DaySums("dev_2", 100, rejected=1)):
        await ward.records.run(lambda s, sums=sums: s.add(rows.DeviceDay(**row_of_day(TENANT, sums))))
    book = SpanBook(TENANT, ward.records)
    first = await book.of(100)
    assert first.totals(["dev_1"]) == Totals(
        stored=10, late=10, used=2, kept=2, span=3, doubts={"jump": 2, "suspect": 2}
    )
    assert (first.worst("dev_2"), first.worst("dev_3")) == (0.0, 2.0)
    assert (await book.of(99)).totals(["dev_1"]).stored == 15
    await put(DaySums("dev_1", 100, stored=11))
    assert await book.of(100) is first  # it is told of what is written
    book.forget()
    assert (await book.of(100)).totals(["dev_1"]) == Totals(stored=11)


class Empty:
    """Records without days; ``meanwhile`` is called before an answer comes."""

    def __init__(self, meanwhile: Callable[[], None] | None = None) -> None:
        self.meanwhile = meanwhile

    async def read(self, _fn: Callable[[Session], SpanSums]) -> SpanSums:
        if self.meanwhile is not None:
            self.meanwhile()
        return SpanSums(())


def book_over(records: Empty) -> SpanBook:
    return SpanBook(TENANT, cast("Records", records))


async def test_what_was_read_while_days_were_written_is_not_kept():
    records = Empty()
    book = book_over(records)
    records.meanwhile = book.forget
    before = await book.of(1)
    records.meanwhile = None
    assert await book.of(1) is not before


async def test_few_spans_are_kept():
    book = book_over(Empty())
    oldest = await book.of(0)
    for first in range(1, MOST + 1):
        await book.of(first)
    assert await book.of(MOST) is await book.of(MOST)
    assert await book.of(0) is not oldest
