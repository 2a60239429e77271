"""A twin of any Bluetooth profile: the services, the store and the clock that its document speaks of."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from bumble import gatt
from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID

from devices.twins import encode
from devices.twins.answering import Users, answers_of, clocks_of, told_time
from devices.twins.clocks import TwinClock
from devices.twins.encoder import Content, FrameEncoder, Missing, ProfileEncoder
from devices.twins.peripheral import (
    OPEN,
    Identity,
    Peripheral,
    Security,
    battery_service,
    information_service,
)
from devices.twins.services import IDENTITIES, SERVICES
from devices.twins.store import ABORT, RecordStore, StoredRecord
from devices.twins.streams import notified
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from bumble.att import Bearer

    from devices.twins.radio import VirtualRadio
    from firmware_profiles.profile import Profile

__all__ = ["NO_TROUBLE", "ProfileTwin", "Trouble", "identity_of"]

_BATTERY: Final = "2a19"
_CELL: Final = frozenset({_BATTERY, "2bf0", "2bea"})
"""What is told of the battery beside what a device measures."""
_INFORMATION: Final = "180a"
_VENDOR: Final = "fff0"
_IN: Final = "@"
"""Between a control point's id and its service, where the device has another one in another service."""
_CURRENT_TIME, _DATE_TIME, _USERS = "2a2b", "2a08", "2a9f"
_Push = Literal["notify", "indicate"]


@dataclass(slots=True)
class Trouble:
    """What goes wrong. ``drop_after``: the link drops once after so many records of a transfer."""

    drop_after: int | None = None
    silent_control: bool = False
    """The control point takes requests and never answers."""


NO_TROUBLE: Final = Trouble()


def identity_of(profile: Profile, id: str) -> Identity:  # noqa: A002
    """What a twin of that profile says of itself."""
    return IDENTITIES.get(profile.id) or Identity(f"{profile.id} {id}", "Hearthward", "Virtual device")


def _security(profile: Profile) -> Security:
    transport = profile.document.transport
    pairing = "none" if transport is None else transport.pairing
    return OPEN if pairing == "none" else Security(pairing)


