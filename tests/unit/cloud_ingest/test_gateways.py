"""What a gateway cannot do is known of it, whatever it says and however much."""

from __future__ import annotations

from cloud_ingest.feed import Feed
from cloud_ingest.gateways import MOST_TROUBLES, GatewayBoard
from hearthward.core.clock import EventClock
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Status
from tests.unit.cloud_ingest.ward import T0


def board() -> GatewayBoard:
    return GatewayBoard("main", Feed(), EventClock(T0), Telemetry())


def trouble(gateways: GatewayBoard) -> dict[str, str]:
    state = gateways.get("gw-1")
    assert state is not None
    return state.trouble


def test_a_gateway_that_refuses_its_cloud_is_heard():
    gateways = board()
    gateways.status("gw-1", Status(online=True, wall=T0, trouble={"trust": "key"}))
    assert trouble(gateways) == {"trust": "key"}
    gateways.status("gw-1", Status(online=True, wall=T0 + 1))
    assert trouble(gateways) == {}


def test_a_clock_that_is_corrected_shows_until_it_is_right():
    gateways = board()
    gateways.clock("gw-1", 5)  # not heard of yet: nobody to show it of
    gateways.status("gw-1", Status(online=True, wall=T0, trouble={"trust": "key", "clock": "made up"}))
    assert trouble(gateways) == {"trust": "key"}
    gateways.clock("gw-1", -86_400)
    assert trouble(gateways) == {"trust": "key", "clock": "ahead"}
    gateways.status("gw-1", Status(online=True, wall=T0 + 1))
    assert trouble(gateways) == {"clock": "ahead"}
    gateways.clock("gw-1", 86_400)
    assert trouble(gateways) == {"clock": "behind"}
    gateways.clock("gw-1", 0)
    assert trouble(gateways) == {}


def test_what_is_kept_of_a_gateway_s_words_is_bounded():
    gateways = board()
    told = {f"{n:03}" + "x" * 500: "y" * 500 for n in range(500)}
    gateways.status("gw-1", Status(online=True, wall=T0, trouble=told))
    kept = trouble(gateways)
    assert len(kept) == MOST_TROUBLES
    assert max(map(len, [*kept, *kept.values()])) == 64
