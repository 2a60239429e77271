"""What the cloud notices of itself, as rows for the rules: walls, channels, duty, floods, its own parts.

The rules decide whether it is an alarm; here it is only counted. What changed is told at once, everything
every ten seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_ingest.channels.base import Channel
from cloud_ingest.facts import Facts
from cloud_ingest.pulse import Pulse
from cloud_ingest.walls import WallBoard
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DeliveryError
from hearthward.core.telemetry import Telemetry
from rules.conditions import HEARTBEAT
from rules.model import Rows, Transition, subject_key
from rules.response.duty import NOBODY, Duty, channel_of, duty_of, flood_of, wall_of

__all__ = ["ChannelBoard", "Watch", "flood_of"]

log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
"""Everything is told this often; the rules take what is older than a minute for not known."""
FAILED_HOPS: Final = 3
"""So many in a row that failed: the channel does."""
HOPS_KEPT_S: Final = 600.0
"""So long after the last that failed, failed ones are forgotten; until then only one that is taken counts."""
FAILED_CHECKS: Final = 2
CHECK_EVERY_S: Final = 30.0
"""A channel by which nothing goes is checked this often."""
CHECK_TIMEOUT_S: Final = 10.0
LOOK_S: Final = 5.0
FLOOD_S: Final = 600.0
JUST_S: Final = 20.0
"""For so long after the loss of its last wall a ward's count is told every second."""
ROLES: Final = ("nurse", "doctor")
"""What somebody has to be on duty as, in each ward with patients."""
STAFF: Final = frozenset({*ROLES, "engineer"})
"""A ward without a schedule in which nobody has a login as any of these is still being set up."""
DEVICE: Final = "cloud"
HEARTBEAT_URL: Final = subject_key("component", "heartbeat-url")


@dataclass(slots=True)
class _Health:
    """A channel: hops and checks in a row that failed, and when it was last tried (monotonic ns).

    ``missed`` is when the last hop failed.
    """

    channel: Channel
    hops: int = 0
    checks: int = 0
    tried: int | None = None
    missed: int = 0

    def failing(self, mono: int) -> bool:
        """Whether it fails at ``mono``."""
        self.forget(mono)
        return self.hops >= FAILED_HOPS or self.checks >= FAILED_CHECKS

    def forget(self, mono: int) -> None:
        """Hops that failed long ago count no more."""
        if mono - self.missed >= HOPS_KEPT_S * SECOND:
            self.hops = 0


class ChannelBoard:
    """Which channels fail: by what is sent, and where nothing is sent by what their check says.

    A check that is good says nothing of messages that were not taken: it may ask for the account only. Those
    are made good by one that is taken, or forgotten ``HOPS_KEPT_S`` after the last of them.
    """

    def __init__(self, channels: Collection[Channel], clock: Clock, telemetry: Telemetry) -> None:
        self._health = {c.name: _Health(c) for c in channels}
        self._clock, self._telemetry = clock, telemetry

    def hop(self, channel: str, success: bool) -> None:  # noqa: FBT001 - how an attempt went
        """An attempt to hand something over went well or not."""
        health = self._health.get(channel)
        if health is None:
            return
        mono = health.tried = self._clock.monotonic_ns()
        if success:
            health.hops = health.checks = 0
        else:
            health.forget(mono)
            health.hops, health.missed = health.hops + 1, mono

    def failing(self) -> dict[str, bool]:
        """Whether each channel fails, by name."""
        mono = self._clock.monotonic_ns()
        return {name: health.failing(mono) for name, health in self._health.items()}

    async def check_idle(self) -> None:
        """Check all channels by which nothing went for a while."""
        mono = self._clock.monotonic_ns()
        idle = [
            h for h in self._health.values() if h.tried is None or mono - h.tried >= CHECK_EVERY_S * SECOND
        ]
        async with asyncio.TaskGroup() as group:
            for health in idle:
                group.create_task(self._check(health), name=f"check-{health.channel.name}")

    async def _check(self, health: _Health) -> None:
        health.tried = self._clock.monotonic_ns()
        name = health.channel.name
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await health.channel.check()
        except (DeliveryError, TimeoutError) as error:
            health.checks += 1
            log.warning("channel %s cannot be used: %s", name, error or "no answer in time")
        except Exception:
            health.checks += 1
            log.exception("channel %s broke its contract", name)
        else:
            health.checks = 0
        self._telemetry.count(
            "channel_checks_total", channel=name, outcome="failed" if health.checks else "ok"
        )


