"""``hearthward why`` and ``why-not``: asked of the running cloud, or of its records when none runs.

The lock on the cloud's folder decides, as for ``hearthward users``. What is asked is audited both ways.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol
from urllib.parse import quote

from cloud_ingest.records import Records, RecordsAuditLog
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.why_desk import WhyDesk
from dashboards.why_models import Why, WhyNot
from firmware_profiles import load_catalog
from hearthward.app.desk import must_have_records, records_opened, taken
from hearthward.app.rest import Rest
from hearthward.app.stores import open_store
from hearthward.core.clock import iso, parse_iso
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from hearthward.trust.access import Action, Scope
from hearthward.trust.audit import AuditEvent
from rules.telling import lasting, source

__all__ = ["tell_why", "tell_why_not", "why_not_text", "why_text"]

API: Final = "/api/v1"
_KINDS: Final = {
    "alarm": "alarm",
    "asked": "no alarm: a second measurement was asked for",
    "worklist": "no alarm: came too late to signal, entry of the worklist",
    "trial": "no alarm: a rule on trial would have signalled",
}
_TRUTH: Final = {True: "yes", False: "no", None: "?"}


async def tell_why(settings: Settings, alarm: str, *, as_json: bool = False) -> str:
    """Why an alarm fired. Raises HearthwardError."""
    async with _desk(settings) as desk:
        found = await desk.why(alarm)
    return _json(found) if as_json else why_text(found)


async def tell_why_not(
    settings: Settings, patient: str, rule: str, time: str, *, as_json: bool = False
) -> str:
    """Why a rule did not fire for a patient at a time (ISO 8601). Raises HearthwardError."""
    try:
        at = parse_iso(time)
    except (ValueError, OverflowError) as error:
        msg = (
            f"TIME: {time!r} is no time: write it as 2026-03-01T08:15:00Z or 2026-03-01T09:15:00+01:00; "
            "without a zone it is UTC"
        )
        raise ConfigError(msg, field="at") from error
    async with _desk(settings) as desk:
        found = await desk.why_not(patient, rule, at)
    return _json(found) if as_json else why_not_text(found)


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=2)


class _Desk(Protocol):
    """Who answers."""

    async def why(self, alarm: str) -> Mapping[str, Any]:
        """As the API has it."""
        ...

    async def why_not(self, patient: str, rule: str, at: int) -> Mapping[str, Any]:
        """As the API has it."""
        ...


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[_Desk]:
    """Take the folder if it is free, else go to who has it."""
    must_have_records(settings, "no alarms were ever kept here")
    folder, tenant = settings.data / "cloud", settings.cloud.tenant
    with taken(settings) as rest:
        if rest is not None:
            yield _Running(rest)
            return
        async with records_opened(folder, tenant) as records:
            store = await open_store(settings)
            try:
                yield _Kept(records, store, tenant)
            finally:
                await store.close()


class _Kept:
    """The answers when no cloud runs."""

    def __init__(self, records: Records, store: TimeSeriesStore, tenant: str) -> None:
        self._records, self._tenant = records, tenant
        self._why = WhyDesk(records, store, tenant, load_catalog())
        self._scope = Scope.system(tenant)

    async def why(self, alarm: str) -> Mapping[str, Any]:
        """See _Desk."""
        await self._audit(Action.VIEW_ALARMS, "alarm", alarm)
        return Why.of(await self._why.why(self._scope, alarm)).model_dump(mode="json")

    async def why_not(self, patient: str, rule: str, at: int) -> Mapping[str, Any]:
        """See _Desk."""
        await self._audit(Action.VIEW_READINGS, "patient", patient, rule=rule, at=iso(at))
        found = await self._why.why_not(self._scope, patient, rule, at)
        return WhyNot.of(found).model_dump(mode="json")

    async def _audit(self, action: Action, kind: str, target: str, **detail: str) -> None:
        event = AuditEvent(
            at=self._records.wall.now_ns(),
            tenant=self._tenant,
            actor="command-line",
            action=action,
            resource_kind=kind,
            resource_id=target,
            detail=dict(detail),
        )
        await RecordsAuditLog(self._records).append(event)


class _Running:
    """The answers of a running cloud, over its REST API."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def why(self, alarm: str) -> Mapping[str, Any]:
        """See _Desk."""
        return await self._ask(f"{API}/alarms/{quote(alarm, safe='')}/why")

    async def why_not(self, patient: str, rule: str, at: int) -> Mapping[str, Any]:
        """See _Desk."""
        path = f"{API}/patients/{quote(patient, safe='')}/why-not/{quote(rule, safe='')}"
        return await self._ask(f"{path}?at={quote(iso(at), safe='')}")

    async def _ask(self, path: str) -> Mapping[str, Any]:
        read: Callable[[Any], Mapping[str, Any]] = dict
        return await self._rest.ask("GET", path, read)


