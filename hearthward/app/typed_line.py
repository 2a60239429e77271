"""A line that a person types, awaited without a thread: Ctrl-C and time limits end the question at once."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["typed_line"]

MOST: Final = 4096
"""Bytes of one line; what is longer is no answer to a question."""


async def typed_line(question: str) -> str | None:
    """What is typed after ``question`` (shown on stderr), without its end; None when there is nobody.

    What comes after the line on a pipe is read with it, and lost.
    """
    click.echo(question, nl=False, err=True)
    line = None
    try:
        line = await _line()
    finally:
        if line is None:  # no Enter was pressed: what is said next begins a line
            click.echo(err=True)
    return line


async def _line() -> str | None:
    try:
        number = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or a test's own
        return await _read()
    loop = asyncio.get_running_loop()
    whole: asyncio.Future[str | None] = loop.create_future()
    try:
        with _reading(loop, number, whole):
            return await whole
    except (PermissionError, NotImplementedError):  # a file, which never keeps one waiting; or no Unix
        return await _read()


@contextmanager
def _reading(
    loop: asyncio.AbstractEventLoop, number: int, whole: asyncio.Future[str | None]
) -> Iterator[None]:
    """Read until ``whole`` has a line, or None at the end of the input."""
    typed = bytearray()

    def arrived() -> None:
        try:
            some = os.read(number, MOST)
        except BlockingIOError:
            return
        except OSError:  # the terminal has gone
            some = b""
        typed.extend(some)
        line, end, _ = bytes(typed).partition(b"\n")
        if (end or not some or len(typed) >= MOST) and not whole.done():
            whole.set_result(line.decode(errors="replace") if end or line else None)

    loop.add_reader(number, arrived)
    try:
        yield
    finally:
        loop.remove_reader(number)


async def _read() -> str | None:
    if sys.stdin is None:
        return None
    try:
        line = await asyncio.to_thread(sys.stdin.readline)
    except (OSError, ValueError):
        return None
    return line.rstrip("\r\n") if line else None
