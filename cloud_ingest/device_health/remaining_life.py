"""How many cycles an instrument has left, learned from units that ran until they failed.

Gradient-boosted trees (scikit-learn) on the features of ``wear``. Long before the end nothing shows, so what
is learned is the smaller of the cycles left and ``Learned.horizon``; an answer near it means "not yet". The
interval is that of the errors made on units that were held out, among answers like this one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final, Protocol

from cloud_ingest.device_health.run_to_failure import Run
from cloud_ingest.device_health.wear import Conditions, features
from hearthward.core.adding import added
from hearthward.core.errors import ConfigError

__all__ = ["Band", "Boosted", "Learned", "Left", "Model", "horizon_of", "learn"]

HORIZON_SHARE: Final = 0.63
"""Of the median life: 125 cycles of C-MAPSS FD001, where Heimes (PHM 2008) found wear to begin to show."""
FEWEST: Final = 5
"""Fewer units that failed teach nothing."""
BAGS: Final = 3
FOLDS: Final = 5
BINS: Final = 12
"""Groups of like answers whose errors make an interval."""
RIDGE: Final = 10.0
_SETTINGS: Final[dict[str, Any]] = {
    "max_iter": 100,
    "learning_rate": 0.08,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 60,
    "l2_regularization": 1.0,
    "max_features": 0.3,
    "early_stopping": False,
}


@dataclass(frozen=True, slots=True)
class Left:
    """Cycles left: the best guess, and between what they lie nine times in ten (None: was not asked)."""

    cycles: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """Errors (true - told) by answer: from ``edges[i]`` on they lie between ``low[i]`` and ``high[i]``."""

    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, told: Sequence[float], true: Sequence[float]) -> Band:
        """From answers about units that were held out."""
        order = sorted(range(len(told)), key=told.__getitem__)
        size = max(20, -(-len(order) // BINS))
        groups = [order[i : i + size] for i in range(0, len(order), size)]
        if len(groups) > 1 and len(groups[-1]) < size // 2:
            groups[-2] += groups.pop()
        errors = [quantiles([true[i] - told[i] for i in group], n=20) for group in groups]
        return cls(
            tuple(told[group[0]] for group in groups),
            tuple(q[0] for q in errors),
            tuple(q[-1] for q in errors),
        )

    def around(self, told: float) -> Left:
        """The answer with its interval."""
        i = max(0, bisect_right(self.edges, told) - 1)
        return Left(told, max(0.0, told + min(0.0, self.low[i])), told + max(0.0, self.high[i]))


def horizon_of(runs: Sequence[Run]) -> int:
    """From how many cycles before the end on it can be told, going by their lives."""
    return max(1, round(HORIZON_SHARE * median(len(run) for run in runs)))


class Model(Protocol):
    """What tells cycles left of rows of features."""

    def predict(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """Of each row."""
        ...


class Boosted:
    """scikit-learn's trees, on one thread: threads wait for each other longer than this little work takes."""

    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted

    def predict(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """Of each row."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return [float(told) for told in self.fitted.predict(rows)]


class Learned:
    """What was learned from ``units`` units that failed, or read from a file (``life_model``)."""

    def __init__(
        self,
        conditions: Conditions,
        weights: Sequence[float],
        horizon: int,
        models: Sequence[Model],
        *,
        band: Band | None = None,
        units: int = 0,
    ) -> None:
        self.conditions, self.weights, self.horizon = conditions, tuple(weights), horizon
        self.models, self.band, self.units = tuple(models), band, units

    def left(self, runs: Sequence[Run]) -> list[Left]:
        """Of each run as it is after its last cycle."""
        return self.at([self.features(run)[-1] for run in runs])

    def features(self, run: Run) -> list[list[float]]:
        """Of each of its cycles, as ``at`` takes them."""
        return features(self.conditions, self.weights, run)

    def at(self, rows: Sequence[Sequence[float]]) -> list[Left]:
        """Of each row of features."""
        if not rows:
            return []
        return self.among([model.predict(rows) for model in self.models])

    def among(self, answers: Sequence[Sequence[float]]) -> list[Left]:
        """Of each row, from what each model says of it."""
        told = [max(0.0, float(added(each)) / len(each)) for each in zip(*answers, strict=True)]
        return [Left(cycles) if self.band is None else self.band.around(cycles) for cycles in told]


def learn(runs: Sequence[Run], *, band: bool = False) -> Learned:
    """Learn from units whose last cycle was their last; ``band``: intervals too (three times the work).

    Deterministic. Raises ConfigError when there are too few units, or none of their sensors varies.
    """
    import sklearn.ensemble  # noqa: F401 - only the threads of what is loaded already are limited
    from threadpoolctl import threadpool_limits

    if len(runs) < FEWEST:
        msg = f"{len(runs)} units that ran until they failed are too few to learn from: at least {FEWEST}"
        raise ConfigError(msg)
    with threadpool_limits(1):  # threads wait for each other longer than this little work takes
        learned = _fit(runs, BAGS)
        if band:
            told, true = list[float](), list[float]()
            for fold in range(FOLDS):
                rest = [run for i, run in enumerate(runs) if i % FOLDS != fold]
                others = _fit(rest, 1)
                for run in runs[fold::FOLDS]:
                    told += [left.cycles for left in others.at(others.features(run))]
                    true += [float(len(run) - 1 - i) for i in range(len(run))]
            learned.band = Band.of(told, true)
    return learned


def _fit(runs: Sequence[Run], bags: int) -> Learned:
    from sklearn.ensemble import HistGradientBoostingRegressor

    conditions = Conditions.of(runs)
    if not conditions.sensors:
        msg = "no sensor of these units ever varies: there is nothing to learn from"
        raise ConfigError(msg)
    horizon = horizon_of(runs)
    left = [float(min(horizon, len(run) - 1 - i)) for run in runs for i in range(len(run))]
    weights = _weights(conditions, runs, left)
    rows = [row for run in runs for row in features(conditions, weights, run)]
    leaf = min(_SETTINGS["min_samples_leaf"], max(5, len(rows) // 100))
    settings = _SETTINGS | {"min_samples_leaf": leaf}
    models = [
        Boosted(HistGradientBoostingRegressor(**settings, random_state=n).fit(rows, left))
        for n in range(bags)
    ]
    return Learned(conditions, weights, horizon, models, units=len(runs))


def _weights(conditions: Conditions, runs: Sequence[Run], left: Sequence[float]) -> list[float]:
    """Of the sensors in one index with a spread of 1 that falls as the cycles left do."""
    from sklearn.linear_model import Ridge

    rows = [conditions.relative(a, b) for run in runs for a, b in zip(run.settings, run.sensors, strict=True)]
    model = Ridge(RIDGE).fit(rows, left)
    spread = float(model.predict(rows).std()) or 1.0
    return [float(w) / spread for w in model.coef_]
