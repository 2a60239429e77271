"""What is known of a rule besides the present episode: questions of time, and the way through bytes."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from rules.model import Measured
from rules.shared import ELSEWHERE_KEPT, NOTHING, OPEN, PAST_KEPT, SEEN_KEPT, Elsewhere, Shared, Span, overlap


def word(alarm: str = "e", onset: int = 10, end: int = OPEN, **more: object) -> Elsewhere:
    made = Elsewhere(alarm, "gw", onset, max(onset, end), end, True, "a", False, "", "")
    return made._replace(**more)  # type: ignore[arg-type]


def test_episodes_overlap_that_share_a_moment_or_begin_together():
    assert overlap(0, 5, 4, 9)
    assert overlap(0, inf, 4, 4)
    assert overlap(3, 3, 3, 3)
    assert overlap(3, 3, 3, inf)
    assert not overlap(0, 5, 5, 9)
    assert not overlap(5, inf, 0, 5)


TIMES = st.integers(0, 30)


@given(TIMES, TIMES, TIMES, TIMES)
def test_overlapping_is_mutual(a: int, b: int, c: int, d: int):
    (a, b), (c, d) = sorted((a, b)), sorted((c, d))
    assert overlap(a, b, c, d) is overlap(c, d, a, b)


def test_a_time_is_covered_while_a_gateway_has_told_all_of_it():
    shared = NOTHING.with_word(word(end=20)).with_word(word("f", 40))
    assert [shared.covers(at, 99) for at in (9, 10, 19, 20, 40)] == [False, True, True, False, False]
    assert [shared.tells_of(at) for at in (9, 10, 20, 21, 40, 999)] == [False, True, True, False, True, True]
    assert NOTHING.with_word(word(end=10)).covers(10, 99)
    ours = NOTHING.with_past(Span("a", 10, 50, entry=False))
    assert ours.covers(30, 40), "gateways have told up to 50"
    assert not ours.covers(30, 60)
    assert (shared.heard(), NOTHING.heard()) == (20, OPEN)


def test_what_begins_now_begins_after_what_was():
    shared = NOTHING.with_word(word(end=20)).with_past(Span("a", 1, 25, entry=False))
    assert shared.free_from(5, 30) == 25
    assert shared.free_from(28, 30) == 28
    assert shared.covered_until(5, 30) == 20
    assert shared.covered_until(5, 19) == 5
    assert not shared.alone(5, 30)
    assert shared.alone(26, 30)


def test_of_a_gateways_episodes_the_next_is_known():
    shared = (
        NOTHING.with_word(word("e", 10)).with_word(word("f", 30)).with_word(word("g", 20, source="other"))
    )
    assert (shared.next_of("gw", 10), shared.next_of("gw", 30)) == (30, None)
    assert [e.alarm for e in shared.open_of("gw")] == ["e", "f"]
    assert {e.alarm for e in shared.moved("a", "b").holding("b")} == {"e", "f", "g"}


def test_of_readings_the_newest_is_kept():
    old, new = Measured("spo2", "d", 5, 84.0, 5), Measured("spo2", "d", 9, 85.0, 9)
    assert NOTHING.with_seen([new, old]).seen == NOTHING.with_seen([old]).with_seen([new]).seen == (new,)


def test_what_is_remembered_is_bounded():
    shared = NOTHING
    for i in range(ELSEWHERE_KEPT + 9):
        shared = shared.with_word(word(f"e{i}", i, i)).with_past(Span(f"a{i}", i, i, entry=False))
        shared = shared.with_seen([Measured("spo2", f"d{i}", i, 84.0, i)])
    kept = len(shared.past), len(shared.elsewhere), len(shared.seen)
    assert kept == (PAST_KEPT, ELSEWHERE_KEPT, SEEN_KEPT)
    assert shared.named("e0") is None
    assert shared.named(f"e{ELSEWHERE_KEPT}") is not None


def test_it_comes_back_from_plain_data():
    shared = NOTHING.with_word(word(end=20)).with_past(Span("a", 1, 25, entry=True))
    shared = shared.with_seen([Measured("spo2", "d", 5, 84.0, 5)])
    assert Shared.unpacked(shared.pack()) == shared
