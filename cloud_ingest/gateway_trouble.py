"""What gateways say that they cannot do: a fact for the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cloud_ingest.facts import Facts
from cloud_ingest.gateways import CLOCK, GatewayBoard
from hearthward.core.clock import SECOND, Clock
from hearthward.core.codes import TROUBLES
from hearthward.core.wire import ConfigDocument
from rules.model import subject_key

__all__ = ["STANDS_S", "GatewayTrouble", "gravest"]

STANDS_S: Final = 60.0
"""What does not pass within this time is told: a gateway that has just started has no rules yet."""
METRIC: Final = "gateway_trouble"
_CODES: Final = {
    "decisions": "decisions_lost",
    "configuration": "configuration_unusable",
    "trust": "cloud_refused",
    "rules": "rules_failed",
    "rules:absent": "rules_absent",
}
"""What a status calls it (``what`` or ``what:why``) -> one of ``codes.TROUBLES``."""


def gravest(trouble: Mapping[str, str]) -> str:
    """The gravest of what a gateway says of itself, one of ``codes.TROUBLES``.

    A wrong clock is not among it: the cloud corrects it, and shows it on the page Devices.
    """
    codes = [
        _CODES.get(f"{what}:{why}") or _CODES.get(what, "unnamed")
        for what, why in trouble.items()
        if what != CLOCK
    ]
    return max(codes, key=TROUBLES.index, default="none")


class GatewayTrouble:
    """Looks now and then at the gateways' last status, and keeps the fact up to date.

    What is known of a gateway that is away stays as it is. One that has no document any more is told to be
    well once, which ends its alarm, and then forgotten.
    """

    def __init__(self, facts: Facts, clock: Clock) -> None:
        self._facts = facts
        self._clock = clock
        self._since: dict[str, int] = {}

    def look(self, board: GatewayBoard, document: Callable[[str], ConfigDocument | None]) -> None:
        """Take up what those that are connected say."""
        for state in board.all():
            subject = subject_key("gateway", state.gateway)
            if document(state.gateway) is None:
                self._let_go(subject)
            elif state.online and board.told(state.gateway):
                self._told(subject, TROUBLES.index(gravest(state.trouble)))
            else:
                self._since.pop(subject, None)

    def _told(self, subject: str, code: int) -> None:
        mono = self._clock.monotonic_ns()
        if not code:
            self._since.pop(subject, None)
        elif mono - self._since.setdefault(subject, mono) < STANDS_S * SECOND:
            return
        self._facts.put(subject, METRIC, float(code))

    def _let_go(self, subject: str) -> None:
        self._since.pop(subject, None)
        if self._facts.get(subject, METRIC):
            self._facts.put(subject, METRIC, 0.0)
        else:
            self._facts.forget(subject, METRIC)
