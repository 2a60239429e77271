"""The Masimo twin over real ptys, against readers other than our own link."""

from __future__ import annotations

import asyncio
import os
import re
import termios
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pytest

from devices.twins.serial import MasimoTwin, masimo_line
from hearthward.core.clock import EventClock, parse_iso
from hearthward.core.errors import ConfigError, LinkError

AT = datetime(2022, 2, 16, 22, 47, 45)  # noqa: DTZ001 - a device's clock has no zone


@asynccontextmanager
async def plugged(twin: MasimoTwin):
    await twin.start()
    try:
        yield twin
    finally:
        await twin.close()


@contextmanager
def reader(path: str, *, flush: bool = True):
    """Open a port the way serial libraries do: set it up, then flush what is old."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if flush:
            termios.tcflush(fd, termios.TCIOFLUSH)
        yield fd
    finally:
        os.close(fd)


async def read_lines(fd: int, count: int) -> list[str]:
    """The next ``count`` lines: the kernel passes them on when it pleases."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    got = b""
    try:
        while got.count(b"\r\n") < count:
            await ready.wait()
            with suppress(BlockingIOError):
                got += os.read(fd, 65536)
            ready.clear()
    finally:
        loop.remove_reader(fd)
    *lines, rest = got.decode().split("\r\n")
    assert (len(lines), rest) == (count, "")
    return lines


async def fill(twin: MasimoTwin) -> int:
    """Send until the reader's buffer is full; returns how many lines went out."""
    sent = 0
    try:
        while True:
            await twin.send({"spo2": sent % 100}, device_time=AT)
            sent += 1
    except LinkError as error:
        if "does not read" not in str(error):
            raise
    return sent


def test_a_line_is_what_a_rad_8_sends():
    captured = (
        "02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% "
        "SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+-- ALARM=0000 EXC=000800"
    )
    at = datetime(2016, 2, 22, 22, 47, 45)  # noqa: DTZ001
    line = masimo_line(at, {"spo2": 98, "pulse_rate": 97, "perfusion_index": 3.6}, "0000056661").decode()
    assert line == captured.replace("EXC=000800", "EXC=000000") + "\r\n"
    empty = masimo_line(at, {}).decode()
    assert "SPO2=---% BPM=--- PI=--.--%" in empty


@pytest.mark.parametrize(
    ("metric", "value", "expressed"),
    [
        ("spo2", 97.5, 98),
        ("spo2", 96.49, 96),
        ("pulse_rate", 72.5, 73),
        ("pulse_rate", 0, 0),
        ("perfusion_index", 3.605, 3.61),
        ("perfusion_index", 0.004, 0),
    ],
)
async def test_values_are_rounded_half_away_from_zero(metric: str, value: float, expressed: float):
    async with plugged(MasimoTwin("m")) as twin:
        assert twin.express(metric, value) == expressed


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("spo2", 101),
        ("spo2", -1),
        ("spo2", float("nan")),
        ("pulse_rate", 351),
        ("perfusion_index", 99.996),
        ("nibp_systolic", 120),
    ],
)
async def test_what_the_wire_cannot_carry_is_refused(metric: str, value: float):
    async with plugged(MasimoTwin("m")) as twin:
        with pytest.raises(ValueError, match=r"m: |no finite number"):
            twin.express(metric, value)


async def test_nobody_listening_is_an_error_and_nothing_is_kept_for_later():
    async with plugged(MasimoTwin("m")) as twin:
        assert not twin.ready()
        with pytest.raises(LinkError, match="nobody has"):
            await twin.send({"spo2": 97})
        with reader(twin.address) as fd:
            await twin.wait_ready()
            await twin.send({"spo2": 95})
            assert "SPO2=095%" in (await read_lines(fd, 1))[0]


