"""What is unusual of a signal, as a derived quantity: news while nothing is open, the present while it is."""

from __future__ import annotations

import math
import random
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.detectors.novelty import COURSE, LASTING, VERSION, Direction, Evidence, Novelty, followed
from rules.detectors.priors import POPULATION, Population

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
PULSE = POPULATION["heart_rate"]


def made(direction: Direction = "above", population: Population | None = PULSE) -> Novelty:
    return Novelty(direction, MINUTE, population)


def steady(novelty: Novelty, minutes: int = 600, level: float = 80.0, start: int = 0) -> int:
    """A reading a minute about a level; the next minute."""
    chance = random.Random(start)
    for n in range(start, start + minutes):
        novelty.push(n * MINUTE, level + chance.choice((-3, -1, 0, 1, 3)), frozen=False)
    return start + minutes


def test_what_was_never_seen_is_news_once_and_goes_on_while_its_alarm_is_open():
    told, ignored = made(), made()
    now = steady(told)
    assert steady(ignored) == now
    assert told.output == 0.0
    for novelty in (told, ignored):
        novelty.push(now * MINUTE, 120.0, frozen=False)
        assert novelty.output is not None
        assert novelty.output > 0.9
    for n in range(now + 1, now + 120):
        told.push(n * MINUTE, 120.0, frozen=True)
        assert (told.output or 0.0) > 0.7
        ignored.push(n * MINUTE, 120.0, frozen=False)
    assert ignored.output == 0.0
    for n in range(now + 120, now + 140):
        told.push(n * MINUTE, 80.0, frozen=True)
    assert told.output == 0.0  # at once over when it is over, however long it was
    steady(told, 200, start=now + 140)
    told.push((now + 340) * MINUTE, 120.0, frozen=False)
    assert told.output > 0.9  # nothing of it has become usual


def test_only_the_asked_direction_counts():
    seen: dict[Direction, list[float | None]] = {"above": [], "below": [], "either": []}
    for direction, outputs in seen.items():
        for value in (120.0, 45.0):
            novelty = made(direction)
            now = steady(novelty)
            novelty.push(now * MINUTE, value, frozen=False)
            outputs.append(novelty.output)
            if novelty.terms is not None and direction != "either":
                assert {p.direction for p in novelty.terms.parts} == {direction}
    assert [round(x or 0) for xs in seen.values() for x in xs] == [1, 0, 0, 1, 1, 1]


def test_its_terms_name_value_usual_and_their_share():
    novelty = made()
    now = steady(novelty)
    novelty.push(now * MINUTE, 120.0, frozen=False)
    assert novelty.terms is not None
    assert novelty.terms.value == 120.0
    assert novelty.terms.known_s == 599 * 60
    parts = novelty.terms.parts
    assert [p.share for p in parts] == sorted((p.share for p in parts), reverse=True)
    assert sum(p.share for p in parts) <= 1.001
    by_name = {p.name: p for p in parts}
    assert by_name["range"].value == 120.0
    assert 83.0 <= by_name["range"].usual <= 100.0
    assert Evidence.of(novelty.terms.content()) == novelty.terms


def test_a_reading_a_second_is_judged_by_the_minute():
    often, seldom = made(), made()
    for second in range(7200):
        often.push(second * SECOND, 80.0 + (0, 25, -25)[second % 3], frozen=False)
        if second % 60 == 0:
            seldom.push(second * SECOND, 80.0, frozen=False)
        assert often.output in {None, 0.0}
    often.push(7200 * SECOND, 300.0, frozen=False)  # one of sixty
    assert often.terms is None or often.terms.value < 90
    seldom.push(7200 * SECOND, 120.0, frozen=False)
    assert seldom.terms is not None
    assert seldom.terms.value == 120.0


def test_what_came_before_a_silence_is_not_mixed_with_what_comes_after():
    novelty = made()
    novelty.push(0, 80.0, frozen=False)
    novelty.push(SECOND, 40.0, frozen=False)
    novelty.push(HOUR, 80.0, frozen=False)
    packed = novelty.pack()
    assert packed[4][1] == 80.0


def test_a_young_patient_is_measured_by_the_population():
    for value, told in ((90.0, False), (140.0, True)):
        novelty = made()
        for n in range(15):
            novelty.push(n * MINUTE, 82.0, frozen=False)
        novelty.push(15 * MINUTE, value, frozen=False)
        assert ((novelty.output or 0.0) > 0.5) is told
    alone = made(population=None)
    for n in range(15):
        alone.push(n * MINUTE, 82.0, frozen=False)
        assert alone.output is None


@pytest.mark.parametrize("metric", sorted(POPULATION))
def test_the_first_value_weighs_by_what_patients_differ(metric: str):
    known = POPULATION[metric]
    prior = known.prior(known.level + 4 * known.between)
    assert known.level < prior.level < known.level + 4 * known.between
    assert known.prior(known.level).level == pytest.approx(known.level)


