"""The quality gate as a detector of river's, to be put before other estimators and checked by its own checks.

Gateways and the cloud have ``rules.detectors.quality``, which needs no river.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from numbers import Real
from typing import Any, Final

from river.base import AnomalyDetector

from cloud_ingest.river_faces.per_feature import LATEST, SECOND
from cloud_ingest.river_faces.values import is_number
from hearthward.core.model import JUDGED, Quality
from rules.detectors.quality import Gate, refine
from rules.detectors.quality_limits import LIMITS
from rules.model import Rows

__all__ = ["QualityGateDetector"]

SUSPECT: Final = 0.5
BAD: Final = 1.0
_PATIENT: Final = "patient"
_BOTH: Final = 2
_ALWAYS: Final = round(LATEST * SECOND)


class QualityGateDetector(AnomalyDetector):  # type: ignore[misc, unused-ignore] # untyped where river is missing
    """One patient's signals at one moment: 0 all good, 0.5 one is suspect, 1 one is bad.

    A feature is named by its metric (``"spo2"``), or by device and metric (``("oximeter", "spo2")``) where
    there are several devices; ``time`` names the feature with the time in seconds since 1970 (without it
    each moment is one second after the last). After ``keep`` seconds, an hour at least, a silent device is
    forgotten. What is no number, or no metric that can be judged, is passed over.

    >>> gate = QualityGateDetector()
    >>> for n in range(60):
    ...     gate.learn_one({"spo2": 97.0, "pulse_rate": 70.0 + n % 2})
    >>> gate.score_one({"spo2": 97.0, "pulse_rate": 71.0})
    0.0
    >>> gate.score_one({"spo2": 97.0, "pulse_rate": 140.0})
    0.5
    >>> gate.reasons_one({"spo2": 0.0, "pulse_rate": 0.0})["spo2"]
    <Quality.BAD|DROPOUT: 81920>
    """

    def __init__(self, *, time: str = "time", keep: float = 3600.0) -> None:
        self.time = time
        self.keep = keep
        self._now = 0
        self._gate: Gate = {}

    def score_one(self, x: Mapping[Hashable, Any]) -> float:
        """The worst of what is said of these features, which are not learned."""
        said = self.reasons_one(x).values()
        return BAD if any(Quality.BAD in q for q in said) else SUSPECT if any(said) else 0.0

    def reasons_one(self, x: Mapping[Hashable, Any]) -> dict[Hashable, Quality]:
        """The verdict and the reasons of each feature that can be judged; good ones have no bit."""
        names, rows = _rows(x, self._at(x))
        judged = refine(dict(self._gate), rows, self._keep, _ALWAYS, copying=True)
        return {name: Quality(bits) & JUDGED for name, bits in zip(names, judged.quality, strict=True)}

    def learn_one(self, x: Mapping[Hashable, Any]) -> None:
        """Learn these features."""
        self._now = self._at(x)
        refine(self._gate, _rows(x, self._now)[1], self._keep, _ALWAYS)

    @property
    def _keep(self) -> int:
        return round(self.keep * SECOND)

    def _at(self, x: Mapping[Hashable, Any]) -> int:
        given = x.get(self.time)
        if is_number(given):
            return round(min(max(float(given), 0.0), LATEST) * SECOND)
        return self._now + SECOND


def _rows(x: Mapping[Hashable, Any], at: int) -> tuple[list[Hashable], Rows]:
    names, rows = [], Rows()
    for name, value in x.items():
        device, metric = name if isinstance(name, tuple) and len(name) == _BOTH else ("", name)
        if metric in LIMITS and isinstance(value, Real) and not math.isnan(value):
            names.append(name)
            rows.append(_PATIENT, str(device), metric, float(value), at, at)
    return names, rows
