"""The quality gate: what each value is worth, told by what its stream and its neighbours did before.

``good`` (no bit), ``suspect`` (every rule looks at it all the same) or ``bad`` (nothing was measured: no
clinical rule looks at it, and a technical condition begins), with the reason as further bits of ``Quality``.

Only two reasons make a value bad, and neither can hide what happened to the patient:
- ``impossible``: outside what the metric can be.
- ``dropout``: exactly 0 of an oximeter, which no oximeter measures, as SpO2, or as pulse rate while SpO2 is 0
  too; and nothing says that the patient was failing: not the last values of the oximeter, not what other
  devices tell of heart and pressure. Else it is ``zero``, suspect. A heart rate of 0 is never bad.

All else is suspect: ``zero``, ``jump`` (faster than physiology, until it has stayed), ``spikes`` (it jumped
away and back again and again), ``flat``, ``disagrees`` (another signal says otherwise for half a minute).

What people enter by hand is no signal, and is not judged.

Memory is in time, not in samples: 1 Hz and three values a day share the code. Pure; the caller passes rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, inf
from typing import Any, Final, TypeAlias

from hearthward.core.model import BY_HAND, JUDGED, Quality
from rules.detectors.quality_limits import LIMITS, PRESSURES, RATES, Limits
from rules.model import Rows

__all__ = ["Gate", "Stream", "SubjectGate", "refine"]

SECOND: Final = 1_000_000_000
FRESH: Final = 90 * SECOND
"""So old a value of another signal may be to be compared with: one of each minute still counts."""
REMEMBERED: Final = 3600 * SECOND
"""After so long a value says nothing of how fast the next may have come."""
STAYED: Final = 30 * SECOND
"""A value that has stayed away so long, told at least ``STAYING`` times, is where the patient is now."""
STAYING: Final = 3
BACK: Final = 120 * SECOND
"""A value that is back within this time has been a spike."""
RESTLESS: Final = 600 * SECOND
"""``SPIKES`` within this time make a jump one of many."""
SPIKES: Final = 3
FLAT_LEAST: Final = 30
APART: Final = 30 * SECOND
TAU: Final = 120 * SECOND
RATE_STEP: Final = 20.0
RATE_SHARE: Final = 0.25
"""Two measures of a rate that lie further apart than either disagree (per minute, of the higher one)."""
UNJUDGED: Final = int(sum(f for f in Quality if not f.clinical and f not in JUDGED))
"""Values with one of these are no measurement of now anyhow: the gate neither judges them nor learns."""
IMPOSSIBLE: Final = int(Quality.BAD | Quality.IMPOSSIBLE)
DROPOUT: Final = int(Quality.BAD | Quality.DROPOUT)
ZERO: Final = int(Quality.SUSPECT | Quality.ZERO)
JUMP: Final = int(Quality.SUSPECT | Quality.JUMP)
MANY: Final = int(Quality.SUSPECT | Quality.SPIKES)
FLAT: Final = int(Quality.SUSPECT | Quality.FLAT)
DISAGREES: Final = int(Quality.SUSPECT | Quality.DISAGREES)
COMPARED: Final = RATES.keys() | PRESSURES.keys() | {"spo2"}


class Stream:
    """One signal of one device.

    ``value`` of ``time`` is the newest, with its verdict ``bits``, ``before`` the newest that is no zero;
    ``level`` of ``told`` the newest that was believed, ``slow`` a mean of those that forgets with ``TAU``.
    Since ``away`` (-1: not) ``strayed`` values lie far from the level. Since ``changed`` it has been the
    same, ``same`` times more. ``apart`` is since when another signal disagrees (-1: none does); ``spikes``
    are the last times that it came back from a jump.
    """

    __slots__ = (
        "apart",
        "away",
        "before",
        "bits",
        "changed",
        "level",
        "same",
        "slow",
        "spikes",
        "strayed",
        "time",
        "told",
        "value",
    )

    def __init__(self) -> None:
        self.time, self.value, self.bits = -1, 0.0, 0
        self.before = 0.0
        self.told, self.level, self.slow = -1, 0.0, 0.0
        self.away, self.strayed = -1, 0
        self.changed, self.same = -1, 0
        self.apart = -1
        self.spikes: list[int] = []

    def take(self, time: int, value: float, limits: Limits) -> None:
        """Take the next value, in range; ``bits`` is what its past says of it; of a lost zero, nothing."""
        if value == 0 and limits.zero == "lost":
            self.time, self.value, self.bits = time, value, 0
            return
        if self.told >= 0 > self.away and abs(value - self.level) <= limits.step:  # as nearly always
            found = 0
            if limits.falling < inf:
                self.slow += (1 - exp((self.told - time) / TAU)) * (value - self.slow)
            self.told, self.level = time, value
        else:
            found = self._moved(time, value, limits)
        if value != self.value or self.time < 0:
            self.changed, self.same = time, 0
        else:
            self.same += 1
            if limits.flat and self.same >= FLAT_LEAST and time - self.changed >= limits.flat * SECOND:
                found |= FLAT
        self.time, self.value, self.bits = time, value, found
        if value:
            self.before = value

    def _moved(self, time: int, value: float, limits: Limits) -> int:
        passed = time - self.told
        distance = abs(value - self.level)
        near = distance <= limits.step
        if self.told < 0 or near or passed > REMEMBERED or distance <= limits.allowed(passed):
            if self.away >= 0 and near and time - self.away <= BACK:
                self.spikes = [*self.spikes[1 - SPIKES :], time]
            self._believe(time, value, limits)
            return 0
        if self.away < 0:
            self.away, self.strayed = time, 0
        self.strayed += 1
        if self.strayed > STAYING and time - self.away >= STAYED:
            self._believe(time, value, limits)
            self.slow = value
            return 0
        often = len(self.spikes) == SPIKES and time - self.spikes[0] <= RESTLESS
        return MANY if often else JUMP

    def _believe(self, time: int, value: float, limits: Limits) -> None:
        if self.told < 0:
            self.slow = value
        elif limits.falling < inf:
            self.slow += (1 - exp((self.told - time) / TAU)) * (value - self.slow)
        self.told, self.level, self.away = time, value, -1

    def failing(self, limits: Limits) -> bool:
        """Whether the last values that were believed were critical, or on their way there."""
        low, high = limits.critical
        if self.told < 0:
            return False
        return not low < self.level < high or self.slow - self.level > limits.falling

    def disagree(self, time: int, *, apart: bool) -> int:
        """Whether another signal has said otherwise for long enough."""
        if not apart:
            self.apart = -1
            return 0
        if self.apart < 0 or self.apart > time:
            self.apart = time
        return DISAGREES if time - self.apart >= APART else 0

    def shift(self, by: int) -> None:
        """All values were measured so much (ns) later than told."""
        for name in ("time", "told", "away", "changed", "apart"):
            at = getattr(self, name)
            if at >= 0:
                setattr(self, name, at + by)
        self.spikes = [at + by for at in self.spikes]

    def copy(self) -> Stream:
        """The same, to be changed on its own; ``spikes`` are replaced, never changed."""
        out = Stream.__new__(Stream)
        out.time, out.value, out.bits, out.before = self.time, self.value, self.bits, self.before
        out.told, out.level, out.slow = self.told, self.level, self.slow
        out.away, out.strayed, out.spikes = self.away, self.strayed, self.spikes
        out.changed, out.same, out.apart = self.changed, self.same, self.apart
        return out

    def pack(self) -> list[Any]:
        """All that ``unpacked`` needs."""
        packed = [getattr(self, name) for name in self.__slots__ if name != "spikes"]
        return [*packed, list(self.spikes)]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Stream:
        """Go on from what ``pack`` gave."""
        out = cls()
        *rest, out.spikes = packed
        for name, value in zip((n for n in cls.__slots__ if n != "spikes"), rest, strict=True):
            setattr(out, name, value)
        return out


_Now: TypeAlias = tuple[int, str, str, str, int, float]
"""One row that is to be judged: time, subject, device, metric, place in the input, value."""


class SubjectGate:
    """All streams of one patient (or device on nobody): ``streams[metric][device]``.

    A copy has the other's streams until they change: ``_own`` names those that are its own (None: all are).
    """

    __slots__ = ("_own", "streams")

    def __init__(self) -> None:
        self.streams: dict[str, dict[str, Stream]] = {}
        self._own: set[tuple[str, str]] | None = None

    def judge(self, rows: Iterable[_Now], keep: int, said: dict[int, int]) -> None:  # noqa: C901 - as fast as it goes
        """Put the verdicts, by place, on all that was measured at one time among those ``said``.

        Rows of one stream follow each other. What is older than its stream is judged by its range alone.
        """
        streams, own = self.streams, self._own
        compared: list[tuple[_Now, Stream, Limits]] = []
        again: list[tuple[int, Stream]] = []
        newest: Stream | None = None
        for row in rows:
            time, _, device, metric, i, value = row
            limits = LIMITS[metric]
            if not limits.low <= value <= limits.high:
                said[i] = IMPOSSIBLE
                continue
            devices = streams.get(metric)
            stream = None if devices is None else devices.get(device)
            if stream is None or own is not None or 0 <= stream.time < time - keep:
                stream = self._stream(metric, device, time - keep)
            if stream is newest:
                if value == stream.value:
                    again.append((i, stream))
            elif time > stream.time:
                newest = stream
                stream.take(time, value, limits)
                if metric in COMPARED or not value:
                    compared.append((row, stream, limits))
                elif stream.bits:
                    said[i] = stream.bits
            elif time == stream.time and value == stream.value and stream.bits:
                said[i] = stream.bits
        for row, stream, limits in compared:
            self._beside(row, stream, limits)
            if stream.bits:
                said[row[4]] = stream.bits
        said.update((i, stream.bits) for i, stream in again if stream.bits)

    def _beside(self, row: _Now, stream: Stream, limits: Limits) -> None:
        """Add what other signals say of a value that was taken."""
        time, _, device, metric, _, value = row
        if value == 0 and limits.zero:
            stream.bits |= self._zero(row, stream, limits) if limits.zero == "lost" else ZERO
        if metric in RATES:
            stream.bits |= stream.disagree(time, apart=self._rates_apart(RATES[metric], time, value))
        elif metric == "spo2":
            if value > 0:
                pulse = self.streams.get("pulse_rate", _NONE).get(device)
                if pulse is not None and pulse.value == 0 and pulse.time == time:
                    stream.bits |= DISAGREES
        elif metric in PRESSURES and self._upside_down(PRESSURES[metric], device, time):
            stream.bits |= DISAGREES

    def _stream(self, metric: str, device: str, since: int) -> Stream:
        """A device's; when it is new, or was silent ``since`` then, those that still are make room."""
        devices = self.streams.get(metric)
        if devices is None:
            devices = self.streams[metric] = {}
        found = devices.get(device)
        if found is None or 0 <= found.time < since:
            for silent in [d for d, s in devices.items() if 0 <= s.time < since]:
                del devices[silent]  # not the one that was made a moment ago, for a value of this time
            found = devices[device] = Stream()
        elif self._own is not None and (metric, device) not in self._own:
            found = devices[device] = found.copy()
        if self._own is not None:
            self._own.add((metric, device))
        return found

    def _newest(self, metric: str, time: int) -> Stream | None:
        """The stream of that metric which told last, if that is not too long ago."""
        best, devices = None, self.streams.get(metric)
        if not devices:
            return None
        if len(devices) == 1:
            (only,) = devices.values()
            return only if time - FRESH <= only.time <= time else None
        for _, stream in sorted(devices.items()):
            if time - FRESH <= stream.time <= time and (best is None or stream.time > best.time):
                best = stream
        return best

    def _zero(self, row: _Now, stream: Stream, limits: Limits) -> int:
        """Whether an oximeter's zero is a lost signal, or may be the patient."""
        time, _, device, metric, *_ = row
        other = "spo2" if metric == "pulse_rate" else "pulse_rate"
        beside = self.streams.get(other, {}).get(device)
        if metric == "pulse_rate" and not (
            beside is not None and beside.value == 0 and beside.time >= time - FRESH
        ):
            return ZERO  # a saturation is measured, but no beat
        if stream.failing(limits) or (beside is not None and beside.failing(LIMITS[other])):
            return ZERO
        return ZERO if self._arrest(time) else DROPOUT

    def _arrest(self, time: int) -> bool:
        """Whether heart or pressure, measured otherwise, were critical: of a zero, what was before it."""
        for metric in ("heart_rate", "ibp_mean", "ibp_systolic"):
            found = self._newest(metric, time)
            low, high = LIMITS[metric].critical
            if found is not None and found.before and not low < found.before < high:
                return True
        return False

    def _rates_apart(self, partner: str, time: int, value: float) -> bool:
        """Whether the other measure of a rate says something else."""
        other = self._newest(partner, time)
        if other is None:
            return False
        apart = abs(value - other.value)
        return apart > RATE_STEP and value > 0 < other.value and apart > RATE_SHARE * max(value, other.value)

    def _upside_down(self, order: tuple[str, str, str], device: str, time: int) -> bool:
        """Whether systolic, mean and diastolic pressure of one time are not in this order."""
        above = inf
        for metric in order:
            devices = self.streams.get(metric)
            stream = None if devices is None else devices.get(device)
            if stream is not None and stream.time == time:
                if stream.value > above:
                    return True
                above = stream.value
        return False

    def copy(self) -> SubjectGate:
        """The same, to be changed on its own; this one must not be changed as long as the copy is used."""
        out = SubjectGate()
        out.streams = {metric: devices.copy() for metric, devices in self.streams.items()}
        out._own = set()
        return out

    def shift(self, by: int) -> None:
        """All values were measured so much (ns) later than told."""
        if self._own is not None:
            self.streams = {m: {d: s.copy() for d, s in ds.items()} for m, ds in self.streams.items()}
            self._own = None
        for devices in self.streams.values():
            for stream in devices.values():
                stream.shift(by)

    def pack(self) -> list[Any]:
        """All of it as plain data; equal histories give equal data."""
        return [
            [metric, [[device, *s.pack()] for device, s in sorted(devices.items())]]
            for metric, devices in sorted(self.streams.items())
        ]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> SubjectGate:
        """The streams that ``pack`` described."""
        out = cls()
        out.streams = {m: {row[0]: Stream.unpacked(row[1:]) for row in rows} for m, rows in packed}
        return out


