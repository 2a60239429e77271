"""A virtual instrument's end of a serial port: a pty whose other end the gateway opens (Linux)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import struct
import termios
import tty
from pathlib import Path
from typing import Final, Literal

from devices.twins.base import Measuring
from hearthward.core.clock import SECOND, Clock, SystemClock
from hearthward.core.errors import ConfigError, LinkError

__all__ = ["LOOK_S", "SETTLE_S", "TAIL_S", "PtyTwin"]

SETTLE_S: Final = 0.5
"""A reader that never flushes its input (``cat``) counts as listening when it had the port open so long."""
LOOK_S: Final = 0.1
"""Opening a pty wakes nobody on the other side: a waiting twin looks so often (flushing does wake it)."""
TAIL_S: Final = 0.02
"""The rest of a half-written line is tried again so often."""


class PtyTwin(Measuring):
    """The pty exists as soon as the twin does; what the reader writes goes to ``_received``.

    ``address`` is the pty's path, or ``link_path``: a symbolic link kept to it, so that the same path
    leads to it after a restart.

    It listens for a reader by the pty's packet mode: a reader that opens a port flushes the input, and what
    was sent before would be lost with it; so only a flush after the opening makes the twin ready.
    """

    transport: Literal["serial"] = "serial"

    def __init__(self, id: str, *, clock: Clock | None = None, link_path: Path | None = None) -> None:  # noqa: A002
        self.id = id
        self._clock = clock or SystemClock()
        self._link_path = link_path
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
        self._hung_up()

    async def send_raw(self, data: bytes) -> None:
        """Send any bytes (noise, half lines). Raises LinkError when nobody reads; never waits."""
        if not self.ready():
            msg = f"{self.id}: nobody has {self.address} open"
            raise LinkError(msg, device=self.id)
        if not self._say(data):
            msg = f"{self.id}: whoever has {self.address} open does not read it"
            raise LinkError(msg, device=self.id)

    def _say(self, data: bytes) -> bool:
        """Put bytes on the line; False: none of them, since it is full or there is no line."""
        if self._master is None:
            return False
        if self._tail:
            self._write_tail()
        try:
            sent = 0 if self._tail else os.write(self._master, data)
        except BlockingIOError:
            sent = 0
        if not sent:
            return False
        self._tail = data[sent:]
        if self._tail:
            self._write_later()
        return True

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

    def _received(self, data: bytes) -> None:
        """Take what the reader wrote."""

    def _hung_up(self) -> None:
        """Take notice that nobody has the port open any more."""

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
            elif packet[:1] == b"\0" and len(packet) > 1:
                self._received(packet[1:])
        if any(event & select.POLLHUP for _, event in self._poll.poll(0)):
            if self._opened_at is not None:
                self._hung_up()
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
