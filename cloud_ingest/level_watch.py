"""When the unusual of a patient has become the usual: the rules learn it anew, by a journalled command.

While an alarm on something unusual is open nothing is learned (``rules.detectors.novelty``), for a day at
most, and how far each reading lies from the usual is kept with the rules' state. Here that course is looked
at; when the new level has held for so many readings that it is no passing state, the rules are told. They
decide by that command, not by this module: a replay of the journal needs neither it nor river. And as
nothing is remembered here, a restart changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from typing import Final, Protocol

from hearthward.core.errors import RuleError, StoreUnavailable
from hearthward.core.telemetry import Telemetry
from rules.conditions import Unusual, leaves
from rules.detectors.novelty import COURSE, Novelty
from rules.model import Command
from rules.rule import SHADOW
from rules.signals import feature_key
from rules.state import State

__all__ = ["ACTOR", "HOLDS", "Level", "LevelWatch"]

log = logging.getLogger(__name__)

ACTOR: Final = "@drift"
HOLDS: Final = COURSE
"""Readings (of a minute each, as shipped) for which a level must have held: two hours."""
EVERY_S: Final = 30.0
Key = tuple[str, str, str]
"""Alarm, signal, device."""


class Level(Protocol):
    """How long a level has held: ``river_faces.drift.AdwinLevel``, in tests a plain count."""

    def update(self, value: float) -> int:
        """Take the next value; how many of the newest have one mean."""
        ...


class LevelWatch:
    """Looks at open alarms twice a minute.

    Without river a level becomes usual by itself, after a day.
    """

    def __init__(
        self,
        state: Callable[[], State],
        act: Callable[[Command], Awaitable[None]],
        telemetry: Telemetry,
        make: Callable[[], Level] | None = None,
    ) -> None:
        self._state, self._act, self._telemetry, self._make = state, act, telemetry, make
        self._away = False
        self._seen: dict[Key, float] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while not self._away:
            await asyncio.sleep(EVERY_S)
            await self.look()

    async def look(self) -> int:
        """Look once; how many commands were given."""
        found = dict(self._open())
        self._seen = {key: at for key, at in self._seen.items() if key in found}
        if found and self._make is None:
            await self._load()
        told: list[tuple[str, str]] = []
        for key, novelty in found.items():
            if self._holds(key, novelty):
                told.append(key[:2])
        for alarm, metric in dict.fromkeys(told):
            try:
                await self._act(Command(0, 0, "relearn", alarm, ACTOR, to=metric))
            except (RuleError, StoreUnavailable) as error:
                log.info("a new level of %s was not told to the rules: %s", metric, type(error).__name__)
                continue
            self._telemetry.count("levels_relearned_total", metric=metric)
        return len(told)

    def _open(self) -> Iterator[tuple[Key, Novelty]]:
        """The signals of open alarms that are unusual now, with what is known of them."""
        state = self._state()
        for alarm, (name, key) in list(state.alarms.items()):
            subject, rule = state.subjects.get(name), state.rules.by_id.get(key)
            if key.endswith(SHADOW) or subject is None or rule is None:
                continue
            for leaf in leaves(rule.condition):
                if not isinstance(leaf, Unusual):
                    continue
                for device, series in subject.series.get(leaf.metric, {}).items():
                    feature = series.features.get(feature_key(leaf) or "")
                    if isinstance(feature, Novelty) and feature.output:
                        yield (alarm, leaf.metric, device), feature

    def _holds(self, key: Key, novelty: Novelty) -> bool:
        """Whether the newest ``HOLDS`` readings have one mean; looked at once for each reading."""
        newest = novelty.residual
        if newest is None or self._make is None or self._seen.get(key) == newest[0]:
            return False
        self._seen[key] = newest[0]
        course = novelty.course
        if len(course) < HOLDS:
            return False
        level, width = self._make(), 0
        for residual in course:
            width = level.update(residual)
        return width >= HOLDS

    async def _load(self) -> None:
        try:
            module = await asyncio.to_thread(import_module, "cloud_ingest.river_faces.drift")
        except ImportError:
            self._away = True
            log.warning("river is not installed: a new level becomes usual after a day")
            return
        self._make = module.AdwinLevel
