"""The fake's view of its directory, a page at a time, and of its audit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dashboards.backend import DirectoryError
from dashboards.directory_port import MOST_NAMED, AskedAudit, AskedItems, AuditPage, ItemPage, Names
from dashboards.entry_names import called, keys_of
from dashboards.fake_views import end_of
from dashboards.models import Association, AuditEntry, Device, Encounter, Gateway, Item, Kind, Patient
from hearthward.core.clock import Clock
from hearthward.core.errors import AccessError
from hearthward.core.text import natural
from hearthward.trust.access import Scope

__all__ = ["FakeDirectory"]


class FakeDirectory:
    """The part of ``FakeBackend`` that looks things up."""

    clock: Clock

    # of the fake itself
    def _rows(self, tenant: str, kind: Kind) -> Mapping[str, Any]:
        raise NotImplementedError

    def _visible(self, scope: Scope, kind: Kind, row: Any) -> bool:
        raise NotImplementedError

    def _lines(self, tenant: str) -> Sequence[AuditEntry]:
        raise NotImplementedError

    def _name(self, tenant: str, user: str | None) -> str | None:
        raise NotImplementedError

    async def create(self, scope: Scope, kind: Kind, fields: Mapping[str, Any]) -> Item:
        """See the port."""
        raise NotImplementedError

    async def end(self, scope: Scope, kind: Kind, key: str, at: int | None = None) -> Item | None:
        """See the port."""
        raise NotImplementedError

    async def last_seen(self, scope: Scope) -> Mapping[str, int]:
        """See the port."""
        raise NotImplementedError

    async def item_page(self, scope: Scope, asked: AskedItems) -> ItemPage:
        """See the port."""
        rows = [r for r in self._found_in(scope, asked.kind) if self._meant(scope, asked, r)]
        rows = self._in_order(asked.kind, rows)
        shown = rows[asked.offset : asked.offset + asked.limit]
        return ItemPage(shown, len(rows), await self.item_names(scope, keys_of(asked.kind, shown)))

    async def item_counts(self, scope: Scope) -> Mapping[Kind, int]:
        """See the port."""
        kinds: tuple[Kind, ...] = ("ward", "bed", "patient", "encounter", "gateway", "device", "association")
        return {k: sum(self._is_present(r) for r in self._found_in(scope, k)) for k in kinds}

    async def item_names(self, scope: Scope, keys: Mapping[Kind, Collection[str]]) -> Names:
        """See the port."""
        wards = {w.id: w.name for w in self._found_in(scope, "ward")}
        return {
            (kind, r.id): called(kind, r, wards)
            for kind, ids in keys.items()
            for r in self._found_in(scope, kind)
            if r.id in ids
        }

    async def items_named(self, scope: Scope, kind: Kind, text: str) -> Sequence[Item]:
        """See the port."""
        rows = [r for r in self._found_in(scope, kind) if self._is_present(r)]
        by_id: list[Item] = [r for r in rows if r.id == text]
        if by_id:
            return by_id
        low = text.lower()
        in_bed: set[str] = set()
        if kind == "patient":
            beds = {b.id for b in self._found_in(scope, "bed") if b.label.lower() == low}
            stays = [e for e in self._found_in(scope, "encounter") if self._is_present(e)]
            in_bed = {e.patient for e in stays if e.bed in beds}
        same = [r for r in rows if r.id in in_bed or low in {t.lower() for t in _texts(r)}]
        return self._in_order(kind, same)[:MOST_NAMED]

    async def adrift(self, scope: Scope, limit: int) -> Sequence[Patient]:
        """See the port."""
        worn = {a.patient for a in self._found_in(scope, "association") if self._is_present(a)}
        stay = {e.patient for e in self._found_in(scope, "encounter") if self._is_present(e)}
        people = [p for p in self._found_in(scope, "patient") if p.id in worn - stay and self._is_present(p)]
        return self._in_order("patient", people)[:limit]

    async def worn(self, scope: Scope, device: str) -> tuple[Association | None, bool]:
        """See the port."""
        rows = self._rows(scope.tenant, "association").values()
        now = next((a for a in rows if a.device == device and self._is_present(a)), None)
        if now is None:
            return None, False
        return (now if self._visible(scope, "association", now) else None), True

    async def give_device(self, scope: Scope, device: str, patient: str, *, was: str | None) -> Association:
        """See the port."""
        now, somebody = await self.worn(scope, device)
        if somebody and (now is None or now.id != was or now.patient == patient):
            raise DirectoryError(field="device", code="taken", value=device)
        if now is not None:
            await self.end(scope, "association", now.id, max(self.clock.now_ns(), now.start + 1))
        made = await self.create(scope, "association", {"device": device, "patient": patient})
        if not isinstance(made, Association):
            raise TypeError(made)
        return made

    async def seen_at(self, scope: Scope, devices: Sequence[str]) -> Mapping[str, int]:
        """See the port."""
        return {d: at for d, at in (await self.last_seen(scope)).items() if d in devices}

    async def site_zone(self, scope: Scope) -> str | None:
        """See the port."""
        present = (g for g in self._found_in(scope, "gateway") if self._is_present(g))
        found = Counter(g.timezone for g in present if g.timezone)
        return min(found, key=lambda zone: (-found[zone], zone), default=None)

    async def audit_page(self, scope: Scope, asked: AskedAudit) -> AuditPage:
        """See the port."""
        if scope.confined:
            msg = "the audit concerns the whole organisation"
            raise AccessError(msg)
        lines = self._lines(scope.tenant)
        numbered = [
            e.model_copy(update={"seq": n, "actor_name": self._name(scope.tenant, e.actor) or ""})
            for n, e in enumerate(lines, 1)
        ]
        about = {
            r.id
            for kind in ("encounter", "association")
            for r in self._rows(scope.tenant, kind).values()
            if r.patient == asked.patient
        }
        found = [e for e in reversed(numbered) if _takes(asked, e, about)][: asked.limit]
        return AuditPage(found, found[-1].seq if len(found) == asked.limit else None)

    # -- helpers
    def _found_in(self, scope: Scope, kind: Kind) -> list[Any]:
        return [r for r in self._rows(scope.tenant, kind).values() if self._visible(scope, kind, r)]

    def _is_present(self, row: Any) -> bool:
        over = end_of(row)
        corrected = isinstance(row, Association) and row.superseded_at is not None
        return (over is None or over > self.clock.now_ns()) and not corrected

    def _in_order(self, kind: Kind, rows: Sequence[Any]) -> list[Any]:
        if kind in {"encounter", "association"}:
            return sorted(rows, key=lambda r: (-r.start, r.id))
        if kind == "bed":
            return sorted(rows, key=lambda r: (r.ward, natural(r.label), r.id))
        return sorted(rows, key=lambda r: (r.name if kind in {"ward", "patient"} else r.id, r.id))

    def _meant(self, scope: Scope, asked: AskedItems, row: Any) -> bool:
        if not asked.ended and not self._is_present(row):
            return False
        for name in ("gateway", "bed", "device", "patient"):
            wanted = getattr(asked, name)
            if wanted is not None and name != asked.kind and getattr(row, name, wanted) != wanted:
                return False
        if asked.ward is not None and asked.kind != "ward" and self._ward_now(scope, row) != asked.ward:
            return False
        texts = [t.lower() for t in self._all_texts(scope, row)]
        return all(w == row.id or any(w.lower() in t for t in texts) for w in asked.words.split())

    def _ward_now(self, scope: Scope, row: Any) -> str | None:
        if hasattr(row, "ward"):
            return str(row.ward)
        if hasattr(row, "gateway"):
            gateway = self._rows(scope.tenant, "gateway").get(row.gateway)
            return gateway.ward if gateway else None
        patient = row.id if isinstance(row, Patient) else row.patient
        stays = [e for e in self._rows(scope.tenant, "encounter").values() if e.patient == patient]
        return next((e.ward for e in stays if self._is_present(e)), None)

    def _all_texts(self, scope: Scope, row: Any) -> list[str]:
        """What is searched for words."""
        found = _searched(row)
        about: tuple[Kind, ...] = ()
        if isinstance(row, Encounter):
            about = ("patient", "bed", "ward")
        elif isinstance(row, Association):
            about = ("device", "patient")
        elif hasattr(row, "ward"):
            about = ("ward",)
        elif hasattr(row, "gateway"):
            found += [row.gateway, row.profile or ""]
        for kind in about:
            other = self._rows(scope.tenant, kind).get(getattr(row, kind))
            found += _searched(other) if other is not None else []
        return found


def _texts(row: Any) -> list[str]:
    """By what an entry is called."""
    return [str(v) for n in ("id", "name", "label", "mrn", "address") if (v := getattr(row, n, None))]


def _searched(row: Any) -> list[str]:
    """Where words are looked for: not in an id that was made here."""
    return [t for t in _texts(row) if t != row.id or isinstance(row, Gateway | Device)]


def _takes(asked: AskedAudit, entry: AuditEntry, about: Collection[str]) -> bool:
    """Whether a line is asked for."""
    named = entry.target == asked.patient or entry.target in about
    return (
        (not asked.action or entry.action == asked.action)
        and (not asked.kind or entry.kind == asked.kind)
        and (not asked.target or entry.target == asked.target)
        and (not asked.outcome or entry.outcome == asked.outcome)
        and (not asked.patient or named or f'"{asked.patient}"' in json.dumps(entry.detail))
        and (asked.since is None or entry.at >= asked.since)
        and (asked.until is None or entry.at < asked.until)
        and (asked.before is None or entry.seq < asked.before)
        and (not asked.who or asked.who == entry.actor or asked.who.lower() in entry.actor_name.lower())
    )
