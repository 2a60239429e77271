"""What systemd is told of this process: that it has started, that it lives, that it stops (sd_notify(3)).

Only a hung process stops the watchdog's signs: one that waits for a disk or a broker is not mended by
being killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from hearthward.core.errors import ConfigError

__all__ = ["STATE", "Notify", "unit"]

log = logging.getLogger(__name__)

STATE: Final = Path("/var/lib/hearthward")
SIGNS_PER_PERIOD: Final = 3
"""Signs in the time after which the watchdog kills."""
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named to be refused
"""By ProtectHome= and PrivateTmp= of the units."""
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_MICRO: Final = 1_000_000


class Notify:
    """The socket that systemd has given us in ``environment``; without one nothing is sent."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        env = os.environ if environment is None else environment
        address = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        period = env.get("WATCHDOG_USEC", "")
        mine = env.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        self.period_s = int(period) / _MICRO if period.isdigit() and mine else None
        """After so long without a sign the watchdog kills us; None: there is none."""

    def send(self, text: str) -> None:
        """Send one message, such as ``READY=1``; never waits, never fails."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(text.encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", text.partition("=")[0], error)

    async def serve(self, lives: Callable[[], bool]) -> None:
        """Say that we are ready, then that we live while ``lives()``, until cancelled; then that we stop."""
        self.send("READY=1\nSTATUS=Serving")
        try:
            while self.period_s is not None:
                if lives():
                    self.send("WATCHDOG=1")
                else:
                    log.critical("a part of this process hangs: the watchdog is not told that all is well")
                await asyncio.sleep(self.period_s / SIGNS_PER_PERIOD)
            await asyncio.Event().wait()
        finally:
            self.send("STOPPING=1\nSTATUS=Stopping")


def unit(
    kind: Literal["edge", "cloud"], *, user: str, data: Path | None = None, backup: Path | None = None
) -> str:
    """The text of the unit file for this installation; ``data`` is /var/lib/hearthward unless given.

    ``backup``: a folder that the cloud may write, too; one that is not there is no reason not to start.
    Raises ConfigError for a user or folder that cannot be.
    """
    if not _USER.fullmatch(user):
        msg = f"{user!r} is no user's name"
        raise ConfigError(msg, key="user")
    folder = STATE if data is None else data
    _reachable(folder, "data")
    template = Path(__file__).parent / "units" / f"hearthward-{kind}.service"
    command = f"{sys.executable} -m hearthward"
    state = folder.name if folder.parent == STATE.parent else ""
    text = template.read_text(encoding="utf-8").format(command=command, user=user, data=folder, state=state)
    lines = text.splitlines()
    if not state:  # a folder elsewhere: systemd makes only those below /var/lib
        own = f"ReadWritePaths={folder}"
        lines = [own if line.startswith("StateDirectory=") else line for line in lines]
        lines = [line for line in lines if not line.startswith("StateDirectoryMode=")]
    if backup is not None and kind == "cloud":
        _reachable(backup, "backup")
        lines.insert(lines.index("UMask=0077"), f"ReadWritePaths=-{backup}")
    return "\n".join(lines) + "\n"


def _reachable(folder: Path, what: str) -> None:
    """Raise ConfigError for a folder that the unit cannot name, or that its process would not see."""
    if not folder.is_absolute() or set(str(folder)) & set(" %\"'\\\n"):
        msg = f"the {what} folder must be an absolute path without blanks or quotes, not {folder}"
        raise ConfigError(msg, folder=str(folder))
    if hidden := [there for there in _HIDDEN if folder.is_relative_to(there)]:
        msg = (
            f"the {what} folder cannot be below {hidden[0]}, which services of this unit do not see: {folder}"
        )
        raise ConfigError(msg, folder=str(folder))
