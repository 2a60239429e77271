"""``hearthward doctor``: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from inspect import isawaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

from hearthward import __version__
from hearthward.core.clock import SystemClock
from hearthward.core.errors import HearthwardError, StoreError
from hearthward.core.settings import Settings

__all__ = ["Finding", "examine", "render"]

Level = Literal["ok", "warn", "fail"]
PACKAGES: Final = (
    "hearthward",
    "firmware_profiles",
    "devices",
    "rules",
    "edge_agent",
    "cloud_ingest",
    "dashboards",
)
LEAST_FREE: Final = 1 << 30
OLDEST_SQLITE: Final = (3, 35)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination; ``advice`` says what to do unless all is well."""

    name: str
    level: Level
    text: str
    advice: str = ""

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


Check = Callable[[Settings], "Finding | Awaitable[Finding]"]


async def examine(settings: Settings) -> list[Finding]:
    """Run every check; one that breaks becomes a failing finding and never hides the others."""
    findings = []
    for name, check in _CHECKS.items():
        try:
            result = check(settings)
            finding = await result if isawaitable(result) else result
        except (HearthwardError, OSError, ImportError, sqlite3.Error) as error:
            finding = Finding(name, "fail", str(error), "see the message")
        findings.append(finding)
    return findings


def render(findings: list[Finding]) -> str:
    """The findings as text, one line each with its advice below."""
    marks = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
    lines = [f"Hearthward {__version__} on {platform.platform(terse=True)}"]
    for f in findings:
        lines.append(f"  {marks[f.level]}  {f.name:12} {f.text}")
        if f.advice and f.level != "ok":
            lines.append(f"        {'':12} -> {f.advice}")
    bad = sum(f.level == "fail" for f in findings)
    warned = sum(f.level == "warn" for f in findings)
    lines.append(f"{len(findings)} checks: {bad} failed, {warned} to look at")
    return "\n".join(lines)


def _environment(_: Settings) -> Finding:
    version = platform.python_version()
    if sys.prefix == sys.base_prefix:
        advice = "install hearthward into a virtual environment of its own"
        return Finding("environment", "warn", f"Python {version}, no virtual environment", advice)
    return Finding("environment", "ok", f"Python {version} at {sys.executable}")


def _one_root(_: Settings) -> Finding:
    """The packages' names are generic: another distribution's could shadow them."""
    roots: dict[str, list[str]] = {}
    for name in PACKAGES:
        file = importlib.import_module(name).__file__ or "?"
        roots.setdefault(str(Path(file).parent.parent), []).append(name)
    if len(roots) == 1:
        return Finding("one root", "ok", f"all packages load from {next(iter(roots))}")
    shown = "; ".join(f"{', '.join(names)} from {root}" for root, names in roots.items())
    return Finding("one root", "fail", shown, "install hearthward into an environment of its own")


def _assets(_: Settings) -> Finding:
    import dashboards

    folder = Path(str(dashboards.__file__)).parent / "assets" / "vendor"
    found = sorted(p.name for p in folder.glob("*.js")) if folder.is_dir() else []
    if not found:
        return Finding(
            "web assets", "fail", f"none in {folder}", "run ./dev run once, or reinstall the wheel"
        )
    return Finding("web assets", "ok", ", ".join(found))


