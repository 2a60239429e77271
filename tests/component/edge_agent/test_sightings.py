"""A gateway tells over a real broker what is around it, and listens when its cloud asks it to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from devices.discovery import Discovery
from devices.links.fake_surroundings import FakeSurroundings
from devices.links.ports import SerialPort
from devices.links.radio import Sighting as Heard
from edge_agent import ConfigStore, Outbox
from edge_agent.uplink.around import SightingTeller
from firmware_profiles import load_catalog
from hearthward.core.clock import SystemClock
from hearthward.core.sightings import Ask
from hearthward.core.telemetry import Telemetry
from tests.component.edge_agent.brokers import GATEWAY, KEY, Broker, Consumer
from tests.component.edge_agent.test_agent import gateway, signed

PORT = SerialPort("/dev/a", "0403:6001", "FT232R", "FTDI", "UART")
CUFF = Heard("C0:00:00:00:00:01", "BP", -50, frozenset({"1810"}))


async def test_what_is_around_is_told_and_a_scan_is_made_when_asked(
    broker: Broker,
    open_outbox: Callable[..., Awaitable[Outbox]],
    tmp_path: Path,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(SightingTeller.__init__.__kwdefaults__, "every_s", 0.05)
    around = FakeSurroundings()
    around.plugged, around.near = [PORT], [CUFF]
    discovery = Discovery(load_catalog(), around, SystemClock())
    store, box = ConfigStore(tmp_path / "config"), await open_outbox()
    store.save(signed(3, "a"))
    async with (
        Consumer(broker.port) as consumer,
        gateway(box, store, broker.port, telemetry, discovery=discovery),
    ):
        await consumer.until(lambda: any(s.sightings for s in consumer.sightings))
        (port,) = consumer.sightings[-1].sightings
        assert (port.address, port.device, port.why, port.usb) == ("/dev/a", "a", "port", "0403:6001")
        assert around.scans == []
        ask = Ask(GATEWAY, "scan", 5, 1)
        await consumer.publish("ask", ask.encode())
        await consumer.publish("ask", ask.signed(KEY.sign(ask.signed_part())).encode())
        await consumer.until(lambda: len(consumer.sightings[-1].sightings) > 1)
        assert {s.profile for s in consumer.sightings[-1].sightings} == {"", "sig-blood-pressure"}
    assert around.scans == [5]
    assert telemetry.value("asks_refused_total", reason="signature") == 1
