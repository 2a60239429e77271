"""``hearthward devices scan``, ``adopt``, ``watch``, ``pair`` and ``consent``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from hearthward.core.errors import ConfigError
from hearthward.core.sightings import MOST_CODE, MOST_SCAN_S, MOST_USER

__all__ = ["add_device_commands"]

RADIOS: Final = "bluez, usb:0, serial:/dev/ttyX or tcp-client:HOST:PORT"
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
_json_flag = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


def add_device_commands(main: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    """Add the commands to ``main``; ``told`` shows errors, ``settings`` reads them from the context."""

    @main.group()
    def devices() -> None:
        """Devices: what is around, take one in, and how each of them is."""

    _add_scan(devices, told, settings)
    _add_adopt(devices, told, settings)
    _add_watch(devices, told, settings)
    _add_pair(devices, told, settings)
    _add_consent(devices, told, settings)


def _add_scan(devices: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @devices.command()
    @click.option(
        "--seconds",
        type=click.IntRange(1, MOST_SCAN_S),
        default=10,
        show_default=True,
        help="How long to listen by Bluetooth.",
    )
    @click.option("--gateway", help="Only what this gateway sees (default: all that are online).")
    @click.option("--radio", help=f"Listen here, with {RADIOS}; also while a cloud runs.")
    @_json_flag
    @click.pass_context
    @told
    def scan(
        context: click.Context, seconds: int, gateway: str | None, radio: str | None, *, as_json: bool
    ) -> None:
        """List what is heard by Bluetooth and plugged in, known or not.

        While a cloud runs on the data folder, its gateways are asked to listen, and what they tell is shown;
        connections go on meanwhile. When none runs, this machine's radio (edge.radio) and serial ports are
        used. A port of which nothing is known is listened to, without a byte being sent, at each speed for
        some seconds: that can take longer than --seconds. What fits no profile is listed with what was seen
        of it. Exits with 3 when a radio or a gateway could not listen.
        """
        from hearthward.app.device_scan import scanned, show

        if gateway is not None and radio is not None:
            msg = "name a --gateway or a --radio of this machine, not both"
            raise click.UsageError(msg)
        if sys.stderr.isatty():
            click.echo("listening...", err=True)
        found = asyncio.run(scanned(settings(context), seconds=seconds, gateway=gateway, radio=radio))
        show(found, as_json=as_json)
        for line in found.trouble:
            click.echo(f"hearthward: {line}", err=True)
        if found.trouble:
            context.exit(3)


def _add_adopt(devices: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @devices.command()
    @click.argument("address")
    @click.option("--id", "ident", help="The device's id (default: made up).")
    @click.option("--name", default="", help="A label for people.")
    @click.option("--patient", help="Id of the patient that it measures from now on.")
    @click.option("--bed", help="Id of a bed: the patient who lies in it now.")
    @click.option("--gateway", help="Which gateway reads it (default: the one that hears it best).")
    @click.option("--profile", help="Its profile (default: what fits; see `hearthward profiles list`).")
    @click.option(
        "--timezone", help="Of the device's own clock, such as Asia/Shanghai (default: the gateway's)."
    )
    @click.option(
        "--user", type=click.IntRange(0, MOST_USER), help="Of a scale that asks for consent: whose."
    )
    @click.option("--code", type=click.IntRange(0, MOST_CODE), help="The code that it gave that user.")
    @_json_flag
    @click.pass_context
    @told
    def adopt(
        context: click.Context, address: str, ident: str | None, *, as_json: bool, **options: Any
    ) -> None:
        """Take a device in: enter it in the directory, and put it on a patient.

        ADDRESS is a Bluetooth address or a serial port's path, as `hearthward devices scan` shows it. It goes
        through the running cloud, is audited, and reaches the gateway with its next configuration. Without
        --patient and --bed its readings are kept, for nobody yet. A port's profile has to be named. --user
        and --code go to the gateway, as by `hearthward devices consent` there.
        """
        from hearthward.app.device_adopt import Adoption
        from hearthward.app.device_adopt import adopt as take_in

        if options["patient"] is not None and options["bed"] is not None:
            msg = "name a --patient or a --bed, not both"
            raise click.UsageError(msg)
        if (options["user"] is None) != (options["code"] is None):
            msg = "a consent is both: --user and --code"
            raise click.UsageError(msg)
        made = asyncio.run(take_in(settings(context), Adoption(address, id=ident, **options)))
        if as_json:
            click.echo(json.dumps(made, indent=2, ensure_ascii=False))
        else:
            _tell_adopted(made)


def _tell_adopted(made: Mapping[str, Any]) -> None:
    device, worn = made["device"], made["association"]
    profile = device["profile"] or "the profile that fits once it is connected"
    where = f"{device['address']}, read by gateway {device['gateway']}"
    click.echo(
        f"{'adopted' if made['created'] else 'adopted before:'} {device['id']} at {where} with {profile}"
    )
    click.echo("on nobody yet" if worn is None else f"on patient {worn['patient']} since {worn['start']}")
    if not made["heard"]:
        click.echo("no gateway has seen it lately: see `hearthward devices watch`", err=True)


def _add_watch(devices: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @devices.command()
    @_json_flag
    @click.pass_context
    @told
    def watch(context: click.Context, *, as_json: bool) -> None:
        """Show how each device is and why, until Ctrl-C.

        A table that renews itself; a line for each change where the output is no terminal, or one of JSON
        with --json. Asks the running cloud every two seconds.
        """
        from hearthward.app.device_watch import watch as look
        from hearthward.app.process import run_until_signalled

        asyncio.run(run_until_signalled(look(settings(context), as_json=as_json)))


def _checked_digits(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    from hearthward.app.device_pair import ask_for_digits

    try:
        ask_for_digits(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error
    return text


def _add_pair(devices: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @devices.command()
    @click.argument("address")
    @click.option(
        "--passkey",
        metavar="DIGITS",
        callback=_checked_digits,
        help="The six digits, if they stand on the device's label.",
    )
    @click.option("--again", is_flag=True, help="Pair anew, although there is a bond.")
    @click.option("--radio", help=f"{RADIOS} (default: edge.radio).")
    @click.pass_context
    @told
    def pair(
        context: click.Context, address: str, passkey: str | None, radio: str | None, *, again: bool
    ) -> None:
        """Pair this machine with the device at ADDRESS.

        Run it on the gateway, with the device in pairing mode. The digits that the device shows are asked
        for. BlueZ keeps the bond, also while the gateway runs; with another adapter the gateway has to be
        stopped meanwhile. A device that pairs by itself needs no such step.

        --again is for a device that has forgotten the bond. It is looked for first. With BlueZ the old bond
        is given up as soon as it is heard; with another adapter once it has paired anew.
        """
        from hearthward.app.device_pair import pair_device

        if sys.stderr.isatty():
            click.echo(f"looking for {address}...", err=True)
        asyncio.run(pair_device(settings(context), address, radio=radio, passkey=passkey, again=again))
        click.echo(f"paired with {address}")


def _add_consent(devices: click.Group, told: Wrap, settings: Callable[..., Any]) -> None:
    @devices.command()
    @click.argument("address")
    @click.option("--user", type=click.IntRange(0, MOST_USER), help="The user's number on the device.")
    @click.option(
        "--code", type=click.IntRange(0, MOST_CODE), help="The code that the device gave that user."
    )
    @click.option("--none", "nobody", is_flag=True, help="No user: what the device tells to anybody.")
    @click.pass_context
    @told
    def consent(
        context: click.Context, address: str, user: int | None, code: int | None, *, nobody: bool
    ) -> None:
        """Give the device at ADDRESS the consent of one of its users.

        Some scales tell what they measure of a user only to whom that user trusts: with the user's number and
        the code that the scale shows for it. Run it on the gateway, which may go on; what is not given is
        asked for. It counts from the next connection on.
        """
        from hearthward.app.device_consent import give_consent

        if nobody and (user is not None or code is not None):
            msg = "give --user and --code, or --none, not both"
            raise click.UsageError(msg)
        if not nobody and user is None:
            user = click.prompt("The user's number on the device", type=click.IntRange(0, MOST_USER))
        if not nobody and code is None:
            code = click.prompt("The code that it shows", type=click.IntRange(0, MOST_CODE))
        asyncio.run(give_consent(settings(context), address, user, code))
        click.echo(
            f"{address}: " + ("no user is asked for" if nobody else f"the consent of user {user} is kept")
        )
