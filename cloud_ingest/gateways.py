"""What is known of the gateways now: kept in memory, told to listeners, noted in the records now and then."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.feed import Feed, GatewayChanged, GatewayState
from cloud_ingest.records.models import Gateway
from hearthward.core.clock import SECOND, Clock
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame, Status

__all__ = ["GatewayBoard", "write_notes"]

MAX_GATEWAYS: Final = 10_000
"""Unknown gateways can be invented by anybody who may publish: beyond this no new ones are listed."""
CLOCK: Final = "clock"
MOST_TROUBLES: Final = 16
MOST_LETTERS: Final = 64
FRESH_NS: Final = 30 * SECOND
"""An edge sends its status every ten seconds: an older one was kept by the broker."""
REASONS: Final = frozenset(
    {
        "integrity",
        "internal",
        "malformed",
        "no_room",
        "out_of_range",
        "oversized",
        "stale",
        "store_rejected",
        "truncated",
        "unknown_source",
    }
)
"""Why an edge refuses a device's frame; any other word is counted as ``other``: labels are not invented."""


Note = tuple[int, tuple[int, int] | None]
"""When it was last seen; which configuration version it runs, and since when it is known to."""


class GatewayBoard:
    """The gateways of one tenant, whether the directory knows them or not.

    Gauge ``edge_frames_rejected`` by gateway and reason: devices' frames refused since its edge started.
    """

    def __init__(self, tenant: str, feed: Feed, clock: Clock, telemetry: Telemetry) -> None:
        self._tenant = tenant
        self._feed = feed
        self._clock = clock
        self._telemetry = telemetry
        self._states: dict[str, GatewayState] = {}
        self._applied: dict[str, tuple[int, int]] = {}
        self._sent: dict[str, int] = {}
        self._wrong: dict[str, str] = {}
        self._unsaved: set[str] = set()

    def get(self, gateway: str) -> GatewayState | None:
        """What is known of one."""
        return self._states.get(gateway)

    def online(self, gateway: str) -> bool:
        """Whether one is connected, as far as is known."""
        state = self._states.get(gateway)
        return state is not None and state.online

    def told(self, gateway: str) -> bool:
        """Whether one has told its status since we started."""
        return gateway in self._sent

    def all(self) -> list[GatewayState]:
        """All that were heard of, by id."""
        return [self._states[g] for g in sorted(self._states)]

    def applied(self, gateway: str) -> tuple[int, int] | None:
        """The configuration version that a gateway says it runs, and since when it is known to (UTC ns)."""
        return self._applied.get(gateway)

    def status(self, gateway: str, status: Status) -> bool:
        """A status message (or last will) came; returns whether it is a sign of life of just now.

        The broker gives the last one again at every connect: one is live when it is new to us, or fresh by
        the gateway's own clock.
        """
        old = self._states.get(gateway, GatewayState(gateway))
        now = self._clock.now_ns()
        # a retained status may be old: it tells by itself when it was sent
        wall = status.wall if type(status.wall) is int else 0
        sent = wall if 0 < wall <= now else now
        if not status.online:
            self._put(replace(old, online=False))
            return False
        known = self._sent.get(gateway)
        if gateway in self._states or len(self._states) < MAX_GATEWAYS:
            self._sent[gateway] = wall
        self._put(
            GatewayState(
                gateway=gateway,
                online=True,
                last_seen=max(sent, old.last_seen),
                boot=status.boot,
                version=status.version,
                config=status.config,
                backlog=status.backlog,
                devices=dict(status.devices),
                rejected=status.rejected,
                trouble=_words(status.trouble) | self._clock_of(gateway),
            )
        )
        if gateway in self._states:
            self._gauge(gateway, status.rejected, old.rejected)
        return abs(now - wall) <= FRESH_NS if known is None else wall != known

    def clock(self, gateway: str, offset: int) -> None:
        """A frame's times of the gateway's clock were corrected by ``offset`` ns (0: it is right)."""
        state = self._states.get(gateway)
        word = "" if not offset else "ahead" if offset < 0 else "behind"
        if state is None or self._wrong.get(gateway, "") == word:
            return
        if word:
            self._wrong[gateway] = word
        else:
            del self._wrong[gateway]
        told = {what: why for what, why in state.trouble.items() if what != CLOCK}
        self._put(replace(state, trouble=told | self._clock_of(gateway)))

    def _clock_of(self, gateway: str) -> dict[str, str]:
        word = self._wrong.get(gateway)
        return {CLOCK: word} if word else {}

    def heard(self, frame: Frame) -> None:
        """A frame came: it is online, whatever its last status was."""
        old = self._states.get(frame.gateway, GatewayState(frame.gateway))
        new = replace(
            old,
            online=True,
            boot=frame.boot,
            config=frame.config or old.config,
            last_seen=max(self._clock.now_ns(), old.last_seen),
        )
        told = replace(new, last_seen=old.last_seen) != old
        self._put(new, tell=told)

    def runs(self, gateway: str, config: str, version: int | None) -> None:
        """A gateway says which configuration document it has in force."""
        old = self._states.get(gateway, GatewayState(gateway))
        if version is not None and self._applied.get(gateway, (None, 0))[0] != version:
            self._applied[gateway] = version, self._clock.now_ns()
            self._unsaved.add(gateway)
        self._put(replace(old, config=config))

    def unsaved(self) -> dict[str, Note]:
        """What the directory does not know yet: gateway -> (last seen, configuration applied)."""
        return {
            g: (self._states[g].last_seen, self._applied.get(g)) for g in self._unsaved if g in self._states
        }

    def saved(self, notes: dict[str, Note]) -> None:
        """These notes were committed; what changed meanwhile stays to be saved."""
        now = self.unsaved()
        self._unsaved -= {g for g, note in notes.items() if now.get(g) == note}

    def _gauge(self, gateway: str, now: dict[str, dict[str, int]], before: dict[str, dict[str, int]]) -> None:
        counts = _by_reason(now)
        for reason in sorted(counts.keys() | _by_reason(before).keys()):
            self._telemetry.gauge("edge_frames_rejected", counts[reason], gateway=gateway, reason=reason)

    def _put(self, state: GatewayState, *, tell: bool = True) -> None:
        if state.gateway not in self._states and len(self._states) >= MAX_GATEWAYS:
            return
        changed = self._states.get(state.gateway) != state
        self._states[state.gateway] = state
        self._unsaved.add(state.gateway)
        if changed and tell:
            self._feed.publish(GatewayChanged(self._tenant, state))


def _words(told: dict[str, str]) -> dict[str, str]:
    """What a gateway tells of its trouble, at most so much of it; its clock we know ourselves."""
    kept = sorted(told.items())[:MOST_TROUBLES]
    return {what[:MOST_LETTERS]: why[:MOST_LETTERS] for what, why in kept if what != CLOCK}


def _by_reason(rejected: dict[str, dict[str, int]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for reasons in rejected.values():
        for reason, n in reasons.items():
            counts[reason if reason in REASONS else "other"] += n
    return counts


def write_notes(session: Session, tenant: str, notes: dict[str, Note]) -> None:
    """Bring the directory up to date; gateways that it does not know are passed over."""
    for gateway, (seen, applied) in sorted(notes.items()):
        row = session.get(Gateway, (tenant, gateway))
        if row is None:
            continue
        row.last_seen = max(seen, row.last_seen or 0) or None
        if applied is not None and applied[0] != row.config_version_applied:
            row.config_version_applied, row.config_applied_at = applied
