"""The serial link over real ptys: what goes wrong on a wire."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from devices.links.ports import list_ports, port_facts
from devices.links.serial import SerialLink
from devices.twins.serial import MasimoTwin, masimo_line
from firmware_profiles import load_catalog
from hearthward.core.errors import DecodeError, LinkError

CATALOG = load_catalog()
MASIMO = CATALOG.get("masimo-ascii1")
AT = datetime(2022, 2, 16, 22, 47, 45)  # noqa: DTZ001 - a device's clock has no zone
NOBODY = 65534


@pytest.fixture
async def twin(tmp_path: Path) -> AsyncIterator[MasimoTwin]:
    made = MasimoTwin("m", link_path=tmp_path / "port")
    await made.start()
    yield made
    await made.close()


class Ear:
    """A serial link that runs, and what came through it."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.noise: list[tuple[bytes, str]] = []
        self.news = asyncio.Event()

    def on_payload(self, source: str, payload: bytes, _ago: int = 0) -> None:
        assert source == "ascii1"
        self.frames.append(payload)
        self.news.set()

    def on_noise(self, head: bytes, error: DecodeError) -> None:
        self.noise.append((head, error.reason))
        self.news.set()

    async def wait_for(self, *, frames: int = 0, noise: int = 0) -> None:
        while len(self.frames) < frames or len(self.noise) < noise:
            self.news.clear()
            await self.news.wait()

    @asynccontextmanager
    async def listening(self, twin: MasimoTwin) -> AsyncIterator[asyncio.Task[None]]:
        self.link = SerialLink(twin.address, MASIMO, on_noise=self.on_noise)
        await self.link.connect()
        running = asyncio.create_task(self.link.run((), self.on_payload))
        try:
            await twin.wait_ready()
            yield running
        finally:
            running.cancel()
            await asyncio.wait([running])
            await self.link.close()


async def test_half_lines_are_put_together_however_they_are_cut(twin: MasimoTwin):
    ear = Ear()
    lines = [masimo_line(AT, {"spo2": 90 + n}) for n in range(5)]
    stream = b"".join(lines)
    async with ear.listening(twin):
        for start in range(0, len(stream), 7):
            await twin.send_raw(stream[start : start + 7])
            await asyncio.sleep(0)
        await ear.wait_for(frames=5)
    assert ear.frames == [line.removesuffix(b"\r\n") for line in lines]


async def test_noise_is_told_and_costs_no_more_than_its_line(twin: MasimoTwin):
    ear = Ear()
    async with ear.listening(twin):
        await twin.send_raw(bytes(range(128, 256)) * 8)
        await twin.send_raw(b"\r\n" + masimo_line(AT, {"spo2": 97}))
        await ear.wait_for(frames=1, noise=1)
    assert ear.noise == [(bytes(range(128, 160)), "oversized")]
    (reading,) = MASIMO.decode("ascii1", ear.frames[-1])
    assert reading.value == 97


async def test_bytes_sent_before_run_are_not_lost(twin: MasimoTwin):
    ear = Ear()
    link = SerialLink(twin.address, MASIMO)
    await link.connect()
    await twin.wait_ready()
    await twin.send({"spo2": 91})
    running = asyncio.create_task(link.run((), ear.on_payload))
    await ear.wait_for(frames=1)
    running.cancel()
    await asyncio.wait([running])
    await link.close()


async def test_unplugging_ends_it_and_plugging_in_again_at_the_same_path_goes_on(twin: MasimoTwin):
    for spo2 in (95, 96, 97):
        ear = Ear()
        async with ear.listening(twin) as running:
            await twin.send({"spo2": spo2})
            await ear.wait_for(frames=1)
            twin.unplug()
            with pytest.raises(LinkError, match="was unplugged") as caught:
                await running
            assert twin.address in str(caught.value)
        await twin.start()


async def test_a_missing_port_is_named(tmp_path: Path):
    path = str(tmp_path / "ttyUSB7")
    with pytest.raises(LinkError, match="is not there") as caught:
        await SerialLink(path, MASIMO).connect()
    assert path in str(caught.value)


async def test_a_port_in_use_is_said_to_be(twin: MasimoTwin):
    async with Ear().listening(twin):
        with pytest.raises(LinkError, match="in use by another program"):
            await SerialLink(twin.address, MASIMO).connect()


@contextmanager
def powerless(path: Path) -> Iterator[None]:
    """Without the right to open ``path``, even when the tests run as root."""
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def test_a_forbidden_port_says_what_to_do():
    twin = MasimoTwin("m")
    await twin.start()
    try:
        with powerless(Path(twin.address)), pytest.raises(LinkError, match="group 'dialout'") as caught:
            await SerialLink(twin.address, MASIMO).connect()
        assert twin.address in str(caught.value)
    finally:
        await twin.close()


@pytest.mark.parametrize(("kind", "why"), [("folder", "is a folder"), ("file", "is not a serial port")])
async def test_what_is_no_port_is_refused(tmp_path: Path, kind: str, why: str):
    path = tmp_path / "thing"
    path.mkdir() if kind == "folder" else path.write_text("x")
    with pytest.raises(LinkError, match=why):
        await SerialLink(str(path), MASIMO).connect()


async def test_a_bluetooth_profile_is_refused_on_a_port(twin: MasimoTwin):
    with pytest.raises(LinkError, match="not for a serial port"):
        await SerialLink(twin.address, CATALOG.get("sig-heart-rate")).connect()


async def test_without_a_profile_only_the_ports_facts_are_read(twin: MasimoTwin):
    link = SerialLink(twin.address, None)
    facts = await link.connect()
    assert (facts.transport, facts.usb) == ("serial", None)
    assert not twin.ready()
    with pytest.raises(LinkError, match="not open"):
        await link.run((), lambda _source, _payload, _ago=0: None)
    await link.close()


def test_ports_are_listed_and_an_unknown_one_has_no_facts():
    assert [port.path for port in list_ports()] == sorted(port.path for port in list_ports())
    assert port_facts("/nonexistent/tty").usb is None
