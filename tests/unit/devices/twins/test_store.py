"""What a device's memory answers to each request of its control point."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.twins.store import RecordStore, StoredRecord

AT = datetime(2026, 3, 1, 8, 0)  # noqa: DTZ001 - a device's clock has no zone


def filled(n: int = 5, **options: bool) -> RecordStore:
    store = RecordStore(**options)  # type: ignore[arg-type]
    for key in range(1, n + 1):
        store.add(StoredRecord(key, AT + timedelta(days=key), (("2a18", bytes((key,))),)))
    return store


def ask(store: RecordStore, request: str) -> tuple[list[int], str]:
    outcome = store.ask(bytes.fromhex(request))
    return [record.key for record in outcome.records], outcome.indication.hex()


@pytest.mark.parametrize(
    ("request_hex", "keys"),
    [
        ("01 01", [1, 2, 3, 4, 5]),
        ("01 05", [1]),
        ("01 06", [5]),
        ("01 02 01 0200", [1, 2]),
        ("01 03 01 0400", [4, 5]),
        ("01 04 01 0200 0400", [2, 3, 4]),
        ("01 03 02 EA070305080000", [4, 5]),
        ("01 02 02 EA070303080000", [1, 2]),
    ],
)
def test_records_are_reported_by_number_and_by_time(request_hex: str, keys: list[int]):
    assert ask(filled(), request_hex) == (keys, "06000101")


@pytest.mark.parametrize(
    ("request_hex", "answer"),
    [
        ("01 03 01 0600", "06000106"),  # no records
        ("07 01", "06000702"),  # unknown operation
        ("01 00", "06000103"),  # the operator "null"
        ("01 09", "06000104"),  # an operator that is none
        ("01 03", "06000105"),  # no operand
        ("01 03 01 06", "06000105"),  # half an operand
        ("01 04 01 0400 0200", "06000105"),  # a range that runs backwards
        ("01 01 01", "06000105"),  # an operand with "all"
        ("01 03 07 0100", "06000109"),  # a filter that is none
        ("03 00", "06000301"),  # nothing to abort is a success
        ("04 01", "05000500"),
        ("04 03 01 0400", "05000200"),
        ("04 03 01 0900", "05000000"),
        ("", "06000002"),
    ],
)
def test_all_else_is_an_answer_without_records(request_hex: str, answer: str):
    assert ask(filled(), request_hex) == ([], answer)


def test_what_is_deleted_is_gone():
    store = filled()
    assert ask(store, "02 02 01 0300") == ([], "06000201")
    assert [record.key for record in store.records] == [4, 5]
    assert ask(store, "02 02 01 0300") == ([], "06000206")


def test_a_device_may_know_less_than_the_standard():
    assert ask(filled(only_all=True), "01 03 01 0400") == ([], "06000104")
    assert ask(filled(only_all=True), "01 01")[0] == [1, 2, 3, 4, 5]
    assert ask(filled(ignores_filters=True), "01 03 01 0400")[0] == [1, 2, 3, 4, 5]


def test_the_oldest_gives_way():
    store = RecordStore(capacity=2)
    for key in range(4):
        store.add(StoredRecord(key, None, ()))
    assert [record.key for record in store.records] == [2, 3]


@given(st.binary(max_size=20))
def test_any_bytes_are_answered(request_bytes: bytes):
    outcome = filled().ask(request_bytes)
    assert outcome.indication[0] in {5, 6}
    assert len(outcome.indication) == 4
