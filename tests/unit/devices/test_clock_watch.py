from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from devices.clock_watch import LIVE_AFTER_NS, ClockWatch, clock_zone
from firmware_profiles import Profile, load_catalog
from firmware_profiles.schema import Time
from hearthward.core.clock import SECOND, EventClock, parse_iso
from tests.unit.devices.clockworld import RealClock

HOUR = 3600 * SECOND
T0 = parse_iso("2026-02-01T08:00:00Z")
BERLIN = ZoneInfo("Europe/Berlin")


class Ours(EventClock):
    """A gateway's clock as it is in life: nobody plays it."""

    event_driven = False  # type: ignore[assignment]

    def __init__(self, start_ns: int = T0) -> None:
        super().__init__(start_ns, frozen_monotonic=True)
        self.right = True

    def synchronised(self) -> bool:
        return self.right

    def set(self, by: int) -> None:
        """By hand."""
        self._now += by


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_catalog().get("sig-blood-pressure")


def said(profile: Profile, **keys: object) -> Profile:
    """The same with another ``time`` section."""
    document = profile.document.model_copy(update={"time": Time.model_validate(keys)})
    return replace(profile, document=document, hash=f"{hash(str(keys)):x}")


class Watched:
    """A watch, our clock, and the device's."""

    def __init__(self, profile: Profile, ahead: int, zone: ZoneInfo | None = BERLIN) -> None:
        self.ours, self.real = Ours(), RealClock(T0, ahead, zone=BERLIN)
        self.watch = ClockWatch(self.ours)
        self.watch.follow(profile, zone)
        self.watch.subscribed()
        self.ours.advance(LIVE_AFTER_NS / SECOND)

    def pass_(self, seconds: float, every: float = 60.0) -> list[tuple[float, bool]]:
        """Measurements for so long; what was told."""
        told = []
        for _ in range(int(seconds // every)):
            self.ours.advance(every)
            now = self.ours.now_ns()
            self.watch.judge(self.real.shows(now), now)
            told.append(self.watch.word())
        return [word for word in told if word is not None]


def test_a_clock_off_by_more_than_the_profile_allows_is_told_and_that_it_is_right_again(profile: Profile):
    made = Watched(profile, HOUR)
    ((skew, wrong),) = made.pass_(3600)
    assert wrong
    assert abs(skew - 3600) <= 5
    assert made.watch.wrong
    made.real.ahead = 0
    ((skew, wrong),) = made.pass_(3600)
    assert not wrong
    assert abs(skew) <= 5
    assert not made.watch.wrong


def test_a_wrong_clock_is_told_again_but_seldom(profile: Profile):
    made = Watched(profile, HOUR)
    told = made.pass_(86_400)
    assert [wrong for _, wrong in told] == [True] * 4


def test_a_right_clock_is_told_once_and_late(profile: Profile):
    made = Watched(profile, 2 * SECOND)
    assert made.pass_(500) == []
    assert [wrong for _, wrong in made.pass_(86_400)] == [False]


@pytest.mark.parametrize(("limit", "wrong"), [(600, False), (120, True)])
def test_the_limit_is_the_profile_s(profile: Profile, limit: int, wrong: bool):  # noqa: FBT001
    made = Watched(said(profile, zone="local", skew_limit_s=limit), 240 * SECOND)
    made.pass_(600)
    assert made.watch.wrong is wrong


def test_a_clock_at_the_limit_is_told_once(profile: Profile):
    made = Watched(profile, 310 * SECOND)
    assert [wrong for _, wrong in made.pass_(600)] == [True]
    for i in range(10):  # set by hand, and not well: to and fro about the limit
        made.real.ahead = (290 + 20 * (i % 2)) * SECOND
        assert made.pass_(240) == []
    made.real.ahead = 200 * SECOND
    assert [wrong for _, wrong in made.pass_(600)] == [False]


def test_whose_time_a_clock_shows_is_said_by_its_profile(profile: Profile):
    assert clock_zone(profile, BERLIN) == BERLIN
    assert clock_zone(profile, None) is None
    for kind in ("utc", "device-offset"):
        zone = clock_zone(said(profile, zone=kind), BERLIN)
        assert zone is not None
        assert zone.utcoffset(None) is not None
    made = Watched(said(profile, zone="utc"), 0)
    ((skew, wrong),) = made.pass_(600)
    assert (round(skew / 60), wrong) == (60, True), "it shows Berlin's time, and should show UTC"


def test_without_a_zone_the_zone_is_no_mistake(profile: Profile):
    made = Watched(profile, 0, zone=None)
    assert [wrong for _, wrong in made.pass_(3600)] == [False]


def test_by_a_clock_of_ours_that_is_not_right_nothing_is_learned(profile: Profile):
    made = Watched(profile, HOUR)
    made.ours.right = False
    assert made.pass_(3600) == []
    assert made.watch.judge(made.real.shows(made.ours.now_ns()), made.ours.now_ns()) is None
    played = ClockWatch(EventClock(T0))
    played.follow(profile, BERLIN)
    assert played.judge(T0, T0) is None
    assert played.word() is None


def test_while_it_is_open_whether_ours_is_right_what_is_known_is_used_and_nothing_learned(profile: Profile):
    made = Watched(profile, -HOUR)
    made.pass_(300)
    made.ours.right = False
    for by in (0, 5 * HOUR):
        made.ours.set(by)
        made.real.ahead = -HOUR - (made.ours.now_ns() - made.ours.monotonic_ns() - T0)
        for _ in range(5):
            made.ours.advance(20)
            now = made.ours.now_ns()
            found = made.watch.judge(made.real.shows(now), now)
            assert found is not None
            assert found.error is not None
            assert abs(found.at - now) <= found.error < 60 * SECOND
        assert made.watch.word() is None
    known = made.watch._theirs
    assert known is not None
    before = known.skew(made.ours.now_ns())
    for _ in range(10):  # now it is another's
        made.ours.advance(20)
        made.watch.judge(made.real.shows(made.ours.now_ns() + 7 * HOUR), made.ours.now_ns())
    after = known.skew(made.ours.now_ns())
    assert before is not None
    assert after is not None
    assert abs(before.ahead - after.ahead) < SECOND


def test_when_our_own_clock_is_set_the_device_s_is_not(profile: Profile):
    made = Watched(profile, 0)
    made.pass_(300)
    made.ours.set(by=-HOUR)  # ours is an hour behind now: so theirs is ahead, as far as we know
    now = made.ours.now_ns()
    found = made.watch.judge(made.real.shows(now + HOUR), now)
    assert found is not None
    assert found.error is not None
    assert abs(found.at - now) <= found.error


def test_a_clock_that_was_set_and_one_that_was_read(profile: Profile):
    made = Watched(profile, 0)
    made.watch.was_set()
    now = made.ours.now_ns()
    found = made.watch.judge(made.real.shows(now), now)
    assert found is not None
    assert found.error is not None
    made.watch.was_read(made.real.shows(now) + 2 * HOUR)
    assert made.watch.word() is not None
    assert made.watch.wrong


def test_what_comes_right_after_connecting_is_not_of_now(profile: Profile):
    made = Watched(profile, 0)
    made.watch.connected()
    made.watch.subscribed()
    for _ in range(5):
        now = made.ours.now_ns()
        found = made.watch.judge(made.real.shows(now), now)
        assert found is not None
        assert found.error is None, "one connection, however much it brings, is one word"


def test_what_is_fetched_from_a_store_is_not_of_now(profile: Profile):
    made = Watched(profile, -120 * SECOND)
    for _ in range(10):
        made.ours.advance(60)
        now = made.ours.now_ns()
        found = made.watch.judge(made.real.shows(now), now, stored=True)
        assert found is not None
        assert found.error is None, "it may as well be two minutes old"


def test_the_steps_of_a_clock_are_a_second_or_what_its_frames_count_or_its_profile_says(profile: Profile):
    assert profile.clock_resolution_s == 1
    assert load_catalog().get("sig-cgm").clock_resolution_s == 60
    assert said(profile, zone="local", resolution_s=10).clock_resolution_s == 10


@pytest.mark.parametrize(
    "keys", [{"zone": "mars"}, {"zone": "utc", "skew_limit_s": 5}, {"zone": "utc", "resolution_s": 0}, {}]
)
def test_a_time_section_that_cannot_be_is_refused(keys: dict[str, object]):
    with pytest.raises(ValidationError):
        Time.model_validate(keys)


def test_another_profile_of_the_same_clock_keeps_what_is_known(profile: Profile):
    made = Watched(profile, HOUR)
    made.pass_(300)
    now = made.ours.now_ns()
    made.watch.follow(said(profile, zone="local", skew_limit_s=7200), BERLIN)
    found = made.watch.judge(made.real.shows(now), now)
    assert found is not None
    assert found.error is not None
    made.watch.follow(said(profile, zone="local", resolution_s=60), BERLIN)
    found = made.watch.judge(made.real.shows(now), now)
    assert found is not None
    assert found.error is None
