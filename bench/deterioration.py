"""Deterioration on PhysioNet 2012's set A, cross-validated by patient, with bootstrap intervals.

Settings, calibration, and the limits of alarms are chosen inside the training folds (inner folds by
patient); the held-out fifth is only judged. The model is asked each full hour from the sixth on; an alarm
begins at a limit and ends ``back`` (log-odds) below it. NEWS2-like scores and plain limits are judged at each
reading, on last values, consciousness and oxygen included; rises of NEWS2 each full hour, by the code that
shows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.deterioration_fit import HOURS, Fitted, Table, fit, folds_of, table_of
from bench.figures import Outcome
from bench.icu_stays import Stay, read_stays
from bench.real_data import recordings
from rules.models.deterioration import CHANNEL_OF, SCORED
from rules.models.score_course import ScoreCourse
from rules.news2 import points

Array = Any
FOLDS: Final = 5
SEED: Final = 2012
DRAWS: Final = 1000
SENSITIVITY: Final = 0.85
"""The share of deaths that a limit has to catch where it is chosen, on inner folds."""
AS_SHIPPED: Final = 0.3, 0.2
"""Where the shipped rule's alarm begins and ends (a risk)."""
RISES: Final = 2, 3, 4
"""By how many points in six hours NEWS2 rises for an alarm; it ends two points below."""
BACKS: Final = (0.25, 0.5, 1.0)
LOGISTIC: Final = ("last", "mean_24h", "trend")


def measure() -> Outcome:
    outcome = Outcome("deterioration", f"death in hospital, CinC 2012 set A, {FOLDS}-fold by patient")
    folder = recordings("cinc2012")
    if folder is None:
        outcome.add("AUROC", None, "", note="the recordings are not here: set HEARTHWARD_DATA")
        return outcome
    read = read_stays(folder)
    stays = read.stays
    died = np.array([s.died for s in stays])
    outcome.add("stays", len(stays), "", note=f"{died.sum()} deaths")
    outcome.add("rows that are no vital sign", sum(read.others.values()), "", note=_counted(read.others))
    hours = np.array([_observed(s) for s in stays])
    baselines = _baselines(stays)
    for conscious, floor in ((True, 0.84), (False, None)):
        held = _cross_validate(table_of(stays, conscious=conscious), died)
        label = "with consciousness" if conscious else "devices alone"
        _ranking(outcome, label, held, died, floor)
        most = 0.40 if conscious else None
        _alarms(outcome, f"alarms, {label}", held.alarms, died, hours, most)
        _alarms(outcome, f"alarms of the shipped rule, {label}", held.shipped, died, hours, None)
        if conscious:
            _interval(outcome, "AUROC at 48 h, logistic", held.logistic, died, note="measured before: .812")
    last = np.array([b.last for b in baselines])
    _interval(outcome, "AUROC at 48 h, last NEWS2-like score", last, died, note="measured before: .741")
    for name, counts in (("NEWS2-like >= 7, clear < 5", "news2"), ("plain limits", "limits")):
        _alarms(outcome, name, np.array([getattr(b, counts) for b in baselines]), died, hours, None)
    _rises(outcome, stays, died, hours)
    return outcome


def _counted(others: dict[str, int]) -> str:
    return ", ".join(f"{metric} {count:,}" for metric, count in sorted(others.items()))


def _observed(stay: Stay) -> float:
    """Hours from the first reading to the last."""
    times = [t for t, _, _ in stay.readings]
    return (times[-1] - times[0]) / 3600 if times else 0.0


# -- the model


@dataclass(slots=True)
class HeldOut:
    """What models said of stays that they never saw, by stay: log-odds at 48 h, alarms in all hours."""

    log_odds: Array
    logistic: Array
    alarms: Array
    shipped: Array
    settings: list[str]


