"""``hearthward profiles new``: asks about a device and writes its first profile."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Final

from firmware_profiles import Catalog
from firmware_profiles.errors import did_you_mean
from firmware_profiles.types import CONVERSIONS, WIDTHS
from firmware_profiles.writing import BleDraft, Draft, FieldDraft, SerialDraft
from hearthward.core.codes import INTERNAL, METRICS

__all__ = ["FIELD_TYPES", "Ask", "ask_draft", "ask_fields"]

Ask = Callable[[str, str, Callable[[str], str | None]], str]
"""Asks a person: (question, what Enter alone means, answer -> what is wrong with it) -> the answer."""

FIELD_TYPES: Final = (*(kind for kind in WIDTHS if kind != "hex"), "sfloat", "float32-11073", "dt7", "utf8")
_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_UUID: Final = re.compile(r"[0-9a-f]{4}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NONE: Final = "none"
_PARTS_OF_LINE: Final = re.compile(r"([78])([NEO])([12])")


def ask_draft(ask: Ask, catalog: Catalog) -> Draft:
    """A draft from a person's answers; every answer is checked before the next question."""
    name = ask("Id of the profile, such as acme-oxi-2", "", _id_check(catalog))
    title = ask("What it is, for people", "", _wanted)
    source = ask("Where you know it from (manual, page, own frames)", "own frames", _wanted)
    kind = ask("Bluetooth or serial? (ble/serial)", "ble", _one_of(("ble", "serial")))
    if kind == "serial":
        return _serial(ask, name, title, source)
    advertised = ask("Name it advertises, as a regular expression", "", _pattern)
    base = ask("Is it like a known profile, with differences? (its id, or none)", _NONE, _known(catalog))
    if base != _NONE:
        line = BleDraft(advertised, _first_source(catalog, base), "notify")
        return Draft(name, title, source, line, extends=base)
    characteristic = ask("Characteristic that sends, such as 2a37", "", _matching(_UUID, "a UUID"))
    mode = ask("Does it notify or indicate?", "notify", _one_of(("notify", "indicate")))
    line = BleDraft(advertised, characteristic, mode)
    return Draft(name, title, source, line, ask_fields(ask), interval_s=_interval(ask))


def _first_source(catalog: Catalog, base: str) -> str:
    return next(iter(catalog.get(base).document.frames))


def _serial(ask: Ask, name: str, title: str, source: str) -> Draft:
    baud = ask("Baud rate", "9600", _integer(50, 4_000_000))
    shape = ask("Bits, parity and stop bits", "8N1", _matching(_PARTS_OF_LINE, "such as 8N1 or 7E1"))
    length = ask("Bytes of one frame", "", _integer(1, 4096))
    start = ask("Bytes that every frame begins with, in hexadecimal (or none)", _NONE, _hex_or_none)
    found = _PARTS_OF_LINE.fullmatch(shape)
    bits, parity, stop = found.groups() if found else ("8", "N", "1")
    line = SerialDraft(int(baud), int(bits), parity, int(stop), int(length), "" if start == _NONE else start)
    return Draft(name, title, source, line, ask_fields(ask), interval_s=_interval(ask))


def _interval(ask: Ask) -> float:
    return float(ask("Seconds between two values", "1", _integer(1, 86_400 * 366)))


def ask_fields(ask: Ask) -> tuple[FieldDraft, ...]:
    """The fields in the order of the bytes, until an empty name."""
    out: list[FieldDraft] = []
    while True:
        taken = {spec.name for spec in out}
        name = ask("Next field's name (Enter: that was the last)", "", _field_name(taken))
        if not name:
            return tuple(out)
        kind = ask(f"Type of {name} ({', '.join(FIELD_TYPES)})", "u8", _one_of(FIELD_TYPES))
        big = kind in WIDTHS and WIDTHS[kind] > 8 and _yes(ask, f"Is {name} big-endian? (yes/no)")  # noqa: PLR2004 - a byte
        metric = _NONE if kind == "dt7" else ask(f"Metric of {name} (or none)", _NONE, _metric(kind))
        if metric == _NONE:
            out.append(FieldDraft(name, kind, big_endian=big))
            continue
        units = units_of(metric)
        unit = ask(f"Unit on the wire ({', '.join(units)})", units[0], _one_of(units)) if units else None
        out.append(FieldDraft(name, kind, metric, unit, big))


def units_of(metric: str) -> list[str]:
    """The units that a metric may come in, its own first; none for coded ones."""
    row = METRICS[metric]
    if row.kind != "numeric" or row.unit is None:
        return []
    return [row.unit, *sorted(wire for wire, canonical in CONVERSIONS if canonical == row.unit)]


def _yes(ask: Ask, question: str) -> bool:
    return ask(question, "no", _one_of(("yes", "no"))) == "yes"


def _wanted(answer: str) -> str | None:
    return None if answer.strip() else "an answer is needed"


def _id_check(catalog: Catalog) -> Callable[[str], str | None]:
    def check(answer: str) -> str | None:
        if not _ID.fullmatch(answer):
            return "lower-case letters and digits, parted by single hyphens"
        return f"{answer} is in the catalogue already" if answer in catalog else None

    return check


def _known(catalog: Catalog) -> Callable[[str], str | None]:
    names = [profile.id for profile in catalog if profile.transport == "ble"]

    def check(answer: str) -> str | None:
        if answer == _NONE or answer in names:
            return None
        return f"no Bluetooth profile is named {answer!r}{did_you_mean(answer, names)}"

    return check


def _one_of(choices: Sequence[str]) -> Callable[[str], str | None]:
    return lambda answer: None if answer in choices else f"one of {', '.join(choices)}"


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str | None]:
    return lambda answer: None if pattern.fullmatch(answer) else f"not {what}"


def _pattern(answer: str) -> str | None:
    try:
        re.compile(answer)
    except re.error as error:
        return f"no regular expression: {error}"
    return _wanted(answer)


def _integer(low: int, high: int) -> Callable[[str], str | None]:
    def check(answer: str) -> str | None:
        return None if answer.isdecimal() and low <= int(answer) <= high else f"a number {low} to {high}"

    return check


def _hex_or_none(answer: str) -> str | None:
    if answer == _NONE:
        return None
    try:
        bytes.fromhex(answer)
    except ValueError:
        return "hexadecimal digits in pairs, or none"
    return None


def _field_name(taken: Collection[str]) -> Callable[[str], str | None]:
    def check(answer: str) -> str | None:
        if answer and not _NAME.fullmatch(answer):
            return "lower-case letters, digits and _, beginning with a letter"
        if answer in taken:
            return "there is a field of that name already"
        return "at least one field is needed" if not answer and not taken else None

    return check


def _metric(kind: str) -> Callable[[str], str | None]:
    names = [
        row.key
        for row in METRICS.values()
        if row.key not in INTERNAL and row.kind == ("coded" if kind == "utf8" else "numeric")
    ]

    def check(answer: str) -> str | None:
        if answer == _NONE or answer in names:
            return None
        return f"no metric for {kind} is named {answer!r}{did_you_mean(answer, names)}"

    return check
