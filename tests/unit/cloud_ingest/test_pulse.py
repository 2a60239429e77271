from __future__ import annotations

import pytest

from cloud_ingest.pulse import BUDGET_S, Pulse
from hearthward.core.clock import EventClock


def test_a_part_is_alive_within_its_budget_and_only_then():
    clock = EventClock(0, frozen_monotonic=True)
    pulse = Pulse(clock)
    pulse.expect("web")
    assert pulse.alive() == ("web",)
    clock.advance(BUDGET_S)
    assert pulse.alive() == ()
    assert pulse.silent_s("web") == BUDGET_S
    pulse.beat("web")
    assert pulse.alive() == ("web",)
    assert pulse.silent_s("web") == 0


def test_a_part_that_is_asked_says_so_itself():
    silent = 3.0
    pulse = Pulse(EventClock(0, frozen_monotonic=True))
    pulse.expect("notifier", lambda: silent)
    pulse.expect("broker")
    assert pulse.parts == pulse.alive() == ("broker", "notifier")
    silent = float("inf")
    assert pulse.alive() == ("broker",)


def test_nobody_beats_for_a_part_that_is_not_expected():
    with pytest.raises(KeyError):
        Pulse(EventClock(0)).beat("typo")
