"""The NEWS2 score of a tile: out of the newest values, as the rules score them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from dashboards.backend import VitalSample
from hearthward.core.clock import SECOND
from hearthward.core.codes import METRICS
from hearthward.core.model import ASIDE, Quality
from rules.news2 import MAX_AGE_S, METRICS_OF, points, total

__all__ = ["SCORED", "as_number", "score_of"]

SCORED: Final = frozenset(MAX_AGE_S)
NOT_REAL: Final = Quality.DEMO | Quality.TEST
UNFIT: Final = Quality.SENSOR_OFF | Quality.FUTURE | Quality.BAD | ASIDE


def as_number(metric: str, value: float | None, code: str | None) -> float | None:
    """A value, or a code's place in its metric as the number that rules look at."""
    if value is not None or code is None or metric not in METRICS:
        return value
    return METRICS[metric].place(code)


def score_of(samples: Iterable[VitalSample], now: int, scale: Literal[1, 2] = 1) -> list[Any] | None:
    """``[sum, points of the worst parameter, parameters not known, oldest value in ms, SpO2 scale]``.

    The sum is the least that the score can be while a parameter is not known. None: no parameter is known.
    Of several sources of a parameter the one that gives most points counts. Values of a demonstration count
    only where there are no others.
    """
    known = [s for s in samples if s.value is not None and not s.quality & UNFIT and _fresh(s, now)]
    real = [s for s in known if not s.quality & NOT_REAL]
    by_metric: dict[str, list[VitalSample]] = {}
    for sample in real or known:
        by_metric.setdefault(sample.metric, []).append(sample)
    oxygen = [bool(s.value) for s in by_metric.get("supplemental_oxygen", ())]
    on_oxygen = any(oxygen) if oxygen else None
    worst: dict[str, tuple[int, float, int]] = {}
    for parameter, metrics in METRICS_OF.items():
        for sample in (s for metric in metrics for s in by_metric.get(metric, ())):
            value = float(sample.value or 0.0)
            worth = points(parameter, value, scale, on_oxygen)
            if parameter not in worst or worth > worst[parameter][0]:
                worst[parameter] = worth, value, sample.corrected
    if not worst:
        return None
    found = total({parameter: value for parameter, (_, value, _) in worst.items()}, scale)
    oldest = min(at for _, _, at in worst.values())
    return [found.total, found.worst, list(found.missing), oldest // 1_000_000, scale]


def _fresh(sample: VitalSample, now: int) -> bool:
    limit = MAX_AGE_S.get(sample.metric)
    return limit is not None and now - sample.corrected <= limit * SECOND
