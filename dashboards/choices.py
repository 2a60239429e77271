"""The choices of profiles by id, joined ones too: a device of two standard services has ``a+b``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from dashboards.models import ProfileChoice

__all__ = ["Choices"]

JOINT: Final = "+"


class Choices(Mapping[str, ProfileChoice]):
    """Lists what can be chosen; knows what is joined of it as well."""

    def __init__(self, choices: Iterable[ProfileChoice]) -> None:
        self._listed = {choice.id: choice for choice in choices}
        self._joined: dict[str, ProfileChoice] = {}

    def __getitem__(self, key: str) -> ProfileChoice:
        if key in self._listed:
            return self._listed[key]
        if key not in self._joined:
            names = key.split(JOINT)
            parts = [self._listed[name] for name in names]  # KeyError: one is unknown
            if names != sorted(set(names)) or not _joinable(parts):
                raise KeyError(key)
            self._joined[key] = _joined(key, parts)
        return self._joined[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def _joinable(parts: Iterable[ProfileChoice]) -> bool:
    known = list(parts)
    apart = all(not (one.reads & other.reads) for one, other in combinations(known, 2))
    return apart and all(part.composes for part in known)


def _joined(key: str, parts: list[ProfileChoice]) -> ProfileChoice:
    """What the parts measure together; what two of them measure comes as often as from the quicker one."""
    intervals: dict[str, float] = {}
    for part in parts:
        for metric in part.metrics or ():
            if part.interval_s is not None:
                intervals[metric] = min(part.interval_s, intervals.get(metric, part.interval_s))
    return ProfileChoice(
        id=key,
        title=" + ".join(part.title for part in parts),
        transport="ble",
        metrics=frozenset[str]().union(*(part.metrics or () for part in parts)),
        composes=True,
        intervals=intervals,
        reads=frozenset[str]().union(*(part.reads for part in parts)),
    )
