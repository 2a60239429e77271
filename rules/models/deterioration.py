"""The risk that a patient's course ends badly, out of irregular vital signs: what is seen, and the model.

What the model was trained on and how well it does is in docs/models/deterioration.md. The bench that
trains it uses this very code, value by value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import nan
from pathlib import Path
from typing import Any, Final, NamedTuple

from rules.models.trees import Trees, probability
from rules.models.vital_memory import SHAPES, VitalMemory
from rules.news2 import PARAMETERS, points

__all__ = [
    "BELIEVED",
    "CHANNELS",
    "CHANNELS_LEAST",
    "CHANNEL_OF",
    "FEATURES",
    "FEATURES_ALERT",
    "PLACES",
    "REMEMBERED_S",
    "SCORED",
    "STAY_KNOWN_H",
    "STAY_LEAST_H",
    "Course",
    "Deterioration",
    "Reason",
    "Risk",
    "shipped",
]

CHANNELS: Final = (
    "pulse",
    "respiratory_rate",
    "spo2",
    "temperature",
    "systolic",
    "diastolic",
    "mean_pressure",
    "consciousness",
)
"""What is remembered of a patient; those of NEWS2 have its names."""
CHANNEL_OF: Final[Mapping[str, str]] = {
    "heart_rate": "pulse",
    "pulse_rate": "pulse",
    "respiratory_rate": "respiratory_rate",
    "spo2": "spo2",
    "body_temperature": "temperature",
    "nibp_systolic": "systolic",
    "ibp_systolic": "systolic",
    "nibp_diastolic": "diastolic",
    "ibp_diastolic": "diastolic",
    "nibp_mean": "mean_pressure",
    "ibp_mean": "mean_pressure",
    "consciousness": "consciousness",
}
"""The channel of each metric that counts; values of two metrics in the same hour are averaged."""
CONSCIOUSNESS: Final = "consciousness"

SCORED: Final = tuple(p for p in PARAMETERS if p in CHANNELS)
_SUMS: Final = ("last", "mean_2h", "mean_8h", "mean_24h")
PLACES: Final = tuple(SHAPES.index(name) for name in _SUMS)
"""Of which of the shapes NEWS2's points are counted."""
BELIEVED: Final[Mapping[str, tuple[float, float]]] = {
    "pulse": (20, 300),
    "respiratory_rate": (3, 80),
    "spo2": (40, 100),
    "temperature": (25, 44),
    "systolic": (30, 300),
    "diastolic": (10, 200),
    "mean_pressure": (15, 250),
    "consciousness": (0, 4),
}
"""Between which values a channel is learned from: beyond lie drop-outs and spikes, of which the hard rules
tell at once."""
_TAKEN: Final = {metric: (channel, *BELIEVED[channel]) for metric, channel in CHANNEL_OF.items()}
STAY_KNOWN_H: Final = 48.0
"""Longer than this nobody was watched in training: a longer stay counts as this."""
STAY_LEAST_H: Final = 6.0
"""Shorter than this nobody was judged in training: no risk is told before."""
CHANNELS_LEAST: Final = 3
REMEMBERED_S: Final = 48 * 3600.0
"""What is older than this (s) hardly matters any more to a risk."""
_VERSION: Final = 1


def _names(channels: Sequence[str]) -> tuple[str, ...]:
    scored = [p for p in SCORED if p in channels]
    return (
        "stay_h",
        *(f"{channel}.{shape}" for channel in channels for shape in SHAPES),
        *(f"{parameter}.points" for parameter in scored),
        *(f"news2.{name}" for name in _SUMS),
        "news2.trend",
    )


FEATURES: Final = _names(tuple(c for c in CHANNELS if c != CONSCIOUSNESS))
"""What the model sees of a patient whose consciousness nobody has entered."""
FEATURES_ALERT: Final = _names(CHANNELS)
"""The same where somebody has."""


