"""The gateway: devices -> outbox -> uplink, and the configuration document the other way."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from devices.discovery import Discovery
from devices.last_frames import LastFrames
from devices.session import DeviceConfig, SessionState
from edge_agent.config_store import ConfigStore, check_document
from edge_agent.deciding import EdgeDecider
from edge_agent.edge_config import Knowledge, knowledge_of
from edge_agent.outbox import Outbox
from edge_agent.trust_store import CloudTrust
from edge_agent.uplink import Uplink
from hearthward import __version__
from hearthward.core.clock import Clock
from hearthward.core.device_states import DeviceWord
from hearthward.core.errors import ConfigError, DecodeError, HearthwardError
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import ConfigDocument, Status

__all__ = ["EdgeAgent", "Fleet", "device_configs"]

log = logging.getLogger(__name__)

HUNG_S: Final = 180.0
"""A part that did not get on for so long hangs: connecting and looking up a name take a part of that."""
OnAccepted = Callable[[ReadingBatch, int, int], None]
TRANSPORTS: Final = frozenset({"ble", "serial"})


class Fleet(Protocol):
    """What the agent needs of ``devices.supervisor.DeviceFleet``; the fake is ``edge_agent.fake``."""

    async def run(self) -> None:
        """Run the devices' sessions until cancelled."""
        ...

    async def apply(self, configs: Iterable[DeviceConfig]) -> None:
        """Have exactly these devices."""
        ...

    def words(self) -> dict[str, DeviceWord]:
        """Device id -> where its session stands, and why."""
        ...

    def trouble(self) -> dict[str, str]:
        """What the fleet as a whole cannot do -> why, in a word: ``radio`` -> ``stuck``."""
        ...


