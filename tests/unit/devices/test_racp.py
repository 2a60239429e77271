"""The control point's bytes, and how far a fetch may say that it got."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.racp import (
    ABORT,
    MAX_NUMBER,
    REPORT_ALL,
    REPORT_LAST,
    Answer,
    Code,
    Cursor,
    Fetching,
    Op,
    Record,
    answers,
    count_from,
    delete_up_to,
    parse_answer,
    report_from,
)
from hearthward.core.errors import DecodeError

NUMBERS = st.integers(0, MAX_NUMBER)


def test_requests_are_those_of_the_standard():
    assert bytes.fromhex("0101") == REPORT_ALL
    assert bytes.fromhex("0300") == ABORT
    assert report_from(0x0102) == bytes.fromhex("0103010201")
    assert count_from(0x0102) == bytes.fromhex("0403010201")
    assert delete_up_to(0xFFFE) == bytes.fromhex("020201FEFF")


@pytest.mark.parametrize("number", [-1, MAX_NUMBER + 1])
def test_a_number_that_does_not_fit_is_refused(number: int):
    with pytest.raises(ValueError, match="number is 0"):
        report_from(number)
    with pytest.raises(ValueError, match="number is 0"):
        count_from(number)
    with pytest.raises(ValueError, match="number is 0"):
        delete_up_to(number)


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ("06000101", Answer(Op.REPORT, Code.SUCCESS)),
        ("06000106", Answer(Op.REPORT, Code.NO_RECORDS)),
        ("06000308", Answer(Op.ABORT, Code.NOT_COMPLETED)),
        ("060002FE", Answer(Op.DELETE, Code.REFUSED)),
        ("0500FF01", Answer(Op.COUNT, Code.SUCCESS, 511)),
    ],
)
def test_answers(payload: str, answer: Answer):
    assert parse_answer(bytes.fromhex(payload)) == answer


@pytest.mark.parametrize(
    ("payload", "reason"),
    [("", "truncated"), ("060001", "truncated"), ("0600010100", "oversized"), ("01000101", "malformed")],
)
def test_what_is_no_answer_is_refused(payload: str, reason: str):
    with pytest.raises(DecodeError) as raised:
        parse_answer(bytes.fromhex(payload))
    assert raised.value.reason == reason


@given(st.binary(max_size=8))
def test_any_bytes_are_an_answer_or_refused(payload: bytes):
    try:
        answer = parse_answer(payload)
    except DecodeError:
        return
    assert answers(bytes((answer.request,)), answer)
    assert not answers(bytes((answer.request ^ 0x40,)), answer)


def told(fetching: Fetching, *records: Record, code: Code = Code.SUCCESS) -> None:
    """The device tells these and then answers; everything is committed at once."""
    for n, record in enumerate(records):
        fetching.taken(record, n)
    fetching.committed(len(records))
    fetching.answered(code)


def test_without_a_cursor_everything_is_asked_for_once():
    fetching = Fetching(None)
    assert fetching.request == REPORT_ALL
    told(fetching, Record(1, 10), Record(2, 20))
    assert fetching.request is None
    assert fetching.finish() == Cursor(2, 20)
    assert fetching.deletable


def test_with_a_cursor_its_own_record_proves_that_numbers_mean_the_same():
    fetching = Fetching(Cursor(2, 20))
    assert fetching.request == report_from(2)
    told(fetching, Record(2, 20), Record(3, 30))
    assert fetching.request == REPORT_LAST
    told(fetching, Record(3, 30))
    assert fetching.complete
    assert fetching.finish() == Cursor(3, 30)


@pytest.mark.parametrize("code", [Code.OPERATOR_UNSUPPORTED, Code.OP_UNSUPPORTED, Code.REFUSED])
def test_a_device_that_does_not_tell_its_last_record_is_believed(code: Code):
    fetching = Fetching(Cursor(2, 20))
    told(fetching, Record(2, 20), Record(3, 30))
    told(fetching, code=code)
    assert fetching.complete


def test_one_that_was_made_in_between_is_the_newest():
    fetching = Fetching(Cursor(2, 20))
    told(fetching, Record(2, 20), Record(3, 30))
    told(fetching, Record(4, 40))
    assert fetching.complete
    assert fetching.finish() == Cursor(4, 40)


def test_numbers_that_started_over_in_a_store_that_was_kept_show_by_the_last_record():
    fetching = Fetching(Cursor(9, 90))
    told(fetching, Record(9, 90))
    told(fetching, Record(1, 91))
    assert fetching.request == REPORT_ALL
    told(fetching, Record(8, 80, 8), Record(9, 90, 9), Record(0, 1, 10), Record(1, 91, 11))
    assert fetching.finish() == Cursor(1, 91)


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([Record(2, 99), Record(3, 30)], Code.SUCCESS),
        ([Record(3, 30)], Code.SUCCESS),
        ([], Code.NO_RECORDS),
        ([], Code.OPERATOR_UNSUPPORTED),
        ([], Code.OPERAND_UNSUPPORTED),
        ([], Code.REFUSED),
        ([Record(2, 20), Record(MAX_NUMBER, 30)], Code.SUCCESS),
        ([Record(2, 20), Record(3, 30), Record(2, 40), Record(3, 50)], Code.SUCCESS),
    ],
)
def test_otherwise_everything_is_asked_for(records: list[Record], code: Code):
    fetching = Fetching(Cursor(2, 20))
    told(fetching, *records, code=code)
    assert fetching.request == REPORT_ALL
    told(fetching, Record(0, 1), Record(1, 2))
    assert fetching.complete
    assert fetching.finish() == Cursor(1, 2)


def test_a_store_that_is_empty_leaves_the_cursor_where_it_was():
    fetching = Fetching(Cursor(2, 20))
    told(fetching, code=Code.NO_RECORDS)
    told(fetching, code=Code.NO_RECORDS)
    assert fetching.finish() == Cursor(2, 20)


def test_cut_off_only_what_is_committed_counts_and_of_that_not_the_last():
    fetching = Fetching(None)
    for n in range(5):
        fetching.taken(Record(n, n), n)
    fetching.committed(3)
    assert fetching.cursor == Cursor(2, 2)
    assert not fetching.deletable
    assert fetching.finish() == Cursor(2, 2)


def test_numbers_not_proven_to_mean_the_same_move_nothing():
    fetching = Fetching(Cursor(500, 1))
    for n in (600, 601, 602):
        fetching.taken(Record(n, n), n)
    fetching.committed(700)
    assert fetching.cursor == Cursor(500, 1)


def test_what_came_before_everything_was_asked_for_moves_nothing_later():
    fetching = Fetching(Cursor(500, 1))
    for n in (600, 601, 602):
        fetching.taken(Record(n, n), n)
    fetching.answered(Code.SUCCESS)
    fetching.committed(700)
    assert fetching.cursor == Cursor(500, 1)


def test_numbers_that_start_over_amid_a_fetch_move_nothing():
    fetching = Fetching(Cursor(1, 10))
    for ticket, (n, mark) in enumerate([(1, 10), (1, 11), (2, 12), (3, 13)]):
        fetching.taken(Record(n, mark), ticket)
    fetching.committed(9)
    assert fetching.cursor == Cursor(1, 10)


def test_a_live_value_in_between_does_not_move_the_cursor_past_what_is_missing():
    fetching = Fetching(None)
    for ticket, n in enumerate((1, 2, 1000, 3, 4)):
        fetching.taken(Record(n, n), ticket)
        fetching.committed(ticket)
        assert fetching.cursor is None or fetching.cursor.number < 4
    assert fetching.cursor == Cursor(3, 3)


def test_numbers_that_ran_over_are_all_fetched_and_nothing_is_deleted_by_number():
    fetching = Fetching(None)
    told(fetching, Record(65_534, 1, 1), Record(65_535, 2, 2), Record(0, 3, 3), Record(1, 4, 4))
    assert fetching.finish() == Cursor(1, 4)
    assert not fetching.deletable


def test_newest_first_ends_at_the_newest():
    fetching = Fetching(None)
    told(fetching, Record(9, 9, 90), Record(8, 8, 80), Record(7, 7, 70))
    assert fetching.finish() == Cursor(9, 9)
    assert not fetching.deletable


def test_in_order_the_last_is_the_newest_whatever_its_clock_says():
    fetching = Fetching(None)
    told(fetching, Record(1, 1, 50), Record(2, 2, 10))
    assert fetching.finish() == Cursor(2, 2)


def test_two_records_of_one_number_are_not_deleted_by_it():
    fetching = Fetching(None)
    told(fetching, Record(1, 1), Record(1, 2))
    assert fetching.complete
    assert not fetching.deletable


def test_a_lost_record_keeps_the_fetch_from_being_complete():
    fetching = Fetching(None)
    fetching.taken(Record(1, 1), 1)
    fetching.taken(Record(2, 2), 2)
    fetching.lost()
    fetching.taken(Record(4, 4), 3)
    fetching.committed(9)
    fetching.answered(Code.SUCCESS)
    assert not fetching.complete
    assert fetching.request == REPORT_ALL
    assert fetching.finish() == Cursor(1, 1)


def test_a_refused_record_is_passed_but_never_deleted():
    fetching = Fetching(None)
    fetching.taken(Record(1, 1), 1)
    fetching.spoiled = "profile-hash"
    told(fetching, Record(3, 3))
    assert not fetching.deletable
    assert fetching.finish() == Cursor(3, 3, "profile-hash")
    assert Fetching(Cursor(3, 3, "profile-hash")).spoiled == "profile-hash"


@given(st.lists(NUMBERS, unique=True, max_size=12), st.integers(0, 12), st.data())
def test_in_order_whatever_is_cut_off_or_not_committed_is_asked_for_again(
    numbers: list[int], committed: int, data: st.DataObject
):
    """A store told oldest first, cut anywhere: all that is not committed stands at or after the cursor."""
    numbers.sort()
    cut = data.draw(st.integers(0, len(numbers)))
    fetching = Fetching(None)
    for ticket, n in enumerate(numbers[:cut]):
        fetching.taken(Record(n, n), ticket)
    fetching.committed(committed)
    if fetching.cursor is not None:
        missing = [n for ticket, n in enumerate(numbers) if ticket > committed or ticket >= cut]
        assert all(n >= fetching.cursor.number for n in missing)