async def test_a_reader_is_ready_only_after_its_flush_and_again_after_reopening():
    async with plugged(MasimoTwin("m", clock=EventClock(frozen_monotonic=True))) as twin:
        for _ in range(3):
            with reader(twin.address, flush=False) as fd:
                assert not twin.ready()
                termios.tcflush(fd, termios.TCIFLUSH)
                await twin.wait_ready()
                assert twin.ready()
            assert not twin.ready()


async def test_a_reader_that_never_flushes_counts_after_a_while():
    clock = EventClock(1, frozen_monotonic=True)
    async with plugged(MasimoTwin("m", clock=clock)) as twin:
        with reader(twin.address, flush=False) as fd:
            assert not twin.ready()
            clock.advance(1)
            await twin.wait_ready()
            await twin.send({"pulse_rate": 60})
            assert "BPM=060" in (await read_lines(fd, 1))[0]


async def test_a_close_and_reopen_between_two_looks_is_noticed():
    async with plugged(MasimoTwin("m", clock=EventClock(frozen_monotonic=True))) as twin:
        with reader(twin.address):
            await twin.wait_ready()
        await asyncio.sleep(0)  # the loop hears the hang-up by itself
        await asyncio.sleep(0)
        with reader(twin.address, flush=False):
            assert not twin.ready()


async def test_its_clock_shows_the_zones_local_time():
    clock = EventClock(parse_iso("2026-07-01T10:00:00Z"))
    async with plugged(MasimoTwin("m", clock=clock, timezone="Europe/Berlin")) as twin:
        with reader(twin.address) as fd:
            await twin.wait_ready()
            assert await twin.send({"spo2": 97.2}) == {"spo2": 97}
            await twin.send({}, device_time=AT)
            lines = await read_lines(fd, 2)
    assert lines[0].startswith("07/01/26 12:00:00 ")
    assert lines[1].startswith("02/16/22 22:47:45 ")


async def test_a_reader_that_does_not_read_never_blocks_and_no_line_is_torn():
    async with plugged(MasimoTwin("m")) as twin:
        with reader(twin.address) as fd:
            await twin.wait_ready()
            sent = await fill(twin)
            await twin.wait_ready()
            lines = await read_lines(fd, sent)
            await twin.send({"spo2": 55}, device_time=AT)
            lines += await read_lines(fd, 1)
    assert [int(line.split("SPO2=")[1][:3]) for line in lines] == [n % 100 for n in range(sent)] + [55]
    assert len(set(map(len, lines))) == 1


async def test_the_symbolic_link_leads_to_the_port_through_unplugging(tmp_path: Path):
    link = tmp_path / "ports" / "bed-1"
    async with plugged(MasimoTwin("m", link_path=link)) as twin:
        assert twin.address == str(link)
        with reader(twin.address) as fd:
            await twin.wait_ready()
            twin.unplug()
            assert os.read(fd, 10) == b""
            with pytest.raises(LinkError):
                await twin.send({"spo2": 97})
        await twin.start()
        assert link.readlink().exists()
        with reader(twin.address):
            await twin.wait_ready()
    assert not link.is_symlink()


async def test_a_file_in_the_links_place_is_left_alone(tmp_path: Path):
    place = tmp_path / "port"
    place.write_text("mine")
    with pytest.raises(ConfigError, match="no symbolic link"):
        MasimoTwin("m", link_path=place)
    assert place.read_text() == "mine"


async def test_twenty_twins_in_one_process():
    async with AsyncExitStack() as stack:
        twins = [await stack.enter_async_context(plugged(MasimoTwin(f"m{n}"))) for n in range(20)]
        assert len({twin.address for twin in twins}) == 20
        fds = [stack.enter_context(reader(twin.address)) for twin in twins]
        await asyncio.gather(*(twin.wait_ready() for twin in twins))
        for n, twin in enumerate(twins):
            await twin.send({"pulse_rate": 60 + n}, device_time=AT)
        rates = [re.findall(r"BPM=(\d+)", (await read_lines(fd, 1))[0]) for fd in fds]
    assert rates == [[f"{60 + n:03d}"] for n in range(20)]
