"""Putting what one payload says into its fields: presence flags, bits, nulls, then bytes in their places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from devices.twins.encode import date_time
from devices.twins.wire import null_word, width, word_of
from firmware_profiles.schema_fields import BitPart, Condition, FieldSpec, Frame, QualityRule
from firmware_profiles.types import CLOCKS, FLOATS, TAILS, size_of
from hearthward.core.model import Quality

__all__ = ["CHECKS", "Exclusive", "Missing", "Placing", "always", "crc16_mcrf4xx", "free_rules"]


class Missing(ValueError):
    """``metric`` has a field that is always there and cannot say "no value"."""

    def __init__(self, source: str, metric: str) -> None:
        super().__init__(f"{source} cannot be sent without {metric}")
        self.metric = metric


class Exclusive(ValueError):
    """Two things were asked for of which a frame can say only one."""

    def __init__(self, source: str, name: str, bit: int) -> None:
        super().__init__(
            f"{source}: bit {bit} of {name} cannot be both 0 and 1: two things exclude each other"
        )


def crc16_mcrf4xx(data: bytes) -> int:
    """CRC-16/MCRF4XX: polynomial 0x1021 reflected, begun with 0xFFFF, no last xor (Bluetooth's E2E-CRC)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc


def _xor8(data: bytes) -> bytes:
    out = 0
    for byte in data:
        out ^= byte
    return bytes((out,))


def _sum8(data: bytes) -> bytes:
    return bytes((sum(data) & 0xFF,))


def _crc16(data: bytes) -> bytes:
    return crc16_mcrf4xx(data).to_bytes(2, "little")


def _crc8(data: Iterable[int], poly: int = 0x07) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (poly if crc & 0x80 else 0)) & 0xFF
    return crc


def _mirrored(byte: int) -> int:
    return int(f"{byte:08b}"[::-1], 2)


CHECKS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "sum8": _sum8,
    "sum7": lambda data: bytes((sum(data) & 0x7F,)),
    "xor8": _xor8,
    "crc8": lambda data: bytes((_crc8(data),)),
    "crc8-maxim": lambda data: bytes((_mirrored(_crc8(map(_mirrored, data), 0x31)),)),
    "crc16-mcrf4xx": _crc16,
}
"""Name of a check -> its bytes over what stands before it."""


_QUARTER: Final = timedelta(minutes=15)
_ZONE_UNKNOWN: Final = -128
_DST_UNKNOWN: Final = 255


