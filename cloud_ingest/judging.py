"""What is decided on a batch: by gateways, then on readings; and what is put aside where the rules fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from cloud_ingest.attribution import Attribution
from cloud_ingest.deciding import Decider
from cloud_ingest.edge_words import EdgeWords
from cloud_ingest.intake import UNDECIDED, Intake
from cloud_ingest.mishaps import RULES_FAILED
from cloud_ingest.outcome import Stored
from cloud_ingest.receipts import Source
from cloud_ingest.turns import Turns
from hearthward.core.telemetry import Telemetry
from rules.model import Readings

__all__ = ["Judging"]

log = logging.getLogger(__name__)


class Judging:
    """Steps the rules over batches, in a turn that the caller has taken."""

    def __init__(self, turns: Turns, telemetry: Telemetry) -> None:
        self._turns, self._telemetry = turns, telemetry

    async def decide(
        self,
        intake: Intake,
        stored: Stored,
        decider: Decider,
        attribution: Attribution,
        owners: Mapping[str, str],
    ) -> EdgeWords:
        """Step what gateways have decided, and then the readings, one input for each gateway and boot.

        In this order what is over, and was told there, is not signalled by its readings first. Where the
        rules fail on one gateway's, the others are decided without it: their alarms must go on.
        """
        known = frozenset(decider.state.rules.by_id)
        words = EdgeWords(intake, attribution, owners, known, self._telemetry)
        inputs = {
            source: partial(
                Readings,
                now=stored.now[source],
                rows=rows,
                source=source[0],
                wall=intake.walls.get(source, 0),
            )
            for source, rows in stored.to_judge().items()
        }
        while (failed := self._step_all(words, inputs, decider)) is not None:
            source, error = failed
            if source is not None:
                del inputs[source]
                self._undecided(source, error, intake)
            else:
                self._telemetry.count("rules_failed_total")
                self._turns.technical(RULES_FAILED, None, f"{type(error).__name__}: decisions not taken")
            await self._turns.patience.until_done(decider.go_back)
        return words

    @staticmethod
    def _step_all(
        words: EdgeWords, inputs: Mapping[Source, Callable[[int], Readings]], decider: Decider
    ) -> tuple[Source | None, Exception] | None:
        """Step all inputs; the readings (None: decisions) that first failed and why, or None."""
        failed = words.step(decider)
        if failed is not None:
            return None, failed
        for source, make in inputs.items():
            try:
                decider.step(make, source)
            except Exception as error:
                log.exception("the rules failed on readings of gateway %s", source[0])
                return source, error
        return None

    def _undecided(self, source: Source, error: Exception, intake: Intake) -> None:
        """These readings are stored but not judged: nobody may think that they were."""
        self._telemetry.count("rules_failed_total")
        self._turns.technical(RULES_FAILED, source[0], f"{type(error).__name__}: readings not judged")
        for part in (p for p in intake.parts if p.source == source):
            intake.refuse(part.dead(UNDECIDED, f"{type(error).__name__}: {error}", stored=True))
