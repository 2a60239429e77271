"""One device's session: connect, identify, subscribe, stream, back off, again; until it is stopped."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

from devices.causes import Condition, cause_of
from devices.clock_watch import ClockWatch, clock_zone
from devices.config import DeviceConfig, LinkFactory, OnFrame, OnNoise, OnRead, OnRejected, OnState
from devices.consuming import Sleep, backoff
from devices.cursors import Cursors, MemoryCursors
from devices.cutting import Cutting
from devices.delivery import CAPACITY, Delivery, Payload, Sink
from devices.fitting import check_firmware, has_store, line_of
from devices.intake import Intake
from devices.links.base import Aided, Announcing, DeviceLink, Slow
from devices.states import NEXT_TRY, SessionState, StateLog
from devices.steps import SessionAid
from devices.store_fetch import StoreFetch
from devices.time import zone
from devices.wave_flow import WaveFlow, WaveSink
from firmware_profiles import Catalog, DeviceFacts, Profile
from hearthward.core.clock import SECOND, Clock
from hearthward.core.device_states import Cause
from hearthward.core.errors import ConfigError, DecodeError, LinkError, StoreRejected, UnsupportedDevice
from hearthward.core.ids import Ids
from hearthward.core.telemetry import Telemetry

__all__ = [
    "DeviceConfig",
    "DeviceSession",
    "LinkFactory",
    "OnFrame",
    "OnNoise",
    "OnRead",
    "OnRejected",
    "OnState",
    "SessionState",
]

logger = logging.getLogger(__name__)

BACKOFF_FIRST_S: Final = 1.0
"""Until a profile that says better is known."""
BACKOFF_MAX_S: Final = 60.0
GOOD_STRETCH_S: Final = 30.0
"""A connection that streamed for so long was good: the next back-off starts from the beginning."""
UNSUPPORTED_RETRY_S: Final = 300.0
"""An unsupported device is asked again: its firmware, or our catalogue, may have changed."""
CONNECT_TIMEOUT_S: Final = 30.0
"""Until a profile is known."""
CONNECT_GRACE_S: Final = 5.0
"""A link ends its own connecting in time; past this grace it is taken for hung."""
DRAIN_S: Final = 5.0
"""A stopped session gives the sink so long to take what was received."""


class DeviceSession:
    """Keeps one device connected and hands its readings to ``sink``, in order.

    Each payload is decoded as it arrives and queued (``intake``); one consumer awaits the sink, trying
    again for as long as it raises StoreUnavailable. ``cursors`` remember over restarts where the device's
    store was read to; ``watch`` is what is known of its clock. Counted by device:
    ``device_connects_total``, ``device_firmware_changes_total``.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the ports of the outside world, one each
        self,
        config: DeviceConfig,
        catalog: Catalog,
        link_factory: LinkFactory,
        sink: Sink,
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry,
        on_state: OnState,
        on_rejected: OnRejected,
        *,
        on_read: OnRead = lambda _device, _received, _n: None,
        on_frame: OnFrame = lambda _device, _profile, _source, _payload, _received: None,
        wave_sink: WaveSink | None = None,
        cursors: Cursors | None = None,
        connect_gate: AbstractAsyncContextManager[Any] | None = None,
        received_after: int = 0,
        salt: bytes | None = None,
        condition: Condition | None = None,
        watch: ClockWatch | None = None,
        capacity: int = CAPACITY,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.config = config
        self.state = SessionState.IDLE
        self.reason = ""
        self.condition = Condition() if condition is None else condition
        self.facts: DeviceFacts | None = None
        self._catalog = catalog
        self._link_factory = link_factory
        self._clock = clock
        self._ids = ids
        self._telemetry = telemetry
        self._on_state = on_state
        self._states = StateLog(config.id)
        self._gate = connect_gate or nullcontext()
        self._sleep = sleep
        self._delivery = Delivery(
            config.id,
            sink,
            ids=ids,
            telemetry=telemetry,
            on_pressure=self._press,
            on_refused=self._refused,
            capacity=capacity,
            sleep=sleep,
        )
        waves = self._waves = WaveFlow(
            config.id,
            wave_sink,
            ids=ids,
            telemetry=telemetry,
            pressed=lambda: self._delivery.pressed,
            sleep=sleep,
        )
        self._stores = StoreFetch(
            config.id, cursors or MemoryCursors(), self._delivery, telemetry, sleep=sleep
        )
        self._watch = watch or ClockWatch(clock)
        self._intake = Intake(
            config.id,
            self._delivery,
            waves,
            self._stores,
            clock=clock,
            telemetry=telemetry,
            on_read=on_read,
            on_rejected=on_rejected,
            on_frame=on_frame,
            received_after=received_after,
            salt=salt if salt is not None else ids.new("run").encode(),
            watch=self._watch,
            sleep=sleep,
        )
        self._link: DeviceLink | None = None
        self._profile: Profile | None = None
        self._idle: asyncio.Timeout | None = None
        self._streaming_since: int | None = None

    @property
    def last_received(self) -> int:
        """The last receive time given; the next session of this device must go on from there."""
        return self._intake.last_received

    async def run(self) -> None:
        """Run until cancelled; what was received by then is still handed over, for ``DRAIN_S`` at most."""
        consumer = asyncio.create_task(self._delivery.run(), name=f"deliver {self.config.id}")
        waves = asyncio.create_task(self._waves.run(), name=f"waves {self.config.id}")
        noting = asyncio.create_task(self._stores.keep_noting(), name=f"cursors {self.config.id}")
        holding = asyncio.create_task(self._intake.run(), name=f"backlog {self.config.id}")
        try:
            await self._keep_connected()
        finally:
            noting.cancel()
            holding.cancel()
            await asyncio.gather(noting, holding, return_exceptions=True)
            await self._stop(consumer, waves)

    async def _stop(self, consumer: asyncio.Task[None], waves: asyncio.Task[None]) -> None:
        self._delivery.finish()
        self._waves.finish()
        try:
            async with asyncio.timeout(DRAIN_S):
                await consumer
                await self._stores.save()
                await waves
        except TimeoutError:
            logger.warning("device %s: stopped with payloads the store did not take", self.config.id)
            self._telemetry.count("payloads_undelivered_total", len(self._delivery), device=self.config.id)
        finally:
            consumer.cancel()
            waves.cancel()
            self._waves.abandon()
            self._set(SessionState.STOPPED, "")

    async def _keep_connected(self) -> None:
        attempt = 0
        while True:
            self._streaming_since = None
            state, reason, cause = await self._connection()
            if self._streamed_s() >= GOOD_STRETCH_S:
                attempt = 0
            if state is SessionState.UNSUPPORTED:
                delay = backoff(0, UNSUPPORTED_RETRY_S, UNSUPPORTED_RETRY_S, self._ids)
            else:
                timings = self._profile.timings if self._profile else None
                first = timings.backoff_first_s if timings else BACKOFF_FIRST_S
                delay = backoff(
                    attempt, first, timings.backoff_max_s if timings else BACKOFF_MAX_S, self._ids
                )
            attempt += 1
            self._set(state, f"{reason}{NEXT_TRY}{max(1, round(delay))} s", cause, max(1, round(delay)))
            await self._sleep(delay)

    def _streamed_s(self) -> float:
        if self._streaming_since is None:
            return 0.0
        return (self._clock.monotonic_ns() - self._streaming_since) / SECOND

    async def _connection(self) -> tuple[SessionState, str, Cause]:
        """One connection from its beginning to its end; returns what to be then, and why."""
        try:
            await self._connected()
        except LinkError as error:
            return SessionState.BACKOFF, str(error), cause_of(error)
        except (UnsupportedDevice, ConfigError) as error:
            return SessionState.UNSUPPORTED, str(error), cause_of(error)
        except Exception as error:
            logger.exception("device %s: its connection failed in a way nobody foresaw", self.config.id)
            return SessionState.BACKOFF, f"internal error: {type(error).__name__}: {error}", Cause.INTERNAL
        return SessionState.BACKOFF, "the link ended without a reason", Cause.LINK_LOST

    async def _connected(self) -> None:
        config = self.config
        self._set(SessionState.CONNECTING, "")
        self._intake.connecting(config.timezone)
        profile = self._profile = self._catalog.get(config.profile) if config.profile else None
        if profile is not None and line_of(profile) != config.transport:
            msg = (
                f"profile {profile.id!r} is for {profile.transport}, but the device is on {config.transport}"
            )
            raise ConfigError(msg, device=config.id)
        try:
            facts = await self._open(profile)
            self._set(SessionState.IDENTIFYING, "")
            self._notice(facts)
            if profile is not None:
                profile = self._profile = self._catalog.completed(profile, facts)
                check_firmware(profile, facts)
            else:
                profile = self._profile = self._catalog.match(facts)
                if profile.transport != "ble":  # only now it is known how to listen to it
                    await self._close()
                    await self._open(profile)
            await self._stream(profile)
        finally:
            self._intake.disconnected()
            self._stores.disconnected()
            await self._close()

    async def _open(self, profile: Profile | None) -> DeviceFacts:
        link = self._link = self._link_factory(self.config, profile, self._noise)
        limit = profile.timings.connect_timeout_s if profile else CONNECT_TIMEOUT_S
        limit = max(limit, link.connect_s if isinstance(link, Slow) else 0.0) + CONNECT_GRACE_S
        async with self._gate:
            try:
                async with asyncio.timeout(limit):
                    facts = await link.connect()
            except TimeoutError:
                msg = f"no answer from {self.config.address} within {limit:.0f} s"
                raise LinkError(msg, device=self.config.id, cause=Cause.OTHER.value) from None
        self._telemetry.count("device_connects_total", device=self.config.id)
        return facts

    async def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _notice(self, facts: DeviceFacts) -> None:
        """Keep what the device says of itself; a firmware it did not have before is news."""
        before = self.facts
        if before is not None and before.firmware != facts.firmware:
            self._telemetry.count("device_firmware_changes_total", device=self.config.id)
            logger.warning(
                "device %s: its firmware changed from %s to %s",
                self.config.id,
                before.firmware,
                facts.firmware,
            )
        self.facts = facts

    async def _stream(self, profile: Profile) -> None:
        link = self._link
        if link is None:
            msg = "the link was closed"
            raise LinkError(msg, device=self.config.id)
        self._set(SessionState.SUBSCRIBING, profile.title)
        self._intake.identified(profile)
        if isinstance(link, Announcing):
            link.on_subscribed = self._subscribed
        self._stores.connected([step.racp for step in profile.session if step.racp is not None], profile.hash)
        if isinstance(link, Aided):
            link.aid = SessionAid(
                self.config.id,
                clock_zone(profile, zone(self.config.timezone)),
                self._stores,
                clock=self._clock,
                watch=self._watch,
                telemetry=self._telemetry,
                skewed=lambda: self._intake.skewed,
                sleep=self._sleep,
            )
        idle = profile.timings.idle_s
        try:
            async with asyncio.timeout(None) as self._idle:
                self._alive(profile)
                await self._listen(link, profile)
        except TimeoutError:
            msg = f"silent for {idle:g} s" if idle is not None else "the link ran into a time limit"
            raise LinkError(msg, device=self.config.id, cause=Cause.SILENT.value) from None
        finally:
            self._idle = None

    async def _listen(self, link: DeviceLink, profile: Profile) -> None:
        """Have the link do the steps and hand on what comes.

        A store that is told by indications cannot be held back: the stack confirms what nobody has kept yet.
        Such a device is not subscribed to, and let go, while too much waits for the sink: it keeps the rest.
        """

        def whole(source: str, payload: bytes, ago: int = 0) -> None:
            self._take(profile, source, payload, ago)

        on_payload = Cutting(profile, whole, self._noise)
        try:
            await self._run(link, profile, on_payload)
        finally:
            on_payload.end()

    async def _run(self, link: DeviceLink, profile: Profile, on_payload: Cutting) -> None:
        if not any(step.mode == "indicate" for step in profile.session):
            await link.run(profile.session, on_payload)
            return
        await self._delivery.relieved()
        running = asyncio.ensure_future(link.run(profile.session, on_payload))
        strained = asyncio.ensure_future(self._delivery.strained())
        try:
            await asyncio.wait({running, strained}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
        finally:
            for task in (running, strained):
                task.cancel()
            await asyncio.wait({running, strained})
        msg = "readings wait for the store: the device keeps what it has not told yet"
        raise LinkError(msg, device=self.config.id, cause=Cause.OTHER.value)

    def _subscribed(self) -> None:
        if self.state is SessionState.SUBSCRIBING:
            self._streaming_since = self._clock.monotonic_ns()
            self._intake.subscribed()
            self._set(SessionState.STREAMING, "")

    def _alive(self, profile: Profile | None) -> None:
        """The device was heard: put its idle limit off."""
        held = profile is not None and self._delivery.pressed and has_store(profile)
        idle = None if profile is None or held else profile.timings.idle_s
        if self._idle is not None and not self._idle.expired():
            self._idle.reschedule(None if idle is None else asyncio.get_running_loop().time() + idle)

    def _take(self, profile: Profile, source: str, payload: bytes, ago: int) -> None:
        """One payload, in the link's callback. Raises nothing."""
        if not isinstance(self._link, Announcing):
            self._subscribed()
        self._alive(profile)
        self._intake.take(profile, source, payload, ago)

    def _noise(self, head: bytes, error: DecodeError) -> None:
        """What a link could not cut into frames."""
        self._alive(self._profile)
        self._intake.noise(head, error)

    def _refused(self, payload: Payload, error: StoreRejected) -> None:
        self._intake.refused(payload, error)

    def _press(self, _pressed: bool) -> None:  # noqa: FBT001 - the queue's callback
        self._alive(self._profile)  # while a store is not asked for, its silence is ours

    def _comes_and_goes(self) -> bool:
        """Whether it is a cuff, a scale, a meter: nothing that sends all the time has no idle limit."""
        return self._profile is not None and self._profile.timings.idle_s is None

    def _set(self, state: SessionState, reason: str, cause: Cause = Cause.NONE, next_s: int = 0) -> None:
        if (state, reason) == (self.state, self.reason):
            return
        self.state, self.reason = state, reason
        said = reason.partition(NEXT_TRY)[0]
        self.condition.note(state, cause, self._clock.now_ns(), detail=said, next_s=next_s)
        self._states.note(state, reason, hung_up=cause is Cause.LINK_LOST and self._comes_and_goes())
        self._on_state(self.config.id, state, reason)
