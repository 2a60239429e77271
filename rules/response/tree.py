"""Technical conditions as a tree: component > gateway > device > signal; only the root is told.

What is silent because something above it is silent is shown under that, and told of when that is well
again and it still is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rules.response.model import Response
from rules.response.timetable import Escalation

__all__ = ["Tree"]

_ABOVE_ALL: Final = ("component:ingest", "component:broker")


class Tree(Escalation):
    """Finds the root of each silence."""

    def reroot(self) -> None:
        """Bring the roots of all open alarms up to date."""
        for response in sorted(self.open.values(), key=lambda r: (r.started, r.alarm)):
            if not response.silence or response.condition != "active":
                continue
            root = self.root_of(response)
            if root == response.root:
                continue
            before = response.root
            after = self.put(replace(response, root=root))
            after = self.rearm(after, "resumed") if before is None or root is None else after
            self.tell("signal", after, why="root")

    def root_of(self, response: Response) -> str | None:
        """The outermost silence that explains this one: everything on its level must be silent."""
        if not response.silence:
            return None
        silent = self.silent()
        for level in self._above(response):
            if level and all(subject in silent for subject in level):
                return silent[min(level)]
        return None

    def children(self, alarm: str) -> list[Response]:
        """The alarms that are shown under one."""
        return [r for r in self.open.values() if r.root == alarm]

    def _above(self, response: Response) -> Iterator[list[str]]:
        kind, colon, _ = response.subject.partition(":")
        if kind == "component" and colon:
            return
        for subject in _ABOVE_ALL:
            yield [subject]
        if kind == "gateway" and colon:
            return
        yield [f"gateway:{g}" for g in sorted(self.duty.gateways_of(response.subject, response.devices))]
        if not colon:
            devices = response.devices or self.duty.worn.get(response.subject, ())
            yield [f"device:{d}" for d in sorted(devices)]
