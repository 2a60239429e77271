"""The ``hearthward`` command. Each subcommand imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import asyncio
import json
import string
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from hearthward import __version__
from hearthward.app.deadletter_commands import add_deadletter_commands
from hearthward.app.detect_command import add_detect_command
from hearthward.app.device_commands import add_device_commands
from hearthward.app.ledger_command import add_ledger_command
from hearthward.app.operation_commands import add_operation_commands
from hearthward.app.process import loading, run_until_signalled
from hearthward.app.profile_commands import add_profile_commands
from hearthward.app.release_commands import add_release_commands
from hearthward.app.replay_command import add_replay_command
from hearthward.app.rul import add_rul_command
from hearthward.app.rule_commands import add_rule_commands
from hearthward.app.trust_commands import add_trust_commands
from hearthward.app.user_commands import add_user_commands
from hearthward.app.why_commands import add_why_commands
from hearthward.core.errors import DecodeError, HearthwardError

__all__ = ["main"]

P = ParamSpec("P")
T = TypeVar("T")
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def _told(command: Callable[P, T]) -> Callable[P, T]:
    """Show an error of ours as one line on stderr and exit with 1."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except HearthwardError as error:
            click.echo(f"hearthward: {error}", err=True)
            sys.exit(1)
        except BaseExceptionGroup as group:
            ours, rest = group.split(HearthwardError)
            if ours is None or rest is not None:
                raise
            for text in dict.fromkeys(str(e) for e in _leaves(ours)):
                click.echo(f"hearthward: {text}", err=True)
            sys.exit(1)

    return wrapper


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    out: list[BaseException] = []
    for error in group.exceptions:
        out += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return out


def _serve(main: Coroutine[Any, Any, Any]) -> None:
    """Run until it ends, SIGTERM or Ctrl-C; both end it cleanly with exit code 0."""
    asyncio.run(run_until_signalled(main))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hearthward")
@click.option("--config", type=FILE, help="Settings file (default: hearthward.toml, if there is one).")
@click.option("--data", type=FOLDER, help="Data folder (default: hearthward-data).")
@click.pass_context
def main(context: click.Context, config: Path | None, data: Path | None) -> None:
    """Remote patient monitoring gateway and alarm system. Not a certified medical device."""
    context.obj = {"config": config, "data": data}


def _settings(context: click.Context, **overrides: Any) -> Any:
    from hearthward.core.settings import load_settings
    from hearthward.core.telemetry import setup_logging

    given = {key: value for key, value in overrides.items() if value is not None}
    if context.obj["data"] is not None:
        given["data"] = context.obj["data"]
    settings = load_settings(context.obj["config"], **given)
    setup_logging(settings.log_level)
    return settings


def _nested(**parts: dict[str, Any]) -> dict[str, Any]:
    """Only the parts of the tree in which something was given on the command line."""
    kept = {name: {k: v for k, v in part.items() if v is not None} for name, part in parts.items()}
    return {name: part for name, part in kept.items() if part}


_host = click.option("--host", help="Address to listen on (default 127.0.0.1; beyond loopback needs TLS).")
_port = click.option(
    "--port", type=click.IntRange(0, 65535), help="Port of the web pages (default 8080; 0: any free one)."
)
_broker = click.option(
    "--broker", metavar="URL", help="mqtt://HOST:PORT of a broker (default: one of our own, as a child)."
)
_gateway = click.option("--gateway", help="This gateway's id (default gw-1).")
_radio = click.option(
    "--radio", help="bluez (default), off, usb:0, serial:/dev/ttyX or tcp-client:HOST:PORT."
)


_POSITIVE = click.FloatRange(min=0, min_open=True)
_speed = click.option(
    "--speed",
    type=_POSITIVE,
    default=1.0,
    show_default=True,
    help="How much faster than it was recorded, at most.",
)


@main.command()
@click.option(
    "--ward",
    type=click.Choice(["virtual", "none"]),
    default="virtual",
    show_default=True,
    help="'virtual' adds 12 simulated beds and 4 homes; 'none' starts with your own devices only.",
)
@_host
@_port
@_broker
@_radio
@click.pass_context
@_told
def run(context: click.Context, /, ward: str, **options: str | int | None) -> None:
    """Start everything in one process. Edge, cloud and web pages, and a broker as its child."""
    with loading():
        from hearthward.app.start import run_everything

    settings = _settings(
        context,
        **_nested(
            web={"host": options["host"], "port": options["port"]},
            broker={"url": options["broker"]},
            edge={"radio": options["radio"]},
        ),
    )
    _serve(run_everything(settings, virtual=ward == "virtual"))


