"""Whether a device loses its link more often than it did, or than others of its kind."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, exp, lgamma, log
from statistics import median
from typing import Final

from cloud_ingest.device_health.findings import Finding, rounded, sure
from cloud_ingest.device_health.sums import DAY_NS, DaySums

__all__ = ["binomial_tail", "dropout_finding", "poisson_tail", "rate_of"]

RECENT: Final = 7
PAST: Final = 28
"""Days: a week against the four before, so that weekdays weigh alike."""
FEWEST: Final = 5
"""So many losses in the week at least: below that nobody need come."""
MORE: Final = 2.0
"""Twice its own past; of peers three times, as places differ."""
MORE_THAN_PEERS: Final = 3.0
FEWEST_PEERS: Final = 5
FEWEST_HOURS: Final = 24
UNSEEN: Final = log(2)
"""Losses that are as likely as not to come where none came: what a median of none leaves open."""
P: Final = 0.001
"""Of 10,000 devices ten a day would be told of by chance; ``MORE`` and ``FEWEST`` leave fewer."""
ACT_DAYS: Final = 7


def rate_of(sums: Sequence[DaySums]) -> tuple[int, int]:
    """Losses, and hours in use in which they came."""
    return sum(s.dropouts for s in sums), sum(s.used for s in sums)


def binomial_tail(k: int, n: int, p: float) -> float:
    """The probability of at least ``k`` of ``n``."""
    return min(1.0, sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))


def poisson_tail(k: int, mean: float) -> float:
    """The probability of at least ``k`` where ``mean`` are expected."""
    if mean <= 0:
        return 0.0 if k else 1.0
    below = sum(exp(i * log(mean) - mean - lgamma(i + 1)) for i in range(k))
    return max(0.0, 1.0 - below)


def usual_rate(peers: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """The median of peers' losses an hour, and the least that it may be; None: too few were used enough.

    Of peers that lost nothing in h hours only so much is known: ln 2 / h would have been as likely as not to
    show none.
    """
    used = [(losses, hours) for losses, hours in peers if hours >= FEWEST_HOURS]
    if len(used) < FEWEST_PEERS:
        return None
    return median(losses / hours for losses, hours in used), UNSEEN / median(hours for _, hours in used)


def dropout_finding(days: Sequence[DaySums], peers: Sequence[tuple[int, int]], today: int) -> Finding | None:
    """Of a device's days by day; ``peers`` are losses and hours of its kind in the same week. None: as usual.

    Against its past by the exact conditional test of two Poisson rates (Przyborowski and Wilenski, Biometrika
    31, 1940): of all losses the week's are binomial with its share of the hours.
    """
    recent = [s for s in days if today - RECENT < s.day <= today]
    past = [s for s in days if today - RECENT - PAST < s.day <= today - RECENT]
    k, hours = rate_of(recent)
    if k < FEWEST or not hours:
        return None
    evidence: dict[str, float | int | str] = {"losses": min(k, 1 << 31), "hours": hours}
    before, hours_before = rate_of(past)
    worse = None
    if hours_before >= FEWEST_HOURS and k * hours_before >= MORE * before * hours:
        n = min(k + before, 1000)
        share = hours / (hours + hours_before)
        p = binomial_tail(round(n * k / (k + before)), n, share)
        evidence |= {"losses_before": before, "hours_before": hours_before}
        worse = p if p < P else None
    found = usual_rate(peers)
    if found is not None and k >= MORE_THAN_PEERS * max(found) * hours:
        p = poisson_tail(min(k, 1000), max(found) * hours)
        if p < P:
            evidence["peers"] = rounded(found[0])
            worse = p if worse is None else min(p, worse)
    if worse is None:
        return None
    text = {"en": f"Link lost {k} times in {hours} h of use", "zh": f"使用 {hours} 小时内断开 {k} 次"}
    if "losses_before" in evidence:
        text["en"] += f"; before {before} times in {hours_before} h"
        text["zh"] += f"；此前 {hours_before} 小时内 {before} 次"  # noqa: RUF001 - Chinese punctuation
    if "peers" in evidence and found is not None:
        text["en"] += f"; others of its kind {found[0] * 100:.2g} times in 100 h"
        text["zh"] += f"；同类设备每 100 小时 {found[0] * 100:.2g} 次"  # noqa: RUF001 - Chinese punctuation
    return Finding("dropouts", evidence, sure(worse), text, proposed=(today + ACT_DAYS) * DAY_NS)