class Watch:
    """Collects what is noticed; asked for rows with each tick.

    ``duty`` gives who is there as deciding knows it, ``pulse`` which of our parts give signs of life,
    ``heartbeat_failing`` whether the URL outside is not reached (None: there is none; may be set later).
    """

    def __init__(
        self,
        clock: Clock,
        telemetry: Telemetry,
        channels: Collection[Channel] = (),
        *,
        duty: Callable[[], Duty] = lambda: NOBODY,
        pulse: Pulse | None = None,
        heartbeat_failing: Callable[[], bool] | None = None,
    ) -> None:
        self.walls = WallBoard(clock)
        self.facts = Facts()
        self.channels = ChannelBoard(channels, clock, telemetry)
        self.duty, self.pulse, self.heartbeat_failing = duty, pulse or Pulse(clock), heartbeat_failing
        self._clock, self._telemetry = clock, telemetry
        self._walled: frozenset[str] = frozenset()
        self._starts: deque[tuple[int, str]] = deque()
        self._told: dict[tuple[str, str], float] = {}
        self._times: dict[str, int] = {}
        self._told_all: int | None = None

    async def run(self) -> None:
        """Check idle channels until cancelled."""
        while True:
            await self.channels.check_idle()
            await asyncio.sleep(LOOK_S)

    def expect_walls(self, wards: frozenset[str]) -> None:
        """In these wards at least one wall is to be heard."""
        self._walled = wards

    def began(self, transitions: Sequence[Transition]) -> None:
        """Look for alarms that began or rose among what was committed; our own parts' do not count."""
        duty, mono = self.duty(), self._clock.monotonic_ns()
        for t in transitions:
            risen = t.kind == "escalate" and t.detail.get("why") == "raised"
            if (t.kind == "start" or risen) and not t.shadow and not t.patient.startswith("component:"):
                ward = duty.ward_of(t.patient)
                if ward is not None:
                    self._starts.append((mono, ward))

    def subjects(self) -> frozenset[str]:
        """Everything that is watched now; alarms about others of our parts have nobody left to end them."""
        return self.parts().union(subject for subject, _, _ in self._found(0))

    def parts(self) -> frozenset[str]:
        """The parts of ours that have to give signs of life."""
        return frozenset(subject_key("component", part) for part in self.pulse.parts)

    def rows(self, now: int) -> Rows | None:
        """What the rules are to be told at ``now`` (UTC ns), or None: nothing."""
        mono = self._clock.monotonic_ns()
        whole = self._told_all is None or mono - self._told_all >= EVERY_S * SECOND
        rows = Rows()
        for subject, metric, value in self._found(now):
            if metric != HEARTBEAT:
                self._telemetry.gauge(f"watch_{metric}", value, subject=subject)
            changed = metric != HEARTBEAT and self._told.get((subject, metric)) != value
            if whole or changed or (not value and self._just_lost(subject, metric, now, mono)):
                at = self._time(subject, metric, value, now, mono)
                rows.append(subject, DEVICE, metric, value, at, at)
                self._told[subject, metric] = value
        if whole:
            self._told_all = mono
        return rows if len(rows) else None

    def _just_lost(self, subject: str, metric: str, now: int, mono: int) -> bool:
        """Whether a ward's last wall went a moment ago: the rules' time for it must not stand still now."""
        if metric != "walls_audible" or now - self._times.get(subject, 0) < SECOND:
            return False
        last = self.walls.last_audible(subject.removeprefix(wall_of("")))
        return last is not None and mono - last < JUST_S * SECOND

    def _time(self, subject: str, metric: str, value: float, now: int, mono: int) -> int:
        """Since when it is so: a lost wall is lost since it was last heard, not since that was noticed."""
        at = now
        if metric == "walls_audible" and (value or self._told.get((subject, metric))):
            last = self.walls.last_audible(subject.removeprefix(wall_of("")))
            if last is not None:
                at = now - (mono - last)
        at = max(at, self._times.get(subject, 0) + 1)
        self._times[subject] = at
        return at

    def _found(self, now: int) -> Iterator[tuple[str, str, float]]:
        """(subject, metric, value) of everything, as it is now."""
        for part in self.pulse.alive():
            yield subject_key("component", part), HEARTBEAT, 1.0
        for name, failing in self.channels.failing().items():
            yield channel_of(name), "delivery_failing", float(failing)
        if self.heartbeat_failing is not None:
            yield HEARTBEAT_URL, "delivery_failing", float(self.heartbeat_failing())
        for ward in sorted(self._walled):
            yield wall_of(ward), "walls_audible", float(self.walls.audible(ward))
        yield from self.facts
        duty = self.duty()
        wards = sorted({ward for ward in duty.patients.values() if ward is not None})
        for ward in wards:
            yield duty_of(ward), "duty_uncovered", float(_uncovered(duty, ward, now))
        starts = self._recent()
        for ward in wards:
            yield flood_of(ward), "alarms_in_10_min", float(starts[ward])

    def _recent(self) -> Counter[str]:
        """Alarms that began within ten minutes, by ward."""
        edge = self._clock.monotonic_ns() - int(FLOOD_S * SECOND)
        while self._starts and self._starts[0][0] <= edge:
            self._starts.popleft()
        return Counter(ward for _, ward in self._starts)


def _uncovered(duty: Duty, ward: str, now: int) -> int:
    """How many roles nobody on duty holds; none where there is neither a schedule nor any staff yet."""
    if ward not in duty.scheduled and not any(
        STAFF.intersection(p.roles) and (p.wards is None or ward in p.wards) for p in duty.people.values()
    ):
        return 0
    return sum(not duty.on_duty(ward, role, now) for role in ROLES)
