"""Whether a device measures something else than a second one on the same patient at the same time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Final

from cloud_ingest.device_health.findings import SUREST, Finding, rounded
from cloud_ingest.device_health.sums import DAY_NS
from hearthward.core.clock import SECOND

__all__ = [
    "COUNTERPARTS",
    "FEWEST",
    "Bias",
    "Compared",
    "bias_finding",
    "bias_findings",
    "bias_of",
    "paired",
]

WITHIN_NS: Final = 60 * SECOND
APART_NS: Final = 60 * SECOND
"""Between two pairs: what comes every second would make minutes of movement hundreds of pairs."""
FEWEST: Final = 20
"""Pairs: with fewer the interval's ends are the outermost pairs but one or two."""
MOST: Final = 500
"""The newest so many pairs."""
COVERAGE: Final = 0.95
ACT_DAYS: Final = 7
COUNTERPARTS: Final[dict[str, tuple[frozenset[str], float, str]]] = {
    # metric -> what measures the same, the difference that two good devices may have, its unit
    # IEC 60601-2-27: heart rate to within 10 % or 5 /min each; less is what fibrillation costs a pulse
    "heart_rate": (frozenset({"heart_rate", "pulse_rate"}), 10.0, "/min"),
    "pulse_rate": (frozenset({"heart_rate", "pulse_rate"}), 10.0, "/min"),
    # ISO 80601-2-61: A_rms of at most 4 % each
    "spo2": (frozenset({"spo2"}), 4.0, "%"),
    # ISO 80601-2-56: 0.3 degrees each in clinical use
    "body_temperature": (frozenset({"body_temperature"}), 0.6, "°C"),
    # ISO 81060-2: mean error of at most 5 mmHg each
    "nibp_systolic": (frozenset({"nibp_systolic", "ibp_systolic"}), 10.0, "mmHg"),
    "nibp_diastolic": (frozenset({"nibp_diastolic", "ibp_diastolic"}), 10.0, "mmHg"),
}


@dataclass(frozen=True, slots=True)
class Bias:
    """The median difference (own minus the other's) with its interval, of so many pairs."""

    difference: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True, slots=True)
class Compared:
    """A device's metric beside ``twin``, the same of another device; ``bias`` None: too few pairs."""

    device: str
    metric: str
    other: str
    twin: str
    bias: Bias | None

    @property
    def agrees(self) -> bool:
        """Whether all of the interval is within what two good devices may differ."""
        if self.bias is None:
            return False
        tolerance = COUNTERPARTS[self.metric][1]
        return -tolerance <= self.bias.low <= self.bias.high <= tolerance


def paired(
    own: Sequence[tuple[int, float]], other: Sequence[tuple[int, float]], within: int = WITHIN_NS
) -> list[float]:
    """Differences of (UTC ns, value), each by time: to the other's nearest, one a minute, none twice."""
    times, found, taken = [at for at, _ in other], [], -1
    last: int | None = None
    for at, value in own:
        if last is not None and at - last < APART_NS:
            continue
        i = bisect_left(times, at)
        near = [j for j in (i - 1, i) if taken < j < len(times) and abs(times[j] - at) <= within]
        if near:
            taken = min(near, key=lambda j: abs(times[j] - at))
            found.append(value - other[taken][1])
            last = at
    return found


def bias_of(differences: Sequence[float]) -> Bias | None:
    """Their median and its interval by order statistics, which knows no shape; None for too few."""
    used = sorted(differences[-MOST:])
    n = len(used)
    if n < FEWEST:
        return None
    below, k = 0.0, 0
    while below + comb(n, k) / 2**n <= (1 - COVERAGE) / 2:
        below += comb(n, k) / 2**n
        k += 1
    k = max(1, k)  # the interval from the k-th smallest to the k-th largest
    return Bias(median(used), used[k - 1], used[n - k], n)


def bias_finding(metric: str, found: Bias | None, other: str, today: int) -> Finding | None:
    """Whether all of the interval is beyond what two good devices may differ; ``other`` is the second's id.

    Which of the two is wrong nobody can say from this alone, and the text says so.
    """
    if found is None or metric not in COUNTERPARTS:
        return None
    _, tolerance, unit = COUNTERPARTS[metric]
    if found.low <= tolerance and found.high >= -tolerance:
        return None
    evidence: dict[str, float | int | str] = {
        "difference": rounded(found.difference),
        "low": rounded(found.low),
        "high": rounded(found.high),
        "pairs": found.pairs,
        "tolerance": tolerance,
        "metric": metric,
        "other": other,
    }
    text = {
        "en": f"Differs by {found.difference:+.2g} {unit} ({found.low:+.2g} to {found.high:+.2g}) "
        f"from {other} on the same patient; check both",
        "zh": f"与同一患者身上的 {other} 相差 {found.difference:+.2g} {unit}"
        f"（{found.low:+.2g} 至 {found.high:+.2g}）；请检查两者",  # noqa: RUF001 - Chinese punctuation
    }
    return Finding("bias", evidence, min(SUREST, COVERAGE), text, (today + ACT_DAYS) * DAY_NS, metric)


def bias_findings(compared: Sequence[Compared], today: int) -> dict[str, list[Finding]]:
    """What comparing the devices on one patient, each way round, came to, by device.

    Both of a pair that differs are told of; but not the one with which a third agrees, where none agrees with
    the other.
    """
    good = {(one.device, one.metric) for one in compared if one.agrees}
    found: dict[str, list[Finding]] = {}
    for one in compared:
        finding = bias_finding(one.metric, one.bias, one.other, today)
        proven = (one.device, one.metric) in good and (one.other, one.twin) not in good
        if finding is not None and not proven:
            found.setdefault(one.device, []).append(finding)
    return {device: _greatest(some) for device, some in found.items()}


def _greatest(findings: Iterable[Finding]) -> list[Finding]:
    """Of several about one metric that with the greatest difference."""
    best: dict[str, Finding] = {}
    for finding in findings:
        known = best.get(finding.about)
        if known is None or abs(float(finding.evidence["difference"])) > abs(
            float(known.evidence["difference"])
        ):
            best[finding.about] = finding
    return list(best.values())
