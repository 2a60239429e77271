"""What a gateway says that it cannot do is a fact, the gravest of it."""

from __future__ import annotations

import pytest

from cloud_ingest.facts import Facts
from cloud_ingest.feed import Feed
from cloud_ingest.gateway_trouble import STANDS_S, GatewayTrouble, gravest
from cloud_ingest.gateways import GatewayBoard
from cloud_ingest.mishaps import QUIET_S, Mishaps
from hearthward.core.clock import EventClock
from hearthward.core.codes import TROUBLES
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Status

DOCUMENT = ConfigDocument("gw", 2, {"tenant": "main"})


class Look:
    """A gateway that tells of itself."""

    def __init__(self) -> None:
        self.facts, self.clock = Facts(), EventClock(10**18, frozen_monotonic=True)
        self.board = GatewayBoard("main", Feed(), self.clock, Telemetry())
        self.mishaps = Mishaps(self.facts, self.clock)
        self.trouble = GatewayTrouble(self.facts, self.clock, self.mishaps)

    def says(self, *, after: float = 0, online: bool = True, **trouble: str) -> str | None:
        self.clock.advance(after)
        self.board.status("gw", Status(online=online, trouble=trouble))
        return self.look()

    def look(self, document: ConfigDocument | None = DOCUMENT) -> str | None:
        self.trouble.look(self.board, lambda _: document)
        found = self.facts.get("gateway:gw", "gateway_trouble")
        return None if found is None else TROUBLES[int(found)]


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ({}, "none"),
        ({"clock": "ahead"}, "none"),
        ({"flux": "low"}, "unnamed"),
        ({"decisions": "lost", "flux": "low"}, "decisions_lost"),
        ({"configuration": "stored", "decisions": "lost"}, "configuration_unusable"),
        ({"trust": "key", "configuration": "stored"}, "cloud_refused"),
        ({"rules": "absent", "trust": "unsigned"}, "rules_absent"),
        ({"rules": "failed", "clock": "behind"}, "rules_failed"),
        ({"radio": "stuck", "rules": "failed"}, "radio_stuck"),
    ],
)
def test_the_gravest_is_told(trouble: dict[str, str], code: str):
    assert gravest(trouble) == code


def test_what_stands_for_a_minute_is_so_until_the_gateway_says_otherwise():
    look = Look()
    assert look.says() == "none"
    assert look.says(rules="absent") == "none"
    assert look.says(rules="absent", after=STANDS_S - 1) == "none"
    assert look.says(rules="failed", after=1) == "rules_failed"
    assert look.says(online=False) == "rules_failed", "of one that is away nothing new is known"
    assert look.says(trust="key") == "rules_failed", "it has its minute again"
    assert look.says(trust="key", after=STANDS_S) == "cloud_refused"
    assert look.says() == "none"


def test_before_its_first_status_nothing_is_known_of_it():
    look = Look()
    look.board.runs("gw", "a document", 1)
    assert look.look() is None


def test_a_gateway_without_a_document_is_well_once_and_then_forgotten():
    look = Look()
    look.says(trust="key")
    assert look.says(trust="key", after=STANDS_S) == "cloud_refused"
    assert look.look(None) == "none"
    assert look.look(None) is None


def test_what_goes_wrong_with_what_it_sends_is_told_at_once_and_until_it_is_over():
    look = Look()
    look.mishaps.noticed("unknown_rule", "gw")
    assert look.look(None) is None, "it is none of ours"
    assert look.look() == "decisions_refused", "before its first status, too"
    assert look.says() == "decisions_refused"
    assert look.says(rules="failed") == "decisions_refused"
    assert look.says(rules="failed", after=STANDS_S) == "rules_failed"
    assert look.says() == "decisions_refused"
    look.clock.advance(QUIET_S)
    look.mishaps.look()
    assert look.says(online=False) == "none"
