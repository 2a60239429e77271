"""Whether a value is live, stale or lost, and why."""

from __future__ import annotations

import pytest

from dashboards.backend import VitalSample
from dashboards.live.states import ValueState, expected_interval_s, state_of
from dashboards.models import Gateway
from hearthward.core.model import Quality
from tests.unit.dashboards.followed import OXI, board, gateway, sample
from tests.unit.dashboards.webworld import T0, S


@pytest.mark.parametrize(
    ("age_s", "state"), [(0, "live"), (2.5, "live"), (2.6, "ageing"), (3, "ageing"), (3.1, "stale")]
)
def test_state_by_age_is_counted_in_expected_intervals(age_s: float, state: str):
    now = T0 + int(age_s * S)
    assert state_of(sample(), now, 1.0, "oxi", None) == state
    assert state_of(sample(), T0 + int(age_s * 3600 * S), 3600.0, "oxi", None) == state


def test_a_clock_ahead_makes_no_value_older():
    assert state_of(sample(at=T0 + 5 * S), T0, 1.0, "oxi", None) is ValueState.LIVE


def test_a_devices_clock_that_is_ahead_keeps_no_silent_signal_live():
    made = board(OXI)
    made.take([VitalSample("oxi", "spo2", 97, T0 + 55 * S, T0, 0)])
    seen = []
    for age in (0, 2, 5, 57):
        made.refresh(T0 + age * S)
        seen.append(made.tile("p1")["v"]["spo2"][1:3])
    at = T0 // 1_000_000
    assert seen == [["live", at], ["live", at], ["stale", at], ["stale", at]]


def test_why_a_value_is_not_live():
    assert state_of(None, T0, 1, "oxi", None) is ValueState.NEVER
    assert state_of(sample(quality=Quality.SENSOR_OFF), T0, 1, "oxi", None) is ValueState.SENSOR_OFF
    assert state_of(sample(), T0, 1, "oxi", gateway(oxi="backoff: gone")) is ValueState.DEVICE_OFFLINE
    assert state_of(sample(), T0, 1, "oxi", gateway(oxi="streaming")) is ValueState.LIVE
    assert state_of(sample(), T0, 1, "oxi", gateway(online=False, oxi="streaming")) is ValueState.LINK_LOST
    assert state_of(sample(), T0, 1, "oxi", Gateway(id="gw")) is ValueState.LIVE, "never seen is not offline"


def test_a_cuff_is_not_expected_to_stay_connected_between_measurements():
    idle = gateway(cuff="backoff: waiting")
    assert state_of(sample(), T0 + 600 * S, 3600, "cuff", idle) is ValueState.LIVE
    assert state_of(sample(), T0 + 4 * 3600 * S, 3600, "cuff", idle) is ValueState.DEVICE_OFFLINE


def test_the_expected_interval_is_the_devices_then_the_profiles_then_the_metrics():
    assert expected_interval_s("spo2", 5, 2) == 5
    assert expected_interval_s("spo2", None, 2) == 2
    assert expected_interval_s("nibp_systolic", None, None) == 3600
