"""The port's alarms and answers over the real records and their one owner, the service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import select

from cloud_ingest.life_words import Unnamed
from cloud_ingest.records import AlarmHistory, Proofs, Records
from cloud_ingest.records import models as rows
from cloud_ingest.records.alarms import AlarmFilters
from cloud_ingest.service import CloudService
from dashboards.alarm_query import AlarmQuery
from dashboards.alarm_views import alarm_of, detail_of, inactivation_of, people_in
from dashboards.backend import Backend, DirectoryError, Throttled
from dashboards.models import Alarm, AlarmDetail, AlarmNote, Inactivation, Item, Kind, Ward
from dashboards.patient_eyes import alarm_seen, off_seen
from dashboards.response_models import Act, WallState
from dashboards.subjects import names_of
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Principal, Scope
from hearthward.trust.passwords import Passwords

__all__ = ["CloudResponse"]

PATIENT_KINDS: tuple[Kind, ...] = ("patient", "device", "gateway")


class CloudResponse(ABC):
    """The part of ``CloudBackend`` that is about alarms and what people do about them."""

    tenant: str

    def __init__(self, service: CloudService, passwords: Passwords) -> None:
        self._service = service
        self._records: Records = service.records
        self._proofs = Proofs(service.records, passwords)
        self._people: dict[str, str] = {}

    @abstractmethod
    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """See the port."""

    @abstractmethod
    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Item]:
        """See the port."""

    # --- names of people ------------------------------------------------------------------------
    async def _names_of(self, users: Iterable[str]) -> Mapping[str, str]:
        """Names by ids; all are read again when one is asked for that is not known yet.

        What is no id of a user stays as it is: before, names stood where ids stand now.
        """
        if unknown := set(users) - self._people.keys():
            query = select(rows.User.id, rows.User.name).where(rows.User.tenant == self.tenant)
            found = await self._records.read(lambda s: s.execute(query).all())
            self._people = {key: key for key in unknown} | {row.id: row.name for row in found}
        return self._people

    async def _names_for(self, scope: Scope, users: Iterable[str]) -> Mapping[str, str]:
        """The same as the scope may learn them: a patient nobody's but their own."""
        if scope.patient is None:
            return await self._names_of(users)
        own = rows.User.tenant == self.tenant, rows.User.patient == scope.patient
        query = select(rows.User.id, rows.User.name).where(*own)
        found = await self._records.read(lambda s: s.execute(query).all())
        return Unnamed({row.id: row.name for row in found})

    async def _shown(self, scope: Scope, found: Sequence[rows.Alarm]) -> list[Alarm]:
        names, ids = (
            await self._names_of(who for row in found for who in people_in(row)),
            [a.id for a in found],
        )
        there = await self._records.read(lambda s: self._records.alarms(s).opened_there(scope, ids))
        return [alarm_of(row, self._service.rules, names, there.get(row.id)) for row in found]

    # --- looking --------------------------------------------------------------------------------
    async def alarms(self, scope: Scope, query: AlarmQuery) -> Sequence[Alarm]:
        """See the port."""
        filters = _filters(query)
        out: list[Alarm] = []
        before = query.before
        while True:
            page = await self._page(scope, before, query.limit, filters)
            out += [alarm_seen(scope, a) for a in await self._shown(scope, page) if query.takes(a)]
            if len(out) >= query.limit or len(page) < query.limit:
                return out[: query.limit]
            before = page[-1].id

    async def _page(
        self, scope: Scope, before: str | None, limit: int, filters: AlarmFilters
    ) -> Sequence[rows.Alarm]:
        try:
            return await self._records.read(
                lambda s: self._records.alarms(s).list(scope, before=before, limit=limit, **filters)
            )
        except ConfigError as error:
            if error.details.get("field") == "before":
                raise DirectoryError(field="before", code="unknown", value=before or "") from error
            raise

    async def _history(self, scope: Scope, key: str) -> AlarmHistory | None:
        found = await _or_none(self._records.read(lambda s: self._records.alarms(s).get(scope, key)))
        # What a rule on trial decides is no alarm.
        return None if found is None or found.alarm.shadow else cast("AlarmHistory", found)

    async def alarm(self, scope: Scope, key: str) -> AlarmDetail | None:
        """See the port."""
        history = await self._history(scope, key)
        if history is None:
            return None
        row = history.alarm
        under = await self._records.read(
            lambda s: self._records.alarms(s).list(scope, root=row.id, open=True)
        )
        held = await self.inactivations(scope, subject=row.patient) if row.patient else ()
        people = {t.actor for t in history.transitions if t.actor} | {n.who for n in history.notifications}
        names = await self._names_for(scope, {*people, *people_in(row), *_mentioned(history)})
        more = {"children": await self._shown(scope, under), "inactivations": list(held)}
        return alarm_seen(scope, detail_of(history, self._service.rules, names, **more))

    async def notes(self, scope: Scope, alarms: Collection[str]) -> Sequence[AlarmNote]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.alarms(s).notes(scope, alarms))
        names = await self._names_of({t.actor for t in found if t.actor})
        return [
            AlarmNote(alarm=t.alarm, at=t.at, by=t.actor, by_name=names.get(t.actor, t.actor), note=t.note)
            for t in found
            if t.actor
        ]

    async def inactivations(
        self, scope: Scope, *, subject: str | None = None, ended: bool = False
    ) -> Sequence[Inactivation]:
        """See the port."""
        found = await self._records.read(
            lambda s: self._records.inactivations(s).list(
                scope, subject=subject, open=None if ended else True
            )
        )
        names = await self._names_of(who for row in found for who in (row.by, row.ended_by) if who)
        backend = cast("Backend", self)
        called = await names_of(backend, scope, {row.subject for row in found})
        return [off_seen(scope, inactivation_of(row, called[row.subject], names)) for row in found]

    # --- doing ----------------------------------------------------------------------------------
    async def answer(self, scope: Scope, alarm: str, act: Act) -> Alarm | None:
        """See the port."""
        found = await self._history(scope, alarm)
        if found is None:
            return None
        await self._service.act(
            act.kind,
            alarm=found.alarm.id,
            actor=act.actor,
            note=act.note,
            until=act.until,
            to=act.to,
            seen=act.seen,
        )
        history = await self._history(scope, alarm)
        return None if history is None else (await self._shown(scope, [history.alarm]))[0]

    async def switch(self, scope: Scope, subject: str, act: Act) -> bool:
        """See the port."""
        kind, _, key = subject.rpartition(":")
        sort = next((k for k in PATIENT_KINDS if k == (kind or "patient")), None)
        if sort is None or await self.item(scope, sort, key) is None:
            return False
        await self._service.act(
            act.kind, subject=subject, actor=act.actor, note=act.note, until=act.until, to=act.to
        )
        return True

    # --- walls ----------------------------------------------------------------------------------
    async def person_by_badge(self, badge: str, *, wall: str) -> Principal | None:
        """See the port."""
        return await _proved(self._proofs.by_badge(Scope.system(self.tenant), badge, wall=wall))

    async def person_by_pin(self, login: str, pin: str) -> Principal | None:
        """See the port."""
        return await _proved(self._proofs.by_pin(Scope.system(self.tenant), login, pin))

    async def person(self, user: str) -> Principal | None:
        """See the port."""
        return await self._proofs.present(Scope.system(self.tenant), user)

    async def wall_seen(
        self,
        wall: str,
        wards: frozenset[str] | None,
        *,
        audible: bool,
        closed: bool = False,
        counts: bool = True,
    ) -> Sequence[WallState]:
        """See the port."""
        board = self._service.walls
        if closed or not counts:
            board.gone(wall)
        else:
            board.seen(wall, wards, audible=audible)
        return [
            WallState(ward=w.id, name=w.name, connected=len(board.of(w.id)), audible=board.audible(w.id))
            for w in await self.items(Scope(self.tenant, wards), "ward")
            if isinstance(w, Ward)
        ]


