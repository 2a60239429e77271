"""What a gateway says that it cannot do is a fact, the gravest of it."""

from __future__ import annotations

import pytest

from cloud_ingest.facts import Facts
from cloud_ingest.feed import Feed
from cloud_ingest.gateway_trouble import GatewayTrouble, gravest
from cloud_ingest.gateways import GatewayBoard
from hearthward.core.clock import EventClock
from hearthward.core.codes import TROUBLES
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Status

DOCUMENT = ConfigDocument("gw", 2, {"tenant": "main"})


class Look:
    """A gateway that tells of itself."""

    def __init__(self) -> None:
        self.facts, clock = Facts(), EventClock(10**18, frozen_monotonic=True)
        self.board = GatewayBoard("main", Feed(), clock, Telemetry())
        self.trouble = GatewayTrouble(self.facts)

    def at(
        self, *, online: bool = True, document: ConfigDocument | None = DOCUMENT, **trouble: str
    ) -> str | None:
        self.board.status("gw", Status(online=online, trouble=trouble))
        return self.look(document)

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
    ],
)
def test_the_gravest_is_told(trouble: dict[str, str], code: str):
    assert gravest(trouble) == code


def test_it_is_so_until_the_gateway_says_otherwise():
    look = Look()
    assert look.at() == "none"
    assert look.at(rules="failed") == "rules_failed"
    assert look.at(online=False) == "rules_failed", "of one that is away nothing new is known"
    assert look.at() == "none"


def test_before_its_first_status_nothing_is_known_of_it():
    look = Look()
    look.board.runs("gw", "a document", 1)
    assert look.look() is None


def test_a_gateway_without_a_document_is_well_once_and_then_forgotten():
    look = Look()
    assert look.at(trust="key") == "cloud_refused"
    assert look.look(None) == "none"
    assert look.look(None) is None
    assert look.at(trust="key", document=None) is None
