"""A virtual Masimo pulse oximeter that sends ASCII1 lines over a pty (Linux)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import struct
import termios
import tty
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from devices.time import zone
from devices.twins.encode import rounded
from hearthward.core.clock import SECOND, Clock, SystemClock
from hearthward.core.codes import METRICS
from hearthward.core.errors import ConfigError, LinkError
from hearthward.core.ids import digest63

__all__ = ["MasimoTwin", "masimo_line"]

SETTLE_S: Final = 0.5
"""A reader that never flushes its input (``cat``) counts as listening when it had the port open so long."""
LOOK_S: Final = 0.1
"""Opening a pty wakes nobody on the other side: a waiting twin looks so often (flushing does wake it)."""
TAIL_S: Final = 0.02
"""The rest of a half-written line is tried again so often."""

_METRICS: Final[dict[str, int]] = {"spo2": 0, "pulse_rate": 0, "perfusion_index": 2}
"""What it carries, with how many decimals."""
_HIGHEST: Final[dict[str, float]] = {"perfusion_index": 99.99}
"""Where the field is narrower than what is plausible."""


def masimo_line(at: datetime, values: Mapping[str, float], serial_number: str = "0000000001") -> bytes:
    """One ASCII1 line with CRLF; what is not in ``values`` (as expressed) is dashes.

    Source: output of a Rad-8; its keys differ by firmware, so readers look at pairs, never at columns.
    """
    spo2, pulse, index = (values.get(metric) for metric in _METRICS)
    fields = [
        at.strftime("%m/%d/%y %H:%M:%S"),
        f"SN={serial_number}",
        "SPO2=---%" if spo2 is None else f"SPO2={spo2:03.0f}%",
        "BPM=---" if pulse is None else f"BPM={pulse:03.0f}",
        "PI=--.--%" if index is None else f"PI={index:05.2f}%",
        "SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+-- ALARM=0000 EXC=000000",
    ]
    return (" ".join(fields) + "\r\n").encode("ascii")


class MasimoTwin:
    """A twin on a serial port: the pty exists as soon as the twin does.

    ``address`` is the pty's path, or ``link_path``: a symbolic link kept to it, so that the same path
    leads to it after a restart. ``timezone`` is the zone its clock shows, UTC by default.

    It listens for a reader by the pty's packet mode: a reader that opens a port flushes the input, and what
    was sent before would be lost with it; so only a flush after the opening makes the twin ready.
    """

    transport: Literal["serial"] = "serial"
    profile = "masimo-ascii1"
    metrics = frozenset(_METRICS)

    def __init__(
        self,
        id: str,  # noqa: A002
        *,
        clock: Clock | None = None,
        link_path: Path | None = None,
        timezone: str | None = None,
    ) -> None:
        self.id = id
        self._clock = clock or SystemClock()
        self._link_path = link_path
        self._zone = zone(timezone) or UTC
        self._serial_number = f"{digest63(id.encode()) % 10**10:010d}"
        self._master: int | None = None
        self._slave_path = ""
        self._epoll: select.epoll | None = None
        self._poll = select.poll()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._opened_at: int | None = None
        self._flushed = False
        self._tail = b""
        self._tail_timer: asyncio.TimerHandle | None = None
        self._open()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.address})"

    @property
    def address(self) -> str:
        """The path the edge opens."""
        return str(self._link_path) if self._link_path is not None else self._slave_path

    async def start(self) -> None:
        """Plug in (again, if it was unplugged) and watch for readers; harmless when done."""
        if self._master is None:
            self._open()
        if self._epoll is None and self._master is not None:
            self._loop = asyncio.get_running_loop()
            self._epoll = select.epoll()
            self._epoll.register(self._master, select.EPOLLIN | select.EPOLLPRI | select.EPOLLET)
            self._loop.add_reader(self._epoll.fileno(), self._woken)

    async def close(self) -> None:
        """Unplug for good; the symbolic link goes too. Harmless more than once."""
        self.unplug()
        if self._link_path is not None:
            with contextlib.suppress(FileNotFoundError):
                if self._link_path.is_symlink() and str(self._link_path.readlink()) == self._slave_path:
                    self._link_path.unlink()

    def unplug(self) -> None:
        """Take the cable out: whoever has the port open sees it vanish; ``start`` plugs in again."""
        self._drop_tail()
        if self._epoll is not None and self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
        if self._master is not None:
            self._poll.unregister(self._master)
            os.close(self._master)
            self._master = None
        self._opened_at = None
        self._flushed = False

    def express(self, metric: str, value: float) -> float:
        """SpO2 and pulse rate as integers, perfusion index with two decimals. Raises ValueError."""
        decimals = _METRICS.get(metric)
        if decimals is None:
            msg = f"{self.id}: a {self.profile} carries {', '.join(sorted(self.metrics))}, not {metric!r}"
            raise ValueError(msg)
        expressed = rounded(value, decimals) / 10.0**decimals
        low, high = METRICS[metric].low, _HIGHEST.get(metric, METRICS[metric].high)
        if not low <= expressed <= high:
            msg = f"{self.id}: {metric} {value!r} is outside {low:g}..{high:g}"
            raise ValueError(msg)
        return expressed

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Send one line. Raises ValueError, and LinkError when nobody reads (nothing was sent then)."""
        expressed = {metric: self.express(metric, value) for metric, value in values.items()}
        at = device_time
        if at is None:
            at = datetime.fromtimestamp(self._clock.now_ns() // SECOND, self._zone)
        await self.send_raw(masimo_line(at, expressed, self._serial_number))
        return expressed

    async def send_raw(self, data: bytes) -> None:
        """Send any bytes (noise, half lines). Raises LinkError when nobody reads; never waits."""
        if not self.ready() or self._master is None:
            msg = f"{self.id}: nobody has {self.address} open"
            raise LinkError(msg, device=self.id)
        if self._tail:
            self._write_tail()
        try:
            sent = 0 if self._tail else os.write(self._master, data)
        except BlockingIOError:
            sent = 0
        if not sent:
            msg = f"{self.id}: whoever has {self.address} open does not read it"
            raise LinkError(msg, device=self.id)
        self._tail = data[sent:]
        if self._tail:
            self._write_later()

    def ready(self) -> bool:
        """Whether somebody has the port open and reads it."""
        self._look()
        if self._opened_at is None:
            return False
        return self._flushed or self._clock.monotonic_ns() - self._opened_at >= SETTLE_S * SECOND

    async def wait_ready(self) -> None:
        """Return as soon as somebody does."""
        while not self.ready():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()

    def _open(self) -> None:
        link = self._link_path
        if link is not None and link.exists() and not link.is_symlink():
            msg = f"{link} exists and is no symbolic link: choose another path for the twin {self.id!r}"
            raise ConfigError(msg, device=self.id)
        self._master, slave = os.openpty()
        try:
            self._slave_path = os.ttyname(slave)
            tty.setraw(slave)  # no echo, no line editing, until a reader sets its own mode
            fcntl.ioctl(self._master, termios.TIOCPKT, struct.pack("i", 1))
            os.set_blocking(self._master, False)
        finally:
            os.close(slave)  # from now on a hang-up tells that nobody has the port open
        self._poll.register(self._master, select.POLLIN)
        if link is not None:
            self._link(link)

    def _link(self, link: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f"{link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._slave_path)
        fresh.replace(link)

    def _woken(self) -> None:
        if self._epoll is not None:
            self._epoll.poll(0)
            self._look()
            self._changed.set()

    def _look(self) -> None:
        """Learn from the pty whether the port is open, and whether its reader has flushed since."""
        master = self._master
        if master is None:
            return
        while True:
            try:
                packet = os.read(master, 4096)
            except OSError:  # nothing more to read, or nobody there (EIO)
                break
            if packet[:1] and packet[0] & termios.TIOCPKT_FLUSHREAD:
                self._flushed = True
        if any(event & select.POLLHUP for _, event in self._poll.poll(0)):
            self._opened_at = None
            self._flushed = False
            self._drop_tail()
        elif self._opened_at is None:
            self._opened_at = self._clock.monotonic_ns()

    def _write_later(self) -> None:
        if self._tail_timer is None:
            self._tail_timer = asyncio.get_running_loop().call_later(TAIL_S, self._write_tail)

    def _write_tail(self) -> None:
        self._drop_timer()
        if self._master is None:
            return
        with contextlib.suppress(BlockingIOError):
            self._tail = self._tail[os.write(self._master, self._tail) :]
        if self._tail:
            self._write_later()

    def _drop_tail(self) -> None:
        self._tail = b""
        self._drop_timer()

    def _drop_timer(self) -> None:
        if self._tail_timer is not None:
            self._tail_timer.cancel()
            self._tail_timer = None
