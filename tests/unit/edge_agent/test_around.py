"""What is around a gateway, told to the cloud; and what the cloud may ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devices.consents import Consent, Consents
from edge_agent import CloudTrust
from edge_agent.uplink.around import SightingTeller
from hearthward.core.clock import EventClock
from hearthward.core.device_states import Sighting
from hearthward.core.sightings import Ask, Sightings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.keys import SigningKey

KEY = SigningKey.new()
CUFF = Sighting("ble", "C0:00", 1, 2, "cuff", profile="sig-blood-pressure")


class Seen:
    """An ``Around`` of memory."""

    def __init__(self) -> None:
        self.on_change: Callable[[bool], None] = lambda _urgent: None
        self.trouble = ""
        self.found: list[Sighting] = []
        self.asked: list[int] = []

    def sightings(self) -> list[Sighting]:
        return self.found

    def ask(self, seconds: int) -> None:
        self.asked.append(seconds)


class Client:
    """An MQTT client of memory; ``grant`` is the broker's answer to subscriptions."""

    def __init__(self, grant: int = 1) -> None:
        self.sent: list[Sightings] = []
        self.subscribed: list[str] = []
        self.news = asyncio.Event()
        self._grant = grant

    async def subscribe(self, topic: Any) -> tuple[int, ...]:
        self.subscribed += [name for name, _ in topic]
        return (self._grant,)

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's
        assert (topic, qos, retain) == ("hw/1/main/gw-1/sightings", 1, False)
        self.sent.append(Sightings.decode(payload))
        self.news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self.news.clear()
                await self.news.wait()


class Rig:
    def __init__(
        self, folder: Path, *, key: bytes | None = KEY.public, watches: bool = True, **pace: float
    ) -> None:
        self.watched: list[tuple[str, int]] = []
        self.around, self.telemetry, self.clock = Seen(), Telemetry(), EventClock(7)
        self.consents = Consents(folder / "consents.json")
        trust = CloudTrust(folder / "cloud-key", clock=self.clock, key=key)
        self.teller = SightingTeller(
            self.around,
            trust,
            tenant="main",
            gateway="gw-1",
            session="s-1",
            clock=self.clock,
            telemetry=self.telemetry,
            consents=self.consents,
            watcher=self if watches else None,
            **{"every_s": 0.02, "strangers_s": 0.1} | pace,
        )

    def watch(self, device: str, seconds: int) -> None:
        self.watched.append((device, seconds))

    @asynccontextmanager
    async def telling(self, client: Client) -> AsyncIterator[None]:
        task = asyncio.create_task(self.teller.run(client))
        try:
            yield
        finally:
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])


async def test_everything_is_told_at_each_connect_and_again_when_there_is_news(tmp_path: Path):
    rig, client = Rig(tmp_path), Client()
    async with rig.telling(client):
        await client.until(1)
        assert client.subscribed == ["hw/1/main/gw-1/ask"]
        assert client.sent == [Sightings("gw-1", "s-1", 7, ())]
        rig.around.found, rig.around.trouble = [CUFF], "the radio is off"
        await asyncio.sleep(0.15)
        assert len(client.sent) == 1, "nothing said that there is news"
        rig.around.on_change(True)
        await client.until(2)
        assert client.sent[1] == Sightings(
            "gw-1", "s-1", 7, (CUFF,), hearing=False, trouble="the radio is off"
        )
    again = Client()
    async with rig.telling(again):
        await again.until(1)
        assert again.sent[0].sightings == (CUFF,)


async def test_news_of_strangers_waits_longer_and_any_number_of_changes_is_one_message(tmp_path: Path):
    rig, client = Rig(tmp_path, every_s=0.05, strangers_s=60), Client()
    async with rig.telling(client):
        await client.until(1)
        for _ in range(100):
            rig.around.on_change(False)
        await asyncio.sleep(0.15)
        assert len(client.sent) == 1
        rig.around.on_change(True)
        await client.until(2)
    rig, client = Rig(tmp_path, every_s=0.01, strangers_s=0.05), Client()
    async with rig.telling(client):
        rig.around.on_change(False)
        await client.until(1)
        rig.around.on_change(False)
        await client.until(2)


