from __future__ import annotations

import pytest

from edge_agent.segments.books import BOOKS, Books, Record, read_books
from edge_agent.segments.fake import MemoryDisk
from edge_agent.segments.state import Change, State

SIZE = 64 << 10


@pytest.fixture
def disk() -> MemoryDisk:
    disk = MemoryDisk()
    disk.create(BOOKS, SIZE)
    return disk


def read(disk: MemoryDisk, name: str) -> Record:
    record = read_books(disk, name, SIZE)
    assert record is not None
    return record


def test_snapshot_and_changes_give_the_books(disk: MemoryDisk):
    books = Books(disk, SIZE, None)
    books.begin(3, State("boot-1", 5, serial=2))
    for serial in (3, 4):
        books.append(serial, Change(following=serial * 10).encode())
    record = read(disk, "books-0")
    assert (record.serial, record.state.following, record.state.serial, record.whole) == (3, 40, 4, True)
    assert read_books(disk, "books-1", SIZE) is None
    books.begin(4, record.state)
    assert (read(disk, "books-1").serial, read(disk, "books-0").state.following) == (4, 40)
    books.close()
    with pytest.raises(OSError, match="closed"):
        books.append(5, b"")


def test_a_damaged_change_ends_them_and_shows(disk: MemoryDisk):
    books = Books(disk, SIZE, "books-1")
    books.begin(3, State("boot-1", 5))
    before = SIZE - books.room()
    for serial in (1, 2, 3):
        books.append(serial, Change(following=serial * 10).encode())
    end = SIZE - books.room()
    disk.files["books-0"].data[before + (end - before) // 2] ^= 4
    record = read(disk, "books-0")
    assert (record.state.following, record.whole) == (10, False)
    disk.files["books-0"].data[before - 1] ^= 4
    assert read_books(disk, "books-0", SIZE) is None


def test_one_that_was_cut_short_is_not_whole(disk: MemoryDisk):
    books = Books(disk, SIZE, None)
    books.begin(3, State("boot-1", 5))
    del disk.files["books-0"].data[-1]
    assert not read(disk, "books-0").whole


def test_accounts_that_would_fill_the_file_lose_their_oldest_hours(disk: MemoryDisk):
    state = State("boot-1", 5)
    state.apply(Change(counts=tuple((f"{n * 7919 % 100_003:x}", n // 100, "read", n) for n in range(10_000))))
    books = Books(disk, SIZE, None)
    books.begin(1, state)
    assert books.room() >= SIZE // 2 - 100
    kept = {hour for _, hour, _, _ in read(disk, "books-0").state.counts}
    assert kept == set(range(min(kept), 100))


def test_a_failure_leaves_the_other_file_in_force(disk: MemoryDisk):
    books = Books(disk, SIZE, None)
    books.begin(1, State("boot-1", 5))
    disk.fail_in(0)
    with pytest.raises(OSError, match="Input"):
        books.begin(2, State("boot-1", 9))
    disk.fail_in(None)
    books.append(7, Change(following=8).encode())
    assert read(disk, "books-0").state.following == 8
