from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.walls import GONE_S, MAX_WALLS, WallBoard
from hearthward.core.clock import SECOND, EventClock

W1 = frozenset({"w1"})


def board() -> tuple[EventClock, WallBoard]:
    clock = EventClock(0, frozen_monotonic=True)
    clock.advance(100)
    return clock, WallBoard(clock)


def test_walls_are_counted_by_ward_and_only_those_that_can_be_heard() -> None:
    _, walls = board()
    walls.seen("a", W1, audible=True)
    walls.seen("b", W1, audible=False)
    walls.seen("c", frozenset({"w2"}), audible=True)
    walls.seen("all", None, audible=True)
    assert (walls.audible("w1"), walls.audible("w2"), walls.audible("w3")) == (2, 2, 1)
    assert [w.id for w in walls.of("w1")] == ["a", "all", "b"]


def test_a_wall_that_is_not_heard_of_is_gone_since_it_was_last_heard() -> None:
    clock, walls = board()
    walls.seen("a", W1, audible=True)
    clock.advance(GONE_S - 0.1)
    assert walls.audible("w1") == 1
    clock.advance(0.1)
    assert walls.audible("w1") == 0
    assert walls.last_audible("w1") == 100 * SECOND


def test_one_that_says_goodbye_is_gone_now() -> None:
    clock, walls = board()
    walls.seen("a", W1, audible=True)
    clock.advance(4)
    walls.gone("a")
    walls.gone("never seen")
    assert walls.audible("w1") == 0
    assert walls.last_audible("w1") == 104 * SECOND


def test_one_whose_sound_is_switched_off_is_not_heard_from_now_on() -> None:
    clock, walls = board()
    walls.seen("a", None, audible=True)
    clock.advance(3)
    walls.seen("a", None, audible=False)
    clock.advance(5)
    assert walls.audible("w1") == 0
    assert walls.last_audible("w1") == 103 * SECOND


def test_where_none_was_ever_heard_there_is_no_time() -> None:
    _, walls = board()
    walls.seen("a", W1, audible=False)
    assert walls.last_audible("w1") is None


def test_the_number_of_walls_is_bounded_but_dead_ones_make_room() -> None:
    clock, walls = board()
    for n in range(MAX_WALLS):
        walls.seen(f"w{n}", None, audible=False)
    walls.seen("one more", None, audible=True)
    assert walls.audible("w1") == 0
    clock.advance(GONE_S)
    walls.seen("one more", None, audible=True)
    assert walls.audible("w1") == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["seen", "muted", "gone", "wait"]),
            st.sampled_from("abc"),
            st.floats(0.1, 12),
        )
    )
)
def test_it_is_never_said_that_a_wall_was_heard_later_than_it_was(
    events: list[tuple[str, str, float]],
) -> None:
    clock, walls = board()
    heard: dict[str, int] = {}
    for kind, wall, seconds in events:
        if kind == "wait":
            clock.advance(seconds)
        elif kind == "gone":
            walls.gone(wall)
            heard.pop(wall, None)
        else:
            walls.seen(wall, W1, audible=kind == "seen")
            heard.pop(wall, None)
            if kind == "seen":
                heard[wall] = clock.monotonic_ns()
        alive = [at for at in heard.values() if clock.monotonic_ns() - at < GONE_S * SECOND]
        assert walls.audible("w1") == len(alive)
        last = walls.last_audible("w1")
        assert last is None or last <= clock.monotonic_ns()
        assert not alive or last == max(last or 0, *alive)