def time8(at: datetime) -> bytes:
    """Century, year, month, day, hour, minute, second, hundredths (0), a byte each."""
    return bytes((at.year // 100, at.year % 100, at.month, at.day, at.hour, at.minute, at.second, 0))


def _order(spec: FieldSpec) -> Literal["big", "little"]:
    return "big" if spec.endian == "big" else "little"


def moment_bytes(spec: FieldSpec, at: datetime) -> bytes:
    """A local time as the field's type has it."""
    if spec.type == "seconds32":
        begin = datetime.fromisoformat(spec.epoch or "1970-01-01")
        count = (at.replace(tzinfo=None) - begin) // timedelta(seconds=1)
        if not 0 < count < 1 << 32:
            msg = f"{spec.name} cannot say {at}: it counts seconds from {begin.date()} in 32 bits"
            raise ValueError(msg)
        return count.to_bytes(4, _order(spec))
    return date_time(at) if spec.type == "dt7" else time8(at)


def free_rules(frame: Frame, spec: FieldSpec) -> list[QualityRule]:
    """A field's rules that look at bits of which no metric is made."""
    if not spec.quality:
        return []
    root = spec.of or spec.name
    taken: set[int] = set()
    for one in frame.fields:
        if one.metric and (one.of or one.name) == root:
            low, high = one.bits or (0, width(one.type) - 1)
            taken.update(range(low, high + 1))
    return [rule for rule in spec.quality if taken.isdisjoint(_looks_at(rule)) and not always(rule)]


def _looks_at(rule: QualityRule) -> Sequence[int]:
    return rule.any_bit if rule.bits is None else range(rule.bits[0], rule.bits[1] + 1)


def always(rule: QualityRule) -> bool:
    """Whether the rule holds whatever the bits are."""
    return rule.bits is not None and len(set(rule.is_)) == 1 << rule.bits[1] - rule.bits[0] + 1


class Placing:
    """One payload in the making: fields are given their numbers, ``done`` gives the bytes.

    ``given`` are raw numbers of fields by name: what nothing else decides is taken from there.
    """

    def __init__(self, source: str, frame: Frame, given: Mapping[str, int]) -> None:
        self._source = source
        self._frame = frame
        self._given = given
        self._specs = {spec.name: spec for spec in frame.fields}
        self._pins: dict[str, dict[int, int]] = {}
        self._words: dict[str, int] = {}
        self._bytes: dict[str, bytes] = {}
        self._told: set[str] = set()
        if foreign := given.keys() - self._specs.keys():
            msg = f"{source} has no field {', '.join(sorted(foreign))}"
            raise ValueError(msg)
        for condition in frame.only_if:
            self._pin(condition.field, condition.bit, condition.is_)
        for name in given:
            self._want(self._specs[name])

    # ------------------------------------------------------------------ what is said

    def value(self, spec: FieldSpec, value: float) -> None:
        """A number. Raises ValueError when the field cannot have it."""
        word = word_of(spec, value, second_unit=self._second_unit(spec))
        if not self._agrees(spec):
            msg = f"{self._source}: {spec.name} does not go with the flags that were asked for"
            raise ValueError(msg)
        self._want(spec)
        self._write(spec, word)

    def text(self, spec: FieldSpec, text: str) -> None:
        """A code or a text. Raises ValueError when the field has no number for it."""
        numbers = [int(key, 0) for key, meaning in (spec.enum or {}).items() if meaning == text]
        if spec.enum is not None and not numbers:
            msg = f"{self._source}: {spec.name} has no number for {text!r}"
            raise ValueError(msg)
        self._want(spec)
        if numbers:
            self._write(spec, numbers[0])
        elif spec.type in CLOCKS:
            self._moment(spec, text)
        else:
            self._bytes[spec.name] = text.encode() if spec.type == "utf8" else bytes.fromhex(text)
        self._told.add(spec.name)

    def _moment(self, spec: FieldSpec, text: str) -> None:
        """A time of its own, with its zone in the fields that have it (standard time, as far as it goes)."""
        at = datetime.fromisoformat(text)
        self._bytes[spec.name] = moment_bytes(spec, at)
        offset = at.utcoffset()
        for field in self._frame.fields:
            if field.role == "utc_offset_quarters":
                self.number(field.name, _ZONE_UNKNOWN if offset is None else offset // _QUARTER)
            elif field.role == "dst":
                self.number(field.name, _DST_UNKNOWN if offset is None else 0)

    def samples(self, spec: FieldSpec, samples: Sequence[int]) -> None:
        """A waveform's samples; a field without ``count`` takes any number of them."""
        wave = spec.wave
        if wave is None or wave.count not in {None, len(samples)}:
            msg = f"{self._source}: {spec.name} has not {len(samples)} samples"
            raise ValueError(msg)
        self._want(spec)
        size = size_of(spec.type)
        mask = (1 << 8 * size) - 1
        limit = mask if spec.bits is None else (1 << spec.bits[1] - spec.bits[0] + 1) - 1
        if any((sample & mask) > limit for sample in samples):
            msg = f"{self._source}: a sample is more than {spec.name} holds"
            raise ValueError(msg)
        shift = spec.bits[0] if spec.bits else 0
        every = wave.every or size
        pad = bytes(every - size)
        self._bytes[spec.name] = b"".join(
            ((sample & mask) << shift).to_bytes(size, _order(spec)) + pad for sample in samples
        )[: max(0, len(samples) * every - len(pad))]
        self._told.add(spec.name)

    def times(self, at: datetime | None, offset_min: int | None, elapsed_min: int | None) -> None:
        """The device's own local time, and its offsets."""
        for spec in self._frame.fields:
            if spec.type in CLOCKS and spec.role != "start" and at is not None:
                self._want(spec)
                moment = at - timedelta(minutes=offset_min or 0)
                self._bytes[spec.name] = moment_bytes(spec, moment)
            elif spec.role == "clock_offset_min" and offset_min is not None:
                self.number(spec.name, offset_min)
            elif spec.role == "elapsed_min" and elapsed_min is not None:
                self.number(spec.name, elapsed_min)

    def number(self, name: str, number: int) -> None:
        """A raw number of an integer field without a metric."""
        spec = self._specs[name]
        self._want(spec)
        self._words[name] = number & (1 << width(spec.type)) - 1
        self._told.add(name)

    def grade(self, quality: Quality) -> None:
        """Set these quality flags. Raises ValueError when the frame cannot say one of them."""
        for flag in quality:
            for spec in self._frame.fields:
                rule = next(
                    (r for r in free_rules(self._frame, spec) if Quality[r.flag.upper()] is flag), None
                )
                if rule is not None and self._can_be_there(spec):
                    self._want(spec)
                    self._rule(spec, rule)
                    break
            else:
                msg = f"{self._source} cannot say {flag.name}"
                raise ValueError(msg)

    # ------------------------------------------------------------------ flags and bits

    def _roots(self, spec: FieldSpec) -> list[FieldSpec]:
        """The fields with bytes of their own that this one stands in."""
        if spec.join:
            return [self._specs[part.field] for part in spec.join]
        return [self._specs[spec.of] if spec.of else spec]

    def _conditions(self, spec: FieldSpec) -> list[Condition]:
        """All that must hold for the field to be there."""
        roots = self._roots(spec)
        return [one for root in roots for one in (root.present_if, root.also_if) if one is not None]

    def _want(self, spec: FieldSpec) -> None:
        """Have the field's presence flag set; its flags' field is there, too."""
        for condition in self._conditions(spec):
            self._want(self._specs[condition.field])
            self._pin(condition.field, condition.bit, condition.is_)

    def _pin(self, name: str, bit: int, value: int) -> None:
        pins = self._pins.setdefault(name, {})
        if pins.setdefault(bit, value) != value:
            raise Exclusive(self._source, name, bit)

    def _agrees(self, spec: FieldSpec) -> bool:
        """Whether the field is there by the flags that were given, where any were."""
        given = [one for one in self._conditions(spec) if one.field in self._given]
        return self._can_only_be(spec) or all(self._given[c.field] >> c.bit & 1 == c.is_ for c in given)

    def _can_only_be(self, spec: FieldSpec) -> bool:
        """Whether no other field says the same."""
        return sum(one.metric == spec.metric for one in self._frame.fields) == 1

    def _can_be_there(self, spec: FieldSpec) -> bool:
        return all(self._pins.get(c.field, {}).get(c.bit, c.is_) == c.is_ for c in self._conditions(spec))

    def _second_unit(self, spec: FieldSpec) -> bool:
        flag = spec.unit_if
        return flag is not None and bool(self._given.get(flag.field, 0) >> flag.bit & 1)

    def _write(self, spec: FieldSpec, word: int) -> None:
        self._told.add(spec.name)
        if spec.repeat:
            raw = word.to_bytes(size_of(spec.type), _order(spec))
            self._bytes[spec.name] = self._bytes.get(spec.name, b"") + raw
        elif spec.join:
            self._join(spec.join, word)
        elif spec.bits is not None:
            self._bits(BitPart.model_construct(field=spec.of or spec.name, bits=spec.bits), word)
        else:
            self._words[spec.of or spec.name] = word

    def _join(self, parts: Sequence[BitPart], word: int) -> None:
        """The least significant part stands last."""
        for part in reversed(parts):
            low, high = part.bits
            self._bits(part, word & (1 << high - low + 1) - 1)
            word >>= high - low + 1

    def _bits(self, part: BitPart, word: int) -> None:
        low, high = part.bits
        for bit in range(low, high + 1):
            self._pin(part.field, bit, word >> (bit - low) & 1)

    def _rule(self, spec: FieldSpec, rule: QualityRule) -> None:
        name = spec.of or spec.name
        if rule.any_bit:
            self._pin(name, rule.any_bit[0], 1)
        elif rule.bits is not None:
            self._bits(BitPart.model_construct(field=name, bits=rule.bits), rule.is_[0])

    # ------------------------------------------------------------------ bytes

    def done(self, with_check: bool) -> bytes:  # noqa: FBT001
        """The payload (or one record of it). Raises ValueError for a value that may not be missing."""
        self._leave_out()
        self._fill_nulls()
        self._avoid_rules()
        check = CHECKS[self._frame.integrity] if self._frame.integrity and with_check else None
        trailer = 0 if check is None else len(check(b""))
        length = self._frame.length
        body = self._in_a_row() if length is None else self._fixed(length - trailer)
        body = self._sized(body, trailer)
        return body if check is None else body + check(body)

    def _leave_out(self) -> None:
        """What nobody wants is not there, unless it shares its flag with something wanted."""
        for spec in self._frame.fields:
            if condition := spec.present_if:
                self._pins.setdefault(condition.field, {}).setdefault(condition.bit, 1 - condition.is_)

    def _is_there(self, spec: FieldSpec) -> bool:
        return all(self._word(c.field) >> c.bit & 1 == c.is_ for c in self._conditions(spec))

    def _word(self, name: str) -> int:
        word = self._words.get(name, self._given.get(name, self._specs[name].must_be or 0))
        for bit, value in self._pins.get(name, {}).items():
            word = word & ~(1 << bit) | value << bit
        return word

    def _fill_nulls(self) -> None:
        for spec in self._frame.fields:
            if not spec.metric or spec.repeat or spec.wave or spec.name in self._told | self._given.keys():
                continue
            if not self._is_there(spec) or spec.type in TAILS | CLOCKS:
                continue
            word = null_word(spec)
            if word is None:
                raise Missing(self._source, spec.metric)
            self._write(spec, word)

    def _avoid_rules(self) -> None:
        """No flag by accident: a bit field whose 0 means trouble gets a number that means none."""
        for spec in self._frame.fields:
            name = spec.of or spec.name
            for rule in spec.quality:
                if rule.bits is None or 0 not in rule.is_ or name in self._given or not self._is_there(spec):
                    continue
                low, high = rule.bits
                if any(bit in self._pins.get(name, {}) for bit in range(low, high + 1)):
                    continue
                free = next((n for n in range(1 << high - low + 1) if n not in rule.is_), 0)
                self._bits(BitPart.model_construct(field=name, bits=rule.bits), free)

    def _wire(self, spec: FieldSpec) -> bytes:
        """A field's own bytes."""
        if spec.name in self._bytes or spec.repeat or spec.wave or spec.type in TAILS:
            return self._bytes.get(spec.name, self._silence(spec))
        if spec.type in CLOCKS:
            return bytes(size_of(spec.type))
        word = null_word(spec) if spec.type in FLOATS and not spec.metric else None
        word = self._word(spec.name) if word is None else word
        return word.to_bytes(size_of(spec.type), _order(spec))

    @staticmethod
    def _silence(spec: FieldSpec) -> bytes:
        """A waveform that nobody gave samples for: all 0."""
        if spec.wave is None or spec.wave.count is None:
            return b""
        size = size_of(spec.type)
        return bytes((spec.wave.count - 1) * (spec.wave.every or size) + size)

    def _in_a_row(self) -> bytes:
        there = (s for s in self._frame.fields if not (s.of or s.join) and self._is_there(s))
        return b"".join(map(self._wire, there))

    def _fixed(self, length: int) -> bytes:
        out = bytearray(length)
        for spec in self._frame.fields:
            if spec.of or spec.join or spec.at is None:
                continue
            every = spec.wave.every if spec.wave and spec.wave.every else 0
            raw, size = self._wire(spec), size_of(spec.type) if spec.wave else 0
            for i, byte in enumerate(raw):  # a waveform's samples stand between other fields
                if not every or i % every < size:
                    out[spec.at + i] |= byte
        return bytes(out)

    def _sized(self, body: bytes, check: int) -> bytes:
        """Write the length of the whole, check included, into the field that tells it."""
        for spec in self._frame.fields:
            if spec.role == "size":
                place = spec.at or 0
                size = size_of(spec.type)
                return body[:place] + (len(body) + check).to_bytes(size, _order(spec)) + body[place + size :]
        return body
