"""A sum of trees for many rows at once: the numbers of ``Trees``, bit by bit, from numpy.

All trees walk together, a level at a time; leaves are added up tree by tree, as there. The edge goes without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from rules.detectors.exactly import Array
from rules.models.trees import Node, Trees

__all__ = ["BatchedTrees"]

_AT_ONCE: Final = 256
"""Rows whose ways through all trees lie within a core's cache."""


class BatchedTrees:
    """``trees``, to be asked for many rows; ``rows`` are matrices, a column for each of its features."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        roots: list[int] = []
        nodes: list[Node] = []
        for tree in trees.trees:
            roots.append(len(nodes))
            nodes += [_placed(node, len(nodes) + n, len(nodes)) for n, node in enumerate(tree)]
        table = np.array(nodes, np.float64).reshape(-1, 6)
        self._value, self._threshold = table[:, 0].copy(), table[:, 2].copy()
        self._feature = table[:, 1].astype(np.intp)
        self._ways = table[:, 3:].astype(np.intp).ravel()
        self._roots = np.array(roots, np.intp)
        self._depth = max(map(_depth, trees.trees), default=0)

    def score(self, rows: Array) -> Array:
        """The uncalibrated score of each row."""
        rows = self._checked(rows)
        scores = np.full(len(rows), self.trees.base)
        if len(self._roots):
            for start, node, _ in self._walked(rows):
                leaves = self._value[node]
                leaves[0] += self.trees.base
                scores[start : start + node.shape[1]] = np.add.accumulate(leaves, axis=0)[-1]
        return scores

    def log_odds(self, rows: Array) -> Array:
        """The calibrated log-odds of each row."""
        return self.trees.intercept + self.trees.slope * self.score(rows)

    def contributions(self, rows: Array) -> tuple[float, Array]:
        """What the log-odds are where nothing is known, and what each feature adds to that, by row.

        0 stands for what ``Trees.contributions`` leaves out.
        """
        rows, count = self._checked(rows), len(self.trees.features)
        rest = self.trees.base
        for root in self._value[self._roots].tolist():
            rest += root
        found = np.zeros((len(rows), count))
        for start, _, ways in self._walked(rows):
            wide = ways[0].shape[1]
            by_tree = np.stack(ways, axis=1)
            steps = self._value[by_tree[:, 1:]] - self._value[by_tree[:, :-1]]
            cells = self._feature[by_tree[:, :-1]] + np.arange(wide) * count
            sums = np.bincount(cells.ravel(), steps.ravel(), wide * count)  # one after the other
            found[start : start + wide] = sums.reshape(wide, count)
        return self.trees.intercept + self.trees.slope * rest, self.trees.slope * found

    def _checked(self, rows: Array) -> Array:
        rows = np.asarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.trees.features):  # noqa: PLR2004 - a matrix
            msg = f"rows of shape {rows.shape}; {self.trees.name} takes {len(self.trees.features)} columns"
            raise ValueError(msg)
        return rows

    def _walked(self, rows: Array) -> Iterator[tuple[int, Array, Sequence[Array]]]:
        """Of some rows at a time: the first one's place, each tree's leaf, and all nodes on the way to it."""
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            flat, first = part.ravel(), np.arange(len(part)) * part.shape[1]
            node = np.repeat(self._roots[:, None], len(part), axis=1)
            ways = [node]
            for _ in range(self._depth):
                x = flat[self._feature[node] + first]
                node = self._ways[node * 3 + (x > self._threshold[node]) + 2 * np.isnan(x)]
                ways.append(node)
            yield start, node, ways


def _placed(node: Node, own: int, first: int) -> Node:
    """A node among those of all trees; a leaf leads to itself."""
    value, feature, threshold, *ways = node
    if feature < 0:
        return value, 0, threshold, own, own, own
    left, right, lost = (first + way for way in ways)
    return value, feature, threshold, left, right, lost


def _depth(tree: Sequence[Node]) -> int:
    """Steps to the furthest leaf; each way leads on to later nodes."""
    below = [0] * len(tree)
    for at in reversed(range(len(tree))):
        _, feature, _, *ways = tree[at]
        if feature >= 0:
            below[at] = 1 + max(below[way] for way in ways)
    return below[0]