@main.command()
@_gateway
@_radio
@click.option("--broker", metavar="URL", help="mqtt://HOST:PORT of the cloud's broker (required).")
@click.option("--event-clock", metavar="HOST:PORT", help="Follow a player's clock (demonstrations, tests).")
@click.pass_context
@_told
def edge(context: click.Context, /, event_clock: str | None, **options: str | None) -> None:
    """Run a gateway: read devices, keep and send every reading.

    It is sent until the cloud has confirmed it.
    """
    with loading():
        from hearthward.app.edge import run_edge

    settings = _settings(
        context,
        **_nested(
            broker={"url": options["broker"]},
            edge={"gateway": options["gateway"], "radio": options["radio"]},
        ),
    )
    _serve(run_edge(settings, event_clock=event_clock))


@main.command()
@_host
@_port
@_broker
@click.option("--event-clock/--own-clock", default=None, help="Take the time from played frames.")
@click.option("--seed", type=FILE, help="Enter a virtual ward's plan (JSON) into an empty data folder.")
@click.pass_context
@_told
def cloud(
    context: click.Context,
    /,
    event_clock: bool | None,  # noqa: FBT001 - a click flag
    seed: Path | None,
    **options: str | int | None,
) -> None:
    """Run ingest, rules, notifier and web pages. Starts a broker of its own unless one is named."""
    with loading():
        from hearthward.app.start import run_cloud

    settings = _settings(
        context,
        **_nested(
            web={"host": options["host"], "port": options["port"]},
            broker={"url": options["broker"]},
            cloud={"event_clock": event_clock},
        ),
    )
    _serve(run_cloud(settings, seed=seed))


@main.command()
@click.option(
    "--play", type=FILE, help="Recording in the long format: time,patient,metric,value (.csv[.gz])."
)
@click.option(
    "--escalation",
    is_flag=True,
    help="Show one alarm that nobody accepts instead: SMS, call, answer by key, a channel that fails.",
)
@_speed
@click.option("--seconds", type=_POSITIVE, help="Real seconds to play (default: to the end).")
@click.option("--report", type=FILE, help="Write what was sent, stored and alarmed as JSON.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the web pages (default: any free one).")
@click.pass_context
@_told
def demo(
    context: click.Context,
    play: Path | None,
    escalation: bool,  # noqa: FBT001 - a click flag
    speed: float,
    seconds: float | None,
    report: Path | None,
    port: int | None,
) -> None:
    """Play a recording or the virtual ward through virtual devices.

    What became of every value and which alarms came of it is accounted for. A recording may hold at most 64
    patients.

    With --escalation, two patients for about a minute: nobody accepts, so the nurse gets an SMS and the
    doctor a call, who accepts by key; then the SMS service fails. A stand-in on this machine takes messages
    and calls: nobody is rung.

    Uses a data folder of its own that is removed afterwards, unless --data names one.
    """
    from hearthward.app.demo import run_demo
    from hearthward.app.escalation_demo import run_escalation_demo

    if escalation and (play is not None or seconds is not None or speed != 1.0):
        msg = "--escalation goes by its own script: leave --play, --speed and --seconds away"
        raise click.UsageError(msg)
    settings = _settings(context, **_nested(web={"port": 0 if port is None else port}))
    keep = context.obj["data"] is not None
    if escalation:
        _serve(run_escalation_demo(settings, report=report, keep=keep))
        return
    _serve(run_demo(settings, play=play, speed=speed, seconds=seconds, report=report, keep=keep))


