from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.links.watchdog import (
    AGAIN_NS,
    CONNECT_FAILURES,
    DEAF_NS,
    FAILED_NS,
    SCAN_FAILURES,
    SETTLE_NS,
    AdapterState,
    Remedy,
    Watchdog,
)
from hearthward.core.clock import SECOND

SCAN_FAILS = range(SCAN_FAILURES)


def wedged(dog: Watchdog) -> None:
    for _ in SCAN_FAILS:
        dog.scan_failed("no answer")


def test_the_ladder_is_adapter_then_stack_then_people_then_the_adapter_again():
    dog, now, steps = Watchdog(), 0, []
    for _ in range(4):
        wedged(dog)
        steps.append(dog.next(now, connections=0))
        now += max(SETTLE_NS, AGAIN_NS)
    assert steps == [Remedy.RESET_ADAPTER, Remedy.RESET_STACK, Remedy.TELL, Remedy.RESET_ADAPTER]
    assert (dog.state, dog.resets) == (AdapterState.STUCK, 3)


def test_a_remedy_is_given_time_to_help():
    dog = Watchdog()
    wedged(dog)
    assert dog.next(0, connections=0) is Remedy.RESET_ADAPTER
    wedged(dog)
    assert dog.next(SETTLE_NS - 1, connections=0) is Remedy.NONE
    assert dog.next(SETTLE_NS, connections=0) is Remedy.RESET_STACK


@pytest.mark.parametrize("good", ["heard", "connected"])
def test_a_sign_of_life_ends_it(good: str):
    dog = Watchdog()
    wedged(dog)
    dog.next(0, connections=0)
    getattr(dog, good)(1)
    assert (dog.state, dog.why) == (AdapterState.WORKING, "")
    wedged(dog)
    assert dog.next(2, connections=0) is Remedy.RESET_ADAPTER


def test_one_bad_device_alone_resets_nothing():
    dog = Watchdog()
    for _ in range(10 * CONNECT_FAILURES):
        dog.connect_failed("cuff", 0)
    assert dog.next(0, connections=0) is Remedy.NONE


def test_many_devices_that_are_heard_and_take_no_connection_do():
    dog = Watchdog()
    dog.heard(0)
    for n in range(CONNECT_FAILURES):
        dog.connect_failed(f"cuff-{n % 2}", n)
        dog.heard(n)
    assert dog.next(0, connections=0) is Remedy.RESET_ADAPTER
    assert "2 devices" in dog.why


def test_an_adapter_that_hears_and_never_connects_is_stuck_in_the_end():
    dog, steps = Watchdog(), []
    for step in range(3):
        for n in range(CONNECT_FAILURES):
            dog.heard(step * AGAIN_NS)
            dog.connect_failed(n % 2, step * AGAIN_NS)
        steps.append(dog.next(step * AGAIN_NS, connections=0))
    assert steps == [Remedy.RESET_ADAPTER, Remedy.RESET_STACK, Remedy.TELL]
    dog.heard(3 * AGAIN_NS)
    assert dog.state is AdapterState.STUCK
    dog.connected(3 * AGAIN_NS)
    assert dog.state is AdapterState.WORKING


def test_an_empty_room_is_not_a_deaf_adapter():
    dog = Watchdog()
    dog.scan_began(0)
    assert dog.next(100 * DEAF_NS, connections=0) is Remedy.NONE


def test_a_room_that_falls_silent_altogether_is():
    dog = Watchdog()
    dog.scan_began(0)
    dog.heard(5 * SECOND)
    assert dog.next(DEAF_NS, connections=0) is Remedy.NONE
    assert dog.next(DEAF_NS + 5 * SECOND, connections=0) is Remedy.RESET_ADAPTER


def test_silence_while_nobody_scans_means_nothing():
    dog = Watchdog()
    dog.scan_began(0)
    dog.heard(1)
    dog.scan_ended(2)
    assert dog.next(100 * DEAF_NS, connections=0) is Remedy.NONE


def test_a_deaf_adapter_is_found_by_one_device_that_is_looked_for_now_and_then():
    dog, now = Watchdog(), 0
    dog.heard(0)
    found = []
    for _ in range(2 * DEAF_NS // (30 * SECOND)):
        dog.scan_began(now)
        now += 30 * SECOND
        dog.scan_ended(now)
        now += 60 * SECOND
        found.append(dog.next(now, connections=0))
    assert found.count(Remedy.RESET_ADAPTER) == 1
    assert found.index(Remedy.RESET_ADAPTER) == DEAF_NS // (30 * SECOND) - 1


def test_a_room_that_everybody_left_is_no_alarm():
    dog = Watchdog()
    dog.scan_began(0)
    dog.heard(0)
    steps = [dog.next(n * DEAF_NS, connections=0) for n in range(1, 100)]
    assert [one for one in steps if one is not Remedy.NONE] == [Remedy.RESET_ADAPTER, Remedy.RESET_STACK]
    dog.heard(100 * DEAF_NS)
    assert dog.state is AdapterState.WORKING


def test_connections_that_fail_now_and_then_reset_nothing():
    dog = Watchdog()
    for n in range(10 * CONNECT_FAILURES):
        dog.connect_failed(n % 2, n * FAILED_NS // 3)
        assert dog.next(n * FAILED_NS // 3, connections=0) is Remedy.NONE


def test_hearing_again_is_enough_where_connections_were_not_the_trouble():
    dog = Watchdog()
    wedged(dog)
    dog.next(0, connections=0)
    dog.connect_failed("bad", 1)
    dog.heard(2)
    assert dog.state is AdapterState.WORKING


def test_nothing_is_reset_while_a_connection_stands():
    dog = Watchdog()
    wedged(dog)
    assert dog.next(0, connections=1) is Remedy.NONE


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["heard", "connected", "began", "ended", "failed", "refused"]),
        st.integers(0, 2 * AGAIN_NS),
        st.integers(0, 2),
    ),
    max_size=60,
)


@given(EVENTS)
def test_remedies_are_never_closer_than_they_need_to_help(events: list[tuple[str, int, int]]):
    dog, now, acted = Watchdog(), 0, None
    for kind, wait, connections in events:
        now += wait
        match kind:
            case "heard":
                dog.heard(now)
            case "connected":
                dog.connected(now)
                acted = None
            case "began":
                dog.scan_began(now)
            case "ended":
                dog.scan_ended(now)
            case "failed":
                dog.scan_failed("no answer")
            case _:
                dog.connect_failed(now % 3, now)
        if dog.state is AdapterState.WORKING:
            acted = None
        remedy = dog.next(now, connections=connections)
        if remedy is not Remedy.NONE:
            assert connections == 0
            assert acted is None or now - acted >= SETTLE_NS
            acted = now
