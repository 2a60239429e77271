"""Text lines of ``KEY=VALUE`` pairs after a time stamp, made of a profile's frame (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from devices.twins.encode import rounded
from firmware_profiles.schema_fields import FieldSpec, Frame
from hearthward.core.codes import METRICS
from hearthward.core.model import Quality

__all__ = ["express_pair", "pairs_line"]

_UNSET = "00/00/00 00:00:00"


def pairs_line(
    frame: Frame,
    values: Mapping[str, float],
    at: datetime | None,
    fields: Mapping[str, int],
    quality: Quality,
) -> bytes:
    """One line without its end; a field whose metric is not in ``values`` is dashes.

    ``fields`` are the numbers of hexadecimal fields by name, 0 otherwise. Raises ValueError as
    ``express_pair``, and for a flag of ``quality`` that no field says.
    """
    bits = _graded(frame, quality)
    words = [_UNSET if at is None else at.strftime("%m/%d/%y %H:%M:%S")]
    for spec in frame.fields:
        if spec.type == "hex":
            number = fields.get(spec.name, 0) | bits.get(spec.name, 0)
            words.append(f"{spec.key}={number:0{spec.digits or 1}X}")
            continue
        value = values.get(spec.metric or "")
        text = "-" * (spec.digits or 2) if value is None else _text(spec, express_pair(spec, value))
        words.append(f"{spec.key}={text}{spec.suffix or ''}")
    told = {spec.key for spec in frame.fields}
    words += [f"{key}=0" for key in frame.required if key not in told]
    return " ".join(words).encode("ascii")


def _graded(frame: Frame, quality: Quality) -> dict[str, int]:
    """Field -> the bits that say this quality."""
    rules = {Quality[r.flag.upper()]: (spec.name, r) for spec in frame.fields for r in spec.quality}
    bits: dict[str, int] = {}
    for flag in quality:
        if flag not in rules:
            msg = f"a line of this form cannot say {flag.name}"
            raise ValueError(msg)
        name, rule = rules[flag]
        number = 1 << rule.any_bit[0] if rule.bits is None else rule.is_[0] << rule.bits[0]
        bits[name] = bits.get(name, 0) | number
    return bits


def express_pair(spec: FieldSpec, value: float) -> float:
    """What a reader makes of the text for ``value``. Raises ValueError if it is none, or refused."""
    row = METRICS[spec.metric or ""]
    decimals = _decimals(spec)
    shown = rounded(value, decimals) / 10.0**decimals
    low, high = spec.range or (row.low, row.high)
    if not low <= shown <= high or shown in spec.nulls or shown < 0:
        msg = f"{spec.metric} {value!r} is outside {max(low, 0.0):g}..{high:g}"
        raise ValueError(msg)
    return shown


def _decimals(spec: FieldSpec) -> int:
    """A field of so many digits has no fraction."""
    return 0 if spec.digits else max(1, METRICS[spec.metric or ""].decimals)


def _text(spec: FieldSpec, shown: float) -> str:
    decimals = _decimals(spec)
    return f"{shown:0{spec.digits or decimals + 3}.{decimals}f}"
