"""Fan-out of the live board to browsers: bounded everywhere, replayable for a while, never silent.

One ``Channel`` per scope: its messages are encoded once for all its browsers and kept in a bounded ring for
``Last-Event-ID``. A browser that is too slow or away for too long is told to fetch everything again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from dashboards.backend import (
    AlarmChanged,
    AlarmQuery,
    Backend,
    DirectoryChanged,
    DutyChanged,
    EventsMissed,
    GatewayChanged,
    InactivationsChanged,
    LiveEvent,
    MessagesChanged,
    ReadingsArrived,
)
from dashboards.live.board import Board, TileView
from dashboards.live.channel import Channel, Subscription, members, sse
from dashboards.live.states import Known, known_of
from dashboards.models import Gateway, ProfileChoice, Value
from dashboards.owners import owners_of
from dashboards.subjects import name_of
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope

__all__ = ["BEAT_S", "LiveHub"]

log = logging.getLogger(__name__)

BEAT_S: Final = 2.0
"""The page calls itself stale 5 s after the last thing it heard."""
REFRESH_S: Final = 0.5
"""How often values are looked at for having aged."""
COALESCE_S: Final = 0.1
"""Values wait so long for others to travel with; alarms do not wait."""
IDLE_CHANNEL_S: Final = 60.0
MS: Final = 1_000_000
RISK_S: Final = 2.0
"""How often the learned risks are looked at; the model tells a patient's every five minutes."""
CHECK_S: Final = 10.0
CLOCK_STOPPED_S: Final = 10.0
RETRY_S: Final = 1.0
AGED_NS: Final = 100_000_000
"""Walls that all fetch at once are given values of the same look at their ages."""
RETRY_MS: Final = 1000
SPREAD_MS: Final = 37
"""Browsers come back after one to two seconds, each a little later than the one before it."""