_NONE: Final[dict[str, Stream]] = {}
Gate = dict[str, SubjectGate]
"""By subject; a stream's state is below 1 KB."""


def refine(gate: Gate, rows: Rows, keep: int, until: int, *, copying: bool = False) -> Rows:
    """The rows with the gate's verdicts among their quality bits, in place in ``gate``.

    What was said of a value before (by a gate that saw more) stays said. ``copying``: the subjects' gates
    are replaced, not changed. Of streams silent for ``keep`` ns (an hour at least) nothing is known any more;
    they make room when a new one comes. What is dated after ``until`` (UTC ns) is neither believed nor
    judged.
    """
    columns = rows.time, rows.patient, rows.device, rows.metric, rows.value, rows.quality
    judged = [
        (time, subject, device, metric, i, float(value))
        for i, (time, subject, device, metric, value, quality) in enumerate(zip(*columns, strict=True))
        if metric in LIMITS
        and value is not None
        and value == value  # noqa: PLR0124 - NaN
        and not quality & UNJUDGED
        and not device.startswith(BY_HAND)
        and time <= until
    ]
    judged.sort()
    said: dict[int, int] = {}
    own: set[str] = set()
    keep, first, count = max(keep, REMEMBERED), 0, len(judged)
    while first < count:
        time, name = judged[first][:2]
        last = first + 1
        while last < count and judged[last][1] == name and judged[last][0] == time:
            last += 1
        found = gate.get(name)
        if found is None:
            found = gate[name] = SubjectGate()
        elif copying and name not in own:
            found = gate[name] = found.copy()
        own.add(name)
        found.judge(judged[first:last], keep, said)
        first = last
    if not said:
        return rows
    quality = list(rows.quality)
    for i, bits in said.items():
        quality[i] |= bits
    return Rows(rows.patient, rows.device, rows.metric, rows.value, rows.time, rows.received, quality)
