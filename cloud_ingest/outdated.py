"""Gateways that do not run the configuration that they were given: a fact for the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from cloud_ingest.facts import Facts
from cloud_ingest.feed import GatewayState
from hearthward.core.clock import SECOND, Clock
from hearthward.core.wire import ConfigDocument
from rules.model import subject_key

__all__ = ["OUTDATED_S", "Outdated"]

OUTDATED_S: Final = 60.0
"""A gateway that is online puts a new document in force within this time."""
METRIC: Final = "config_outdated"


class Outdated:
    """Looks now and then at what the gateways say they run, and keeps the fact up to date.

    What is known of a gateway that is away stays as it is: it can neither get nor report anything. One that
    has no document any more is told to be right once, which ends its alarm, and then forgotten.
    """

    def __init__(self, facts: Facts, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._since: dict[str, int] = {}

    def look(
        self, gateways: Iterable[GatewayState], document: Callable[[str], ConfigDocument | None]
    ) -> None:
        """Compare what they say with what they shall run."""
        mono = self._clock.monotonic_ns()
        for state in gateways:
            subject, shall = subject_key("gateway", state.gateway), document(state.gateway)
            if shall is None:
                self._let_go(subject)
            elif state.config == shall.digest:
                self._since.pop(subject, None)
                self._facts.put(subject, METRIC, 0.0)
            elif not state.online:
                self._since.pop(subject, None)
            elif mono - self._since.setdefault(subject, mono) >= OUTDATED_S * SECOND:
                self._facts.put(subject, METRIC, 1.0)

    def _let_go(self, subject: str) -> None:
        self._since.pop(subject, None)
        if self._facts.get(subject, METRIC):
            self._facts.put(subject, METRIC, 0.0)
        else:
            self._facts.forget(subject, METRIC)