class LiveHub:
    """Owns the board of one tenant and everybody who watches it."""

    def __init__(
        self, backend: Backend, telemetry: Telemetry, *, boot: str, profiles: Iterable[ProfileChoice] = ()
    ) -> None:
        self._backend = backend
        self._telemetry = telemetry
        self._boot = boot
        self._board = Board(profiles)
        self._channels: dict[Scope, Channel] = {}
        self._numbers = itertools.count(1)
        self._dirty: set[str] = set()
        self._loose = False
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._changed: set[type[LiveEvent]] = set()
        self._reload = asyncio.Event()
        self._trouble = "starting"
        self._clock_at = (-1, 0)
        self._aged_at = 0
        self._closed = False

    # --- life -----------------------------------------------------------------------------------
    @asynccontextmanager
    async def running(self) -> AsyncIterator[LiveHub]:
        """Run the hub's tasks for the time of the context."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._follow(), name="live follow"),
                group.create_task(self._flush(), name="live flush"),
                group.create_task(self._every(REFRESH_S, self._age), name="live age"),
                group.create_task(self._every(BEAT_S, self._beat), name="live heartbeat"),
            ]
            try:
                yield self
            finally:
                self.close()
                for task in tasks:
                    task.cancel()

    def close(self) -> None:
        """End every stream (before the server waits for its connections to end)."""
        self._closed = True
        for channel in self._channels.values():
            for client in channel.clients:
                client.put(None)

    async def _every(self, seconds: float, do: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            do()

    # --- what comes in ----------------------------------------------------------------------------
    async def _follow(self) -> None:
        """Keep the board up with the product; on any failure say so on the wall and start over."""
        while True:
            try:
                await self._follow_once()
            except Exception:
                log.exception("the live board lost its source; starting over")
                self._telemetry.count("hearthward_live_restarts_total")
            self._trouble = "source"
            self._beat()
            await asyncio.sleep(RETRY_S)

    async def _follow_once(self) -> None:
        """Subscribe first, then seed, so that nothing falls between; ends when something was missed."""
        async with self._backend.subscribe() as events:
            await self._seed()
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._follow_directory(), name="live directory"),
                    group.create_task(self._follow_risks(), name="live risks"),
                ]
                async for event in events:
                    if isinstance(event, EventsMissed):
                        log.warning("the live board was too slow for what happened; starting over")
                        self._telemetry.count("hearthward_live_missed_total")
                        break
                    if event.tenant == self._backend.tenant:
                        await self._take(event)
                for task in beside:
                    task.cancel()

    async def _seed(self) -> None:
        scope = Scope.system(self._backend.tenant)
        await self._load_roster(scope, everything=True)
        present = await self._backend.alarms(scope, AlarmQuery(open_only=True, limit=10_000))
        asked = await self._backend.alarms(scope, AlarmQuery(asked=True, limit=10_000))
        self._board.set_alarms([*present, *asked])
        self._board.set_inactivations(await self._backend.inactivations(scope))
        self._board.set_mail(await self._backend.unseen_by_patient(scope))
        self._board.set_risks(await self._backend.risks(scope))
        await self._name_loose(scope)
        self._trouble = ""
        self._refetch("start")

    async def _load_roster(self, scope: Scope, *, everything: bool = False) -> None:
        """Who is where now; with the newest values of ``everything``, else of devices that are new here.

        All is asked for first, gateways last, and then taken in one go: no wall sees half of it, and nothing
        that is told meanwhile is overwritten with what was before.
        """
        entries = await self._backend.roster(scope)
        new = None if everything else self._board.new_devices(entries)
        samples = await self._backend.latest(scope, new) if everything or new else ()
        gateways = await self._backend.items(scope, "gateway")
        for item in gateways:
            if isinstance(item, Gateway):
                self._board.set_gateway(item)
        self._board.set_roster(entries)
        self._board.take(samples)
        self._board.refresh(self._backend.clock.now_ns())

    async def _follow_directory(self) -> None:
        """Load what has changed: in a task of its own, so that no alarm waits, and many changes at once."""
        scope = Scope.system(self._backend.tenant)
        while True:
            await self._reload.wait()
            await asyncio.sleep(COALESCE_S)
            self._reload.clear()
            changed, self._changed = self._changed, set()
            if DirectoryChanged in changed:
                await self._load_roster(scope)
                await self._name_loose(scope)
                self._refetch("directory")
            elif self._board.set_owners(await owners_of(self._backend, scope)):
                self._refetch("directory")

    async def _follow_risks(self) -> None:
        """Nothing tells of a learned risk: it is a part of the rules' state, and ages by itself."""
        scope = Scope.system(self._backend.tenant)
        while True:
            await asyncio.sleep(RISK_S)
            changed = self._board.set_risks(await self._backend.risks(scope))
            if changed:
                self._publish(changed, self._backend.clock.now_ns())

    async def _name_loose(self, scope: Scope) -> None:
        """Names for alarms of what has no tile: patients without a stay, gateways, devices, components."""
        self._board.set_names(
            {key: await name_of(self._backend, scope, key) for key in self._board.without_tile()}
        )

    async def _take(self, event: LiveEvent) -> None:
        if isinstance(event, ReadingsArrived):
            self._dirty |= self._board.take(event.samples)
            self._wake.set()
        elif isinstance(event, AlarmChanged):
            touched = self._board.set_alarm(event.alarm)
            if touched & self._board.without_tile():
                await self._name_loose(Scope.system(self._backend.tenant))
            self._now(touched)
        elif isinstance(event, InactivationsChanged):
            held = await self._backend.inactivations(Scope.system(self._backend.tenant))
            self._now(self._board.set_inactivations(held))
        elif isinstance(event, MessagesChanged):
            self._now(self._board.set_mail(await self._backend.unseen_by_patient(Scope.system(event.tenant))))
        elif isinstance(event, GatewayChanged):
            self._board.set_gateway(event.gateway)
            self._age()
        elif isinstance(event, DirectoryChanged | DutyChanged):
            self._changed.add(type(event))
            self._reload.set()

    def _now(self, patients: set[str]) -> None:
        """Send these tiles, and what is beside the tiles, without waiting for others."""
        self._loose = True
        self._dirty |= patients
        self._urgent.set()
        self._wake.set()

    # --- what goes out ------------------------------------------------------------------------------
    async def _flush(self) -> None:
        """Send what changed: alarms at once, values gathered for COALESCE_S."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._send()
            with suppress(TimeoutError):
                async with asyncio.timeout(COALESCE_S):
                    await self._urgent.wait()

    def _send(self) -> None:
        urgent = self._urgent.is_set()
        self._urgent.clear()
        dirty, self._dirty = self._dirty, set()
        now = self._backend.clock.now_ns()
        changed = self._board.refresh(now, dirty)
        if urgent:
            changed |= dirty
        loose, self._loose = self._loose, False
        if changed or loose:
            self._publish(changed, now, loose=loose)

    def _publish(self, patients: set[str], now: int, *, loose: bool = False) -> None:
        """Send tiles to whom they concern; each is encoded once, however many scopes see it."""
        texts: dict[str, str] = {}
        for channel in self._channels.values():
            tiles = [self._text(p, texts) for p in patients if self._board.covers(channel.scope, p)]
            beside = self._beside(channel.scope) if loose else channel.beside
            other = beside != channel.beside
            if not (tiles or other):
                continue
            inner = f'"now":{now // MS},"tiles":[{",".join(tiles)}]'
            if other:
                channel.beside = beside
                inner += f",{members(beside)}"
            self._slow(channel.publish("patch", inner))

    def _text(self, patient: str, texts: dict[str, str]) -> str:
        if patient not in texts:
            texts[patient] = f"{{{members(self._board.tile(patient))}}}"
        return texts[patient]

    def _beside(self, scope: Scope) -> dict[str, Any]:
        """What a wall shows besides its tiles."""
        return {
            "loose": self._board.loose_alarms(scope),
            "off": self._board.switched_off(scope),
            "mail": self._board.unseen(scope),
        }

    def unseen(self, scope: Scope) -> int:
        """How many messages of a scope's patients nobody has seen."""
        return self._board.unseen(scope)

    def _age(self) -> None:
        now = self._backend.clock.now_ns()
        self._aged_at = now
        changed = self._board.refresh(now)
        if changed:
            self._publish(changed, now)
        self._drop_idle()

    def _beat(self) -> None:
        clock = self._backend.clock
        now, real = clock.now_ns(), clock.monotonic_ns()
        if self._clock_at[0] != now:
            self._clock_at = now, real
        for channel in self._channels.values():
            self._slow(channel.fan_out(self._heartbeat(channel)))
        clients = sum(len(c.clients) for c in self._channels.values())
        self._telemetry.gauge("hearthward_live_clients", clients)

    def _heartbeat(self, channel: Channel) -> bytes:
        clock = self._backend.clock
        since = clock.monotonic_ns() - self._clock_at[1]
        stopped = clock.event_driven and self._clock_at[0] >= 0 and since > CLOCK_STOPPED_S * 1e9
        why = self._trouble or ("clock" if stopped else "")
        now = clock.now_ns() // MS
        beat = {"seq": channel.seq, "now": now, "why": why, "gw": list(self._board.gateways())}
        return sse("beat", members(beat))

    def _refetch(self, why: str) -> None:
        for channel in self._channels.values():
            channel.beside = self._beside(channel.scope)
            self._slow(channel.publish("refetch", members({"why": why})))

    def _slow(self, clients: int) -> None:
        if clients:
            self._telemetry.count("hearthward_live_overruns_total", clients)

    # --- browsers -----------------------------------------------------------------------------------
    def _channel(self, scope: Scope) -> Channel:
        channel = self._channels.get(scope)
        if channel is None:
            # Not the name of one that was dropped: its numbers begin anew.
            boot = f"{self._boot}.{next(self._numbers)}"
            channel = self._channels[scope] = Channel(scope, boot)
            channel.beside = self._beside(scope)
        return channel

    def _drop_idle(self) -> None:
        real = self._backend.clock.monotonic_ns()
        for scope, channel in list(self._channels.items()):
            if channel.clients:
                channel.idle_since = None
            elif channel.idle_since is None:
                channel.idle_since = real
            elif real - channel.idle_since > IDLE_CHANNEL_S * 1e9:
                del self._channels[scope]

    def snapshot(self, scope: Scope) -> dict[str, Any]:
        """Everything a wall of this scope shows, and the sequence number that it is good for."""
        channel = self._fresh(scope)
        tiles = self._board.roster(scope, self._backend.clock.now_ns())
        return {**self._head(channel), "tiles": tiles, **self._beside(scope)}

    def tile(self, scope: Scope, patient: str) -> TileView | None:
        """What the walls know of one patient now; None for who has no tile, or none in the scope."""
        if not self._board.covers(scope, patient):
            return None
        now = self._backend.clock.now_ns()
        if abs(now - self._aged_at) > AGED_NS:
            self._age()
        return self._board.whole(scope, patient, now)

    def states(self, scope: Scope, patient: str, values: Iterable[Value]) -> dict[str, str]:
        """Of each newest value of a patient, by metric, its state; of what is not there it is not known."""
        if self._trouble or not self._board.covers(scope, patient):
            return {}
        found = self._board.states(patient, values, self._backend.clock.now_ns())
        return {metric: str(state) for metric, state in found.items()}

    def known(self, scope: Scope, patient: str, values: Sequence[Value]) -> Known:
        """How much of what is on a patient is live and watched now."""
        tile = self.tile(scope, patient)
        shown = [] if tile is None else list(tile["v"].values())
        found = known_of(shown, values, self.states(scope, patient, values))
        return "part" if self._trouble and found == "all" else found

    def snapshot_text(self, scope: Scope) -> str:
        """The same as JSON; encoded once for all who fetch it before the next message."""
        channel = self._fresh(scope)
        if channel.whole[0] != channel.seq:
            tiles = self._board.roster(scope, self._backend.clock.now_ns())
            channel.whole = channel.seq, members({"tiles": tiles, **self._beside(scope)})
        return f"{{{members(self._head(channel))},{channel.whole[1]}}}"

    def _fresh(self, scope: Scope) -> Channel:
        channel = self._channel(scope)
        if abs(self._backend.clock.now_ns() - self._aged_at) > AGED_NS:
            self._age()
        return channel

    def _head(self, channel: Channel) -> dict[str, Any]:
        clock = self._backend.clock
        return {
            "boot": channel.boot,
            "seq": channel.seq,
            "now": clock.now_ns() // MS,
            "rate": 0 if clock.event_driven else 1,
            "why": self._trouble,
            "gw": list(self._board.gateways()),
        }

    async def stream(
        self, scope: Scope, last: str | None, alive: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        """Server-sent events for one browser, from after the event id ``last`` if that is still known.

        ``alive`` is asked every CHECK_S whether the session still holds; the stream ends when not.
        """
        channel = self._channel(scope)
        client = Subscription()
        missed = channel.since(last) if last else []
        if self._closed:
            return
        channel.clients.add(client)
        retry = RETRY_MS + len(channel.clients) * SPREAD_MS % RETRY_MS
        if missed is None:
            missed = [sse("refetch", members({"why": "gap"}))]
        try:
            yield b"".join([f"retry: {retry}\n\n".encode(), *missed, self._heartbeat(channel)])
            checked = self._backend.clock.monotonic_ns()
            while True:
                real = self._backend.clock.monotonic_ns()
                if real - checked > CHECK_S * 1e9:
                    checked = real
                    if not await alive():
                        return
                messages = await client.get()
                if messages is None:
                    return
                yield messages
        finally:
            channel.clients.discard(client)
