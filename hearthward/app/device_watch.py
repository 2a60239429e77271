"""``hearthward devices watch``: where each device stands and why, as it changes, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hearthward.app.device_adopt import must_run
from hearthward.app.device_scan import owner_of
from hearthward.app.device_tables import console, devices_table, plain_device, word_of
from hearthward.app.rest import Rest
from hearthward.core.clock import SystemClock, iso
from hearthward.core.device_words import state_word
from hearthward.core.errors import StoreUnavailable
from hearthward.core.settings import Settings

__all__ = ["watch"]

EVERY_S: Final = 2.0
_TOLD: Final = ("id", "label", "gateway", "state", "condition", "ended")
Devices = Sequence[Mapping[str, Any]]


async def watch(settings: Settings, *, as_json: bool, every_s: float = EVERY_S) -> None:
    """Show it until cancelled; a cloud that gives no answer for a while is waited for.

    Raises HearthwardError.
    """
    with owner_of(settings) as found:
        rest = must_run(found, settings, "watching devices")
        devices = await _devices(rest)
        out = console()
        if out.is_terminal and not as_json:
            await _live(rest, out, devices, every_s)
        else:
            await _lines(rest, devices, every_s, as_json=as_json)


async def _devices(rest: Rest) -> Devices:
    return await rest.ask("GET", "/api/v1/devices", lambda a: [{k: d[k] for k in _TOLD} for d in a["items"]])


async def _live(rest: Rest, out: Console, devices: Devices, every_s: float) -> None:
    trouble = ""
    with Live(console=out, auto_refresh=False) as live:
        while True:
            now = SystemClock().now_ns()
            shown = devices_table(out, devices, now) if devices else Text(NOBODY)
            live.update(Group(shown, Text(trouble, "bold red")), refresh=True)
            await asyncio.sleep(every_s)
            try:
                devices, trouble = await _devices(rest), ""
            except StoreUnavailable as error:
                trouble = f"as of a while ago: {error}"


NOBODY: Final = "no devices yet: hearthward devices scan shows what is around"


async def _lines(rest: Rest, devices: Devices, every_s: float, *, as_json: bool) -> None:
    """A line for each device, then one at each change."""
    shown: dict[str, Any] = {}
    gone = False
    if not devices and not as_json:
        click.echo(NOBODY)
    while True:
        now = SystemClock().now_ns()
        for device in devices:
            told = _news(device)
            if shown.get(device["id"]) != told:
                shown[device["id"]] = told
                line = {"at": iso(now), **{k: v for k, v in device.items() if k != "ended"}}
                click.echo(json.dumps(line, ensure_ascii=False) if as_json else plain_device(device, now))
        for ident in shown.keys() - {device["id"] for device in devices}:
            del shown[ident]
            line = {"at": iso(now), "id": ident, "ended": True}
            click.echo(json.dumps(line) if as_json else f"{ident}  ended")
        await asyncio.sleep(every_s)
        try:
            devices, gone = await _devices(rest), False
        except StoreUnavailable as error:
            if not gone:
                click.echo(f"hearthward: {error}", err=True)
            gone = True


def _news(device: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a device is news: not that it is tried again."""
    word = word_of(device)
    return (None,) if word is None else (state_word(word, "en"), word.cause, word.since)
