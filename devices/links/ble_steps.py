"""The steps of a session on a Bluetooth connection: pair, write, set the clock, subscribe, read, fetch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from devices.consents import NO_USER, Consent, Consents
from devices.gatt_time import (
    LocalTime,
    counted_time,
    current_time,
    date_time,
    local_time_information,
    naive_ns,
    parse_current_time,
    parse_date_time,
)
from devices.links.ble_answers import Answers
from devices.links.ble_point import StorePoint
from devices.links.pairing import AskPasskey, PairingError, Why, pairing_refused, what_to_do
from devices.racp import REPORT_ALL
from firmware_profiles import Step, short_uuid
from hearthward.core.device_states import Cause
from hearthward.core.errors import DecodeError, LinkError

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic

    from devices.links.base import OnPayload, StepAid
    from firmware_profiles import RacpStep

__all__ = ["BleSteps"]

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 10.0
"""For one read, write or subscription."""
PAIR_TIMEOUT_S: Final = 40.0
"""For a pairing: somebody may have to read and type six digits."""
RETRY_PAUSE_S: Final = 0.2

_CURRENT_TIME: Final = "2a2b"
_DATE_TIME: Final = "2a08"
_LOCAL_TIME_INFORMATION: Final = "2a0f"
_FIELDS_IGNORED: Final = 0x80
"""Current Time Service 1.1: the clock was set; a field that the device has not was let go."""
_NOT_TRUSTED: Final = frozenset({0x05, 0x0C, 0x0F})
"""The attribute protocol's refusals that ask for a bond..."""
_NOT_ALLOWED: Final = 0x08
"""...and that of a device which has one with somebody else."""
_BLUEZ_NOT_PAIRED: Final = "[org.bluez.Error.NotPermitted] Not paired"
"""All of them as BlueZ says them, and bleak with it."""

_T = TypeVar("_T")