class EdgeAgent:
    """Joins the parts of one gateway; ``run`` them until cancelled.

    ``fleet`` and ``uplink`` are builders, called once with this agent: a fleet takes ``agent.accept`` as its
    sink, ``agent.accept_waves`` as that of waves, and ``agent.on_state``, ``agent.on_rejected``,
    ``agent.on_read`` and ``agent.frames.note``; an uplink ``agent.configure``, ``agent.status`` and
    ``agent.frames``. ``trust`` says whose documents are believed, ``decider`` builds what decides here.
    ``on_accepted(batch, first, last)`` is called after each group commit's append. ``discovery`` looks at
    what else is around; the uplink tells of it.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        gateway: str,
        tenant: str,
        outbox: Outbox,
        config_store: ConfigStore,
        fleet: Callable[[EdgeAgent], Fleet],
        uplink: Callable[[EdgeAgent], Uplink],
        *,
        trust: CloudTrust,
        clock: Clock,
        telemetry: Telemetry,
        on_accepted: OnAccepted | None = None,
        decider: Callable[[EdgeAgent], EdgeDecider] | None = None,
        discovery: Discovery | None = None,
    ) -> None:
        self.gateway = gateway
        self.tenant = tenant
        self.outbox = outbox
        self._clock = clock
        self.trust = trust
        self.document: ConfigDocument | None = None
        self.frames = LastFrames()
        self._store = config_store
        self._telemetry = telemetry
        self._on_accepted = on_accepted
        self._discovery = discovery
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._trouble: dict[str, str] = {}
        self.fleet = fleet(self)
        self.uplink = uplink(self)
        self.decider = None if decider is None else decider(self)

    async def run(self) -> None:
        """Put the stored document in force, then run devices and uplink; nothing waits for a broker."""
        await self.trust.load()
        stored = await asyncio.to_thread(self._store.load)
        if stored is not None:
            await self._restore(stored)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.fleet.run(), name="edge-devices")
            tasks.create_task(self.uplink.run(), name="edge-uplink")
            if self.decider is not None:
                tasks.create_task(self.decider.run(), name="edge-decider")
            if self._discovery is not None:
                tasks.create_task(self._discovery.run(), name="edge-discovery")

    def lives(self) -> bool:
        """Whether no part hangs. One that waits for the disk does not: being killed mends no disk."""
        if not self.outbox.lives():
            return False
        still_s = max(self.uplink.still_s, 0.0 if self.decider is None else self.decider.still_s)
        return self.outbox.at_disk or still_s < HUNG_S

    async def _have(self, configs: list[DeviceConfig]) -> None:
        """Have exactly these devices."""
        self.frames.have(config.id for config in configs)
        await self.fleet.apply(configs)
        if self._discovery is not None:
            self._discovery.configure(configs)

    def _decide_by(self, knowledge: Knowledge | None) -> None:
        if self.decider is not None:
            self.decider.configure(knowledge)

    async def _restore(self, stored: ConfigDocument) -> None:
        try:
            if not self._store.former:  # the release before this one did not sign
                self.trust.check_document(stored)
            check_document(stored, gateway=self.gateway, tenant=self.tenant, current=None)
            await self._have(device_configs(stored))
            self._decide_by(self._known(stored))
        except HearthwardError as error:
            log.error("the stored configuration cannot be used: %s", error)  # noqa: TRY400
            self._telemetry.count("config_refused_total", reason="stored")
            self._trouble["configuration"] = "stored"
            return
        self.document = stored
        if self._store.copied:  # maybe the one before: only the cloud's next word makes it the one in force
            self._trouble["configuration"] = "copy"
        else:
            self.uplink.config_hash = stored.digest
        log.info("configuration %d (%s) is in force, as stored", stored.version, stored.digest)

    def _known(self, stored: ConfigDocument) -> Knowledge | None:
        """What the stored document says to decide by; devices do not wait for rules that cannot be read."""
        try:
            return knowledge_of(stored)
        except ConfigError as error:
            log.error("the stored rules cannot be used: %s", error)  # noqa: TRY400
            return None

    async def accept(self, batch: ReadingBatch) -> None:
        """The fleet's sink: returns when the readings are in the outbox. Raises StoreError."""
        first, last = await self.outbox.append(batch)
        if self._on_accepted is not None:
            self._on_accepted(batch, first, last)

    async def accept_waves(self, chunks: Sequence[WaveformChunk]) -> None:
        """The fleet's sink of waves: returns when they are in the outbox. Raises StoreError."""
        await self.outbox.append_waves(chunks)

    def on_state(self, _device: str, _state: SessionState, _reason: str) -> None:
        """A device's session changed its state: the gateway's status shows it."""
        self.uplink.status_changed()

    def on_read(self, device: str, received: int, n: int) -> None:
        """Readings came from a device, to be accepted next: counted for the books."""
        self.outbox.tally(device, received, "read", n)

    def on_rejected(self, device: str, source: str, payload: bytes, error: DecodeError) -> None:
        """A frame refused, or without room: counted in the status, a line for the engineer, not its content.

        The first of a kind, the tenth, the hundredth...: a device out of order does not fill the log.
        """
        self.frames.refused(device, source, payload, error, self._clock.now_ns())
        times = error.details.get("count")  # a framer puts many refusals into one
        before = self._refused[device, source, error.reason]
        n = before + (times if isinstance(times, int) else 1)
        self._refused[device, source, error.reason] = n
        self.outbox.tally(device, self._clock.now_ns(), f"rejected:{error.reason}", n - before)
        self.uplink.status_changed()
        log.log(
            logging.WARNING if len(str(n)) > len(str(before)) or not before else logging.DEBUG,
            "device %s: a frame of %d bytes from %s is refused (%s)%s",
            device,
            len(payload),
            source or "the line",
            error.reason,
            f", the {n}th of its kind" if n > 1 else "",
        )

    async def configure(self, document: ConfigDocument) -> None:
        """Check a received document, store it, put its devices in force.

        Raises ConfigError (``details["reason"]``) and StoreUnavailable; the former document stays then.
        """
        check_document(document, gateway=self.gateway, tenant=self.tenant, current=self.document)
        configs, knowledge = device_configs(document), knowledge_of(document)
        await asyncio.to_thread(self._store.save, document)
        self.document = document
        self._trouble.pop("configuration", None)
        await self._have(configs)
        self._decide_by(knowledge)

    def status(self) -> Status:
        """What the gateway says of itself (the uplink adds boot, clock and backlog)."""
        decider = self.decider
        return Status(
            online=True,
            version=__version__,
            devices=self.fleet.words(),
            rejected=self._rejected(),
            trouble=self._trouble
            | self.trust.trouble()
            | self.fleet.trouble()
            | ({} if decider is None else decider.trouble),
            alarms=0 if decider is None else len(decider.alarms),
        )

    def _rejected(self) -> dict[str, dict[str, int]]:
        """Device -> reason -> frames refused since the start, whatever part of the device they came from."""
        out: dict[str, dict[str, int]] = {}
        for (device, _, reason), n in self._refused.items():
            reasons = out.setdefault(device, {})
            reasons[reason] = reasons.get(reason, 0) + n
        return out


def device_configs(document: ConfigDocument) -> list[DeviceConfig]:
    """The devices of a document's body. Raises ConfigError (reason ``body``) naming the device."""
    entries = document.body.get("devices")
    if not isinstance(entries, list):
        msg = "configuration document without a list of devices"
        raise ConfigError(msg, reason="body")
    configs = [_device_config(entry, document.body) for entry in entries]
    twice = sorted({c.id for c in configs if sum(o.id == c.id for o in configs) > 1})
    if twice:
        msg = f"configuration document names device {twice[0]!r} twice"
        raise ConfigError(msg, reason="body", device=twice[0])
    return configs


def _device_config(entry: Any, body: dict[str, Any]) -> DeviceConfig:
    """One entry -> its configuration; a device without a time zone of its own has the gateway's."""
    try:
        device, transport, address = entry["id"], entry["transport"], entry["address"]
        profile, interval = entry.get("profile"), entry.get("interval_s")
        timezone = entry.get("timezone") or body.get("timezone")
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"configuration document: a device lacks {error}"
        raise ConfigError(msg, reason="body") from error
    good = (
        isinstance(device, str)
        and transport in TRANSPORTS
        and isinstance(address, str)
        and isinstance(profile, str | None)
        and isinstance(timezone, str | None)
        and isinstance(interval, int | float | None)
    )
    if not good:
        msg = f"configuration document: device {device!r} has a field of the wrong kind"
        raise ConfigError(msg, reason="body")
    return DeviceConfig(
        id=device,
        transport=transport,
        address=address,
        profile=profile,
        timezone=timezone,
        interval_s=interval,
    )
