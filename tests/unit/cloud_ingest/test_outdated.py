from __future__ import annotations

from cloud_ingest.facts import Facts
from cloud_ingest.feed import GatewayState
from cloud_ingest.outdated import OUTDATED_S, Outdated
from hearthward.core.clock import EventClock
from hearthward.core.wire import ConfigDocument

DOCUMENT = ConfigDocument("gw", 2, {"tenant": "main"})


class Look:
    """A gateway that says what it runs, looked at again after some time."""

    def __init__(self) -> None:
        self.clock = EventClock(0, frozen_monotonic=True)
        self.facts = Facts()
        self.outdated = Outdated(self.facts, self.clock)

    def at(
        self,
        config: str,
        *,
        after: float = 0,
        online: bool = True,
        document: ConfigDocument | None = DOCUMENT,
    ) -> float | None:
        self.clock.advance(after)
        self.outdated.look([GatewayState("gw", online=online, config=config)], lambda _: document)
        return self.facts.get("gateway:gw", "config_outdated")


def test_a_gateway_has_a_minute_to_put_a_new_document_in_force():
    look = Look()
    assert look.at("old") is None
    assert look.at("old", after=OUTDATED_S - 1) is None
    assert look.at("old", after=1) == 1
    assert look.at(DOCUMENT.digest) == 0
    assert look.at("old", after=100) == 0
    assert look.at("", after=OUTDATED_S) == 1


def test_while_it_is_away_nothing_new_is_known_of_it():
    look = Look()
    look.at("old")
    assert look.at("old", after=2 * OUTDATED_S, online=False) is None
    assert look.at("old") is None, "it has its minute again"
    assert look.at("old", after=OUTDATED_S) == 1
    assert look.at("old", after=OUTDATED_S, online=False) == 1


def test_a_gateway_without_a_document_is_well_once_and_then_forgotten():
    look = Look()
    look.at("old")
    assert look.at("old", after=OUTDATED_S) == 1
    assert look.at("old", document=None) == 0
    assert look.at("old", document=None) is None
    assert look.at("other", document=None) is None