# -- as text


def why_text(found: Mapping[str, Any]) -> str:
    """Why an alarm fired, for people."""
    return "\n".join(_why_lines(found))


def _why_lines(found: Mapping[str, Any]) -> Iterator[str]:
    rule = found["rule"]
    yield f"{found['text']['en']}  [{found['priority']}]"
    yield f"{_KINDS[found['kind']]} {found['id']}, {found['state']}, of {found['patient']}"
    yield from (f"note: {note['en']}" for note in found["notes"])
    yield ""
    version = "" if rule["version"] is None else f" version {rule['version']}"
    yield f"rule {rule['id']}{version} ({rule['hash']}): {rule['title']['en']}"
    standing = {"same": "in force now", "gone": "no longer in force"}
    yield f"  {standing.get(rule['standing'], 'changed since: version ' + str(rule['version_now']))}"
    if rule["released_by"]:
        yield f"  {rule['released_by']['en']}"
    yield from (f"  {words['en']}" for words in rule["words"])
    if rule["clinical_source"]:
        yield f"  source: {rule['clinical_source']}"
    yield ""
    yield "condition"
    yield from _tree(found["predicates"], 1) if found["predicates"] else (f"  limit {found['limit']}",)
    yield from _settings(found)
    yield ""
    yield "readings"
    for seen in found["seen"]:
        late = ", late" if seen["late"] else ""
        yield (
            f"  {seen['name']['en']} {seen['value']['en']} by {source(seen['device'])['en']}: "
            f"measured {seen['time']}, received {seen['received']}{late}"
        )
    yield ""
    yield "way"
    for hop in found["hops"]:
        yield f"  {hop['at']}  {_delay(hop):>10}  {hop['text']['en']}{_latency(hop)}"
    yield ""
    yield "life"
    for moment in found["life"]:
        by = f" by {moment['actor']}" if moment["actor"] else ""
        note = f" ({moment['note']})" if moment["note"] else ""
        yield f"  {moment['at']}  {moment['text']['en']}{by}{note}"
    if rule["text"]:
        yield ""
        yield "text of the rule, as it was"
        yield from (f"  {line}" for line in rule["text"].rstrip().splitlines())


def _settings(found: Mapping[str, Any]) -> Iterator[str]:
    for setting in found["settings"]:
        if setting["by"] is None:
            yield f"  {setting['name']}: {setting['value']:g}, the rule's own"
            continue
        until = f"until {setting['expires']}" if setting["expires"] else "until changed"
        counts = "" if setting["counts"] else "; outside the rule's bounds, does not count"
        yield (
            f"  {setting['name']}: {setting['value']:g}, set by {setting['by']} on {setting['start']} "
            f"{until} ({setting['reason']}); the rule's own is {setting['default']:g}{counts}"
        )


def _tree(predicate: Mapping[str, Any], depth: int) -> Iterator[str]:
    way = "  <- in the way" if predicate["blocks"] and not predicate["parts"] else ""
    yield f"{'  ' * depth}{_TRUTH[predicate['truth']]:4}{predicate['text']['en']}{way}"
    if not predicate["parts"]:
        yield f"{'  ' * depth}    {predicate['found']['en']}"
    for part in predicate["parts"]:
        yield from _tree(part, depth + 1)


def _delay(hop: Mapping[str, Any]) -> str:
    return "" if hop["delay_ms"] is None else f"+{lasting(hop['delay_ms'] / 1000)['en']}"


def _latency(hop: Mapping[str, Any]) -> str:
    taken = hop["latency_ms"]
    return "" if taken is None or taken < 1 else f" (answered after {lasting(taken / 1000)['en']})"


def why_not_text(found: Mapping[str, Any]) -> str:
    """Why a rule did not fire, for people: the decisive reason first."""
    return "\n".join(_why_not_lines(found))


def _why_not_lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['outcome']}: {found['text']['en']}"
    if found["alarm"]:
        yield f"see: hearthward why {found['alarm']}"
    for reason in found["reasons"][1:]:
        yield f"also: {reason['text']['en']}"
    rule = found["in_force"]
    yield ""
    if rule is None:
        yield f"rule {found['rule']}: not in force then"
    else:
        yield f"rule {rule['id']} version {rule['version']} ({rule['hash']}): {rule['title']['en']}"
        yield f"  limit {rule['limit']}"
    if found["predicates"]:
        yield f"condition at {found['at']}"
        yield from _tree(found["predicates"], 1)
    yield f"history looked at from {found['looked_from']}"
