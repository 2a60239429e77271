"""What one's own absence must not be blamed on devices: silence is counted from when one listens again.

Without this every restart of the cloud would raise "no data" for all patients whose readings wait at their
gateways, and every restart of a gateway for all whose devices are yet to be connected again.
It holds for what comes every minute or two; what is expected a few times a day can wait for its own time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hearthward.core.codes import METRICS
from rules.conditions import HEARTBEAT, Missing, leaves
from rules.context import Context
from rules.state import State

__all__ = ["Grace"]

CONTINUOUS_S: Final = 120.0


class Grace:
    """The signals that are silent already when deciding starts at ``started`` (UTC ns) stay so."""

    def __init__(self, state: State, started: int) -> None:
        self._started = started
        self._silent = {
            (name, leaf.metric)
            for name, subject in state.subjects.items()
            for key in subject.episodes
            for leaf in leaves(state.rules.by_id[key].condition)
            if isinstance(leaf, Missing)
        }

    def give(self, contexts: Mapping[str, Context]) -> dict[str, Context]:
        """The contexts, where nothing continuous is expected from before the start."""
        return {name: self._given(name, context) for name, context in contexts.items()}

    def _given(self, name: str, context: Context) -> Context:
        if context.expected is None:
            return context
        expected = {
            metric: max(since, self._started) if self._covers(name, metric) else since
            for metric, since in context.expected.items()
        }
        return replace(context, expected=expected)

    def _covers(self, name: str, metric: str) -> bool:
        if (name, metric) in self._silent:
            return False
        known = METRICS.get(metric)
        return metric == HEARTBEAT or (known is not None and known.interval_s <= CONTINUOUS_S)
