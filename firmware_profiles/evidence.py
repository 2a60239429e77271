"""How well each profile is known: spec, captured or field, and what stands behind that; as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from firmware_profiles.profile import Profile
from hearthward.core.codes import METRICS, SENSORS, SETTINGS

__all__ = ["BEGIN", "END", "Evidence", "evidence_of", "put_between", "quality_table", "readme_table"]

Level = Literal["spec", "captured", "field"]
BEGIN: Final = "<!-- begin of what `hearthward profiles evidence` writes -->"
END: Final = "<!-- end of what `hearthward profiles evidence` writes -->"
_MEANINGS: Final[dict[Level, str]] = {
    "spec": "from the specification",
    "captured": "bytes of a real device",
    "field": "used with the real device",
}
_ABOUT: Final = frozenset({"device_", "sensor_"})
_OPTIONAL: Final = frozenset({"battery_voltage", "device_temperature"})
_OF_CELLS: Final = _OPTIONAL | {"battery_level"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a profile: its level, and how many vectors were derived, published, captured."""

    level: Level
    derived: int
    published: int
    captured: int
    refusals: int
    uses: tuple[str, ...]


def evidence_of(profile: Profile) -> Evidence:
    """``field`` with a use of the real device, ``captured`` with bytes of one, else ``spec``."""
    vectors = profile.document.vectors
    count = {kind: sum(v.evidence == kind for v in vectors) for kind in ("derived", "published", "captured")}
    uses = tuple(
        f"{use.date}{f', firmware {use.firmware}' if use.firmware else ''}: {use.report}"
        for use in profile.document.provenance.field
    )
    real = count["published"] + count["captured"]
    level: Level = "field" if uses else "captured" if real else "spec"
    refusals = sum(v.refused is not None for v in vectors)
    return Evidence(level, count["derived"], count["published"], count["captured"], refusals, uses)


def readme_table(profiles: Iterable[Profile]) -> str:
    """Service or instrument, transport, readings, offline store, evidence: a row a profile."""
    rows = [
        (
            _cell(f"{p.title} `{p.id}`"),
            _transport(p),
            _cell(", ".join(_readings(p))),
            _store(p),
            _MEANINGS[evidence_of(p).level],
        )
        for p in profiles
        if not _is_part(p)
    ]
    return _table(("service or instrument", "transport", "readings", "offline store", "evidence"), rows)


def quality_table(profiles: Iterable[Profile]) -> str:
    """Each profile's level with its evidence: a row a profile."""
    rows = []
    for p in profiles:
        found = evidence_of(p)
        counted = [
            f"{n} {word}"
            for n, word in (
                (found.derived, "derived"),
                (found.published, "published"),
                (found.captured, "captured"),
            )
            if n
        ]
        behind = "; ".join((f"vectors: {', '.join(counted)}, {found.refusals} of them refusals", *found.uses))
        source = f"{p.document.provenance.source} ({p.document.provenance.licence})"
        rows.append((f"`{p.id}` v{p.version}", found.level, _cell(source), _cell(behind)))
    return _table(("profile", "level", "layout known from", "evidence"), rows)


def put_between(text: str, table: str) -> str:
    """A page's text with ``table`` between its two marks. Raises ValueError when it has no such marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"no place for the table: the page needs the lines {BEGIN} and {END}"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"


def _is_part(profile: Profile) -> bool:
    """Whether it matches nothing by itself and only adds to others."""
    about = all(metric in _OF_CELLS for metric in _readings(profile))
    return profile.transport == "ble" and not profile.document.match.ble and about


def _readings(profile: Profile) -> list[str]:
    """The metrics it gives, in the order of its frames, without what the device says of itself."""
    found: dict[str, None] = {}
    for source, frame in profile.document.frames.items():
        for spec in frame.fields:
            for metric in (spec.metric, spec.wave.metric if spec.wave else None):
                if metric in _OPTIONAL and source not in profile.own:
                    continue  # few that have the Battery Service tell so much
                if metric is not None and not _is_about(metric):
                    found[_called(metric)] = None
    return list(found)


def _is_about(metric: str) -> bool:
    """Whether it says of the device what it is, not what it measures, of itself or else."""
    of_itself = METRICS[metric].kind == "numeric" and metric.startswith("device_")
    return metric.startswith(tuple(_ABOUT)) and not of_itself


def _called(metric: str) -> str:
    """A metric's name; of a row of an instrument's sensors the row's."""
    row = next((row for row in (SETTINGS, SENSORS) if metric in row), None)
    if row is not None:
        return f"{row[0]} to {len(row)}"
    return f"{metric} (wave)" if METRICS[metric].kind == "wave" else metric


def _transport(profile: Profile) -> str:
    if profile.serial is not None:
        line = profile.serial
        return f"serial {line.baudrate} {line.bytesize}{line.parity}{line.stopbits}"
    return "Bluetooth LE" if profile.transport == "ble" else "Bluetooth LE advertisement"


def _store(profile: Profile) -> str:
    """What is fetched of the time when the gateway was away."""
    steps = profile.document.session
    if racps := [step.racp for step in steps if step.racp is not None]:
        how = (
            "fetched from the last one kept on"
            if all(racp.cursor for racp in racps)
            else "fetched as a whole"
        )
        return how + (", then deleted" if any(racp.delete for racp in racps) else "")
    if any(step.mode == "indicate" for step in steps):
        return "sent by the device on subscribing"
    if profile.document.store == "sent":
        return "sent by the device from its memory"
    return "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
