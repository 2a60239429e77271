"""What our own software fails on, or refuses, of what gateways send: facts for the rules while it goes on.

Of each kind a part of ours fails, or a gateway is in trouble that it does not know of itself; both until
nothing of the kind has come for ten minutes. A start begins without any: what goes on is found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cloud_ingest import pulse
from cloud_ingest.adopting import NOT_ITS_PATIENT, UNKNOWN_RULE
from cloud_ingest.facts import FAILING, Facts
from cloud_ingest.intake import OTHER_TIME, UNDECIDED, UNREADABLE, Dead
from hearthward.core.clock import SECOND, Clock
from hearthward.core.codes import TROUBLES
from hearthward.core.wire import carries_decisions
from rules.model import subject_key

__all__ = ["DECISIONS_REFUSED", "INTERNAL_ERROR", "QUIET_S", "RULES_FAILED", "STATE_LOST", "Mishaps"]

QUIET_S: Final = 600.0
"""A kind that has not come for so long is over; frames without a receipt come again within a minute."""
MAX_GATEWAYS: Final = 10_000
RULES: Final = subject_key("component", pulse.RULES)
INGEST: Final = subject_key("component", pulse.INGEST)
RULES_FAILED: Final = "rules_failed"
STATE_LOST: Final = "state_lost"
INTERNAL_ERROR: Final = "internal_error"
DECISIONS_REFUSED: Final = "decisions_refused"
FRAMES_REFUSED: Final = "frames_refused"
ELSEWHERE: Final = "tenant"
_PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {RULES_FAILED: RULES, STATE_LOST: RULES, UNDECIDED: RULES, INTERNAL_ERROR: INGEST}
)
"""Which part of ours fails by it."""
_TROUBLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        RULES_FAILED: "readings_not_judged",
        UNDECIDED: "readings_not_judged",
        DECISIONS_REFUSED: DECISIONS_REFUSED,
        UNKNOWN_RULE: DECISIONS_REFUSED,
        NOT_ITS_PATIENT: DECISIONS_REFUSED,
        INTERNAL_ERROR: FRAMES_REFUSED,
        FRAMES_REFUSED: FRAMES_REFUSED,
        OTHER_TIME: FRAMES_REFUSED,
    }
)
"""Which of ``codes.TROUBLES`` its gateway is in."""


class Mishaps:
    """What has happened lately, by kind and by gateway."""

    def __init__(self, facts: Facts, clock: Clock) -> None:
        self._facts, self._clock = facts, clock
        self._parts: dict[str, int] = {}
        self._gateways: dict[str, dict[str, int]] = {}

    def begin(self) -> None:
        """The parts do their work, as far as is known: ends what was told before this start."""
        for part in (RULES, INGEST):
            self._facts.put(part, FAILING, 0.0)

    def noticed(self, kind: str, gateway: str | None) -> None:
        """It happened just now, with what ``gateway`` sent, if that is known."""
        now = self._clock.monotonic_ns()
        if (part := _PARTS.get(kind)) is not None:
            self._parts[part] = now
            self._facts.put(part, FAILING, 1.0)
        if (code := _TROUBLES.get(kind)) is None or gateway is None:
            return
        if gateway in self._gateways or len(self._gateways) < MAX_GATEWAYS:
            self._gateways.setdefault(gateway, {})[code] = now

    def refused(self, dead: Dead) -> None:
        """Something was refused: a whole frame, what a gateway has decided, or what the rules failed on."""
        kind = dead.reason
        if kind == ELSEWHERE:
            return  # a gateway of that name there is none of ours
        if dead.boot is None and kind in UNREADABLE:
            kind = FRAMES_REFUSED
        elif kind in UNREADABLE and carries_decisions(dead.payload):
            kind = DECISIONS_REFUSED
        self.noticed(kind, dead.gateway)

    def look(self) -> None:
        """Forget what is over."""
        edge = self._clock.monotonic_ns() - int(QUIET_S * SECOND)
        for part in [part for part, at in self._parts.items() if at <= edge]:
            del self._parts[part]
            self._facts.put(part, FAILING, 0.0)
        for gateway, codes in list(self._gateways.items()):
            for code in [code for code, at in codes.items() if at <= edge]:
                del codes[code]
            if not codes:
                del self._gateways[gateway]

    def of(self, gateway: str) -> int:
        """The gravest trouble of a gateway, as its place in ``codes.TROUBLES``; 0: none."""
        return max((TROUBLES.index(code) for code in self._gateways.get(gateway, ())), default=0)

    @property
    def gateways(self) -> frozenset[str]:
        """Those in trouble."""
        return frozenset(self._gateways)
