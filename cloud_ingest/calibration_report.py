"""What a calibration was learned from, in words that stand on top of the rule's file, and are read there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from cloud_ingest.calibrating import Learned, Score

__all__ = ["Evidence", "evidence", "report"]

_CASES: Final = re.compile(r"^(?:# )?(\d+) stays, (\d+) of them ended badly$", re.MULTILINE)
_SCORE: Final = re.compile(
    r"^(?:# )?  (as shipped|recalibrated) +(\d+\.\d) % +(\d+\.\d+) +(\d+\.\d+)$", re.MULTILINE
)


class Evidence(NamedTuple):
    """From how many stays, how many of which ended badly; how well the risk fitted before and after."""

    cases: int
    bad: int
    before: Score
    after: Score


def report(learned: Learned, left_out: Mapping[str, int]) -> Iterable[str]:
    """What was learned, line by line, for people."""
    yield f"{learned.cases} stays, {learned.bad} of them ended badly"
    yield from (f"  {n} left out: {why}" for why, n in left_out.items() if n)
    yield "                 mean risk  Brier score  log loss"
    for name, score in (("as shipped", learned.before), ("recalibrated", learned.after)):
        yield f"  {name:<13} {100 * score.mean:9.1f} %  {score.brier:11.4f}  {score.loss:8.4f}"
    own = learned.calibration
    yield f"slope {own.slope:g}, intercept {own.intercept:g}; each stay predicted before it was learned"
    if learned.refused is not None:
        yield f"nothing is to be changed: {learned.refused}"


def evidence(text: str) -> Evidence | None:
    """What a rule's file says that it was learned from; None: somebody has written it without."""
    cases = _CASES.search(text)
    scores = {
        name: Score(float(brier), float(loss), round(float(mean) / 100, 3))
        for name, mean, brier, loss in _SCORE.findall(text)
    }
    if cases is None or len(scores) != 2:  # noqa: PLR2004 - before and after
        return None
    return Evidence(int(cases[1]), int(cases[2]), scores["as shipped"], scores["recalibrated"])