def _filters(query: AlarmQuery) -> AlarmFilters:
    def asked(*, wanted: bool) -> bool | None:
        return True if wanted else None

    return AlarmFilters(
        active=asked(wanted=query.active_only),
        open=asked(wanted=query.open_only),
        latched=asked(wanted=query.latched),
        accepted=False if query.unaccepted else None,
        owner=query.owner,
        signal=query.signal,
        kind=query.kind,
        priority=query.priority,
        worklist=query.worklist,
        ward=query.ward,
        patient=query.patient,
        equipment=asked(wanted=query.equipment),
        rule=query.rule,
        since=query.start,
        until=query.end,
        asked=query.asked,
        shadow=query.trial,
    )


def _mentioned(history: AlarmHistory) -> set[str]:
    """Ids of users in what the transitions tell besides."""
    out: set[str] = set()
    for t in history.transitions:
        detail: Mapping[str, Any] = t.detail
        out |= {str(who) for _, who in detail.get("told", ())}
        out |= {str(detail[key]) for key in ("to", "before") if detail.get(key)}
    return out


async def _or_none(read: Awaitable[Any]) -> Any:
    try:
        return await read
    except ConfigError as error:
        if error.details.get("reason") == "not_found":
            return None
        raise


async def _proved(proof: Awaitable[Principal]) -> Principal | None:
    try:
        return await proof
    except AccessError as error:
        if error.details.get("reason") == "throttled":
            raise Throttled(float(error.details.get("wait_s") or 1)) from error
        return None