def _free(host: str, port: int) -> str | None:
    """None when the port can be listened on, else the reason."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def _ports(settings: Settings) -> Finding:
    wanted = [("web", settings.web.host, settings.web.port)]
    if settings.broker.url == "embedded" and settings.broker.port:
        wanted.append(("broker", "127.0.0.1", settings.broker.port))
    busy = [f"{what} {host}:{port}: {why}" for what, host, port in wanted if (why := _free(host, port))]
    if busy:
        advice = "stop what listens there, or choose another with --port / HEARTHWARD_WEB__PORT"
        return Finding("ports", "warn", "; ".join(busy), advice)
    return Finding("ports", "ok", ", ".join(f"{what} {host}:{port} free" for what, host, port in wanted))


def _clock(_: Settings) -> Finding:
    if not SystemClock().synchronised():
        return Finding("clock", "fail", "set before this software was made", "set the clock, enable NTP")
    timedatectl = shutil.which("timedatectl")
    if timedatectl:
        answer = subprocess.run(
            [timedatectl, "show", "-p", "NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        ).stdout.strip()
        if answer == "no":
            return Finding("clock", "warn", "not synchronised", "enable NTP: timedatectl set-ntp true")
        if answer == "yes":
            return Finding("clock", "ok", "synchronised by NTP")
    return Finding("clock", "ok", "plausible (whether NTP keeps it cannot be told here)")


def _radio(settings: Settings) -> Finding:
    radio = settings.edge.radio
    if radio != "bluez":
        return Finding("radio", "ok", f"{radio} (not BlueZ)")
    adapters = sorted(p.name for p in Path("/sys/class/bluetooth").glob("hci*"))
    bus = Path("/run/dbus/system_bus_socket").exists()
    if adapters and bus:
        return Finding("radio", "ok", f"BlueZ with {', '.join(adapters)}")
    missing = " and ".join(
        word for word, there in (("a Bluetooth adapter", adapters), ("D-Bus", bus)) if not there
    )
    advice = "serial devices and the virtual ward work; for BLE plug an adapter in, or use --radio usb:0"
    return Finding("radio", "warn", f"{missing} is missing", advice)


def _serial(_: Settings) -> Finding:
    from devices.links.ports import list_ports

    ports = list_ports()
    text = ", ".join(p.path for p in ports) if ports else "no serial ports (none are needed for BLE)"
    return Finding("serial", "ok", text)


async def _broker(settings: Settings) -> Finding:
    if settings.broker.url != "embedded":
        return Finding("broker", "ok", f"{settings.broker.url.rpartition('@')[2]} (asked at start, not now)")
    from hearthward.app.broker import BrokerChild
    from hearthward.core.ids import RandomIds
    from hearthward.core.telemetry import Telemetry

    with TemporaryDirectory(prefix="hearthward-doctor-") as folder:
        async with BrokerChild(Path(folder), telemetry=Telemetry(), ids=RandomIds()) as broker:
            return Finding("broker", "ok", f"nats-server answers an MQTT round trip ({broker.version})")


def _data(settings: Settings) -> Finding:
    folder = settings.data
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    try:
        with TemporaryDirectory(dir=existing, prefix=".hearthward-doctor-"):
            pass
    except OSError as error:
        text = f"{existing} cannot be written: {error.strerror}"
        return Finding("data folder", "fail", text, "choose another with --data or HEARTHWARD_DATA_FOLDER")
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE:
        return Finding("data folder", "warn", f"{folder}: {free >> 20} MB free", "make room")
    return Finding("data folder", "ok", f"{folder.absolute()}: {free >> 30} GB free")


def _database(_: Settings) -> Finding:
    version = sqlite3.sqlite_version_info
    with TemporaryDirectory(prefix="hearthward-doctor-") as folder:
        db = sqlite3.connect(Path(folder) / "t.db")
        try:
            mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            db.execute("PRAGMA synchronous=FULL")
            db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY) WITHOUT ROWID")
            db.execute("INSERT INTO t VALUES (1) RETURNING a").fetchone()
            db.commit()
        finally:
            db.close()
    if version < OLDEST_SQLITE or mode != "wal":
        return Finding(
            "database", "fail", f"SQLite {sqlite3.sqlite_version}, journal {mode}", "update Python"
        )
    return Finding("database", "ok", f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL")


def _store(settings: Settings) -> Finding:
    chosen = settings.cloud.store
    if not chosen.server:
        return Finding("store", "ok", "readings stay in a file of the data folder")
    from hearthward.app.stores import examine_server

    try:
        found = examine_server(chosen)
    except StoreError as error:
        advice = "readings wait in the data folder until it takes them; check cloud.store and the server"
        return Finding("store", "fail", str(error), advice)
    if found.advice:
        return Finding("store", "warn", found.text, "; ".join(found.advice))
    return Finding("store", "ok", found.text)


def _trust(settings: Settings) -> Finding:
    from edge_agent.trust_store import kept_cloud
    from hearthward.app.edge import CLOUD_KEY
    from hearthward.trust.keys import fingerprint

    if settings.edge.cloud_key is not None:
        named = fingerprint(bytes.fromhex(settings.edge.cloud_key))
        return Finding("trust", "ok", f"the gateway believes the cloud of key {named} (edge.cloud_key)")
    kept = kept_cloud(settings.data / "edge" / CLOUD_KEY)
    if kept is None:
        return Finding("trust", "ok", "a gateway here believes the first cloud that it hears of")
    return Finding("trust", "ok", f"the gateway believes the cloud of key {fingerprint(kept)}, its first one")


_CHECKS: Final[dict[str, Check]] = {
    "environment": _environment,
    "one root": _one_root,
    "web assets": _assets,
    "ports": _ports,
    "clock": _clock,
    "radio": _radio,
    "serial": _serial,
    "broker": _broker,
    "database": _database,
    "data folder": _data,
    "store": _store,
    "trust": _trust,
}


def checks() -> Iterator[str]:
    """The names of all checks, in order."""
    return iter(_CHECKS)