class Course:
    """What is remembered of one patient's vital signs: a few kilobytes, whatever came."""

    __slots__ = ("_vitals", "since")

    def __init__(self) -> None:
        self.since = nan
        self._vitals: dict[str, VitalMemory] = {}

    def push(self, time: float, metric: str, value: float) -> bool:
        """Take a value (s, canonical unit; consciousness by its place in ACVPU); False: it does not count.

        Not so do other metrics, drop-outs and spikes, and what is older than the newest of its kind.
        """
        found = _TAKEN.get(metric)
        if found is None:
            return False
        channel, low, high = found
        if not low <= value <= high:
            return False
        memory = self._vitals.get(channel)
        if memory is None:
            memory = self._vitals[channel] = VitalMemory()
        if not memory.push(time, value):
            return False
        if not self.since <= time:
            self.since = time
        return True

    @property
    def conscious(self) -> bool:
        """Whether the patient's consciousness was ever entered."""
        return CONSCIOUSNESS in self._vitals

    def enough(self, now: float) -> bool:
        """Whether a risk can be told at ``now`` (s): after some hours, of some signals."""
        return now - self.since >= STAY_LEAST_H * 3600.0 and len(self._vitals) >= CHANNELS_LEAST

    def features(self, now: float, *, conscious: bool) -> list[float]:
        """``FEATURES_ALERT`` (or without consciousness ``FEATURES``) at ``now`` (s); NaN: not known."""
        known = self._vitals
        channels = CHANNELS if conscious else CHANNELS[:-1]
        shapes = {c: (known.get(c) or _EMPTY).shape(now) for c in channels}
        scores = {p: [_points(p, shapes[p][i]) for i in PLACES] for p in SCORED if p in shapes}
        sums = [sum(column) for column in zip(*scores.values(), strict=True)]
        own = [found[0] if p in known else nan for p, found in scores.items()]
        stay = min((now - self.since) / 3600.0, STAY_KNOWN_H)
        return [stay, *(x for c in channels for x in shapes[c]), *own, *sums, sums[0] - sums[-1]]

    def shift(self, by: float) -> None:
        """All values were measured so much (s) later than told."""
        self.since += by
        for memory in self._vitals.values():
            memory.shift(by)

    def copy(self) -> Course:
        """The same, to be changed on its own."""
        return Course.unpacked(self.pack())

    def pack(self) -> list[Any]:
        """All of it as plain data; equal histories give equal data."""
        return [_VERSION, self.since, [[c, m.pack()] for c, m in sorted(self._vitals.items())]]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Course:
        """The course that ``pack`` gave. Raises ValueError when it is of another version."""
        version, since, vitals = packed
        if version != _VERSION:
            msg = f"a patient's course of version {version}; this software reads {_VERSION}"
            raise ValueError(msg)
        out = cls()
        out.since = since
        out._vitals = {c: VitalMemory.unpacked(m) for c, m in vitals}
        return out


_EMPTY: Final = VitalMemory()


def _points(parameter: str, value: float) -> float:
    """NEWS2's points; of what is not known none, as the sum then is the least that it can be."""
    return float(points(parameter, value)) if value == value else 0.0  # noqa: PLR0124 - NaN


class Reason(NamedTuple):
    """What a channel, ``news2`` (all points) or ``stay_h`` (the hours) adds to a risk's log-odds.

    ``value`` is its newest one.
    """

    name: str
    term: float
    value: float


@dataclass(frozen=True, slots=True)
class Risk:
    """A calibrated probability, and what it is made of, the greatest first.

    ``conscious`` says whether consciousness was known.
    """

    value: float
    reasons: tuple[Reason, ...]
    conscious: bool


class Deterioration:
    """The trained model: two sums of trees, with consciousness and without, calibrated each on its own."""

    def __init__(self, alert: Trees, plain: Trees) -> None:
        for trees, features in ((alert, FEATURES_ALERT), (plain, FEATURES)):
            if trees.features != features:
                msg = (
                    f"{trees.name} {trees.version} was trained on other features than this software computes"
                )
                raise ValueError(msg)
        self.alert, self.plain = alert, plain

    @property
    def version(self) -> int:
        """The number of the training."""
        return self.alert.version

    def risk(self, course: Course, now: float) -> Risk | None:
        """The risk at ``now`` (s); None while too little is known to tell one."""
        if not course.enough(now):
            return None
        conscious = course.conscious
        trees = self.alert if conscious else self.plain
        values = course.features(now, conscious=conscious)
        log_odds, _, terms = trees.explained(values)
        newest = dict(zip(trees.features, values, strict=True))
        joined: dict[str, float] = {}
        for name, term in terms.items():
            channel = name.partition(".")[0]
            joined[channel] = joined.get(channel, 0.0) + term
        reasons = (
            Reason(name, round(term, 6), newest[name if name == "stay_h" else f"{name}.last"])
            for name, term in joined.items()
        )
        ordered = tuple(sorted(reasons, key=lambda reason: (-reason.term, reason.name)))
        return Risk(round(probability(log_odds), 6), ordered, conscious)


FOLDER: Final = Path(__file__).parent
ALERT_FILE: Final = "deterioration-alert.json"
PLAIN_FILE: Final = "deterioration-plain.json"


@cache
def shipped() -> Deterioration:
    """The model of this release. Raises ConfigError when its files are damaged."""
    return Deterioration(*(_load(name) for name in (ALERT_FILE, PLAIN_FILE)))


def _load(name: str) -> Trees:
    return Trees.from_json((FOLDER / name).read_text(encoding="utf-8"), f"rules/models/{name}")
