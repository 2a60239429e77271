"""Fitting the deterioration model: rows out of stays, boosted trees, their calibration, their export.

All is drawn with fixed seeds and fitted by one thread: the same stays give the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from bench.icu_stays import Stay
from rules.models.deterioration import FEATURES, FEATURES_ALERT, Course
from rules.models.trees import Node, Trees

__all__ = ["GRID", "HOURS", "SNAPSHOTS", "Table", "fit", "folds_of", "out_of_fold", "table_of"]

Array = Any
HOURS: Final = tuple(range(6, 49))
"""When a stay is judged (h)."""
SNAPSHOTS: Final = (6, 12, 24, 36, 42, 48)
"""The hours that are learned from."""
GRID: Final[tuple[dict[str, Any], ...]] = (
    {"max_leaf_nodes": 4, "max_iter": 250},
    {"max_leaf_nodes": 8, "max_iter": 150},
)
"""What is chosen between, inside the training folds."""
_COMMON: Final[dict[str, Any]] = {
    "learning_rate": 0.05,
    "min_samples_leaf": 80,
    "l2_regularization": 10.0,
    "max_features": 0.2,
    "early_stopping": False,
    "random_state": 20120917,
}
_DIGITS: Final = 9
"""Of what is written; the last ones of a sum depend on the machine that adds it up."""
_FAR: Final = 1e300
"""Stands for an endless threshold: JSON has none."""


@dataclass(frozen=True, slots=True)
class Table:
    """Features by stay and hour: ``x[i]`` is of stay ``stay[i]`` at ``hour[i]``, which ended as ``died[i]``.

    Only those are there of whom enough was known to be judged.
    """

    name: str
    features: tuple[str, ...]
    x: Array
    stay: Array
    hour: Array
    died: Array

    def of(self, stays: Array) -> Table:
        """The rows of these stays."""
        keep = np.isin(self.stay, stays)
        return replace(self, x=self.x[keep], stay=self.stay[keep], hour=self.hour[keep], died=self.died[keep])

    def at(self, hours: Sequence[int]) -> Table:
        """The rows of these hours."""
        keep = np.isin(self.hour, hours)
        return replace(self, x=self.x[keep], stay=self.stay[keep], hour=self.hour[keep], died=self.died[keep])


def table_of(stays: Sequence[Stay], *, conscious: bool, hours: Sequence[int] = HOURS) -> Table:
    """What the online code makes of each stay, reading by reading.

    With ``conscious``, a stay whose consciousness was never told is there with it unknown; without, it is
    left out of every stay's readings.
    """
    rows: list[list[float]] = []
    where: list[tuple[int, int, bool]] = []
    for number, stay in enumerate(stays):
        course, waiting = Course(), iter(stay.readings)
        following = next(waiting, None)
        for hour in hours:
            while following is not None and following[0] <= hour * 3600:
                if conscious or following[1] != "consciousness":
                    course.push(*following)
                following = next(waiting, None)
            if course.enough(hour * 3600.0):
                rows.append(course.features(hour * 3600.0, conscious=conscious))
                where.append((number, hour, stay.died))
    number_of, hour_of, died = (np.array(column) for column in zip(*where, strict=True))
    features = FEATURES_ALERT if conscious else FEATURES
    name = "deterioration-alert" if conscious else "deterioration-plain"
    return Table(name, features, np.array(rows), number_of, hour_of, died.astype(int))


def folds_of(died: Array, count: int, seed: int) -> list[tuple[Array, Array]]:
    """Stays parted into ``count`` (training, held out), each with its share of deaths."""
    from sklearn.model_selection import StratifiedKFold

    parts = StratifiedKFold(count, shuffle=True, random_state=seed)
    return list(parts.split(np.zeros(len(died)), died))


def boosted(table: Table, settings: dict[str, Any]) -> Any:
    """The library's own model."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # more of them wait for each other, and add up in another order
        return HistGradientBoostingClassifier(**{**_COMMON, **settings}).fit(table.x, table.died)


def out_of_fold(table: Table, stays: Array, died: Array, settings: dict[str, Any], count: int = 3) -> Array:
    """Scores of the table's rows by models that never saw their stay; NaN: not of these ``stays``."""
    scores = np.full(len(table.stay), np.nan)
    for learned, held in folds_of(died, count, seed=1):
        model = boosted(table.of(stays[learned]).at(SNAPSHOTS), settings)
        keep = np.isin(table.stay, stays[held])
        scores[keep] = model.decision_function(table.x[keep])
    return scores


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibrated model, its settings, and out-of-fold log-odds of what it learned from (``inner``)."""

    trees: Trees
    model: Any
    settings: dict[str, Any]
    inner: Array

    def log_odds(self, x: Array) -> Array:
        """Many rows at once, by the library."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return self.trees.intercept + self.trees.slope * self.model.decision_function(x)


def fit(table: Table, stays: Array, died: Array, version: int = 1) -> Fitted:
    """Choose the settings, fit and calibrate, all on these ``stays`` (numbers; ``died`` beside them) only."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # as in ``boosted``
        return _fit(table, stays, died, version)


def _fit(table: Table, stays: Array, died: Array, version: int) -> Fitted:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    found = []
    snapshots = np.isin(table.hour, SNAPSHOTS) & np.isin(table.stay, stays)
    for settings in GRID:
        scores = out_of_fold(table, stays, died, settings)
        found.append((roc_auc_score(table.died[snapshots], scores[snapshots]), settings, scores))
    _, settings, scores = max(found, key=lambda f: f[0])
    platt = LogisticRegression(C=1e6).fit(scores[snapshots].reshape(-1, 1), table.died[snapshots])
    intercept, slope = (round(float(x), _DIGITS) for x in (platt.intercept_[0], platt.coef_[0][0]))
    model = boosted(table.of(stays).at(SNAPSHOTS), settings)
    trees = replace(exported(model, table, version), intercept=intercept, slope=slope)
    return Fitted(trees, model, settings, intercept + slope * scores)


def exported(model: Any, table: Table, version: int) -> Trees:
    """The library's trees in our format; not calibrated."""
    trees = tuple(_tree(parts[0].nodes) for parts in model._predictors)  # noqa: SLF001 - there is no other way
    base = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001
    return Trees(table.name, version, table.features, base, trees)


def _tree(nodes: Array) -> tuple[Node, ...]:
    """One tree; the value of a node that splits is the mean of what ended below it in training."""
    values = [float(n["value"]) for n in nodes]
    for i in reversed(range(len(nodes))):
        n = nodes[i]
        if not n["is_leaf"]:
            parts = [(int(nodes[int(n[way])]["count"]), values[int(n[way])]) for way in ("left", "right")]
            values[i] = sum(c * v for c, v in parts) / sum(c for c, _ in parts)
    return tuple(_node(n, round(values[i], _DIGITS)) for i, n in enumerate(nodes))


def _node(node: Any, value: float) -> Node:
    if node["is_leaf"]:
        return value, -1, 0.0, 0, 0, 0
    left, right = int(node["left"]), int(node["right"])
    threshold = float(node["num_threshold"])
    threshold = threshold if np.isfinite(threshold) else _FAR  # not rounded: it may be a value that came
    return (
        value,
        int(node["feature_idx"]),
        threshold,
        left,
        right,
        left if node["missing_go_to_left"] else right,
    )