def _cross_validate(table: Table, died: Array) -> HeldOut:
    everyone = np.arange(len(died))
    nothing = (np.zeros(len(died)) for _ in range(4))
    out = HeldOut(next(nothing), next(nothing), next(nothing), next(nothing), [])
    begins, ends = (float(np.log(p / (1 - p))) for p in AS_SHIPPED)
    for learned, held in folds_of(died, FOLDS, SEED):
        known = everyone[learned]
        fitted = fit(table, known, died[known])
        limit, back = _limit(table, fitted, known, died)
        part = table.of(everyone[held])
        log_odds = fitted.log_odds(part.x)
        rate = float(died[known].mean())
        for scores, found in ((out.log_odds, log_odds), (out.logistic, _logistic(table, known, part))):
            scores[held] = np.log(rate / (1 - rate))  # of whom too little is known
            at_end = part.hour == HOURS[-1]
            scores[part.stay[at_end]] = found[at_end]
        out.alarms[held] = _episodes(part, log_odds, limit, back, len(died))[held]
        out.shipped[held] = _episodes(part, log_odds, begins, begins - ends, len(died))[held]
        out.settings.append(f"{fitted.settings['max_leaf_nodes']} leaves, back {back}")
    return out


def _logistic(table: Table, known: Array, part: Table) -> Array:
    """The ordinary comparison: a logistic regression on last values, means and trends."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    columns = [i for i, name in enumerate(table.features) if name.endswith((*LOGISTIC, ".points"))]
    model = make_pipeline(
        SimpleImputer(strategy="median"),
        QuantileTransformer(n_quantiles=50, output_distribution="normal", random_state=0),
        LogisticRegression(C=0.01, max_iter=500),
    )
    rows = table.of(known).at(HOURS[-1:])
    return model.fit(rows.x[:, columns], rows.died).decision_function(part.x[:, columns])


def _episodes(table: Table, log_odds: Array, limit: float, back: float, count: int) -> Array:
    """Alarms by stay: each begins at ``limit`` and ends below ``limit - back``."""
    found = np.zeros(count)
    stay, active = -1, False
    for number, value in zip(table.stay, log_odds, strict=True):
        if number != stay:
            stay, active = number, False
        if not active and value >= limit:
            active = True
            found[number] += 1
        elif active and value < limit - back:
            active = False
    return found


def _limit(table: Table, fitted: Fitted, known: Array, died: Array) -> tuple[float, float]:
    """The limit that catches enough deaths on the inner folds, and how far back gives the fewest alarms.

    Whether a stay is caught depends on its highest risk alone.
    """
    inner = np.isin(table.stay, known)
    part, log_odds = table.of(known), fitted.inner[inner]
    highest = np.full(len(died), -np.inf)
    np.maximum.at(highest, part.stay, log_odds)
    deaths = np.sort(highest[known][died[known]])[::-1]
    limit = float(deaths[int(np.ceil(SENSITIVITY * len(deaths))) - 1])
    counts = {b: _episodes(part, log_odds, limit, b, len(died)).sum() for b in BACKS}
    return limit, min(BACKS, key=lambda b: counts[b])


# -- what it is held against


@dataclass(frozen=True, slots=True)
class Baseline:
    """One stay: its last NEWS2-like score, and how many alarms two plain ways would have given."""

    last: float
    news2: int
    limits: int


def _baselines(stays: Sequence[Stay]) -> list[Baseline]:
    return [_baseline(stay) for stay in stays]


def _baseline(stay: Stay) -> Baseline:
    worth: dict[str, int] = {}
    events = [(t, CHANNEL_OF[m], v) for t, m, v in stay.readings]
    events += [(t, "oxygen", v) for t, v in stay.oxygen]
    alarm, news2, limits = False, 0, 0
    total = 0
    for _, channel, value in sorted(events):
        if channel == "oxygen":
            worth[channel] = points("supplemental_oxygen", value)
        elif channel in SCORED:
            now = points(channel, value)
            limits += now == 3 > worth.get(channel, 0)
            worth[channel] = now
        total = sum(worth.values())
        if not alarm and total >= 7:
            alarm, news2 = True, news2 + 1
        elif alarm and total < 5:
            alarm = False
    return Baseline(total, news2, limits)


def _rises(outcome: Outcome, stays: Sequence[Stay], died: Array, hours: Array) -> None:
    """How much an alarm on NEWS2's rise alone would tell."""
    courses = [_changes(stay) for stay in stays]
    steepest = np.array([max(found, default=0) for found in courses])
    _interval(outcome, "AUROC, NEWS2's steepest rise in 6 h", steepest, died)
    for by in RISES:
        alarms = np.array([_begun(found, by) for found in courses])
        _alarms(outcome, f"NEWS2 + {by} within 6 h", alarms, died, hours, None)


