"""All devices of one gateway: a session each, started, stopped and restarted as the configuration says."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from devices.causes import Condition
from devices.clock_watch import ClockWatch
from devices.cursors import Cursors, MemoryCursors
from devices.delivery import Sink
from devices.links.factory import Links
from devices.session import (
    DeviceConfig,
    DeviceSession,
    LinkFactory,
    OnFrame,
    OnRead,
    OnRejected,
    OnState,
    SessionState,
)
from devices.states import NEXT_TRY
from devices.wave_flow import WaveSink
from firmware_profiles import Catalog
from hearthward.core.clock import Clock
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.errors import ConfigError, DecodeError
from hearthward.core.ids import Ids
from hearthward.core.telemetry import Telemetry

if TYPE_CHECKING:
    from devices.links.radio import Radio

__all__ = ["DeviceFleet"]

logger = logging.getLogger(__name__)

BLE_CONNECTS: Final = 32
"""Bluetooth devices looked for or connected to at the same time; many, for absent ones wait here too."""
RESTART_S: Final = 5.0
"""A session that broke down starts again after so long."""


class DeviceFleet:
    """Runs one ``DeviceSession`` per configured device; what befalls one does not touch the others.

    ``on_state``, ``on_rejected``, ``on_read`` and ``on_frame`` are as for the session. Gauge ``devices`` by
    state.
    """

    def __init__(  # noqa: PLR0913 - the ports of the outside world, one each
        self,
        catalog: Catalog,
        radio: Radio | None,
        sink: Sink,
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry,
        on_state: OnState | None = None,
        on_rejected: OnRejected | None = None,
        *,
        on_read: OnRead = lambda _device, _received, _n: None,
        on_frame: OnFrame = lambda _device, _profile, _source, _payload, _received: None,
        wave_sink: WaveSink | None = None,
        cursors: Cursors | None = None,
        link_factory: LinkFactory | None = None,
        ble_connects: int = BLE_CONNECTS,
    ) -> None:
        self._catalog = catalog
        self._radio = radio
        self._link_factory = link_factory or Links(radio, catalog)
        self._sink = sink
        self._clock = clock
        self._ids = ids
        self._salt = ids.new("run").encode()
        self._telemetry = telemetry
        self._on_state = on_state
        self._on_rejected = on_rejected or _unheard
        self._on_read = on_read
        self._on_frame = on_frame
        self._wave_sink = wave_sink
        self._cursors = cursors or MemoryCursors()
        self._ble_gate = asyncio.Semaphore(ble_connects)
        self._wanted: dict[str, DeviceConfig] = {}
        self._all_streamed = True
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._states: dict[str, tuple[SessionState, str]] = {}
        self._conditions: dict[str, Condition] = {}
        self._received: dict[str, int] = {}
        self._watches: dict[str, ClockWatch] = {}
        self._group: asyncio.TaskGroup | None = None
        self._applying = asyncio.Lock()

    async def run(self) -> None:
        """Run the sessions until cancelled, and stop them all before returning."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                if self._radio is not None:
                    group.create_task(self._radio.watch(self._telemetry), name="radio watchdog")
                for config in self._wanted.values():
                    self._start(group, config)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._tasks.clear()

    async def apply(self, configs: Iterable[DeviceConfig]) -> None:
        """Have exactly these devices: start new ones, stop the rest, restart changed ones.

        Returns when the stopped ones have let go of their devices. Raises ConfigError, changing nothing,
        when two of them share an id.
        """
        wanted: dict[str, DeviceConfig] = {}
        for config in configs:
            if config.id in wanted:
                msg = f"device {config.id!r} is configured twice"
                raise ConfigError(msg, device=config.id)
            wanted[config.id] = config
        async with self._applying:
            gone = [d for d, config in self._wanted.items() if wanted.get(d) != config]
            fresh = [config for d, config in wanted.items() if self._wanted.get(d) != config]
            self._wanted = wanted
            self._all_streamed = self._all_streamed and not fresh
            if gone or fresh:
                logger.info("%d devices: %d to start, %d to stop", len(wanted), len(fresh), len(gone))
            await self._stop(gone)
            for config in fresh:
                if self._group is None:
                    self._conditions[config.id] = Condition()
                    self._note(config.id, SessionState.IDLE, "")
                else:
                    self._start(self._group, config)
            self._say_when_all_stream()

    def states(self) -> dict[str, str]:
        """Device id -> its session's state and, after a colon, the reason if there is one."""
        return {
            d: f"{state.value}: {why}" if why else state.value for d, (state, why) in self._states.items()
        }

    def words(self) -> dict[str, DeviceWord]:
        """Device id -> where its session stands, why, and since when."""
        return {d: self._conditions[d].word for d in self._states if d in self._conditions}

    def trouble(self) -> dict[str, str]:
        """What the fleet as a whole cannot do -> why, in a word."""
        stuck = self._radio is not None and self._radio.stuck
        return {"radio": "stuck"} if stuck else {}

    async def _stop(self, devices: list[str]) -> None:
        tasks = [task for d in devices if (task := self._tasks.pop(d, None)) is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for device in devices:
            self._states.pop(device, None)
            self._conditions.pop(device, None)
        self._gauge()

    def _start(self, group: asyncio.TaskGroup, config: DeviceConfig) -> None:
        self._tasks[config.id] = group.create_task(self._keep(config), name=f"device {config.id}")

    async def _keep(self, config: DeviceConfig) -> None:
        """One device's sessions; a new one when one breaks down."""
        condition = self._conditions[config.id] = Condition()
        watch = self._watches.setdefault(config.id, ClockWatch(self._clock))
        while True:
            session = DeviceSession(
                config,
                self._catalog,
                self._link_factory,
                self._sink,
                self._clock,
                self._ids,
                self._telemetry,
                self._note,
                self._on_rejected,
                on_read=self._on_read,
                on_frame=self._on_frame,
                wave_sink=self._wave_sink,
                cursors=self._cursors,
                connect_gate=self._ble_gate if config.transport == "ble" else nullcontext(),
                received_after=self._received.get(config.id, 0),
                salt=self._salt,
                condition=condition,
                watch=watch,
            )
            try:
                await session.run()
            except Exception as error:
                logger.exception("device %s: its session broke down", config.id)
                why = f"internal error: {type(error).__name__}"
                condition.note(
                    SessionState.BACKOFF,
                    Cause.INTERNAL,
                    self._clock.now_ns(),
                    detail=why,
                    next_s=round(RESTART_S),
                )
                self._note(config.id, SessionState.BACKOFF, f"{why}{NEXT_TRY}{RESTART_S:.0f} s")
            finally:
                self._received[config.id] = session.last_received
            await asyncio.sleep(RESTART_S)

    def _note(self, device: str, state: SessionState, reason: str) -> None:
        self._states[device] = (state, reason)
        self._gauge()
        self._say_when_all_stream()
        if self._on_state is not None:
            self._on_state(device, state, reason)

    def _say_when_all_stream(self) -> None:
        if self._wanted and not self._all_streamed and self._streaming() == len(self._wanted):
            self._all_streamed = True
            logger.info("all %d devices stream", len(self._wanted))

    def _streaming(self) -> int:
        return sum(state is SessionState.STREAMING for state, _ in self._states.values())

    def _gauge(self) -> None:
        counts = Counter(state for state, _ in self._states.values())
        for state in SessionState:
            self._telemetry.gauge("devices", counts[state], state=state.value)


def _unheard(_device: str, _source: str, _payload: bytes, _error: DecodeError) -> None:
    """Rejected frames nobody asked for are still counted by the session."""
