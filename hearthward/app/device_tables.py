"""Devices as tables of the terminal, or as plain lines where the output is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hearthward.core.clock import SECOND
from hearthward.core.device_states import Cause, DeviceWord, Sighting
from hearthward.core.device_words import is_away, is_open, is_well, reason, state_word, why_unmatched
from hearthward.core.text import natural, tidy

__all__ = [
    "clock_words",
    "console",
    "devices_table",
    "plain_device",
    "print_table",
    "sightings_table",
    "word_of",
]

PLAIN_WIDTH: Final = 10_000
"""Of lines that go to a file or another program: nothing is wrapped or cut there."""
SERVICES: Final[Mapping[str, str]] = {
    "1808": "glucose",
    "1809": "thermometer",
    "180a": "device information",
    "180d": "heart rate",
    "180f": "battery",
    "1810": "blood pressure",
    "181a": "environment",
    "181b": "body composition",
    "181d": "weight",
    "181f": "glucose, continuous",
    "1822": "pulse oximeter",
}
"""What people call the Bluetooth SIG's services, of those that devices here have."""
MOST_SHOWN: Final = 6
_GOOD, _AWAY, _BAD, _WEAK = "green", "yellow", "bold red", "dim"


def console(file: TextIO | None = None) -> Console:
    """The terminal, or a file into which lines go as they are."""
    out = sys.stdout if file is None else file
    return Console(file=out, width=None if out.isatty() else PLAIN_WIDTH, highlight=False)


def clock_words(now: int) -> Callable[[int], str]:
    """How a time is said at ``now`` (UTC ns): of this machine's day 14:02, of another with its date."""
    today = datetime.fromtimestamp(now // SECOND).astimezone().date()

    def said(at: int) -> str:
        local = datetime.fromtimestamp(at // SECOND).astimezone()
        return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"

    return said


def print_table(out: Console, table: Table) -> None:
    """Print it; into a file without the blanks at the ends of lines."""
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _table(out: Console, *columns: str) -> Table:
    """A table of the terminal; elsewhere only its columns, two blanks apart."""
    table = Table(box=None if not out.is_terminal else _box(), pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=not out.is_terminal)
    return table


def _box() -> Any:
    from rich.box import SIMPLE_HEAD

    return SIMPLE_HEAD


def sightings_table(out: Console, seen: Iterable[tuple[str, Sighting]], now: int) -> Table:
    """(Gateway, sighting) pairs: what could be adopted first, strangers last, of each the strongest first."""
    rows = sorted(seen, key=lambda row: (_rank(row[1]), -(row[1].rssi or -999), row[1].address))
    by_gateway = any(gateway for gateway, _ in rows)
    names = ["ADDRESS", "NAME", "SIGNAL", "WHAT WAS SEEN", "PROFILE", "DEVICE", "LAST HEARD"]
    table = _table(out, *(["GATEWAY"] if by_gateway else []), *names)
    clock = clock_words(now)
    for gateway, one in rows:
        cells = [
            Text(one.address),
            Text(one.name or "-"),
            Text("-" if one.rssi is None else f"{one.rssi} dBm"),
            Text(_seen(one)),
            Text(one.profile, _GOOD) if one.profile else Text(why_unmatched(one.why, "en"), _WEAK),
            Text(one.device or "-"),
            Text(clock(one.last)),
        ]
        table.add_row(*([Text(gateway)] if by_gateway else []), *cells)
    return table


def _rank(one: Sighting) -> int:
    if one.device:
        return 2
    return 0 if one.profile else 1 if one.transport == "serial" else 3


def _seen(one: Sighting) -> str:
    """What it said of itself: services, companies, its adapter's USB numbers."""
    services = [f"{s} ({SERVICES[s]})" if s in SERVICES else s for s in one.services]
    parts = [*services, *(f"company {number}" for number in one.company_ids)]
    parts += [f"USB {one.usb}"] if one.usb else []
    more = len(parts) - MOST_SHOWN
    return ", ".join(parts[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "") or "-"


def word_of(device: Mapping[str, Any]) -> DeviceWord | None:
    """Where a device of the API stands; None: nothing was told. Raises LookupError, ValueError, TypeError."""
    from hearthward.core.clock import parse_iso

    told = device["condition"]
    if told is None:
        return None
    cause = Cause(told["cause"]) if told["cause"] in set(Cause) else Cause.OTHER
    since = parse_iso(told["since"]) if told["since"] else 0
    return DeviceWord(told["state"], cause, since, tidy(told["detail"], 300), told["next_s"])


def _said(word: DeviceWord | None, clock: Callable[[int], str]) -> tuple[str, str]:
    """(State, reason) in plain words."""
    if word is None:
        return "unknown", "its gateway has not told"
    why = reason(word, "en", clock)
    if not why and is_well(word) and word.since:
        why = f"since {clock(word.since)}"
    return state_word(word, "en"), why


def devices_table(out: Console, devices: Sequence[Mapping[str, Any]], now: int) -> Table:
    """Devices of the API with state and reason: those without values first."""
    table, clock = _table(out, "DEVICE", "LABEL", "GATEWAY", "STATE", "WHY", "MORE"), clock_words(now)
    rows = [(device, word_of(device)) for device in devices]
    for device, word in sorted(rows, key=lambda r: (r[1] is not None and is_well(r[1]), natural(r[0]["id"]))):
        well = word is not None and is_well(word)
        state, why = _said(word, clock)
        cells = [device["id"], device["label"] or "-", device["gateway"]]
        detail = "" if word is None or well else word.detail
        table.add_row(*map(Text, cells), Text(state, _style(word)), Text(why or "-"), Text(detail, _WEAK))
    return table


def _style(word: DeviceWord | None) -> str:
    """Red is for what a person has to do something about."""
    if word is None or is_open(word):
        return _WEAK
    return _GOOD if is_well(word) else _AWAY if is_away(word) else _BAD


def plain_device(device: Mapping[str, Any], now: int) -> str:
    """One device as a line."""
    word = word_of(device)
    state, why = _said(word, clock_words(now))
    detail = "" if word is None or is_well(word) else word.detail
    return f"{device['id']}  {state}" + (f": {why}" if why else "") + (f" [{detail}]" if detail else "")
