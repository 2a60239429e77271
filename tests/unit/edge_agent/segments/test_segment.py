from __future__ import annotations

from edge_agent.segments.fake import MemoryDisk
from edge_agent.segments.records import Kind, record
from edge_agent.segments.segment import Found, Segment, close_off, look, read_rows
from edge_agent.segments.state import Change, State
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Gap

SIZE = 256 << 10


def begun(disk: MemoryDisk, serial: int = 5, state: State | None = None) -> Segment:
    disk.create(["s"], SIZE)
    return Segment.create(disk, "s", SIZE, serial, state or State("boot-1", 4), b"words")


def fill(segment: Segment, firsts: range) -> None:
    for first in firsts:
        data = record(Kind.BLOCK, segment.serial, b"body", first=first, count=2)
        segment.write(data)
        at = segment.end
        segment.wrote(data, [])
        segment.numbers.add(first, first + 1)
        segment.data_bytes += segment.end - at


def found(disk: MemoryDisk) -> Found:
    one = look(disk, "s", SIZE)
    assert isinstance(one, Found)
    return one


def test_a_segment_that_grows_is_read_row_by_row():
    disk = MemoryDisk()
    state = State("boot-1", 4)
    state.apply(Change(done=((1, 2),), gaps=(Gap(3, 3, "full"),)))
    segment = begun(disk, state=state)
    fill(segment, range(4, 10, 2))
    one = found(disk)
    assert (one.segment.serial, one.segment.boot, one.segment.words) == (5, "boot-1", b"words")
    assert one.state is not None
    assert (one.state.done, one.state.gaps) == (state.done, state.gaps)
    assert (one.sealed, one.whole) == (False, True)
    assert [(r.first, r.last) for r in one.rows or []] == [(4, 5), (6, 7), (8, 9)]
    assert one.segment.end == segment.end


def test_a_sealed_one_is_vouched_for_by_its_footer_until_its_check_fails():
    disk = MemoryDisk()
    segment = begun(disk)
    fill(segment, range(4, 10, 2))
    segment.seal()
    one = found(disk)
    assert (one.sealed, one.rows, one.segment.numbers) == (True, None, RangeSet([(4, 9)]))
    one.check(disk)
    assert one.rows is None
    disk.files["s"].data[segment.end - 2] ^= 1
    one = found(disk)
    one.check(disk)
    assert [r.first for r in one.rows or []] == [4, 6]
    assert not one.whole
    one.segment.numbers = RangeSet([(4, 7)])
    close_off(disk, one.segment)
    again = found(disk)
    again.check(disk)
    assert (again.rows, again.segment.numbers) == (None, RangeSet([(4, 7)]))


def test_either_copy_of_the_header_will_do_and_without_both_only_the_serial_is_known():
    disk = MemoryDisk()
    segment = begun(disk)
    fill(segment, range(4, 6, 2))
    disk.files["s"].data[20] ^= 1
    assert (found(disk).segment.serial, found(disk).whole) == (5, False)
    disk.files["s"].data[4096 + 20] ^= 1
    assert look(disk, "s", SIZE) == 5
    disk.remove("s")
    disk.create(["s"], SIZE)
    assert look(disk, "s", SIZE) == 0


def test_a_tail_cut_off_or_begun_is_not_whole():
    disk = MemoryDisk()
    segment = begun(disk)
    fill(segment, range(4, 8, 2))
    disk.files["s"].data[segment.end - 1] ^= 1
    assert not found(disk).whole
    del disk.files["s"].data[segment.end :]
    assert not found(disk).whole


def test_books_too_large_for_a_header_are_left_out():
    disk = MemoryDisk()
    state = State("boot-1", 10**9)
    state.apply(Change(counts=tuple((f"device-{n}", n % 50, "read", n) for n in range(20_000))))
    begun(disk, state=state)
    known = found(disk).state
    assert known is not None
    assert (known.following, len(known.counts)) == (10**9, 0)
    state.apply(Change(done=tuple((n * n, n * n + n // 2) for n in range(1, 30_000))))
    begun(disk, serial=6, state=state)
    assert (found(disk).segment.serial, found(disk).state) == (6, None)


def test_what_an_earlier_use_left_is_not_seen():
    disk = MemoryDisk()
    fill(begun(disk), range(4, 400, 2))
    segment = begun(disk, serial=9)
    fill(segment, range(500, 504, 2))
    assert [r.first for r in read_rows(disk, segment)] == [500, 502]
    assert [r.first for r in found(disk).rows or []] == [500, 502]
