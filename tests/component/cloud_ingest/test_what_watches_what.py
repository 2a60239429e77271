"""The table "What watches what" of docs/operations.md: each loss, up to a message that a channel has taken.

Elsewhere: the way to the cloud (``component/app/test_bedside.py``: the gateway tells by itself), a hung
process (``unit/hearthward/app/test_systemd.py``), the machine (``unit/cloud_ingest/test_deadman.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.channels import Message
from cloud_ingest.emergency import AFTER_S
from cloud_ingest.pulse import BROKER, INGEST, NOTIFIER, RULES, WEB
from cloud_ingest.service import STORE_SERVER, WAVES
from cloud_ingest.watch import HEARTBEAT_URL
from hearthward.app import web_probe
from hearthward.app.cloud import BACKUP
from hearthward.app.seed import WARD_ID
from hearthward.app.web_probe import WebProbe
from hearthward.core.errors import DeliveryTemporary
from hearthward.core.messages import Accounts
from hearthward.core.wire import Gap, topic
from rules.response.duty import channel_of, wall_of
from tests.component.cloud_ingest.watched import HOME, Watched, furnished, watched
from tests.unit.cloud_ingest.ward import block, reading

GATEWAY = "gateway:gw-1"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(furnished(tmp_path_factory.mktemp("furnished") / "records.db"))


@pytest.fixture
async def cloud(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    async with watched(records, tmp_path, monkeypatch) as made:
        yield made


def emergencies(cloud: Watched) -> list[Message]:
    return [m for m in cloud.phone.taken if m.kind == "emergency"]


async def test_while_all_give_signs_of_life_nobody_is_told_anything(cloud: Watched):
    await cloud.pass_(130)
    assert await cloud.alarms() == set()
    assert [*cloud.page.taken, *cloud.phone.taken, *cloud.mail.taken] == []


# -- equipment


async def test_a_device_on_a_patient(cloud: Watched):
    cloud.dead.add("ox-1")
    await cloud.told("device-silent", "device:ox-1", 310, cloud.page)


async def test_measurements_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    two_days = 2 * 86_400.0
    at_home = await furnished(tmp_path / "furnished.db", two_days - 30)
    async with watched(at_home, tmp_path, monkeypatch) as cloud:
        await cloud.told("no-data-home", HOME, 40, cloud.page)


async def test_a_gateway(cloud: Watched):
    cloud.dead.add("gateway")
    await cloud.told("gateway-silent", GATEWAY, 200)


# -- parts of the cloud


async def test_the_broker(cloud: Watched):
    cloud.source.cut()
    cloud.dead |= {BROKER, "gateway"}
    await cloud.told("component-silent", "component:broker", 50)
    await cloud.told("component-silent", "component:broker", channel=cloud.mail)


async def test_ingest(cloud: Watched, monkeypatch: pytest.MonkeyPatch):
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(cloud.store, "append_many", hang)
    cloud.dead.add(INGEST)
    await cloud.told("component-silent", "component:ingest", 60)


async def test_the_rules(cloud: Watched):
    """No rule can tell of it: the notifier calls the engineers."""
    cloud.dead |= {INGEST, RULES, "books"}
    async with cloud.service.pipeline.turns.taken():
        await cloud.pass_(AFTER_S + 30)
        await cloud.until(lambda: bool(emergencies(cloud)))
        assert "no alarm has been decided" in emergencies(cloud)[0].text
        assert await cloud.alarms() == set()


async def test_the_notifier(cloud: Watched, monkeypatch: pytest.MonkeyPatch):
    """It is an alarm on walls and pages, which need no outbox; and what is left of it calls the engineers."""

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(cloud.notifier, "_until_next", hang)
    cloud.dead.add(NOTIFIER)
    await cloud.pass_(60)
    assert await cloud.alarms() == {("component-silent", "component:notifier")}
    await cloud.until(lambda: bool(emergencies(cloud)))
    assert "no message of an alarm is sent" in emergencies(cloud)[0].text


async def test_the_web(cloud: Watched, monkeypatch: pytest.MonkeyPatch):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    monkeypatch.setattr(web_probe, "EVERY_S", 0.01)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    probe = WebProbe(url, lambda: cloud.service.pulse.beat(WEB), cloud.telemetry)
    probing = asyncio.create_task(probe.run())
    cloud.probed = True
    try:
        await cloud.pass_(60)
        assert await cloud.alarms() == set()
        server.close()
        await server.wait_closed()
        await cloud.until(lambda: cloud.telemetry.value("web_probes_failed_total") > 0)
        cloud.dead.add(WEB)
        await cloud.told("component-silent", "component:web", 50)
    finally:
        server.close()
        probing.cancel()
        await asyncio.wait([probing])


async def test_a_wall(cloud: Watched):
    cloud.dead.add("wall")
    await cloud.told("wall-missing", wall_of(WARD_ID), 30)


async def test_a_channel_is_told_by_the_others(cloud: Watched):
    cloud.mail.broken = DeliveryTemporary("nobody answers")
    await cloud.told("channel-failing", channel_of("email"), 90)


async def test_the_address_outside_that_watches_the_machine(cloud: Watched):
    cloud.service.watch.heartbeat_failing = lambda: True
    await cloud.told("channel-failing", HEARTBEAT_URL, 10)


async def test_the_backup(cloud: Watched):
    cloud.service.facts.of_part(BACKUP)("the share is away")
    await cloud.told("part-failing", BACKUP, 210)


async def test_the_server_behind_the_store(cloud: Watched):
    cloud.store.tell("nobody answers")
    await cloud.told("part-failing", STORE_SERVER, 30, cloud.page)


async def test_the_file_of_waveforms(cloud: Watched):
    cloud.service.facts.of_part(WAVES)("the store of waveforms cannot be used now: disk image is malformed")
    await cloud.told("part-failing", WAVES, 30, cloud.page)


# -- gateways that do not do as they should


async def test_readings_that_are_missing_in_the_books(cloud: Watched):
    last = cloud.number() - 1
    said = Accounts("gw-1", "boot-1", last + 12, 0, ())
    cloud.source.deliver(topic("main", "gw-1", "account"), said.encode())
    cloud.dead.add("ox-1")
    assert "12" in await cloud.told("books-unbalanced", GATEWAY, 200)


async def test_readings_that_a_gateway_has_lost(cloud: Watched):
    first = cloud.number(50)
    cloud.send(gaps=(Gap(first, first + 49, "full"),))
    assert "50" in await cloud.told("readings-lost", GATEWAY, 30, cloud.page)


async def test_two_machines_under_one_name(cloud: Watched):
    cloud.send(block(1, reading(1, 55.0, device="ox-1")))
    await cloud.told("gateway-cloned", GATEWAY, 20)


async def test_an_old_configuration(cloud: Watched):
    cloud.config = "0" * 64
    await cloud.told("config-outdated", GATEWAY, 900, cloud.page)


async def test_what_a_gateway_cannot_do(cloud: Watched):
    cloud.trouble = {"rules": "failed"}
    await cloud.told("gateway-trouble", GATEWAY, 900, cloud.page)
