"""Which profile is for which device, and whether two profiles would claim the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from firmware_profiles.firmware import parse_version
from firmware_profiles.schema import BleCriteria, Match

__all__ = ["DeviceFacts", "matches", "rivals", "short_uuid"]

_BASE_UUID = re.compile(r"0000([0-9a-f]{4})-0000-1000-8000-00805f9b34fb")
_WILD = re.compile(r"(?<!\\)\.[*+?]?")
_CLASS = re.compile(r"(?<!\\)\[([^\]^\\])[^\]]*\][*+?]?")
_PARTS = ((re.compile(r"\\d[*+?]?"), "0"), (re.compile(r"\\s[*+?]?"), " "), (re.compile(r"\\w[*+?]?"), "a"))
_TEXTS = ("name", "manufacturer", "model")
_AIR = {"advertisement": "ble"}
"""What a device that is never connected to is found by, all the same."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What is known of a device when it is found or connected; None = not known (yet)."""

    transport: Literal["ble", "serial"]
    name: str | None = None
    company_id: int | None = None
    services: frozenset[str] = frozenset()
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    usb: str | None = None
    hears: frozenset[str] = frozenset()
    """Sources of serial profiles whose frames came on the line."""


def short_uuid(uuid: str) -> str:
    """A UUID in lower case, in four digits when it is one of the Bluetooth SIG's."""
    text = uuid.lower()
    found = _BASE_UUID.fullmatch(text)
    return found.group(1) if found else text


def matches(match: Match, transport: str, facts: DeviceFacts) -> bool:
    """Whether a device with these facts is one that ``match`` means.

    A criterion about something unknown does not hold, nor does a firmware range without a version; but
    frames that are heard tell the firmware themselves.
    """
    if _AIR.get(transport, transport) != facts.transport:
        return False
    if facts.transport == "serial" and any(one.hears in facts.hears for one in match.serial):
        return True
    if not match.firmware_range.everything:
        version = None if facts.firmware is None else parse_version(facts.firmware)
        if version is None or version not in match.firmware_range:
            return False
    if facts.transport == "serial":
        return facts.usb is not None and facts.usb.lower() in {one.usb for one in match.serial}
    return any(_meets(ble, facts) for ble in match.ble)


def _meets(ble: BleCriteria, facts: DeviceFacts) -> bool:
    for key in _TEXTS:
        pattern, text = getattr(ble, key), getattr(facts, key)
        if pattern is not None and not (text is not None and _regex(pattern).fullmatch(text.strip())):
            return False
    if ble.company_id is not None and ble.company_id != facts.company_id:
        return False
    return set(map(short_uuid, ble.services)) <= set(map(short_uuid, facts.services))


@lru_cache(maxsize=512)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def rivals(all_of: Iterable[tuple[str, str, Match]]) -> Iterator[tuple[str, str]]:
    """Pairs of ids, from (id, transport, match), that would both claim one device at equal priority.

    Told for certain only: same transport and priority, firmware ranges that overlap, criteria about the
    same things, and a device found that meets both. Two different services are not a conflict of the
    profiles; should they meet in one device, ``Catalog.match`` refuses to guess.
    """
    known = list(all_of)
    for i, (first, transport, match) in enumerate(known):
        for second, other_transport, other in known[i + 1 :]:
            if (
                _AIR.get(transport, transport) != _AIR.get(other_transport, other_transport)
                or match.priority != other.priority
            ):
                continue
            if match.firmware_range.meet(other.firmware_range).empty:
                continue
            if _overlap(match, other):
                yield first, second


def _overlap(a: Match, b: Match) -> bool:
    for key in ("usb", "hears"):
        if {getattr(one, key) for one in a.serial} & {getattr(one, key) for one in b.serial} - {None}:
            return True
    return any(_shared(x, y) or _shared(y, x) for x in a.ble for y in b.ble)


def _shared(narrow: BleCriteria, wide: BleCriteria) -> bool:
    """Whether some device meeting ``narrow`` meets ``wide``, which asks for nothing else besides."""
    for key in _TEXTS:
        pattern, other = getattr(narrow, key), getattr(wide, key)
        if other is not None and (pattern is None or not _meet(pattern, other)):
            return False
    if wide.company_id is not None and wide.company_id != narrow.company_id:
        return False
    return set(map(short_uuid, wide.services)) <= set(map(short_uuid, narrow.services))


def _meet(one: str, other: str) -> bool:
    """Whether a text was found that both patterns match: the same pattern, or a sample of either."""
    samples = (*_samples(one), *_samples(other))
    return one == other or any(_regex(one).fullmatch(s) and _regex(other).fullmatch(s) for s in samples)


def _samples(pattern: str) -> Iterator[str]:
    """Texts that a pattern of the usual kind matches; for odd ones perhaps none."""
    for filler in ("", "0", "00"):
        text = _CLASS.sub(r"\1", _WILD.sub(filler, pattern))
        for part, example in _PARTS:
            text = part.sub(example, text)
        text = re.sub(r"(?:\(\?:|\()([^()|]*)[^()]*\)[*+?]?", r"\1", text)
        for choice in text.split("|"):
            yield re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[*+?]", "", choice))