def _changes(stay: Stay) -> list[int]:
    """By how much NEWS2 had changed at each full hour where that is known."""
    events = [*stay.readings, *((t, "supplemental_oxygen", v) for t, v in stay.oxygen)]
    course, found, waiting = ScoreCourse(), [], sorted(events, reverse=True)
    for hour in range(1, HOURS[-1] + 1):
        while waiting and waiting[-1][0] <= hour * 3600:
            time, metric, value = waiting.pop()
            course.push(time, metric, "stay", value)
        change = course.change(hour * 3600.0)
        if change is not None and change.change is not None:
            found.append(change.change)
    return found


def _begun(changes: Sequence[int], by: int) -> int:
    """How many alarms begin."""
    count, active = 0, False
    for change in changes:
        if not active and change >= by:
            count, active = count + 1, True
        elif change <= by - 2:
            active = False
    return count


# -- figures


def _ranking(outcome: Outcome, label: str, held: HeldOut, died: Array, aim: float | None) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import brier_score_loss

    name = f"AUROC at 48 h, {label}"
    floor = "floor .81; " if aim is not None else ""
    chosen = ", ".join(f"{n} x {settings}" for settings, n in Counter(held.settings).items())
    _interval(outcome, name, held.log_odds, died, aim, f"{floor}chosen: {chosen}")
    chance = 1 / (1 + np.exp(-held.log_odds))
    rate = float(died.mean())
    outcome.add(
        f"Brier score, {label}",
        float(brier_score_loss(died, chance)),
        "",
        note=f"the rate alone: {rate * (1 - rate):.3f}; mean risk {chance.mean():.3f}, died {rate:.3f}",
    )
    slope = LogisticRegression(C=1e6).fit(held.log_odds.reshape(-1, 1), died).coef_[0][0]
    outcome.add(f"calibration slope, {label}", float(slope), "", note="1 is perfect")


def _interval(
    outcome: Outcome, name: str, scores: Array, died: Array, aim: float | None = None, note: str = ""
) -> None:
    from sklearn.metrics import roc_auc_score

    low, high = _bootstrap(lambda i: float(roc_auc_score(died[i], scores[i])), len(died))
    value = float(roc_auc_score(died, scores))
    outcome.add(name, value, "", target=aim, at_least=True, note=f"95 %: {low:.3f}-{high:.3f}; {note}")


def _alarms(
    outcome: Outcome, name: str, alarms: Array, died: Array, hours: Array, most: float | None
) -> None:
    """Alarms a patient-day, beside the deaths that had one and those that had none."""
    caught = alarms > 0
    days = hours / 24

    def rate(i: Array) -> float:
        return float(alarms[i].sum() / days[i].sum())

    def share(i: Array) -> float:
        return float(caught[i][died[i]].mean())

    everyone = np.arange(len(died))
    (low, high), (least, greatest) = (_bootstrap(of, len(died)) for of in (rate, share))
    missed = int((died & ~caught).sum())
    note = f"95 %: {low:.2f}-{high:.2f}; of {died.sum()} deaths {missed} without an alarm"
    outcome.add(name, rate(everyone), "/patient-day", target=most, note=note)
    note = f"95 %: {least:.2f}-{greatest:.2f}; survivors with an alarm: {caught[~died].mean():.2f}"
    outcome.add(f"{name}: deaths caught", share(everyone), "", note=note)


def _bootstrap(of: Callable[[Array], float], count: int) -> tuple[float, float]:
    """The middle 95 % over resampled patients."""
    draw = np.random.default_rng(SEED)
    found = [of(draw.integers(0, count, count)) for _ in range(DRAWS)]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
