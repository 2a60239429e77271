"""What gateways say that they cannot do, and what goes wrong here with what they send, as a fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cloud_ingest.facts import Facts
from cloud_ingest.gateways import CLOCK, GatewayBoard
from cloud_ingest.mishaps import Mishaps
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
    "radio": "radio_stuck",
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

    The gravest of what it says and of our own ``mishaps`` with it counts; these are told at once. What is
    known of a gateway that is away stays as it is. One that has no document any more is told to be well
    once, which ends its alarm, and then forgotten.
    """

    def __init__(self, facts: Facts, clock: Clock, mishaps: Mishaps | None = None) -> None:
        self._facts = facts
        self._clock = clock
        self._mishaps = mishaps or Mishaps(facts, clock)
        self._since: dict[str, int] = {}
        self._says: dict[str, int] = {}

    def look(self, board: GatewayBoard, document: Callable[[str], ConfigDocument | None]) -> None:
        """Take up what those that are connected say, and what happened with what any sent."""
        states = {state.gateway: state for state in board.all()}
        for gateway in sorted(states.keys() | self._mishaps.gateways):
            state = states.get(gateway)
            if document(gateway) is None:
                self._let_go(gateway)
                continue
            if state is not None and state.online and board.told(gateway):
                self._said(gateway, TROUBLES.index(gravest(state.trouble)))
            else:
                self._since.pop(gateway, None)
            self._tell(gateway)

    def _said(self, gateway: str, code: int) -> None:
        """What it says now is so once it has stood."""
        mono = self._clock.monotonic_ns()
        if not code:
            self._since.pop(gateway, None)
        elif mono - self._since.setdefault(gateway, mono) < STANDS_S * SECOND:
            return
        self._says[gateway] = code

    def _tell(self, gateway: str) -> None:
        subject, ours = subject_key("gateway", gateway), self._mishaps.of(gateway)
        if gateway in self._says or ours or self._facts.get(subject, METRIC):
            self._facts.put(subject, METRIC, float(max(ours, self._says.get(gateway, 0))))

    def _let_go(self, gateway: str) -> None:
        subject = subject_key("gateway", gateway)
        self._since.pop(gateway, None)
        self._says.pop(gateway, None)
        if self._facts.get(subject, METRIC):
            self._facts.put(subject, METRIC, 0.0)
        else:
            self._facts.forget(subject, METRIC)
