"""An encoder made of a profile's frame: what a twin measured -> the bytes that the compiled decoder reads.

Nothing here is shared with the compiler but the description of the frame and the numbers' formats, so each
proves the other. A presence flag, a unit, a quality bit is set because the description says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from devices.twins.lines import express_pair, pairs_line
from devices.twins.placing import Exclusive, Missing, Placing, always, free_rules
from devices.twins.wire import carried, word_of
from firmware_profiles.profile import Profile
from firmware_profiles.schema_fields import FieldSpec, Frame
from firmware_profiles.types import CLOCKS
from hearthward.core.codes import METRICS
from hearthward.core.model import Quality

__all__ = ["Content", "Exclusive", "FrameEncoder", "Missing", "ProfileEncoder"]

GOOD: Final = Quality(0)
_NOTHING: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Content:
    """What one payload (or one record in it) is to say.

    ``at`` is the device's own local time, None for a clock that is not set or a frame without one.
    ``elapsed_min`` counts from the start of the device's own session. ``fields`` are raw numbers of fields
    by name, also of flags (a unit's bit): bits that nothing else decides are taken from there, and an
    optional field that is named is there.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)
    waves: Mapping[str, Sequence[int]] = field(default_factory=dict)
    at: datetime | None = None
    record: int | None = None
    elapsed_min: int | None = None
    offset_min: int | None = None
    quality: Quality = GOOD
    fields: Mapping[str, int] = field(default_factory=dict)


class FrameEncoder:
    """Makes the payloads of one frame.

    ``metrics`` are the numeric metrics it carries, ``codes`` the coded ones, ``waves`` the waveforms;
    ``clock`` tells whether it carries the device's time, ``elapsed`` whether the minutes of its session,
    ``records`` whether its record number, ``grades`` what it can say against its values, ``always`` what
    it says of every one.
    """

    def __init__(self, source: str, frame: Frame, record: str | None = None) -> None:
        self.source = source
        self.frame = frame
        self._record = next(
            (s.name for s in frame.fields if s.name == record and s.role != "elapsed_min" and not s.metric),
            None,
        )
        told = [spec for spec in frame.fields if spec.metric]
        self.metrics = frozenset(s.metric for s in told if s.metric and METRICS[s.metric].kind == "numeric")
        self.codes = frozenset(
            s.metric
            for s in told
            if s.metric and METRICS[s.metric].kind == "coded" and (s.type not in CLOCKS or s.role == "start")
        )
        self.waves = frozenset(s.wave.metric for s in frame.fields if s.wave)
        self.clock = frame.stamp is not None or any(
            spec.type in CLOCKS and spec.role != "start" for spec in frame.fields
        )
        self.elapsed = any(spec.role == "elapsed_min" for spec in frame.fields)
        self.records = self._record is not None
        self.grades, self.always = Quality(0), Quality(0)
        for spec in frame.fields:
            for rule in free_rules(frame, spec):
                self.grades |= Quality[rule.flag.upper()] & ~Quality.CLOCK_UNSET
            for rule in filter(always, spec.quality):
                self.always |= Quality[rule.flag.upper()]

    def express(self, metric: str, value: float, fields: Mapping[str, int] = _NOTHING) -> float:
        """The value that arrives when ``value`` is sent (with these raw fields): rounded, never clamped.

        Raises:
            ValueError: the frame has no such metric, or cannot carry the value.
        """
        why = f"{self.source} carries {', '.join(sorted(self.metrics)) or 'no number'}, not {metric!r}"
        for spec in self._carriers(metric):
            if self.frame.format == "pairs":
                return express_pair(spec, value)
            second = _second_unit(spec, fields)
            try:
                return carried(spec, word_of(spec, value, second_unit=second), second_unit=second)
            except ValueError as error:
                why = str(error)
        raise ValueError(why)

    def middle(self, metric: str) -> float:
        """A value that it can carry, in the middle of what is plausible. Raises ValueError: none is."""
        row = METRICS[metric]
        for n in (32, 16, 8, 48, 4, 2, 1, 0, 64):
            with suppress(ValueError):
                return self.express(metric, row.low + (row.high - row.low) * n / 64)
        msg = f"{self.source} carries no plausible value of {metric}"
        raise ValueError(msg)

    def typical(self) -> dict[str, float]:
        """A value for each metric that goes with those before it."""
        values: dict[str, float] = {}
        for metric in sorted(self.metrics):
            more = {**values, metric: self.middle(metric)}
            with suppress(Exclusive):
                with suppress(Missing):
                    self.encode(Content(more))
                values = more
        return values

    def encode(self, *contents: Content, checked: bool = True) -> bytes:
        """One payload; several contents only where a payload is a row of records.

        ``checked`` False leaves out a check at the end that the device need not send.

        Raises:
            Missing, Exclusive: a metric that the frame cannot be without, or things that exclude each
                other (both are ValueErrors).
            ValueError: a value that does not fit.
        """
        if len(contents) != 1 and not self.frame.records:
            msg = f"{self.source}: one payload says one thing, not {len(contents)}"
            raise ValueError(msg)
        if self.frame.format == "pairs":
            one = contents[0]
            return pairs_line(self.frame, one.values, one.at, one.fields, one.quality & ~Quality.CLOCK_UNSET)
        with_check = checked or not self.frame.integrity_optional
        return b"".join(self._one(content, with_check) for content in contents)

    def _one(self, content: Content, with_check: bool) -> bytes:  # noqa: FBT001
        placing = Placing(self.source, self.frame, content.fields)
        for metric, value in content.values.items():
            self._put(placing, metric, value)
        for metric, text in content.codes.items():
            carriers = list(self._carriers(metric, "coded"))
            fits = (spec for spec in carriers if spec.enum is None or text in spec.enum.values())
            placing.text(next(fits, carriers[0]), text)
        for metric, samples in content.waves.items():
            placing.samples(next(self._carriers(metric, "wave")), samples)
        placing.times(content.at, content.offset_min, content.elapsed_min)
        if self._record is not None and content.record is not None:
            placing.number(self._record, content.record)
        placing.grade(content.quality & ~(Quality.CLOCK_UNSET | self.always))
        return placing.done(with_check)

    def _put(self, placing: Placing, metric: str, value: float) -> None:
        """Put a value into the first of its fields that can have it."""
        why = ValueError(f"{self.source} carries {', '.join(sorted(self.metrics))}, not {metric!r}")
        for spec in self._carriers(metric):
            try:
                placing.value(spec, value)
            except ValueError as error:
                why = error
            else:
                return
        raise why

    def _carriers(self, metric: str, kind: str = "numeric") -> Iterator[FieldSpec]:
        found = False
        for spec in self.frame.fields:
            if metric == (spec.wave.metric if spec.wave else spec.metric):
                found = True
                yield spec
        if not found and kind != "numeric":
            msg = f"{self.source} carries no {metric!r}"
            raise ValueError(msg)


def _second_unit(spec: FieldSpec, fields: Mapping[str, int]) -> bool:
    flag = spec.unit_if
    return flag is not None and bool(fields.get(flag.field, 0) >> flag.bit & 1)


class ProfileEncoder:
    """The encoders of all frames of a profile."""

    def __init__(self, profile: Profile) -> None:
        document = profile.document
        self.profile = profile.id
        self.frames = {
            name: FrameEncoder(name, frame, profile.record_field(name))
            for name, frame in document.frames.items()
        }