@main.command()
@click.option("--hci", type=click.IntRange(0, 65535), default=0, help="Port of the virtual radio (0: any).")
@click.option(
    "--control", type=click.IntRange(0, 65535), default=0, help="Port of the player's clock (0: any)."
)
@click.option("--ptys", type=FOLDER, help="Folder for links to the serial twins' ports.")
@click.option("--plan", type=FILE, required=True, help="Where to write the ward's plan (for cloud --seed).")
@click.option("--play", type=FILE, help="Recording to play (default: the virtual ward).")
@_speed
@click.option("--report", type=FILE, help="Write what was sent as JSON.")
@_gateway
@click.pass_context
@_told
def twins(context: click.Context, /, **options: Any) -> None:
    """Run virtual devices as a process of their own. A radio over HCI on TCP, serial ports by path."""
    from hearthward.app.twins import run_twins

    settings = _settings(context, **_nested(edge={"gateway": options.pop("gateway")}))
    _serve(run_twins(settings, **options))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.pass_context
@_told
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Check what this machine has and lacks.

    Environment, ports, clock, radio, broker, database, and whether all packages come from one place.
    """
    from hearthward.app.doctor import examine, render

    findings = asyncio.run(examine(_settings(context)))
    click.echo(json.dumps([f.to_data() for f in findings], indent=2) if as_json else render(findings))
    if any(f.level == "fail" for f in findings):
        sys.exit(1)


@main.command()
@click.argument("profile")
@click.argument("source")
@click.argument("payload", required=False, metavar="[HEX]")
@click.option("--text", metavar="LINE", help="The frame as text, for text protocols.")
@click.option("--catalog", type=click.Path(path_type=Path), multiple=True, help="Further profiles.")
@click.option("--waves", is_flag=True, help="The samples of its waveforms, too: {readings, waves}.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, as it does anyway (for scripts that say so)."
)
@_told
def decode(
    profile: str,
    source: str,
    payload: str | None,
    text: str | None,
    catalog: tuple[Path, ...],
    waves: bool,  # noqa: FBT001 - click hands it over so
    as_json: bool,  # noqa: FBT001
) -> None:
    """Decode one frame of a device.

    PROFILE is the profile's id, SOURCE where the frame came from (2a35, or the frame's name); the frame is
    given as HEX or with --text LINE. Prints a JSON list of readings with metric, value, unit, time and
    quality; with record, the device's own number of it, and elapsed_s, the seconds since its session began
    (a glucose sensor's), where it has any. A refused frame exits with 1.
    """
    from firmware_profiles import load_catalog
    from firmware_profiles.report import decode_json, waves_json

    del as_json

    raw = _frame(payload, text)
    try:
        chosen = load_catalog(*catalog).get(profile)
        readings = decode_json(chosen, source, raw)
        samples = waves_json(chosen, source, raw) if waves else []
    except DecodeError as error:
        click.echo(f"refused ({error.reason}): {error}", err=True)
        sys.exit(1)
    click.echo(json.dumps({"readings": readings, "waves": samples} if waves else readings))


def _frame(payload: str | None, text: str | None) -> bytes:
    """The frame's bytes, from whichever of the two was given. Raises UsageError."""
    if (payload is None) == (text is None):
        msg = "give the frame either as HEX or with --text LINE"
        raise click.UsageError(f"{msg}, not both" if text is not None else msg)
    if text is not None:
        return text.encode()
    digits = "".join((payload or "").split())
    wrong = next((c for c in digits if c not in string.hexdigits), None)
    if wrong is not None:
        msg = f"HEX: {wrong!r} is no hexadecimal digit (text protocols: --text LINE)"
        raise click.UsageError(msg)
    if len(digits) % 2:
        msg = f"HEX: {len(digits)} digits make no whole bytes"
        raise click.UsageError(msg)
    return bytes.fromhex(digits)


@main.group()
def profiles() -> None:
    """Device profiles: list, show, check, write new ones, record frames of a live device."""


@main.group()
def rules() -> None:
    """Alarm rules: list, show, check, and the release of a site's own."""


add_profile_commands(profiles, _told, _settings)
add_rule_commands(rules, _told)
add_release_commands(rules, _told, _settings)
add_operation_commands(main, _told, _settings)
add_ledger_command(main, _told, _settings)
add_deadletter_commands(main, _told, _settings)
add_device_commands(main, _told, _settings)
add_trust_commands(main, _told, _settings)
add_user_commands(main, _told, _settings)
add_replay_command(main, _told, _settings)
add_why_commands(main, _told, _settings)
add_rul_command(main, _told)
add_detect_command(main, _told)
