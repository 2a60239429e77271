"""What gateways have decided, stepped through the rules here and written down with what became of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy.orm import Session

from cloud_ingest.adopting import Folded, Refused, fold_all, over_by
from cloud_ingest.deciding import Decider
from cloud_ingest.intake import MAX_DETAIL, UNDECIDED, Dead, Intake
from cloud_ingest.records.edge_alarms import write_edge_alarms
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import encode_decisions
from rules.adoption import is_news
from rules.attribution import Attribution
from rules.conditions import Unusual, leaves
from rules.model import Adopt
from rules.terms_sent import UNREADABLE

__all__ = ["EdgeWords"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ready:
    folded: Folded
    ended: int | None


def _numbered(word: Adopt, seq: int) -> Adopt:
    return replace(word, seq=seq)


class EdgeWords:
    """The decisions of one batch. Those that cannot be taken become dead letters of ``intake``."""

    def __init__(
        self,
        intake: Intake,
        attribution: Attribution,
        owners: Mapping[str, str],
        known: Collection[str],
        telemetry: Telemetry,
    ) -> None:
        self._intake, self._telemetry = intake, telemetry
        self._ready: list[_Ready] = []
        self._written: list[tuple[Adopt, str | None]] = []
        for folded in fold_all(intake.decisions):
            telemetry.count("decisions_received_total", len(folded.words))
            try:
                now = folded.numbers[-1][0].now
                self._ready.append(_Ready(folded, over_by(folded, attribution, owners, known, now)))
            except Refused as error:
                self._refuse(folded, error.reason, str(error))

    def step(self, decider: Decider) -> Exception | None:
        """Step all that is news, in order. What the rules fail on is refused.

        Returns the failure: the state is lost then, and the caller goes back and calls this again.
        """
        self._written.clear()
        for ready in list(self._ready):
            source, now = ready.folded.numbers[0][0].source, ready.folded.numbers[-1][0].now
            word = ready.folded.input(0, now, ready.ended)
            if not is_news(decider.state, word):
                self._telemetry.count("decisions_repeated_total", len(ready.folded.words))
                continue
            self._count(word, decider)
            try:
                decider.step(partial(_numbered, word), source)
            except Exception as error:
                log.exception("the rules failed on what gateway %s has decided", source[0])
                self._ready.remove(ready)
                self._refuse(ready.folded, UNDECIDED, f"{type(error).__name__}: {error}")
                return error
            told = decider.state.subjects[word.subject].shared[word.rule].named(word.alarm)
            ours = "" if told is None else decider.state.responses.name_of(told.ours)
            self._written.append((word, ours or None))
        return None

    def _count(self, word: Adopt, decider: Decider) -> None:
        """Count what people will not be told of why: the terms did not come, or cannot be read."""
        condition = decider.state.rules.by_id[word.rule].condition
        if UNREADABLE in (word.terms or {}):
            self._telemetry.count("decision_terms_unreadable_total")
        elif word.terms is None and any(isinstance(leaf, Unusual) for leaf in leaves(condition)):
            self._telemetry.count("decisions_without_terms_total")

    def write(self, session: Session, tenant: str) -> None:
        """Write what was stepped, within the caller's transaction."""
        write_edge_alarms(session, tenant, self._written)

    def _refuse(self, folded: Folded, reason: str, why: str) -> None:
        block, first = folded.numbers[0]
        numbers = [number for _, number in folded.numbers]
        detail = f"boot {block.source[1]}, decisions {first}-{numbers[-1]}: {why}"[:MAX_DETAIL]
        payload = encode_decisions([word.encode() for word in folded.words])
        self._intake.refuse(
            Dead(block.topic, block.source[0], reason, detail, payload, 0, block.source[1], numbers)
        )
