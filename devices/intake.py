"""One device's payloads -> readings, queued for the sink; what is refused on the way is counted and told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import tzinfo
from functools import partial

from devices.backlog import Backlog
from devices.clock_watch import ClockWatch, clock_zone
from devices.config import OnFrame, OnRead, OnRejected
from devices.consuming import Sleep
from devices.delivery import Delivery, Payload
from devices.repeats import Repeats
from devices.stamping import Stamped, Stamper
from devices.store_fetch import StoreFetch
from devices.time import Correction, zone
from devices.wave_flow import WaveFlow
from firmware_profiles import DecodedReading, Profile
from hearthward.core.clock import SECOND, Clock
from hearthward.core.codes import CLOCK_SKEW
from hearthward.core.errors import DecodeError, StoreRejected
from hearthward.core.model import Quality
from hearthward.core.telemetry import Telemetry

__all__ = ["Intake"]

logger = logging.getLogger(__name__)


class Intake:
    """Decodes, stamps and queues each payload as it arrives; raises nothing.

    ``clock_wrong`` is called when the device claims a time that cannot be true. Counted by device:
    ``readings_received_total``, ``readings_repeated_total`` (left out, as the profile says),
    ``readings_rejected_total`` (by reason), ``readings_time_unknown_total``,
    ``device_clock_skew_total``; gauge ``device_clock_skew_seconds``.
    """

    def __init__(  # noqa: PLR0913 - the ways on, one each
        self,
        device: str,
        delivery: Delivery,
        waves: WaveFlow,
        stores: StoreFetch,
        *,
        clock: Clock,
        telemetry: Telemetry,
        on_read: OnRead,
        on_rejected: OnRejected,
        received_after: int,
        salt: bytes,
        on_frame: OnFrame = lambda _device, _profile, _source, _payload, _received: None,
        watch: ClockWatch | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._device = device
        self._delivery = delivery
        self._waves = waves
        self._stores = stores
        self._clock = clock
        self._telemetry = telemetry
        self._on_read = on_read
        self._on_rejected = on_rejected
        self._on_frame = on_frame
        self._salt = salt
        self._stamper = Stamper(device, None, received_after, salt=salt)
        self._watch = watch or ClockWatch(clock)
        self._repeats = Repeats()
        self._backlog = Backlog(self._queue, clock, sleep=sleep)
        self._where: tzinfo | None = None
        self._dropping = False
        self._skewed = False

    @property
    def skewed(self) -> bool:
        """Whether the device's clock is wrong: it claims what cannot be, or is off by more than it may."""
        return self._skewed or self._watch.wrong

    @property
    def last_received(self) -> int:
        """The last receive time given; the next session of this device must go on from there."""
        return self._stamper.last

    def connecting(self, timezone: str | None) -> None:
        """A new connection; the device's clock is of that zone. Raises ConfigError for an unknown one."""
        self._where = zone(timezone)
        self._stamper = Stamper(self._device, self._where, self._stamper.last, salt=self._salt)
        self._watch.connected()

    def identified(self, profile: Profile) -> None:
        """The device is of this profile, which knows whose time its clock shows."""
        where = clock_zone(profile, self._where)
        self._stamper = Stamper(self._device, where, self._stamper.last, salt=self._salt)
        self._watch.follow(profile, self._where)
        self._repeats.connected(profile)
        self._backlog.connected(profile)

    def subscribed(self) -> None:
        """From now on the device sends what it measures, once it has told what it has stored."""
        self._watch.subscribed()
        self._backlog.subscribed()

    def disconnected(self) -> None:
        """The connection has ended."""
        self._backlog.disconnected()
        self._waves.disconnected()

    async def run(self) -> None:
        """Send on what was held back for a moment, until cancelled."""
        await self._backlog.run()

    def take(self, profile: Profile, source: str, payload: bytes, ago: int = 0) -> None:
        """One payload, in the link's callback, which came ``ago`` ns ago."""
        now = self._clock.now_ns() - ago
        self._on_frame(self._device, profile, source, payload, now)
        try:
            decoded = profile.decode(source, payload)
            if not decoded or self._again(source, decoded, now):
                self._waves.take(profile, source, payload, now, None)
                return
            stored = self._stores.asking() or any(one.quality & Quality.FROM_STORE for one in decoded)
            judge = partial(self._watch.judge, stored=stored)
            told = self._stores.telling(source)
            own = profile.part_of(source).hash
            stamped = self._stamper.stamp(source, payload, decoded, own, now, judge, stored=told)
        except DecodeError as error:
            self._waves.lost()
            self.reject(source, payload, error)
            return
        except Exception as error:
            logger.exception("device %s: profile %s failed to decode", self._device, profile.id)
            msg = f"internal error of profile {profile.id}: {type(error).__name__}"
            self.reject(source, payload, DecodeError(msg, reason="internal"))
            return
        if not self._stores.repeated(source, stamped.batch):
            if self._backlog.take(source, payload, stamped):
                self._repeats.keep(source, decoded, now)
            self._waves.take(profile, source, payload, stamped.batch.received[0], stamped.batch)
            self._tell_clock(profile, now)

    def _again(self, source: str, decoded: Sequence[DecodedReading], now: int) -> bool:
        again = self._repeats.again(source, decoded, now)
        if again:
            self._telemetry.count("readings_repeated_total", len(decoded), device=self._device)
        return again

    def _queue(self, source: str, payload: bytes, stamped: Stamped) -> bool:
        """Whether there was room for it."""
        batch = stamped.batch
        self._telemetry.count("readings_received_total", len(batch), device=self._device)
        if lost := sum(bool(q & Quality.TIME_UNKNOWN) for q in batch.quality):
            self._telemetry.count("readings_time_unknown_total", lost, device=self._device)
        self._on_read(self._device, batch.received[0], len(batch))
        if stamped.clock is not None:
            self._clock_skew(stamped.clock)
        if self._delivery.offer(Payload(source, payload, batch)):
            self._stores.queued(source, batch)
            self._dropping = False
            return True
        self._stores.dropped()
        if not self._dropping:
            logger.error("device %s: readings are dropped: the store takes none", self._device)
        self._dropping = True
        msg = f"no room: {len(self._delivery)} payloads of the device wait for the store"
        self._tell(source, payload, DecodeError(msg, reason="no_room"))
        return False

    def _clock_skew(self, clock: Correction) -> None:
        skew_s = (clock.skew or 0) / SECOND
        self._telemetry.gauge("device_clock_skew_seconds", skew_s, device=self._device)
        skewed = clock.verdict.skewed
        if skewed:
            self._telemetry.count("device_clock_skew_total", device=self._device)
            if not self._skewed:
                logger.warning(
                    "device %s: its clock is wrong by %.0f s (%s); the receive time is used",
                    self._device,
                    skew_s,
                    clock.verdict.value,
                )
        self._skewed = skewed

    def _tell_clock(self, profile: Profile, now: int) -> None:
        """What the rules are to know of the device's clock, as a reading of its own."""
        word = self._watch.word()
        if word is None:
            return
        skew_s, wrong = word
        quality = Quality.CLOCK_WRONG if wrong else Quality(0)
        batch = self._stamper.own(CLOCK_SKEW, skew_s, quality, profile.hash, now)
        self._telemetry.count("readings_received_total", len(batch), device=self._device)
        self._on_read(self._device, batch.received[0], len(batch))
        self._delivery.offer(Payload(CLOCK_SKEW, b"", batch))

    def noise(self, head: bytes, error: DecodeError) -> None:
        """What a link could not cut into frames."""
        self._waves.lost()
        self.reject("", head, error)

    def refused(self, payload: Payload, error: StoreRejected) -> None:
        """What the sink refuses for good."""
        self.reject(payload.source, payload.raw, DecodeError(str(error), reason="store_rejected"))

    def reject(self, source: str, payload: bytes, error: DecodeError) -> None:
        """A payload that gives no readings here."""
        times = error.details.get("count")  # a framer puts many refusals into one
        n = times if isinstance(times, int) else 1
        self._telemetry.count("readings_rejected_total", n, reason=error.reason, device=self._device)
        self._stores.refused(source)
        self._tell(source, payload, error)

    def _tell(self, source: str, payload: bytes, error: DecodeError) -> None:
        try:
            self._on_rejected(self._device, source, payload, error)
        except Exception:
            logger.exception("device %s: a rejected frame could not be passed on", self._device)
