"""What the command line shows of profiles: readings as JSON, a profile in words, the check of vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NotRequired, TypedDict

from firmware_profiles.errors import ProfileError
from firmware_profiles.joining import clash, join
from firmware_profiles.profile import DecodedReading, Profile, Step
from firmware_profiles.registry import load_catalog, profile_files
from firmware_profiles.schema import Condition, FieldSpec, Frame, Framing, Match, Vector, VectorReading
from hearthward.core.clock import SECOND, naive_iso, parse_iso
from hearthward.core.codes import METRICS
from hearthward.core.errors import DecodeError
from hearthward.core.model import Quality, quality_names

__all__ = [
    "CheckReport",
    "ReadingJson",
    "WaveJson",
    "check",
    "check_profile",
    "decode_json",
    "describe",
    "waves_json",
]

_DIGITS = 9  # of a fraction; more is the noise of binary floating point


class ReadingJson(TypedDict):
    """One reading as ``hearthward decode`` prints it; ``value`` is the text of a coded metric.

    ``record`` is the device's own record number, ``elapsed_s`` what has passed since its session began;
    neither is there where the frame has none.
    """

    metric: str
    value: float | int | str | None
    unit: str | None
    time: str | None
    quality: list[str]
    record: NotRequired[int]
    elapsed_s: NotRequired[int]


class WaveJson(TypedDict):
    """One waveform as ``hearthward decode --waves`` prints it; ``samples`` are in ``unit``."""

    metric: str
    rate_hz: float | int
    unit: str | None
    quality: list[str]
    samples: list[float | int]


def waves_json(profile: Profile, source: str, payload: bytes) -> list[WaveJson]:
    """The waveforms of a payload that ``decode_json`` took, as JSON-able rows; none for most sources."""
    decoder = profile.wave_decoders.get(source) or profile.wave_decoders.get(source.lower())
    return [
        {
            "metric": wave.metric,
            "rate_hz": _number(wave.rate_hz),
            "unit": wave.unit,
            "quality": quality_names(wave.quality),
            "samples": [_number(sample * wave.scale) for sample in wave.samples],
        }
        for wave in (decoder(payload) if decoder else ())
    ]


def decode_json(profile: Profile, source: str, payload: bytes) -> list[ReadingJson]:
    """The readings of one payload as JSON-able rows. Raises DecodeError when the profile refuses it."""
    return [_row(reading) for reading in profile.decode(source, payload)]


def _row(reading: DecodedReading) -> ReadingJson:
    row: ReadingJson = {
        "metric": reading.metric,
        "value": reading.code if reading.value is None else _number(reading.value),
        "unit": reading.unit,
        "time": None if reading.device_time is None else naive_iso(reading.device_time),
        "quality": quality_names(reading.quality),
    }
    if reading.record is not None:
        row["record"] = reading.record
    if reading.elapsed is not None:
        row["elapsed_s"] = reading.elapsed // SECOND
    return row


def _number(value: float) -> float | int:
    rounded = round(value, _DIGITS)
    return int(rounded) if rounded.is_integer() else rounded


def describe(profile: Profile) -> str:
    """A profile in words, for ``hearthward profiles show``: what it matches, asks for and decodes."""
    doc = profile.document
    lines = [
        f"{profile.id} version {profile.version} ({profile.hash})",
        profile.title,
        f"file       {profile.file}",
        f"source     {doc.provenance.source}",
        f"licence    {doc.provenance.licence}",
        f"certainty  {doc.provenance.certainty}",
    ]
    lines += _kin_lines(profile)
    lines.append(f"transport  {_transport_line(profile)}")
    lines += [f"step       {_step_line(step)}" for step in profile.session]
    if doc.transport is not None and doc.transport.farewell:
        lines.append(f"at the end {doc.transport.farewell}")
    if doc.framing is not None:
        lines.append(f"framing    {_framing_line(doc.framing)}")
    if doc.time is not None:
        shown = {
            "local": "local, without a zone",
            "utc": "UTC",
            "device-offset": "with its own offset of UTC",
        }
        lines.append(
            f"time       the device's own clock, {shown[doc.time.zone]}; off by more than "
            f"{doc.time.skew_limit_s:g} s it raises an alarm"
        )
    if doc.health is not None:
        lines.append(f"health     battery: {doc.health.battery}")
    if doc.update is not None:
        lines.append(f"update     {doc.update.method}")
    for name, frame in doc.frames.items():
        lines.append(f"frame {name}{_frame_note(frame)}")
        lines += [f"  {_field_line(spec)}" for spec in frame.fields]
    lines.append(f"vectors    {len(doc.vectors)}")
    return "\n".join(lines)


def _kin_lines(profile: Profile) -> Iterator[str]:
    """What it is made of and joined with, and which devices it is for."""
    doc = profile.document
    yield from (f"joined of  {part.id} v{part.version} ({part.hash})" for part in profile.parts)
    if doc.extends:
        quirks = ", ".join(f"{quirk.frame} {quirk.field}" for quirk in doc.quirks)
        yield f"extends    {doc.extends}{f' (differs in {quirks})' if quirks else ''}"
    if doc.includes:
        yield f"includes   {', '.join(doc.includes)}"
    if doc.composes and not profile.parts:
        yield "composes   joined with all others of the kind that match a device"
    for part in profile.parts or (profile,):
        yield from (f"matches    {text}" for text in _match_lines(part.document.match))


def _match_lines(match: Match) -> list[str]:
    any_of = [
        ", ".join(f"{key} {_plain(value)}" for key, value in criteria if value not in {None, ()})
        for criteria in (*match.ble, *match.serial)
    ]
    if not any_of:
        return ["only when a device's configuration names it"]
    rest = f"; firmware {match.firmware}" if match.firmware else ""
    return [f"{text}{rest}; priority {match.priority}" for text in any_of]


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _transport_line(profile: Profile) -> str:
    out: str = profile.transport
    if profile.serial is not None:
        port = profile.serial
        out += f" {port.baudrate} {port.bytesize}{port.parity}{port.stopbits}"
    if profile.expected_interval_s is not None:
        out += f", a value every {profile.expected_interval_s:g} s"
    return out


def _step_line(step: Step) -> str:
    parts = [step.kind.replace("_", " "), step.characteristic]
    if step.mode:
        parts.append(f"({step.mode})")
    if step.data:
        parts.append(step.data.hex(" "))
    if step.kind == "keepalive":
        parts.append(f"every {step.seconds:g} s")
    elif step.seconds is not None:
        parts.append(f"{step.seconds:g} s")
    if (racp := step.racp) is not None:
        parts.append(
            f"records {racp.records}, from the last one on" if racp.cursor else f"records {racp.records}"
        )
        if racp.delete:
            parts.append("deleted once they are committed")
    return " ".join(filter(None, parts)) + (", if it has it" if step.optional else "")


def _framing_line(framing: Framing) -> str:
    """How its frames are cut from the stream."""
    group = f"{framing.group} frames" if framing.group else "frames"
    out = {
        "delimiter": f"lines that end with {framing.delimiter!r}",
        "fixed": f"{group} of {framing.length} bytes",
        "packet": f"{group} of {framing.length} bytes",
        "length": f"frames that begin with {framing.start} and tell their length",
    }[framing.kind]
    return out + (f", {framing.integrity} enforced" if framing.integrity else "")


def _frame_note(frame: Frame) -> str:
    notes: list[str] = [note for note in (frame.format, frame.integrity) if note and note != "binary"]
    if frame.integrity_optional:
        notes.append("or none")
    if frame.length is not None:
        notes.append(f"{frame.length} bytes")
    if frame.records:
        notes.append("records")
    notes += [f"only if {_flag_words(flag)}" for flag in frame.only_if]
    if frame.repeat_s is not None:
        notes.append(f"the same again only after {frame.repeat_s:g} s")
    return f" ({', '.join(notes)})" if notes else ""


def _flag_words(flag: Condition) -> str:
    return f"{'' if flag.is_ else 'not '}{flag.field} bit {flag.bit}"


def _field_line(spec: FieldSpec) -> str:
    kind = spec.type if spec.endian == "little" else f"{spec.type} big-endian"
    out = f"{spec.name}: {f'{spec.key}, ' if spec.key else ''}{kind}{''.join(_place_words(spec))}"
    flags = [_flag_words(flag) for flag in (spec.present_if, spec.also_if) if flag is not None]
    out += f", if {' and '.join(flags)}" if flags else ""
    if spec.repeat:
        out += ", repeated"
    if spec.role is not None:
        out += f", {spec.role.replace('_', ' ')}"
    if spec.metric is not None:
        row = METRICS[spec.metric]
        out += f" -> {row.key}"
        if row.kind == "numeric":
            low, high = spec.range or (row.low, row.high)
            out += f" {row.unit}, plausible {low:g} to {high:g}"
    if spec.wave is not None:
        out += f" -> {spec.wave.metric}, {spec.wave.rate_hz:g} samples a second"
    if spec.quality:
        out += f" -> quality {', '.join(dict.fromkeys(rule.flag for rule in spec.quality))}"
    return out + (f" ({spec.certainty})" if spec.certainty else "")


def _place_words(spec: FieldSpec) -> Iterator[str]:
    """Where the number is taken from, when it is not simply the next bytes."""
    if spec.at is not None:
        yield f" at {spec.at}"
    if spec.any_in is not None:
        yield f", any of {spec.any_in.count} every {spec.any_in.every}"
    if spec.join:
        yield f" of {' and '.join(f'{part.field} {part.bits[0]}..{part.bits[1]}' for part in spec.join)}"
    if spec.of is not None:
        yield f" of {spec.of}"
    if spec.bits is not None:
        yield f" bits {spec.bits[0]}..{spec.bits[1]}"
    if spec.must_be is not None:
        yield f", always {spec.must_be:#x}"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What ``check`` found; good when ``problems`` is empty."""

    profiles: int
    vectors: int
    problems: tuple[str, ...]
    joined: int = 0
    """Pairs that were tried as the profile of one device."""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to say against the profiles."""
        return not self.problems

    @property
    def lines(self) -> tuple[str, ...]:
        """The problems, or one line with what was checked."""
        joined = f"; {self.joined} pairs of them joined" if self.joined else ""
        return self.problems or (
            f"{self.profiles} profiles, {self.vectors} vectors{joined}: all as they say",
        )


def check(paths: Iterable[Path] = ()) -> CheckReport:
    """Load the catalogue with ``paths`` beside it and run the vectors.

    Those of the profiles in ``paths`` (files or folders), or all when there are none; and those of each pair
    of them and of the others that one device can be joined of. Never raises for what is in the files, nor for
    a path that is not there: that is a problem in the report.
    """
    wanted = [Path(path) for path in paths]
    try:
        catalog = load_catalog(*wanted)
        files = {file.resolve() for file in profile_files(*wanted)}
    except ProfileError as e:
        return CheckReport(0, 0, tuple(map(str, e.problems)))
    chosen = [p for p in catalog if not files or Path(p.file).resolve() in files]
    pairs = [
        join(pair)
        for pair in combinations(catalog, 2)
        if (pair[0] in chosen or pair[1] in chosen) and not clash(*pair)
    ]
    problems = [problem for profile in chosen for problem in check_profile(profile)]
    problems = problems or [problem for pair in pairs for problem in check_profile(pair)]
    vectors = sum(len(p.document.vectors) for p in chosen)
    return CheckReport(len(chosen), vectors, tuple(problems), len(pairs))


def check_profile(profile: Profile) -> list[str]:
    """Run one profile's vectors; returns what is not as it says."""
    out = []
    for i, vector in enumerate(profile.document.vectors):
        found = _run(profile, vector)
        if found is not None:
            out.append(f"{profile.file}: {profile.id} vector {i + 1} ({vector.origin}): {found}")
    return out


