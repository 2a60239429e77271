"""Which streams of a batched quality gate look at which: found once, when it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from rules.detectors.exactly import Array
from rules.detectors.quality_limits import PRESSURES, RATES

__all__ = ["ARREST", "Neighbours", "Signal"]

ARREST: Final = ("heart_rate", "ibp_mean", "ibp_systolic")
"""What tells of an arrest beside an oximeter."""
_OTHER: Final = {"spo2": "pulse_rate", "pulse_rate": "spo2"}


class Signal(NamedTuple):
    """Whose, which device's and what: the key of one stream."""

    subject: str
    device: str
    metric: str


class Neighbours:
    """Of each stream by its number: the streams of one metric of a subject are a cohort, in order of devices.

    ``cohorts`` has one row of streams for each, filled up with the number of streams, which stands for none;
    its last row is the empty one. ``own``, ``partner`` (the other measure of the same rate) and ``hearts``
    (``ARREST``) are cohorts; ``beside`` (the oximeter's other signal) and ``pressures`` (systolic, mean,
    diastolic of the same way) are streams of the same device.
    """

    def __init__(self, streams: Sequence[Signal], number: Mapping[Signal, int]) -> None:
        none = len(streams)
        members: dict[tuple[str, str], list[int]] = {}
        for n in sorted(range(none), key=lambda n: streams[n].device):
            members.setdefault((streams[n].subject, streams[n].metric), []).append(n)
        most = max(map(len, members.values()), default=0)
        rows = [row + [none] * (most - len(row)) for row in (*members.values(), [])]
        place = {key: n for n, key in enumerate(members)}

        def cohorts(names: Signal, metrics: Iterable[str]) -> list[int]:
            return [place.get((names.subject, metric), len(place)) for metric in metrics]

        def siblings(names: Signal, metrics: Iterable[str]) -> list[int]:
            return [number.get(Signal(names.subject, names.device, metric), none) for metric in metrics]

        def column(found: Iterable[list[int]], wide: int) -> Array:
            return np.array(list(found), np.intp).reshape(none, wide)

        nothing = ("", "", "")
        self.cohorts = np.array(rows, np.intp).reshape(len(rows), most)
        self.own = column((cohorts(n, [n.metric]) for n in streams), 1)[:, 0]
        self.partner = column((cohorts(n, [RATES.get(n.metric, "")]) for n in streams), 1)[:, 0]
        self.hearts = column((cohorts(n, ARREST) for n in streams), len(ARREST))
        self.beside = column((siblings(n, [_OTHER.get(n.metric, "")]) for n in streams), 1)[:, 0]
        self.pressures = column((siblings(n, PRESSURES.get(n.metric, nothing)) for n in streams), 3)
