"""Who a gateway is: one machine with one outbox, or a new outbox, or two machines under one name.

Each process of an edge has a session of its own and sends nothing more once a later one has begun: one that
does is another machine's. What is late in some queue is told apart by when it was sent, on the gateway's
monotonic clock (``clocks``), and it takes several words of each. The same numbers with other content are
proof at once. An outbox that was not known, of a gateway that had another, was made anew: what
the former one still had is gone unless it comes back.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cloud_ingest.facts import Facts
from cloud_ingest.records.lineage_models import GatewayBoot
from hearthward.core.clock import SECOND, Clock
from hearthward.core.telemetry import Telemetry
from rules.model import subject_key

__all__ = ["BootSeen", "Lineage", "load_lineage", "write_lineage"]

log = logging.getLogger(__name__)

SIGNS: Final = 3
"""So often a session must have spoken after a later one began, and that one in between, to be another's."""
CONFLICT_S: Final = 600.0
"""After so long without another sign the conflict is over: only one is heard."""
REPLACED_S: Final = 24 * 3600.0
MARGIN_NS: Final = SECOND
"""How well it is known when something was sent."""
EVERY_NS: Final = 10 * SECOND
NOTED_NS: Final = 60 * SECOND
"""That a boot was heard again is written no more often than this."""
MAX_GATEWAYS: Final = 10_000
MAX_SESSIONS: Final = 32
MAX_BOOTS: Final = 16
"""Of one gateway; of more those are known that were heard last: names can be invented."""
CONFLICT: Final = "identity_conflict"
REPLACED: Final = "outbox_replaced"


@dataclass(frozen=True, slots=True)
class BootSeen:
    """One outbox of a gateway, as it is written; times are UTC ns."""

    gateway: str
    boot: str
    first_seen: int
    last_seen: int
    last_session: str
    conflict_at: int | None = None


@dataclass(slots=True)
class _Spoken:
    """When a session's first and last word was sent (our monotonic ns)."""

    first: int
    last: int


@dataclass(slots=True)
class _Known:
    """One gateway: its boots, the sessions that were heard, and signs of a second machine.

    ``told`` are facts of which it was said since the start that they are not so.
    """

    boots: dict[str, BootSeen] = field(default_factory=dict)
    sessions: OrderedDict[str, _Spoken] = field(default_factory=OrderedDict)
    signs: list[int] = field(default_factory=list)
    conflict_at: int | None = None
    told: set[str] = field(default_factory=set)

    def newest(self) -> BootSeen:
        """The boot that was heard of last for the first time."""
        return max(self.boots.values(), key=lambda b: b.first_seen)