def _run(profile: Profile, vector: Vector) -> str | None:
    expected = (
        f"refused: {vector.refused}"
        if vector.readings is None
        else "; ".join(_told(reading) for reading in map(_expected, vector.readings))
    )
    try:
        actual = "; ".join(map(_told, profile.decode(vector.source, vector.payload)))
    except DecodeError as e:
        actual = f"refused: {e.reason}"
    return None if actual == expected else f"expected [{expected}], got [{actual}]"


def _expected(reading: VectorReading) -> DecodedReading:
    quality = Quality(0)
    for name in reading.quality:
        quality |= Quality[name.upper()]
    return DecodedReading(
        metric=reading.metric,
        value=reading.value,
        code=reading.code,
        unit=METRICS[reading.metric].unit,
        device_time=None if reading.time is None else parse_iso(reading.time),
        quality=quality,
        record=reading.record,
    )


def _told(reading: DecodedReading) -> str:
    value = reading.code if reading.value is None else f"{reading.value:.9g}"
    parts = [f"{reading.metric}={value}"]
    if reading.unit:
        parts.append(reading.unit)
    if reading.device_time is not None:
        parts.append(f"at {naive_iso(reading.device_time)}")
    if reading.record is not None:
        parts.append(f"record {reading.record}")
    return " ".join([*parts, *quality_names(reading.quality)])
