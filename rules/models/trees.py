"""A sum of regression trees, as boosting leaves it: read from a file, evaluated and explained in pure Python.

A value that is not known is NaN: each split says where it goes. A node is ``(value, feature, threshold,
left, right, lost)``: the mean of what ended below it, the column that it asks, and where up to the
threshold, above it and unknown go on; a leaf's ``feature`` is -1. As each node has a value, a prediction is
the roots' sum plus what every step on the way changed: these changes are what the features contributed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import starmap
from math import exp, isfinite
from typing import Any, Final, TypeAlias

from hearthward.core.errors import ConfigError

__all__ = ["FORMAT", "FORMAT_VERSION", "Node", "Trees", "probability"]

FORMAT: Final = "hearthward-trees"
FORMAT_VERSION: Final = 1

Node: TypeAlias = tuple[float, int, float, int, int, int]
_Linked: TypeAlias = tuple[float, int, float, Any, Any, Any]
"""A node with the nodes below it instead of their places."""

_LEAF: Final = -1
_SPLIT: Final = 6


@dataclass(frozen=True, slots=True)
class Trees:
    """A trained model; ``version`` is its own. A score is ``base`` plus one leaf of each tree.

    ``intercept`` and ``slope`` make a calibrated log-odds of it.
    """

    name: str
    version: int
    features: tuple[str, ...]
    base: float
    trees: tuple[tuple[Node, ...], ...]
    intercept: float = 0.0
    slope: float = 1.0

    _roots: tuple[_Linked, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_roots", tuple(map(_linked, self.trees)))

    def score(self, values: Sequence[float]) -> float:
        """The uncalibrated score of one row, in the order of ``features``."""
        total = self.base
        for root in self._roots:
            value, feature, threshold, left, right, lost = root
            while feature >= 0:
                x = values[feature]
                value, feature, threshold, left, right, lost = (
                    left if x <= threshold else right if x > threshold else lost
                )
            total += value
        return total

    def log_odds(self, values: Sequence[float]) -> float:
        """The calibrated log-odds of one row."""
        return self.intercept + self.slope * self.score(values)

    def contributions(self, values: Sequence[float]) -> tuple[float, dict[str, float]]:
        """What the calibrated log-odds are where nothing is known, and what each feature adds to that.

        Added up they are ``log_odds`` but for rounding. Features on no path are left out.
        """
        _, rest, terms = self.explained(values)
        return rest, terms

    def explained(self, values: Sequence[float]) -> tuple[float, float, dict[str, float]]:
        """``log_odds`` and ``contributions`` in one pass."""
        total = rest = self.base
        found = [0.0] * len(self.features)
        for root in self._roots:
            value, feature, threshold, left, right, lost = root
            rest += value
            while feature >= 0:
                x = values[feature]
                below = left if x <= threshold else right if x > threshold else lost
                found[feature] += below[0] - value
                value, feature, threshold, left, right, lost = below
            total += value
        terms = {name: self.slope * x for name, x in zip(self.features, found, strict=True) if x}
        return self.intercept + self.slope * total, self.intercept + self.slope * rest, terms

    def to_json(self) -> str:
        """The file's text; the same model always gives the same."""
        head: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "version": self.version,
            "features": list(self.features),
            "base": self.base,
            "intercept": self.intercept,
            "slope": self.slope,
        }
        trees = ",\n".join(json.dumps([_short(n) for n in t], separators=(",", ":")) for t in self.trees)
        return f'{json.dumps(head)[:-1]}, "trees": [\n{trees}\n]}}\n'

    @classmethod
    def from_json(cls, text: str, where: str) -> Trees:
        """The model of a file's text. Raises ConfigError that names the file ``where``, and what is wrong."""
        try:
            content = json.loads(text)
            return _read(content)
        except (ValueError, KeyError, TypeError) as error:
            fault = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            msg = f"{where} is no usable model: {fault}; take the file of the release again"
            raise ConfigError(msg) from error


def probability(log_odds: float) -> float:
    """The probability of log-odds, without overflow."""
    if log_odds >= 0:
        return 1.0 / (1.0 + exp(-log_odds))
    grown = exp(log_odds)
    return grown / (1.0 + grown)


def _short(node: Node) -> list[float]:
    return [node[0]] if node[1] == _LEAF else list(node)


def _read(content: dict[str, Any]) -> Trees:
    if (content["format"], content["format_version"]) != (FORMAT, FORMAT_VERSION):
        msg = f"format {content['format']!r} {content['format_version']!r}, not {FORMAT!r} {FORMAT_VERSION}"
        raise ValueError(msg)
    features = tuple(map(str, content["features"]))
    numbers = [float(content[name]) for name in ("base", "intercept", "slope")]
    if not all(map(isfinite, numbers)):
        msg = "base, intercept and slope must be finite"
        raise ValueError(msg)
    trees = tuple(_tree(n, rows, len(features)) for n, rows in enumerate(content["trees"]))
    base, intercept, slope = numbers
    return Trees(str(content["name"]), int(content["version"]), features, base, trees, intercept, slope)


def _tree(number: int, rows: list[list[float]], features: int) -> tuple[Node, ...]:
    """One tree. Every way leads on to later nodes only, so that each of them ends."""
    tree = tuple(starmap(_node, enumerate(rows)))
    for at, (value, feature, threshold, *ways) in enumerate(tree):
        if not (isfinite(value) and isfinite(threshold)):
            msg = f"tree {number}, node {at}: a number that is not finite"
            raise ValueError(msg)
        if feature != _LEAF and not (0 <= feature < features and all(at < w < len(tree) for w in ways)):
            msg = f"tree {number}, node {at}: it asks a feature or leads to a node that is not there"
            raise ValueError(msg)
    if not tree:
        msg = f"tree {number} is empty"
        raise ValueError(msg)
    return tree


def _linked(tree: tuple[Node, ...]) -> _Linked:
    """The root with all nodes below it; the ways lead on to later nodes only."""
    made: dict[int, _Linked | None] = {}
    for at in range(len(tree) - 1, -1, -1):
        value, feature, threshold, *ways = tree[at]
        left, right, lost = map(made.get, ways)
        made[at] = value, feature, threshold, left, right, lost
    root = made[0]
    assert root is not None  # noqa: S101 - no tree is empty
    return root


def _node(at: int, row: list[float]) -> Node:
    if len(row) == 1:
        return float(row[0]), _LEAF, 0.0, 0, 0, 0
    if len(row) != _SPLIT:
        msg = f"node {at} has {len(row)} numbers, not 1 (a leaf) or {_SPLIT}"
        raise ValueError(msg)
    value, feature, threshold, *ways = row
    left, right, lost = map(int, ways)
    return float(value), int(feature), float(threshold), left, right, lost