async def test_a_broker_that_forbids_being_asked_costs_only_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    rig, client = Rig(tmp_path), Client(grant=0x80)
    async with rig.telling(client):
        await client.until(1)
    assert "does not let this gateway be asked" in caplog.text


def asked(seconds: int = 10, issued: int = 5, gateway: str = "gw-1", key: SigningKey = KEY) -> bytes:
    ask = Ask(gateway, "scan", seconds, issued)
    return ask.signed(key.sign(ask.signed_part())).encode()


async def test_what_the_cloud_asks_is_done_once(tmp_path: Path):
    rig = Rig(tmp_path)
    for payload in (asked(), asked(), asked(20, issued=6), asked(30, issued=5)):
        await rig.teller.take(payload)
    assert rig.around.asked == [10, 20]
    assert rig.telemetry.value("asks_done_total", kind="scan") == 2
    assert rig.telemetry.value("asks_refused_total", reason="repeated") == 2


def agreed(user: int, code: int, issued: int, key: SigningKey = KEY) -> bytes:
    ask = Ask("gw-1", "consent", 0, issued, consent=("c0:00:00:00:00:01", user, code))
    return ask.signed(key.sign(ask.signed_part())).encode()


async def test_a_consent_is_kept_where_the_links_look_for_it_and_its_code_is_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    rig = Rig(tmp_path)
    for payload in (agreed(1, 4711, 5), agreed(2, 9988, 5), agreed(3, 5566, 6, SigningKey.new())):
        await rig.teller.take(payload)
    kept = await Consents(tmp_path / "consents.json").of("C0:00:00:00:00:01")
    assert kept == Consent(1, 4711)
    assert rig.around.asked == []
    assert rig.telemetry.value("asks_done_total", kind="consent") == 1
    assert not any(code in caplog.text for code in ("4711", "9988", "5566"))


async def test_a_consent_that_cannot_be_kept_is_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    rig = Rig(tmp_path)
    (tmp_path / "consents.json").mkdir()
    await rig.teller.take(agreed(1, 4711, 5))
    assert rig.telemetry.value("asks_refused_total", reason="disk") == 1
    assert rig.telemetry.value("asks_done_total", kind="consent") == 0
    assert "cannot be kept" in caplog.text


async def test_a_device_is_watched_once_when_it_is_asked_for_and_can_be(tmp_path: Path):
    ask = Ask("gw-1", "watch", 60, 6, device="oxi")
    payload = ask.signed(KEY.sign(ask.signed_part())).encode()
    signature = ask.signed(KEY.sign(ask.signed_part())).signature
    other = Ask("gw-1", "watch", 60, 7, signature, device="ecg").encode()
    rig = Rig(tmp_path)
    for one in (asked(), payload, payload, other):
        await rig.teller.take(one)
    assert (rig.watched, rig.around.asked) == ([("oxi", 60)], [10])
    assert rig.telemetry.value("asks_done_total", kind="watch") == 1
    assert rig.telemetry.value("asks_refused_total", reason="repeated") == 1
    assert rig.telemetry.value("asks_refused_total", reason="signature") == 1  # that of another device
    rig = Rig(tmp_path, watches=False)
    await rig.teller.take(payload)
    assert rig.watched == []
    assert rig.telemetry.value("asks_refused_total", reason="unable") == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"noise", "malformed"),
        (asked(gateway="gw-2"), "gateway"),
        (asked(key=SigningKey.new()), "signature"),
        (Ask("gw-1", "scan", 10, 5).encode(), "signature"),
    ],
    ids=["noise", "another gateway", "another key", "no signature"],
)
async def test_what_nobody_believes_is_not_done(tmp_path: Path, payload: bytes, reason: str):
    rig = Rig(tmp_path)
    await rig.teller.take(payload)
    assert rig.around.asked == []
    assert rig.telemetry.value("asks_refused_total", reason=reason) == 1


async def test_before_any_cloud_is_known_nothing_is_done(tmp_path: Path):
    rig = Rig(tmp_path, key=None)
    await rig.teller.take(asked())
    assert rig.around.asked == []
    assert rig.telemetry.value("asks_refused_total", reason="no-key") == 1
