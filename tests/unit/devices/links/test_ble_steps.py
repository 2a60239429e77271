"""The steps of a Bluetooth session, over a client of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError

from devices.consents import NO_USER, Consent, Consents
from devices.gatt_time import LocalTime, counted_time, current_time, date_time, local_time, naive_ns
from devices.links.base import ControlPoint
from devices.links.ble_steps import BleSteps
from devices.links.pairing import PairingError, Why
from firmware_profiles import RacpStep, Step
from firmware_profiles.schema_transport import ClockBytes
from hearthward.core.clock import parse_iso
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

BASE = "0000{}-0000-1000-8000-00805f9b34fb"
NOW = parse_iso("2026-07-01T12:00:00Z")


@dataclass(eq=False)
class Characteristic:
    uuid: str
    properties: list[str]

    @property
    def handle(self) -> int:
        return id(self)


@dataclass
class Service:
    characteristics: list[Characteristic]


class Client:
    """What the steps need of a ``BleakClient``; ``fails`` holds the errors of the next requests."""

    def __init__(self, **properties: str) -> None:
        self.services = [
            Service([Characteristic(BASE.format(u[1:]), p.split()) for u, p in properties.items()])
        ]
        self.done: list[tuple[str, str, bytes]] = []
        self.values: dict[str, bytes] = {}
        self.fails: list[Exception] = []
        self.callbacks: dict[str, Callable[[object, bytearray], None]] = {}

    def _request(self, kind: str, characteristic: Characteristic | None, data: bytes = b"") -> str:
        if self.fails:
            raise self.fails.pop(0)
        short = f"{UUID(characteristic.uuid).int >> 96:04x}" if characteristic else ""
        self.done.append((kind, short, data))
        return short

    async def pair(self, **_arguments: object) -> None:
        self._request("pair", None)

    async def read_gatt_char(self, characteristic: Characteristic) -> bytearray:
        return bytearray(self.values.get(self._request("read", characteristic), b""))

    async def write_gatt_char(self, characteristic: Characteristic, data: bytes, *, response: bool) -> None:
        self._request("write" if response else "send", characteristic, data)

    async def start_notify(
        self, characteristic: Characteristic, callback: Callable[[object, bytearray], None]
    ) -> None:
        self.callbacks[self._request("subscribe", characteristic)] = callback

    async def stop_notify(self, characteristic: Characteristic) -> None:
        self._request("unsubscribe", characteristic)


class Aid:
    """What a session lends, noted."""

    def __init__(self, now: int | None = NOW) -> None:
        self.now = now
        self.shown: list[int] = []
        self.sets = 0
        self.talks: list[tuple[str, ControlPoint]] = []
        self.refusals = 0
        self.wrong = asyncio.Event()

    def local_time(self) -> LocalTime | None:
        return None if self.now is None else local_time(self.now, None)

    def clock_read(self, device_time: int) -> None:
        self.shown.append(device_time)

    def clock_set(self) -> None:
        self.sets += 1

    async def fetch(self, racp: RacpStep, control: ControlPoint) -> None:
        del racp
        self.talks.append(("fetch", control))
        if self.refusals:
            self.refusals -= 1
            msg = "refused"
            raise LinkError(msg, att=0x0E)

    async def tend(self, racp: RacpStep, control: ControlPoint) -> None:
        del racp
        self.talks.append(("tend", control))

    async def clock_wrong(self) -> None:
        await self.wrong.wait()
        self.wrong.clear()


class Rig:
    def __init__(self, client: Client) -> None:
        self.client: Any = client
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.steps = BleSteps("A", self.client, self.lost)
        self.received: list[tuple[str, bytes]] = []
        self.aid = Aid()

    def do(self, step: Step) -> Coroutine[Any, Any, None]:
        return self.steps.do(step, lambda source, payload: self.received.append((source, payload)), self.aid)


def refused(code: int) -> BleakGATTProtocolError:
    return BleakGATTProtocolError(code)


async def cause_of(doing: Coroutine[Any, Any, None]) -> tuple[object, str]:
    with pytest.raises(LinkError) as raised:
        await doing
    return raised.value.details.get("cause"), str(raised.value)


async def test_write_read_and_subscribe():
    rig = Rig(Client(u2a9f="write", uffe1="write-without-response", u2a19="read", u2a37="notify"))
    await rig.do(Step("write", "2a9f", data=b"\x01\x02"))
    await rig.do(Step("write", "ffe1", data=b"\x03"))
    rig.client.values["2a19"] = b"\x63"
    await rig.do(Step("read", "2a19"))
    await rig.do(Step("subscribe", "2a37", "notify"))
    await rig.do(Step("subscribe", "2a37", "notify"))
    rig.client.callbacks["2a37"](None, bytearray(b"\x00\x48"))
    assert rig.client.done == [
        ("write", "2a9f", b"\x01\x02"),
        ("send", "ffe1", b"\x03"),
        ("read", "2a19", b""),
        ("subscribe", "2a37", b""),
    ]
    assert rig.received == [("2a19", b"\x63"), ("2a37", b"\x00\x48")]


@pytest.mark.parametrize(
    "step",
    [
        Step("write", "2a9f", data=b"\x01"),
        Step("read", "2a9f"),
        Step("subscribe", "2a9f", "notify"),
        Step("set_time", "2a2b"),
        Step("racp", "2a52", racp=RacpStep("2a52", "2a18")),
    ],
)
async def test_what_the_device_lacks_is_an_error_unless_it_is_optional(step: Step):
    rig = Rig(Client(u2a19="read"))
    cause, said = await cause_of(rig.do(step))
    assert cause == Cause.LACKS_SERVICE.value
    assert "which its profile needs" in said
    await rig.do(Step(step.kind, step.characteristic, step.mode, optional=True, racp=step.racp))
    assert rig.client.done == []


async def test_a_step_is_tried_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("devices.links.ble_steps.RETRY_PAUSE_S", 0)
    rig = Rig(Client(u2a9f="write"))
    rig.client.fails = [refused(0x0E), refused(0x0E)]
    await rig.do(Step("write", "2a9f", data=b"\x01", retries=2))
    rig.client.fails = [refused(0x0E), refused(0x0E)]
    cause, said = await cause_of(rig.do(Step("write", "2a9f", data=b"\x01", retries=1)))
    assert cause == Cause.OTHER.value
    assert "2a9f" in said
    rig.client.fails = [refused(0x0E), refused(0x0E)]
    await rig.do(Step("write", "2a9f", data=b"\x02", retries=1, optional=True))
    assert rig.client.done == [("write", "2a9f", b"\x01")]


async def test_a_lost_link_is_never_taken_for_a_refusal():
    rig = Rig(Client(u2a9f="write"))
    rig.client.fails = [BleakError("gone")]
    rig.lost.set_result(None)
    cause, _ = await cause_of(rig.do(Step("write", "2a9f", data=b"\x01", retries=3, optional=True)))
    assert cause == Cause.LINK_LOST.value


@pytest.mark.parametrize(
    ("error", "mode", "cause"),
    [
        (PairingError("A", Why.REFUSED), "bond", Cause.PAIRED_ELSEWHERE),
        (PairingError("A", Why.KEYS_LOST), "passkey", Cause.PAIRED_ELSEWHERE),
        (PairingError("A", Why.PASSKEY_MISSING), "passkey", Cause.NEEDS_PASSKEY),
        (PairingError("A", Why.PASSKEY_WRONG), "passkey", Cause.NEEDS_PASSKEY),
        (BleakError("org.bluez.Error.AuthenticationFailed"), "bond", Cause.PAIRED_ELSEWHERE),
        (BleakError("org.bluez.Error.AuthenticationFailed"), "passkey", Cause.NEEDS_PASSKEY),
        (TimeoutError(), "bond", Cause.SILENT),
    ],
)
async def test_why_a_device_is_not_paired_is_told(error: Exception, mode: Any, cause: Cause):
    rig = Rig(Client())
    rig.client.fails = [error]
    assert (await cause_of(rig.do(Step("pair", mode=mode))))[0] == cause.value


@pytest.mark.parametrize(
    ("error", "mode", "what"),
    [
        ("AuthenticationFailed", "passkey", "shows six digits and wants them typed in"),
        ("AuthenticationTimeout", "bond", "shows six digits and wants them typed in"),
        ("AuthenticationFailed", "bond", "refuses to pair"),
        ("AuthenticationRejected", "passkey", "refuses to pair"),
    ],
)
async def test_what_bluez_refuses_is_told_with_the_command_to_run(error: str, mode: Any, what: str):
    rig = Rig(Client())
    rig.client.fails = [BleakError(f"[org.bluez.Error.{error}] Authentication Failed")]
    _, said = await cause_of(rig.do(Step("pair", mode=mode)))
    assert what in said
    assert "`hearthward devices pair A`" in said
    assert "org.bluez" not in said


async def test_a_system_that_pairs_by_itself_is_left_to_it():
    rig = Rig(Client())
    rig.client.fails = [NotImplementedError()]
    await rig.do(Step("pair", mode="bond"))
    await rig.do(Step("pair", mode="bond"))
    assert rig.client.done == [("pair", "", b"")]


@pytest.mark.parametrize(
    "error",
    [refused(0x0F), BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"])],
    ids=["att", "bluez"],
)
async def test_a_refusal_that_asks_for_a_bond_says_so(error: Exception):
    rig = Rig(Client(u2a9f="write"))
    rig.client.fails = [error, error]
    cause, said = await cause_of(rig.do(Step("write", "2a9f", data=b"\x01")))
    assert cause == Cause.NEEDS_PAIRING.value
    assert "asks to be paired" in said
    assert "`hearthward devices pair A`" in said
    await rig.do(Step("write", "2a9f", data=b"\x01", optional=True))


async def test_a_bond_without_digits_that_is_not_enough_is_told_as_that():
    rig = Rig(Client(u2a9f="write"))
    await rig.do(Step("pair", mode="bond"))
    rig.client.fails = [refused(0x05)]
    cause, said = await cause_of(rig.do(Step("write", "2a9f", data=b"\x01")))
    assert cause == Cause.NEEDS_PASSKEY.value
    assert "`hearthward devices pair A --again`" in said


SHOWN = datetime(2026, 7, 1, 12)  # noqa: DTZ001 - a device's clock has no zone


async def test_the_clock_is_read_then_set_with_its_zone():
    rig = Rig(Client(u2a2b="read write", u2a0f="read write"))
    before = datetime(2026, 7, 1, 11, 58)  # noqa: DTZ001
    rig.client.values["2a2b"] = current_time(before)
    await rig.do(Step("set_time", "2a2b"))
    assert rig.client.done == [
        ("read", "2a2b", b""),
        ("write", "2a0f", b"\x00\x00"),
        ("write", "2a2b", current_time(SHOWN)),
    ]
    assert rig.aid.shown == [naive_ns(before)]
    assert rig.aid.sets == 1


@pytest.mark.parametrize("refusals", [0, 1, 2])
async def test_a_device_that_refuses_its_zone_or_to_be_read_is_set_all_the_same(refusals: int):
    rig = Rig(Client(u2a2b="read write", u2a0f="read write"))
    rig.client.values["2a2b"] = current_time(SHOWN)
    rig.client.fails = [refused(0x02), refused(0x03)][:refusals]
    await rig.do(Step("set_time", "2a2b"))
    assert rig.client.done[-1] == ("write", "2a2b", current_time(SHOWN))
    assert rig.aid.sets == 1


@pytest.mark.parametrize("nonsense", [b"", bytes(10), b"\xff" * 10])
async def test_a_clock_that_tells_nothing_is_set_all_the_same(nonsense: bytes):
    rig = Rig(Client(u2a2b="read write"))
    rig.client.values["2a2b"] = nonsense
    await rig.do(Step("set_time", "2a2b"))
    assert (rig.aid.shown, rig.aid.sets) == ([], 1)


async def test_a_device_with_a_date_time_only_gets_that():
    rig = Rig(Client(u2a08="write"))
    await rig.do(Step("set_time", "2a2b"))
    assert rig.client.done == [("write", "2a08", date_time(SHOWN))]


async def test_fields_that_the_device_lets_go_are_no_failure():
    rig = Rig(Client(u2a2b="write"))
    rig.client.fails = [refused(0x80)]
    await rig.do(Step("set_time", "2a2b"))
    assert rig.aid.sets == 1
    rig.client.fails = [refused(0x03)]
    assert (await cause_of(rig.do(Step("set_time", "2a2b"))))[0] == Cause.OTHER.value


async def test_no_clock_is_set_by_a_gateway_whose_own_is_not_right():
    rig = Rig(Client(u2a2b="write"))
    rig.aid.now = None
    await rig.do(Step("set_time", "2a2b"))
    assert rig.client.done == []


async def test_a_store_is_listened_to_before_it_is_asked_and_tended_afterwards():
    rig = Rig(Client(u2a52="write indicate", u2a18="notify"))
    racp = Step("racp", "2a52", racp=RacpStep("2a52", "2a18", "sequence"))
    await rig.do(Step("subscribe", "2a18", "notify"))
    await rig.do(racp)
    assert [one[:2] for one in rig.client.done] == [("subscribe", "2a18"), ("subscribe", "2a52")]
    await rig.steps.tend(racp, rig.aid)
    assert [what for what, _ in rig.aid.talks] == ["fetch", "tend"]
    point = rig.aid.talks[0][1]
    await point.write(b"\x01\x01")
    rig.client.callbacks["2a52"](None, bytearray(b"\x06\x00\x01\x01"))
    rig.client.callbacks["2a18"](None, bytearray(b"record"))
    assert await point.answer(1) == b"\x06\x00\x01\x01"
    assert rig.received == [("2a18", b"record")]
    await point.subscribe()
    assert [one[0] for one in rig.client.done[-4:]] == ["unsubscribe", "subscribe"] * 2
    with pytest.raises(TimeoutError):
        await point.answer(0.001)


async def test_a_store_that_is_tried_again_hears_its_answers():
    rig = Rig(Client(u2a52="write indicate", u2a18="notify"))
    step = Step("racp", "2a52", racp=RacpStep("2a52", "2a18", "sequence"), retries=1)
    rig.aid.refusals = 1
    await rig.do(step)
    first, second = (point for _, point in rig.aid.talks)
    assert first is second
    rig.client.callbacks["2a52"](None, bytearray(b"\x06\x00\x01\x01"))
    assert await second.answer(1) == b"\x06\x00\x01\x01"


async def test_an_optional_store_that_is_refused_is_not_tended():
    rig = Rig(Client(u2a52="write indicate", u2a18="notify"))
    step = Step("racp", "2a52", racp=RacpStep("2a52", "2a18", "sequence"), optional=True)
    rig.aid.refusals = 1
    await rig.do(step)
    await rig.steps.tend(step, rig.aid)
    assert [what for what, _ in rig.aid.talks] == ["fetch"]


async def test_without_a_session_a_store_is_told_once():
    rig = Rig(Client(u2a52="write indicate", u2a18="notify"))
    step = Step("racp", "2a52", racp=RacpStep("2a52", "2a18", "sequence", delete=True))
    await rig.steps.do(step, lambda *_: None, None)
    assert rig.client.done[-1] == ("write", "2a52", b"\x01\x01")


async def test_keeping_alive_goes_on_until_it_fails():
    rig = Rig(Client(uffe1="write"))
    step = Step("keepalive", "ffe1", data=b"\x7d\x81\xaf", seconds=0.001)
    alive = asyncio.create_task(rig.steps.keep_alive(step))
    async with asyncio.timeout(5):
        while len(rig.client.done) < 3:  # noqa: ASYNC110 - the client of memory has no event
            await asyncio.sleep(0.001)
    rig.client.fails = [BleakError("gone")]
    with pytest.raises(LinkError):
        await alive
    assert set(rig.client.done) == {("write", "ffe1", b"\x7d\x81\xaf")}


async def test_a_step_for_a_serial_line_is_a_mistake_of_the_profile():
    rig = Rig(Client())
    assert (await cause_of(rig.do(Step("send", data=b"x"))))[0] == Cause.MISCONFIGURED.value


async def test_of_two_control_points_the_one_beside_the_records_is_asked():
    client = Client(c2a52="write indicate", c2aa7="notify")
    client.services += Client(c2a52="write indicate", c2a18="notify").services
    sensor, meter = (service.characteristics[0] for service in client.services)
    asked: list[Characteristic] = []
    client.write_gatt_char = _noting(asked)  # type: ignore[method-assign]
    steps = BleSteps("A", client, asyncio.get_running_loop().create_future())  # type: ignore[arg-type]
    for records in ("2a18", "2aa7"):
        await steps.do(Step("racp", "2a52", racp=RacpStep("2a52", records)), lambda *_: None, None)
    assert asked == [meter, sensor]
    assert [what for kind, what, _ in client.done if kind == "subscribe"] == ["2a18", "2a52", "2aa7", "2a52"]


def _noting(asked: list[Characteristic]) -> Callable[..., Coroutine[Any, Any, None]]:
    async def write(characteristic: Characteristic, _data: bytes, *, response: bool) -> None:
        assert response
        asked.append(characteristic)

    return write


async def test_an_answer_is_waited_for_and_one_of_before_is_none():
    rig = Rig(Client(uffe1="write notify"))
    await rig.do(Step("subscribe", "ffe1", "notify"))
    hear = rig.client.callbacks["ffe1"]
    hear(None, bytearray(b"\xe6\x00\x20"))
    await rig.do(Step("write", "ffe1", data=b"\xe6\x01"))
    cause, message = await cause_of(rig.do(Step("expect", "ffe1", data=b"\xe6\x00", seconds=0.01)))
    assert (cause, "ffe1 did not answer e6 00" in message) == (Cause.SILENT.value, True)
    waiting = asyncio.ensure_future(rig.do(Step("expect", "ffe1", data=b"\xe6\x00", seconds=5)))
    await asyncio.sleep(0)
    hear(None, bytearray(b"\xe7\x58"))
    await asyncio.sleep(0)
    assert not waiting.done()
    hear(None, bytearray(b"\xe6\x00\x20"))
    await waiting
    assert len(rig.received) == 3, "what is waited for is handed on like the rest"


async def test_an_answer_may_come_before_anybody_waits_for_it():
    rig = Rig(Client(uffe1="write notify"))
    await rig.do(Step("subscribe", "ffe1", "notify"))
    await rig.do(Step("write", "ffe1", data=b"\xe6\x01"))
    rig.client.callbacks["ffe1"](None, bytearray(b"\xe6\x00\x20"))
    await rig.do(Step("expect", "ffe1", data=b"\xe6\x00", seconds=0.01))


async def test_an_optional_answer_that_does_not_come_is_no_error():
    rig = Rig(Client(uffe1="write notify"))
    await rig.do(Step("subscribe", "ffe1", "notify"))
    await rig.do(Step("expect", "ffe1", data=b"\xe6\x00", seconds=0.01, optional=True))


@pytest.mark.parametrize(
    ("clock", "written"),
    [
        (ClockBytes(epoch="2010-01-01", before="02"), "02 40 c6 07 1f"),
        (ClockBytes(endian="big", before="E9"), "e9 6a 45 01 40"),
    ],
    ids=["little", "big"],
)
async def test_a_makers_own_clock_is_set_as_its_profile_says(clock: ClockBytes, written: str):
    rig = Rig(Client(u8a81="write"))
    await rig.do(Step("set_time", "8a81", clock=clock))
    assert rig.client.done == [("write", "8a81", bytes.fromhex(written))]
    assert rig.aid.sets == 1


def test_a_clock_of_seconds_refuses_what_it_cannot_say():
    with pytest.raises(ValueError, match="32 bits of seconds since 2010-01-01"):
        counted_time(ClockBytes(epoch="2010-01-01"), datetime(2009, 12, 31))  # noqa: DTZ001


async def consenting(answer: str, consent: Consent | None = Consent(1, 1234)) -> tuple[Rig, Consents]:  # noqa: B008
    """A device that answers so to any consent."""
    consents = Consents()
    if consent is not None:
        await consents.keep("A", consent)
    rig = Rig(Client(u2a9f="write indicate"))
    rig.steps = BleSteps("A", rig.client, rig.lost, consents=consents)
    write = rig.client.write_gatt_char

    async def answered(characteristic: Characteristic, data: bytes, *, response: bool) -> None:
        await write(characteristic, data, response=response)
        rig.client.callbacks["2a9f"](None, bytearray.fromhex(answer))

    rig.client.write_gatt_char = answered
    return rig, consents


async def test_a_users_consent_is_given_and_its_answer_is_no_payload():
    rig, _ = await consenting("20 02 01")
    await rig.do(Step("consent", "2a9f"))
    assert rig.client.done == [("subscribe", "2a9f", b""), ("write", "2a9f", bytes.fromhex("0201d204"))]
    assert rig.received == []


async def test_a_consent_that_is_missing_or_refused_is_told_with_what_to_do():
    rig, consents = await consenting("20 02 05", None)
    cause, message = await cause_of(rig.do(Step("consent", "2a9f")))
    assert cause == Cause.NEEDS_CONSENT.value
    assert "hearthward devices consent A" in message
    assert rig.client.done == [], "nothing is asked in vain"
    await consents.keep("A", Consent(1, 1111))
    cause, message = await cause_of(rig.do(Step("consent", "2a9f")))
    assert (cause, "do not go together" in message, "1111" in message) == (
        Cause.NEEDS_CONSENT.value,
        True,
        False,
    )


async def test_a_person_may_say_that_no_user_is_asked_for():
    rig, _ = await consenting("20 02 05", Consent(NO_USER))
    await rig.do(Step("consent", "2a9f"))
    assert rig.client.done == []


async def test_a_device_without_users_needs_no_consent_where_that_is_optional():
    rig = Rig(Client(u2a19="read"))
    await rig.do(Step("consent", "2a9f", optional=True))
    assert rig.client.done == []