class ProfileTwin(Peripheral):
    """Serves every characteristic that the profile's session asks for (a ``Twin``).

    What is measured while nobody listens is kept: behind the control point where the session fetches one
    (``store``), else until a host subscribes, which then gets it as indications; what only notifies keeps
    nothing. ``written`` is what hosts wrote, by characteristic, in order. ``security`` is what the profile's
    transport asks for, unless given. What waits for a user's consent (``users``: number to code) is told once
    it is given. ``advertised`` are the services it advertises (None: all that it is
    known by).
    """

    def __init__(  # noqa: PLR0913 - what a real one has, each with its default
        self,
        id: str,  # noqa: A002
        address: str,
        radio: VirtualRadio,
        profile: Profile,
        *,
        identity: Identity | None = None,
        security: Security | None = None,
        clock: TwinClock | None = None,
        store: RecordStore | None = None,
        trouble: Trouble = NO_TROUBLE,
        users: Mapping[int, int] | None = None,
    ) -> None:
        super().__init__(
            id, address, radio, identity or identity_of(profile, id), security or _security(profile)
        )
        self.profile = profile.id
        self.clock = clock or TwinClock()
        self.store = store if store is not None else RecordStore()
        self.trouble = replace(trouble)
        self.written: list[tuple[str, bytes]] = []
        self.advertised: list[str] | None = None
        self._model = profile
        self._encoders = ProfileEncoder(profile).frames
        self._began = self.clock.running()
        self._next_record = 1
        self.users = Users(users or {})
        self._answers, self._own_clocks = answers_of(profile), clocks_of(profile)
        self._stores: dict[str, RecordStore] = {}
        self._keeps: dict[str, str] = {}
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._readable: dict[str, bytes] = {}
        self._transfers: dict[str, asyncio.Task[None]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._served: dict[str, gatt.Characteristic[bytes]] = {}
        self._serve()
        pushed = [s.characteristic for s in profile.session if s.kind == "subscribe"]
        self._awaited = tuple(self._served[uuid] for uuid in dict.fromkeys(pushed))
        read = [s.characteristic for s in profile.session if s.kind == "read"]
        own = [one for one in (*pushed, *read) if one in self._encoders and SERVICES.get(one) != _INFORMATION]
        vital = [one for one in own if one not in _CELL] or own
        self._sources = {one: self._encoders[one] for one in dict.fromkeys(vital)}
        self.metrics = frozenset().union(*(encoder.metrics for encoder in self._sources.values()))

    # ------------------------------------------------------------------ what it serves

    def _serve(self) -> None:
        """One characteristic for each that a step names, with the properties that the steps need."""
        pushes: dict[str, _Push] = {}
        reads, writes = set[str](), set[str]()
        for step in self._model.session:
            uuid = step.characteristic
            if step.kind == "subscribe":
                pushes[uuid] = "indicate" if step.mode == "indicate" else "notify"
            elif step.kind == "read" or (step.kind == "set_time" and step.clock is None):
                reads.add(uuid)
            elif step.kind == "consent":
                pushes[uuid] = "indicate"
            elif step.racp is not None:
                uuid = self._control(step.racp.control, step.racp.records)
                pushes[uuid] = "indicate"
                pushes.setdefault(step.racp.records, "notify")
            if step.kind in {"write", "set_time", "consent", "racp", "keepalive"}:
                writes.add(uuid)
        for uuid in dict.fromkeys([*pushes, *reads, *writes]):
            if not uuid or SERVICES.get(uuid) == _INFORMATION:
                continue
            self._served[uuid] = (
                self._battery
                if uuid == _BATTERY
                else self._characteristic(
                    uuid.partition(_IN)[0],
                    push=pushes.get(uuid),
                    read=partial(self._read, uuid) if uuid in reads else None,
                    write=partial(self._write, uuid) if uuid in writes else None,
                )
            )

    def _control(self, control: str, records: str) -> str:
        """A control point of its own for each service with records; ``store`` is the first one's."""
        uuid = control if not self._stores else f"{control}{_IN}{SERVICES.get(records, records)}"
        self._stores[uuid] = self.store if not self._stores else RecordStore()
        beside = (one for one, home in SERVICES.items() if home == SERVICES.get(records))
        self._keeps |= dict.fromkeys((records, *beside), uuid)
        return uuid

    @property
    def stores(self) -> tuple[RecordStore, ...]:
        """The store of each service with records, in the order of the session."""
        return tuple(self._stores.values())

    def _homes(self) -> list[str]:
        """The services that the parts are known by; the first has what stands in several, or in none."""
        named = [
            next((one.services[0] for one in part.document.match.ble if one.services), "")
            for part in self._model.parts or (self._model,)
        ]
        found = list(filter(None, named))
        return found or [next((SERVICES[uuid] for uuid in self._served if uuid in SERVICES), _VENDOR)]

    def _home(self, uuid: str) -> str:
        control = next((records for records, one in self._keeps.items() if one == uuid), uuid)
        return SERVICES.get(uuid) or SERVICES.get(control) or self._homes()[0]

    def _services(self) -> list[gatt.Service]:
        groups: dict[str, list[gatt.Characteristic[bytes]]] = {home: [] for home in self._homes()}
        for uuid, characteristic in self._served.items():
            if uuid not in _CELL:
                groups.setdefault(self._home(uuid), []).append(characteristic)
        services = [gatt.Service(UUID(uuid), many) for uuid, many in groups.items()]
        information = information_service(self.identity, self.id, whole=True)
        beside = [one for uuid, one in self._served.items() if uuid in _CELL and uuid != _BATTERY]
        return [*services, battery_service(self._battery, *beside), information]

    def _advertisement(self) -> bytes:
        homes = self.advertised if self.advertised is not None else self._homes()
        return encode.advertisement(self.identity.name, [int(one, 16) for one in homes if len(one) == 4])  # noqa: PLR2004

    def _read(self, uuid: str, _bearer: Bearer) -> bytes:
        if uuid == _CURRENT_TIME:
            now = self.clock.now()
            return bytes(10) if now is None else encode.date_time(now) + bytes((now.isoweekday(), 0, 0))
        if uuid == _DATE_TIME:
            now = self.clock.now()
            return bytes(7) if now is None else encode.date_time(now)
        if uuid not in self._readable and uuid in self._encoders:
            self._readable[uuid] = self._resting(self._encoders[uuid])
        return self._readable.get(uuid, b"")

    def _resting(self, encoder: FrameEncoder) -> bytes:
        """What a characteristic reads before anything was measured: as little as its frame allows."""
        content = self._content({}, self.clock.now())
        if starts := [s.metric for s in encoder.frame.fields if s.role == "start" and s.metric]:
            content = replace(content, codes={starts[0]: self._began.replace(microsecond=0).isoformat()})
        while True:
            try:
                return encoder.encode(content)
            except Missing as missing:
                value = encoder.middle(missing.metric)
                content = replace(content, values={**content.values, missing.metric: value})

    def _write(self, uuid: str, _bearer: Bearer, value: bytes) -> None:
        self.written.append((uuid, bytes(value)))
        if uuid in {_CURRENT_TIME, _DATE_TIME}:
            moment = encode.read_date_time(value)
            if moment is not None:
                self.clock.set(moment)
        elif uuid in self._stores:
            self._command(uuid, bytes(value))
        elif (clock := self._own_clocks.get(uuid)) is not None and (at := told_time(clock, bytes(value))):
            self.clock.set(at)
        elif uuid == _USERS:
            told = self.users.answer(bytes(value))
            self._spawn(self._push(self._served[uuid], told), f"consent of {self.id}")
            if self.users.agreed and self._waiting:
                self._on_listening(self._served[self._waiting[0][0]])
        elif (answer := self._answers.get((uuid, bytes(value)))) is not None:
            source, data = answer
            self._spawn(self._push(self._served[source], data), f"answer of {self.id}")
        else:
            self._readable[uuid] = bytes(value)

    # ------------------------------------------------------------------ what it measures

    def express(self, metric: str, value: float) -> float:
        """The nearest value that the profile's frame carries. Raises ValueError."""
        self._known(metric)
        encoder = next(one for one in self._sources.values() if metric in one.metrics)
        return encoder.express(metric, value)

    def typical(self) -> dict[str, float]:
        """Something in the middle of what is plausible for everything that it can measure at once."""
        return {m: v for encoder in self._sources.values() for m, v in encoder.typical().items()}

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Measure and send at once. Raises ValueError; LinkError when nobody listens: nothing is kept."""
        if not self.ready():
            msg = f"{self.id}: no host is subscribed"
            raise LinkError(msg, device=self.id)
        expressed, record = self._record(values, device_time)
        self._store(record)
        for source, payload in record.payloads:
            for part in self._parts(source, payload):
                await self.send_raw(part, source)
        return expressed

    def keep(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Measure while nobody listens; what a host gets later, as expressed.

        Raises:
            ValueError: as ``send``, or a device that keeps nothing.
        """
        expressed, record = self._record(values, device_time)
        rest = self._store(record)
        for source, _ in rest:
            if not self._served[source].properties & gatt.Characteristic.Properties.INDICATE:
                msg = f"{self.id}: a {self.profile} keeps nothing of {source}"
                raise ValueError(msg)
        self._waiting.extend(rest)
        return expressed

    def _parts(self, source: str, payload: bytes) -> Iterable[bytes]:
        """What is notified of one payload: itself, or its pieces where the characteristic is a stream."""
        framing = self._model.document.framing
        return (payload,) if framing is None or framing.source != source else notified(framing, payload)

    def _store(self, record: StoredRecord) -> list[tuple[str, bytes]]:
        """Keep what belongs behind a control point there; the payloads that do not."""
        for uuid, store in self._stores.items():
            mine = tuple(one for one in record.payloads if self._keeps.get(one[0]) == uuid)
            if mine:
                encoders = [self._sources[source] for source, _ in mine]
                counted = any(one.elapsed for one in encoders) and not any(one.records for one in encoders)
                store.add(
                    replace(record, key=self._minutes(record.at) if counted else record.key, payloads=mine)
                )
        return [one for one in record.payloads if one[0] not in self._keeps]

    def _minutes(self, at: datetime | None) -> int:
        return max(0, ((at or self.clock.running()) - self._began) // timedelta(minutes=1))

    @property
    def kept(self) -> int:
        """How many payloads wait for a host to subscribe."""
        return len(self._waiting)

    async def send_raw(self, payload: bytes, source: str | None = None) -> None:
        """Send these very bytes from a source (None: the first). Raises LinkError as ``send``."""
        source = source or next(iter(self._sources))
        characteristic = self._served[source]
        if characteristic is self._battery:
            await self.set_battery(payload[0])
        elif characteristic in self._awaited:
            await self._push(characteristic, payload)
        self._readable[source] = payload

    def _record(
        self, values: Mapping[str, float], device_time: datetime | None
    ) -> tuple[dict[str, float], StoredRecord]:
        """One measurement: its values as expressed, and its payloads."""
        if not values:
            msg = f"{self.id}: nothing to send"
            raise ValueError(msg)
        expressed = self._expressed(values)
        at = device_time if device_time is not None else self.clock.now()
        payloads = tuple(
            (source, self._payload(source, mine, expressed, at))
            for source, mine in self._split(expressed).items()
        )
        key = self._next_record & 0xFFFF
        self._next_record += 1
        return expressed, StoredRecord(key, at, payloads)

    def _payload(
        self, source: str, mine: Mapping[str, float], measured: Mapping[str, float], at: datetime | None
    ) -> bytes:
        """Its part of a measurement; what its frame cannot be without, another service may tell as well."""
        try:
            return self._sources[source].encode(self._content(mine, at))
        except Missing as missing:
            if missing.metric in mine or missing.metric not in measured:
                raise
            more = {missing.metric: measured[missing.metric], **mine}
            return self._payload(source, more, measured, at)

    def _content(self, values: Mapping[str, float], at: datetime | None) -> Content:
        return Content(values, at=at, record=self._next_record & 0xFFFF, elapsed_min=self._minutes(at))

    def _split(self, values: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Source -> its part of the values: the first that carries them all, else each what it can."""
        rest = dict(values)
        whole = [name for name, one in self._sources.items() if values.keys() <= one.metrics]
        out: dict[str, dict[str, float]] = {}
        for name in whole[:1] or self._sources:
            mine = {
                metric: rest.pop(metric) for metric in tuple(rest) if metric in self._sources[name].metrics
            }
            if mine:
                out[name] = mine
        return out

    # ------------------------------------------------------------------ memory

    def _on_listening(self, characteristic: gatt.Characteristic[bytes]) -> None:
        wanted = self.users.agreed and self._waiting and characteristic is self._served[self._waiting[0][0]]
        if wanted and (self._flushing is None or self._flushing.done()):
            self._flushing = self._spawn(self._flush(), f"flush {self.id}")

    async def _flush(self) -> None:
        """Give a host what was kept, oldest first; what it does not confirm is kept on."""
        with contextlib.suppress(LinkError):
            while self._waiting:
                source, payload = self._waiting[0]
                await self._push(self._served[source], payload)
                self._waiting.popleft()

    def _command(self, uuid: str, request: bytes) -> None:
        """One request to a control point; the procedure goes on by itself."""
        control = self._served[uuid]
        if control not in self._listening:
            raise ATT_Error(ErrorCode.CCCD_IMPROPERLY_CONFIGURED)
        running = self._transfers.get(uuid)
        if running is not None and not running.done():
            if request[:1] != bytes((ABORT,)):
                raise ATT_Error(ErrorCode.PROCEDURE_ALREADY_IN_PROGRESS)
            running.cancel()
        if not self.trouble.silent_control:
            answering = self._answer(control, self._stores[uuid], request)
            self._transfers[uuid] = self._spawn(answering, f"records of {self.id}")

    async def _answer(self, control: gatt.Characteristic[bytes], store: RecordStore, request: bytes) -> None:
        outcome = store.ask(request)
        with contextlib.suppress(LinkError):
            for n, record in enumerate(outcome.records):
                if self.trouble.drop_after == n:
                    self.trouble.drop_after = None
                    await self.disconnect()
                    return
                for source, payload in record.payloads:
                    await self._push(self._served[source], payload)
            await self._push(control, outcome.indication)

    def _spawn(self, chore: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(chore, name=name)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task

    async def close(self) -> None:
        """Power off; what it kept it still has. Harmless more than once."""
        chores = list(self._chores)
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await super().close()
