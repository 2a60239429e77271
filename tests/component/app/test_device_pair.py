"""``hearthward devices pair`` as a person runs it: a process of its own, at a real terminal."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices.twins.peripheral import Security
from devices.twins.profile_twin import ProfileTwin
from devices.twins.world import TwinWorld
from tests.component.app.commands import refused
from tests.programs import ROOT

pytestmark = pytest.mark.usefixtures("clean_settings")
DIGITS = 271_828
QUESTION = "The six digits that the device shows: "
AT_TERMINAL = (
    "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "from hearthward.app.cli import main; main(sys.argv[1:], prog_name='hearthward')"
)


@pytest.fixture
async def world() -> AsyncIterator[TwinWorld]:
    async with TwinWorld(seed=7) as made:
        yield made


class Terminal:
    """The command's terminal: its keys, and what stands on it."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self._master = master
        self.process = process
        self.shown = ""

    def type(self, keys: bytes) -> None:
        assert os.write(self._master, keys) == len(keys)

    def _read(self) -> None:
        try:
            self.shown += os.read(self._master, 4096).decode()
        except BlockingIOError:
            return
        except OSError:  # the other end is closed
            return

    async def wait_for(self, text: str) -> None:
        while text not in self.shown:
            assert self.process.returncode is None, self.shown
            await asyncio.sleep(0.02)
            self._read()

    async def ended(self) -> int:
        """The exit code."""
        code = await self.process.wait()
        self._read()
        return code


@asynccontextmanager
async def terminal(*arguments: str) -> AsyncIterator[Terminal]:
    """The command at a terminal of its own; ended with the body."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", AT_TERMINAL, *arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        start_new_session=True,
    )
    os.close(slave)
    try:
        async with asyncio.timeout(40):
            yield Terminal(master, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


async def scale(world: TwinWorld) -> tuple[ProfileTwin, str]:
    """A scale that shows digits, and the radio that hears it."""
    twin = world.add("sig-weight-scale", "scale", security=Security("passkey", DIGITS))
    assert isinstance(twin, ProfileTwin)
    await world.start()
    return twin, f"tcp-client:127.0.0.1:{await world.serve_hci('127.0.0.1', 0)}"


async def test_a_person_types_the_digits_and_it_is_paired(world: TwinWorld, tmp_path: Path):
    twin, radio = await scale(world)
    pair = ("--data", str(tmp_path), "devices", "pair", twin.address, "--radio", radio)
    async with terminal(*pair) as at:
        await at.wait_for(QUESTION)
        at.type(b"27182\n")
        await at.wait_for("not six digits")
        at.type(b"271 828\n")
        assert await at.ended() == 0
        assert f"paired with {twin.address}" in at.shown
    (bond,) = json.loads((tmp_path / "edge" / "bonds.json").read_text())
    assert bond.partition("/")[0] == twin.address


async def test_ctrl_c_at_the_question_ends_it_at_once(world: TwinWorld, tmp_path: Path):
    twin, radio = await scale(world)
    pair = ("--data", str(tmp_path), "devices", "pair", twin.address, "--radio", radio)
    async with terminal(*pair) as at:
        await at.wait_for(QUESTION)
        at.type(b"\x03")
        async with asyncio.timeout(8):
            assert await at.ended() == 1
        assert "Aborted" in at.shown
        assert "Traceback" not in at.shown
    assert not (tmp_path / "edge" / "bonds.json").exists()
    async with asyncio.timeout(5):
        await twin.wait_free()


async def test_nobody_who_knows_the_digits_is_told_in_one_line(world: TwinWorld, tmp_path: Path):
    twin, radio = await scale(world)
    pair = ("--data", str(tmp_path), "devices", "pair", twin.address, "--radio", radio)
    async with terminal(*pair) as at:
        await at.wait_for(QUESTION)
        at.type(b"\x04")
        assert await at.ended() == 1
    (said,) = [line for line in at.shown.partition(QUESTION)[2].splitlines() if line.strip("^D\b ")]
    assert said.startswith(f"hearthward: {twin.address}: the device shows six digits and wants them typed in")


@pytest.mark.parametrize("passkey", ["123", "12345a", ""], ids=["short", "letter", "empty"])
def test_a_passkey_that_is_none_is_refused_before_anything_is_looked_for(tmp_path: Path, passkey: str):
    said = refused(
        *("--data", tmp_path, "devices", "pair", "C0:00:00:00:00:01"),
        *("--radio", "tcp-client:127.0.0.1:1", "--passkey", passkey),
        code=2,
    )
    assert "six digits" in said
    assert not any(tmp_path.iterdir())