def test_a_level_that_has_lasted_for_a_day_is_the_patients_own():
    novelty = made()
    now = steady(novelty)
    over = None
    for n in range(now, now + LASTING // MINUTE + 5):
        novelty.push(n * MINUTE, 110.0, frozen=n > now)
        if novelty.output == 0.0 and over is None:
            over = n - now
    assert over == LASTING // MINUTE + 1
    assert novelty.output == 0.0


@pytest.mark.parametrize("past", [0, 50])
@pytest.mark.parametrize("value", [math.nan, -math.inf, 1e100], ids=["none", "infinite", "too large"])
def test_what_is_no_reading_is_passed_over(past: int, value: float):
    novelty = made()
    now = steady(novelty, past)
    packed = novelty.pack()
    novelty.push((now + 60) * MINUTE, value, frozen=False)
    assert novelty.pack() == packed


def test_another_version_or_a_damaged_state_begins_anew_and_says_so():
    novelty = made()
    steady(novelty, 50)
    packed = novelty.pack()
    for wrong in (
        [*packed[:2], VERSION + 1, *packed[3:]],
        [*packed[:3], b"HWRS" + packed[3][4:-1], *packed[4:]],
    ):
        again = made()
        assert not again.unpack(wrong)
        assert again.pack() == made().pack()
    again = made()
    assert again.unpack(packed)
    assert again.pack() == packed


def test_times_are_moved_together():
    moved, late = made(), made()
    now = steady(moved, 90)
    moved.push(now * MINUTE, 120.0, frozen=True)
    moved.shift(24 * HOUR)
    chance = random.Random(0)
    for n in range(90):
        late.push(n * MINUTE + 24 * HOUR, 80.0 + chance.choice((-3, -1, 0, 1, 3)), frozen=False)
    late.push(now * MINUTE + 24 * HOUR, 120.0, frozen=True)
    assert moved.pack() == late.pack()


pasts = st.lists(
    st.tuples(
        st.sampled_from([1, 7, 60, 61, 600, 5000, 90_000]),
        st.floats(-1e6, 1e6) | st.integers(60, 140).map(float),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


def test_the_course_of_what_is_unusual_while_frozen_is_kept_within_the_kilobyte():
    it, time = made("above"), 1_700_000_000 * SECOND
    for n in range(60):
        it.push(time + n * 60 * SECOND, 75.0 + n % 3, frozen=False)
    assert it.course == ()
    for n in range(60, 60 + COURSE + 30):
        it.push(time + n * 60 * SECOND, 140.25 + n % 3, frozen=True)
        packed = msgpack.packb(it.pack())
        assert len(packed) <= 1024
        again = made("above")
        assert again.unpack(msgpack.unpackb(packed))
        assert again.course == it.course
    assert len(it.course) == COURSE
    assert it.residual is not None
    assert it.course[-1] == pytest.approx(it.residual[1], rel=2**-11)
    back, lifted = made("above"), made("above")
    for other in (back, lifted):
        other.unpack(it.pack())
    back.push(time + 60 * 60 * 60 * SECOND, 75.0, frozen=True)
    assert back.course == (), "as usual again"
    lifted.push(time + 60 * 60 * 60 * SECOND, 140.0, frozen=False)
    assert lifted.course == (), "no alarm is open"
    it.relearn()
    assert it.course == ()


def test_a_distance_beyond_what_a_half_has_is_kept_as_its_largest():
    assert followed(b"", 0.9, (1.0, 1e9)) == followed(b"", 0.9, (1.0, 65_504.0))
    assert followed(b"", 0.9, (1.0, -1e9)) == followed(b"", 0.9, (1.0, -65_519.0))
    assert followed(b"xx", 0.9, None) == followed(b"xx", None, (1.0, 2.0)) == b""


@settings(max_examples=40)
@given(pasts, st.sampled_from(["above", "below", "either"]), st.sampled_from([None, PULSE]))
def test_a_restart_changes_nothing_and_the_state_stays_small(
    past: list[tuple[int, float, bool]], direction: Any, population: Population | None
):
    through, broken = made(direction, population), made(direction, population)
    time = 1_700_000_000 * SECOND
    for step, value, frozen in past:
        time += step * SECOND
        kept = msgpack.packb(broken.pack())
        assert len(kept) <= 1024
        broken = made(direction, population)
        broken.unpack(msgpack.unpackb(kept))
        through.push(time, value, frozen=frozen)
        broken.push(time, value, frozen=frozen)
        assert msgpack.packb(broken.pack()) == msgpack.packb(through.pack())
        assert through.output is None or 0.0 <= through.output < 1.0