class Lineage:
    """All gateways of one tenant; facts ``identity_conflict`` and ``outbox_replaced`` follow from it.

    ``heard`` is to be called with every frame, ``tick`` now and then, ``unsaved`` and ``saved`` around a
    commit.
    """

    def __init__(self, facts: Facts, clock: Clock, telemetry: Telemetry) -> None:
        self._facts, self._clock, self._telemetry = facts, clock, telemetry
        self._known: dict[str, _Known] = {}
        self._unsaved: dict[tuple[str, str], BootSeen] = {}
        self._due = 0

    def begin(self, rows: list[BootSeen]) -> None:
        """Start with what was written."""
        for row in rows:
            known = self._known.setdefault(row.gateway, _Known())
            known.boots[row.boot] = row
            self._bound(known, row)
            if row.conflict_at is not None:
                known.conflict_at = max(row.conflict_at, known.conflict_at or 0)
        self._look(self._clock.now_ns())

    def heard(self, gateway: str, boot: str, session: str, sent: int) -> None:
        """A frame came that was sent at ``sent`` (our monotonic ns)."""
        if gateway not in self._known and len(self._known) >= MAX_GATEWAYS:
            return
        known = self._known.setdefault(gateway, _Known())
        self._note_boot(known, gateway, boot, session)
        if self._speaks_still(known, session, sent):
            horizon = sent - int(CONFLICT_S * SECOND)
            known.signs = [*(at for at in known.signs[-SIGNS:] if at > horizon), sent]
            if len(known.signs) >= SIGNS:
                self._conflict(known, gateway, boot)

    def cloned(self, gateway: str, boot: str) -> None:
        """Other content came under numbers that are committed."""
        known = self._known.get(gateway)
        if known is not None and boot in known.boots:
            self._conflict(known, gateway, boot)

    def tick(self) -> None:
        """Bring the facts up to date with the time, every ten seconds."""
        mono = self._clock.monotonic_ns()
        if mono >= self._due:
            self._due = mono + EVERY_NS
            self._look(self._clock.now_ns())

    def _look(self, now: int) -> None:
        for gateway, known in self._known.items():
            if not known.boots:
                continue
            in_conflict = known.conflict_at is not None and _within(now, known.conflict_at, CONFLICT_S)
            self._tell(known, gateway, CONFLICT, so=in_conflict)
            replaced = len(known.boots) > 1 and _within(now, known.newest().first_seen, REPLACED_S)
            self._tell(known, gateway, REPLACED, so=replaced)

    def unsaved(self) -> list[BootSeen]:
        """What is to be written."""
        return list(self._unsaved.values())

    def saved(self, rows: list[BootSeen]) -> None:
        """These were committed; what changed meanwhile stays to be written."""
        for row in rows:
            if self._unsaved.get((row.gateway, row.boot)) == row:
                del self._unsaved[row.gateway, row.boot]

    def _speaks_still(self, known: _Known, session: str, sent: int) -> bool:
        """Book a session's word; whether it is another sign that it did not end when a later one began."""
        spoken = known.sessions.get(session)
        if spoken is None:
            known.sessions[session] = _Spoken(sent, sent)
            while len(known.sessions) > MAX_SESSIONS:
                known.sessions.popitem(last=False)
            return False
        spoken.last = max(spoken.last, sent)
        since = known.signs[-1] if known.signs else -(2**62)
        return sent >= since + MARGIN_NS and any(
            other.first > spoken.first and sent > other.first + MARGIN_NS and other.last > since
            for other in known.sessions.values()
        )

    def _note_boot(self, known: _Known, gateway: str, boot: str, session: str) -> None:
        now = self._clock.now_ns()
        row = known.boots.get(boot)
        if row is None:
            if known.boots:
                former = known.newest().boot
                log.warning("gateway %s: its outbox is another one (boot %s, was %s)", gateway, boot, former)
                self._telemetry.count("gateway_boots_total")
                self._tell(known, gateway, REPLACED, so=True)
            row = BootSeen(gateway, boot, now, now, session)
        elif row.last_session == session and abs(now - row.last_seen) < NOTED_NS:
            return
        self._put(known, replace(row, last_seen=max(now, row.last_seen), last_session=session))

    def _conflict(self, known: _Known, gateway: str, boot: str) -> None:
        now, last = self._clock.now_ns(), known.conflict_at
        known.conflict_at = now
        if last is None or not _within(now, last, CONFLICT_S):
            log.error("two machines use the identity of gateway %s: stop one of them", gateway)
            self._telemetry.count("gateway_conflicts_total")
        self._tell(known, gateway, CONFLICT, so=True)
        row = known.boots[boot]
        if row.conflict_at is None or abs(now - row.conflict_at) >= NOTED_NS:
            self._put(known, replace(row, conflict_at=now))

    def _put(self, known: _Known, row: BootSeen) -> None:
        known.boots[row.boot] = self._unsaved[row.gateway, row.boot] = row
        self._bound(known, row)

    def _bound(self, known: _Known, kept: BootSeen) -> None:
        """Forget which boot was not heard of for longest if there are too many; not ``kept``."""
        if len(known.boots) > MAX_BOOTS:
            others = (b for b in known.boots.values() if b is not kept)
            oldest = min(others, key=lambda b: (b.last_seen, b.first_seen))
            del known.boots[oldest.boot]
            self._unsaved.pop((oldest.gateway, oldest.boot), None)

    def _tell(self, known: _Known, gateway: str, metric: str, *, so: bool) -> None:
        """Say what is so; of what is not it is said once, which ends an alarm of before, and no more."""
        subject = subject_key("gateway", gateway)
        if so:
            self._facts.put(subject, metric, 1.0)
            known.told.discard(metric)
        elif metric not in known.told:
            self._facts.put(subject, metric, 0.0)
            known.told.add(metric)
        else:
            self._facts.forget(subject, metric)


def _within(now: int, at: int, seconds: float) -> bool:
    """Whether it was less than ``seconds`` ago; also where the clock was put back meanwhile."""
    return abs(now - at) < seconds * SECOND


def load_lineage(session: Session, tenant: str) -> list[BootSeen]:
    """What the table knows."""
    rows = session.scalars(select(GatewayBoot).where(GatewayBoot.tenant == tenant).order_by(GatewayBoot.boot))
    return [
        BootSeen(r.gateway, r.boot, r.first_seen, r.last_seen, r.last_session, r.conflict_at) for r in rows
    ]


def write_lineage(session: Session, tenant: str, rows: list[BootSeen]) -> None:
    """Bring the table up to date, with the boots of each gateway that were heard last."""
    for row in rows:
        session.merge(
            GatewayBoot(
                tenant=tenant,
                gateway=row.gateway,
                boot=row.boot,
                first_seen=row.first_seen,
                last_seen=row.last_seen,
                last_session=row.last_session,
                conflict_at=row.conflict_at,
            )
        )
    session.flush()
    for gateway in {row.gateway for row in rows}:
        _prune(session, tenant, gateway)


def _prune(session: Session, tenant: str, gateway: str) -> None:
    row = GatewayBoot
    mine = row.tenant == tenant, row.gateway == gateway
    newest_first = row.last_seen.desc(), row.first_seen.desc(), row.boot
    gone = session.scalars(select(row.boot).where(*mine).order_by(*newest_first).offset(MAX_BOOTS)).all()
    if gone:
        session.execute(delete(row).where(*mine, row.boot.in_(gone)))
