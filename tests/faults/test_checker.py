"""The checker notices what it is there for."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.books import Books, Line
from tests.faults.checker import Stored, alarm_account, compare, lines_in_export, numbers_of


def books_of(n: int) -> Books:
    books = Books()
    for serial in range(1, n + 1):
        books.enter(Line("ox0", serial, sent=float(serial), wall=1000.0 + serial))
    return books


def items_of(books: Books) -> list[dict[str, Any]]:
    return [
        {"device": line.device, "group": f"g{line.serial}", "metric": metric, "value": value}
        for line in books.lines.values()
        for metric, value in line.values.items()
    ]


def verdict(books: Books, items: list[dict[str, Any]], *again: list[dict[str, Any]], **options: Any) -> Any:
    stored = Stored()
    for answer in (items, *again):
        stored.take(answer)
    return compare(books, stored, books.lines.values(), **options)


def test_all_is_there_however_often_it_is_looked_at():
    books = books_of(20)
    found = verdict(books, items_of(books), items_of(books)[:30])
    assert (found.lost, found.doubled, found.foreign, found.unaccepted) == (0, 0, 0, 0)


def test_a_lost_line_and_a_lost_reading():
    books = books_of(5)
    items = [i for i in items_of(books) if i["group"] != "g3"][1:]
    found = verdict(books, items)
    assert found.lost == 3 + 1
    assert [line.serial for line in found.missing] == [1, 3]


def test_what_died_with_the_gateway_is_lost_only_if_it_was_seen_on_the_wire():
    books = books_of(5)
    books.unsure.append((2.5, 3.5))
    items = [i for i in items_of(books) if i["group"] != "g3"]
    assert (verdict(books, items).lost, verdict(books, items).unaccepted) == (0, 3)
    books.on_wire.add(("ox0", 3))
    assert (verdict(books, items).lost, verdict(books, items).unaccepted) == (3, 0)


def test_put_aside_is_not_lost():
    books = books_of(5)
    items = [i for i in items_of(books) if i["group"] != "g3"]
    found = verdict(books, items, put_aside={("ox0", 3)})
    assert (found.lost, found.aside) == (0, 3)


def test_doubled_within_a_measurement_and_as_a_second_one():
    books = books_of(3)
    items = items_of(books)
    assert verdict(books, [*items, items[0]]).doubled == 1
    again = [{**item, "group": "other"} for item in items if item["group"] == "g2"]
    assert verdict(books, items + again).doubled == 3


def test_what_a_gateway_says_of_a_clock_was_sent_by_nobody_and_is_not_foreign():
    books = books_of(2)
    item = {"device": "ox0", "group": "g9", "metric": "clock_skew", "value": 1.0}
    found = verdict(books, [*items_of(books), item])
    assert (found.foreign, found.lost, found.doubled) == (0, 0, 0)


def test_what_nobody_sent_is_foreign():
    books = books_of(2)
    item = {"device": "ox0", "group": "g9", "metric": "perfusion_index", "value": 0.09}
    assert verdict(books, [*items_of(books), item]).foreign == 1
    changed = [{**i, "value": 50.0} if i["metric"] == "spo2" else i for i in items_of(books)]
    assert verdict(books, changed).lost == 2


def test_alarms_are_one_for_each_breach():
    breaches = Counter({"pat-ox0": 2, "pat-ox1": 1})
    alarms = [{"id": n, "patient": p} for n, p in enumerate(["pat-ox0", "pat-ox0", "pat-ox1"])]
    assert alarm_account(breaches, [*alarms, alarms[0]]) == (0, 0)
    assert alarm_account(breaches, alarms[1:]) == (1, 0)
    assert alarm_account(breaches, [*alarms, {"id": 9, "patient": "pat-ox1"}]) == (0, 1)


@pytest.mark.parametrize(("gaps", "holes"), [([], 3), ([(4, 6)], 0), ([(4, 5)], 1)])
def test_holes_in_the_numbering(tmp_path: Path, gaps: list[tuple[int, int]], holes: int):
    with closing(sqlite3.connect(tmp_path / "records.db")) as db:
        for table in ("frames", "gaps"):
            db.execute(f"CREATE TABLE {table} (gateway, boot, first, last)")
        db.executemany("INSERT INTO frames VALUES ('gw-1', 'b', ?, ?)", [(7, 9), (1, 3)])
        db.execute("INSERT INTO frames VALUES ('gw-2', 'b', 50, 60)")  # another's
        db.executemany("INSERT INTO gaps VALUES ('gw-1', 'b', ?, ?)", gaps)
        db.commit()
    found = numbers_of(tmp_path / "records.db")
    assert (found.holes, found.boots) == (holes, 1)
    assert found.declared == sum(last - first + 1 for first, last in gaps)


def test_what_a_time_series_server_has():
    rows = ['{"metric":{"device":"ox0"},"values":[0.01,0.02],"timestamps":[1,2]}'] * 2
    assert lines_in_export("\n".join(rows)) == Counter({("ox0", 1): 2, ("ox0", 2): 2})