class BleSteps:
    """Does steps on one connection; ``lost`` is done when it has ended.

    What the device sends is handed to ``on_payload`` as it comes; what goes wrong there, to ``on_failure``.
    """

    def __init__(
        self,
        address: str,
        client: BleakClient,
        lost: asyncio.Future[None],
        *,
        ask: AskPasskey | None = None,
        consents: Consents | None = None,
    ) -> None:
        self._address = address
        self._client = client
        self._lost = lost
        self._ask_passkey = ask
        self._paired = False
        self._points: dict[str, StorePoint] = {}
        self._subscribed: set[int] = set()
        self._answers = Answers()
        self._consents = consents or Consents()

    async def do(self, step: Step, on_payload: OnPayload, aid: StepAid | None) -> None:
        """One step, tried as often as it says.

        Raises:
            LinkError: the connection was lost, or the device lacks or refuses what the step needs.
        """
        for attempt in range(step.retries + 1):
            try:
                await self._once(step, on_payload, aid)
            except LinkError as error:
                if self._lost.done():
                    raise
                if attempt < step.retries and error.details.get("cause") != Cause.LACKS_SERVICE.value:
                    logger.debug("%s: %s fails, again: %s", self._address, step.kind, error)
                    await asyncio.sleep(RETRY_PAUSE_S)
                    continue
                if step.optional and (step.kind == "expect" or _refusal(error)):
                    logger.debug("%s: %s is left out: %s", self._address, step.kind, error)
                    if step.racp is not None:
                        self._points.pop(step.racp.records, None)
                    return
                raise
            return

    async def _once(self, step: Step, on_payload: OnPayload, aid: StepAid | None) -> None:
        match step.kind:
            case "pair":
                await self._pair(step)
            case "subscribe":
                await self.subscribe(step.characteristic, on_payload)
            case "read":
                source = short_uuid(step.characteristic)
                on_payload(source, await self.read(self.able(source, "read"), source))
            case "write":
                await self.write(self.able(step.characteristic, "write"), step.data)
            case "expect":
                await self._expect(step)
            case "consent":
                await self._consent(step)
            case "set_time":
                await self._set_time(step, aid)
            case "racp" if step.racp is not None:
                await self._racp(step.racp, on_payload, aid)
            case "delay":
                await asyncio.sleep(step.seconds or 0.0)
            case _:
                msg = f"{self._address}: a Bluetooth device cannot do the profile's step {step.kind!r}"
                raise LinkError(msg, address=self._address, cause=Cause.MISCONFIGURED.value)

    async def keep_alive(self, step: Step) -> None:
        """Write the bytes of a ``keepalive`` step again and again, until cancelled. Raises LinkError."""
        while True:
            await asyncio.sleep(step.seconds or 1.0)
            await self.write(self.able(step.characteristic, "write"), step.data)

    async def tend(self, step: Step, aid: StepAid) -> None:
        """Tend the store that a ``racp`` step fetched, until cancelled. Raises LinkError."""
        if step.racp is None or (point := self._points.get(step.racp.records)) is None:
            return
        try:
            await aid.tend(step.racp, point)
        except LinkError as error:
            if self._lost.done() or not (step.optional and _refusal(error)):
                raise
            logger.warning("%s: its store is left alone from now on: %s", self._address, error)

    # ------------------------------------------------------------------ single steps

    async def _pair(self, step: Step) -> None:
        """Have a bond before anything is asked; a device that is bonded already is left as it is."""
        passkey = step.mode == "passkey"
        ask = self._ask_passkey if passkey else None
        failed = Why.REFUSED if not passkey else Why.PASSKEY_WRONG if ask else Why.PASSKEY_MISSING

        async def pair() -> None:
            with pairing_refused(self._address, failed):
                await self._client.pair(**({"ask": ask} if ask else {}))

        try:
            await self._asked(pair(), "pairing", PAIR_TIMEOUT_S)
            self._paired = True
        except NotImplementedError:
            return  # the operating system pairs by itself when the device asks for it
        except PairingError:
            raise
        except LinkError as error:
            if self._lost.done() or error.details.get("cause") == Cause.SILENT.value:
                raise
            cause = Cause.PAIRED_ELSEWHERE if step.mode == "bond" else Cause.NEEDS_PASSKEY
            raise LinkError(str(error), address=self._address, cause=cause.value) from error

    async def subscribe(
        self, source: str, on_payload: OnPayload, *, again: bool = False, beside: str = ""
    ) -> None:
        """Have what a characteristic sends handed on, from now on or (``again``) anew. Raises LinkError."""
        source = short_uuid(source)
        characteristic = self.able(source, "notify", "indicate", beside=beside)
        if characteristic.handle in self._subscribed:
            if not again:
                return
            self._subscribed.discard(characteristic.handle)
            await self._asked(self._client.stop_notify(characteristic), source)
        arrived = partial(self._arrived, source, on_payload)
        await self._asked(self._client.start_notify(characteristic, arrived), source)
        self._subscribed.add(characteristic.handle)

    def _arrived(
        self,
        source: str,
        on_payload: OnPayload,
        _characteristic: BleakGATTCharacteristic,
        value: bytearray,
    ) -> None:
        payload = bytes(value)
        self._answers.heard(source, payload)
        on_payload(source, payload)

    async def _expect(self, step: Step) -> None:
        """Wait for an answer to what was written last."""
        source, within_s = short_uuid(step.characteristic), step.seconds or REQUEST_TIMEOUT_S
        try:
            await self._answers.wait(source, step.data, within_s)
        except TimeoutError as error:
            msg = f"{self._address}: {source} did not answer {step.data.hex(' ')} within {within_s:g} s"
            raise LinkError(
                msg, address=self._address, characteristic=source, cause=Cause.SILENT.value
            ) from error

    async def _consent(self, step: Step) -> None:
        """Have the device tell what it measures of one of its users, with the consent that was given here."""
        source = short_uuid(step.characteristic)
        point = self.able(source, "write")
        consent = await self._consents.of(self._address)
        about = {"address": self._address, "characteristic": source, "cause": Cause.NEEDS_CONSENT.value}
        if consent is None:
            msg = f"{self._address}: a user's consent is needed: hearthward devices consent {self._address}"
            raise LinkError(msg, **about)
        if consent.user == NO_USER:
            return
        await self.subscribe(source, lambda _source, _payload, _ago=0: None)
        await self.write(point, consent.request)
        try:
            answer = await self._answers.wait(source, Consent.answered(), REQUEST_TIMEOUT_S)
        except TimeoutError as error:
            msg = f"{self._address}: no answer to the consent of user {consent.user}"
            raise LinkError(msg, **{**about, "cause": Cause.SILENT.value}) from error
        if why := Consent.why_not(answer):
            msg = f"{self._address}: it refuses the consent of user {consent.user}: {why}"
            raise LinkError(msg, **about)

    async def _set_time(self, step: Step, aid: StepAid | None) -> None:
        """Put the device's clock right: Current Time, or Date Time where it has only that."""
        if aid is None:
            logger.debug("%s: its clock is left as it is: it is only listened to", self._address)
            return
        now = aid.local_time()
        if now is None:
            logger.debug("%s: its clock is not set: the gateway's own is not right yet", self._address)
            return
        source = short_uuid(step.characteristic)
        if step.clock is not None:
            await self.write(self.able(source, "write"), counted_time(step.clock, now.naive))
            aid.clock_set()
            return
        if source == _CURRENT_TIME and self._find(source) is None and self._find(_DATE_TIME) is not None:
            source = _DATE_TIME
        clock = self.able(source, "write")
        if "read" in clock.properties:
            await self._look(clock, source, aid)
        zone = self._find(_LOCAL_TIME_INFORMATION)
        if source == _CURRENT_TIME and zone is not None and "write" in zone.properties:
            with _unless_refused():
                await self._settle(zone, local_time_information(now))
        now = aid.local_time() or now  # those questions took their time
        await self._settle(clock, _bytes_of(source, now))
        aid.clock_set()

    async def _look(self, clock: BleakGATTCharacteristic, source: str, aid: StepAid) -> None:
        """What the clock showed before it is set; one that is unset or tells nonsense tells nothing."""
        with _unless_refused(), suppress(DecodeError):
            said = await self.read(clock, source)
            shown = (parse_current_time if source == _CURRENT_TIME else parse_date_time)(said)
            if shown is not None:
                aid.clock_read(naive_ns(shown))

    async def _settle(self, characteristic: BleakGATTCharacteristic, data: bytes) -> None:
        """Write; a device that lets a field go has taken the others."""
        try:
            await self.write(characteristic, data)
        except LinkError as error:
            if error.details.get("att") != _FIELDS_IGNORED:
                raise

    async def _racp(self, racp: RacpStep, on_payload: OnPayload, aid: StepAid | None) -> None:
        point = self._points.setdefault(racp.records, StorePoint(self, racp, on_payload))
        point.check()
        if aid is None:  # nobody knows what was fetched before: listen to everything, once
            await point.subscribe()
            await point.write(REPORT_ALL)
            return
        await point.subscribe()
        await aid.fetch(racp, point)

    # ------------------------------------------------------------------ requests

    def _find(self, source: str, beside: str = "") -> BleakGATTCharacteristic | None:
        """The first characteristic with that id (a few devices have two); of those, one with ``beside``."""
        found = None
        for service in self._client.services:
            there = [short_uuid(one.uuid) for one in service.characteristics]
            if source in there and (found is None or beside in there):
                found = service.characteristics[there.index(source)]
                if not beside or beside in there:
                    break
        return found

    def able(self, source: str, *properties: str, beside: str = "") -> BleakGATTCharacteristic:
        """A characteristic that has one of the properties, in the service of ``beside`` where there are two.

        Raises LinkError for a device without.
        """
        source = short_uuid(source)
        characteristic = self._find(source, short_uuid(beside))
        able = {"write", "write-without-response"} if properties == ("write",) else set(properties)
        if characteristic is not None and not able.isdisjoint(characteristic.properties):
            return characteristic
        verb = "subscribe" if "notify" in properties else properties[0]
        lacks = "has no characteristic" if characteristic is None else f"cannot {verb}"
        msg = f"{self._address}: the device {lacks} {source}, which its profile needs"
        raise LinkError(msg, address=self._address, characteristic=source, cause=Cause.LACKS_SERVICE.value)

    async def text(self, source: str) -> str | None:
        """A string of the device information service; None if the device lacks it or will not tell.

        Raises LinkError.
        """
        characteristic = self._find(source)
        if characteristic is None or "read" not in characteristic.properties:
            return None
        try:
            raw = await self.read(characteristic, source)
        except LinkError as error:
            if "att" in error.details:
                return None
            raise
        return raw.decode(errors="replace").strip("\0 \t\r\n") or None

    async def read(self, characteristic: BleakGATTCharacteristic, source: str) -> bytes:
        """Read a characteristic. Raises LinkError."""
        return bytes(await self._asked(self._client.read_gatt_char(characteristic), source))

    async def write(self, characteristic: BleakGATTCharacteristic, data: bytes) -> None:
        """Write a characteristic, with a response if it gives one. Raises LinkError."""
        self._answers.asked()
        response = "write" in characteristic.properties
        source = short_uuid(characteristic.uuid)
        await self._asked(self._client.write_gatt_char(characteristic, data, response=response), source)

    async def _asked(self, request: Awaitable[_T], source: str, limit: float = REQUEST_TIMEOUT_S) -> _T:
        """One request to the device, with its errors as LinkError; ``att`` is the device's own refusal."""
        from bleak.exc import BleakError, BleakGATTProtocolError

        about = {"address": self._address, "characteristic": source}
        try:
            async with asyncio.timeout(limit):
                return await request
        except TimeoutError as error:
            msg = f"{self._address}: no answer about {source} within {limit:g} s"
            raise LinkError(msg, **about, cause=Cause.SILENT.value) from error
        except BleakGATTProtocolError as error:
            msg = f"{self._address}: {source}: {error}"
            code = int(error.code)
            if code in _NOT_TRUSTED:
                raise self._not_paired(about, code) from error
            cause = Cause.PAIRED_ELSEWHERE if code == _NOT_ALLOWED else Cause.OTHER
            raise LinkError(msg, **about, att=code, cause=cause.value) from error
        except (BleakError, OSError, EOFError) as error:
            if self._lost.done():
                msg = f"{self._address}: link lost"
                raise LinkError(msg, **about, cause=Cause.LINK_LOST.value) from error
            msg = f"{self._address}: {source}: {error}"
            if str(error) == _BLUEZ_NOT_PAIRED:
                raise self._not_paired(about, 0x05) from error
            raise LinkError(msg, **about) from error

    def _not_paired(self, about: dict[str, str], code: int) -> LinkError:
        why, cause = Why.NOT_PAIRED, Cause.NEEDS_PAIRING
        if self._paired:
            why, cause = Why.BOND_WEAK, Cause.NEEDS_PASSKEY
        return LinkError(what_to_do(self._address, why), **about, att=code, cause=cause.value)


@contextmanager
def _unless_refused() -> Iterator[None]:
    """What the device refuses is left."""
    try:
        yield
    except LinkError as error:
        if "att" not in error.details:
            raise


def _refusal(error: LinkError) -> bool:
    """Whether the device lacks or refuses something, rather than being hard to reach."""
    return "att" in error.details or error.details.get("cause") == Cause.LACKS_SERVICE.value


def _bytes_of(source: str, now: LocalTime) -> bytes:
    return current_time(now.naive) if source == _CURRENT_TIME else date_time(now.naive)
