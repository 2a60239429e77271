"""The fake's entries by hand: checked as the real ones are, kept in memory, decided by nobody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from cloud_ingest.entry import Draft, EntryDesk, EntryError, Problem
from dashboards.fake_views import value_of
from dashboards.models import Item, Kind, Patient, Value
from hearthward.core.clock import Clock
from hearthward.core.model import Reading, ReadingBatch
from hearthward.trust.access import Scope

__all__ = ["FakeEntries"]


class FakeEntries(ABC):
    """The part of ``FakeBackend`` that is about observations entered by hand."""

    clock: Clock

    def __init__(self) -> None:
        self._desks: dict[str, EntryDesk] = {}

    @abstractmethod
    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """See the port."""

    @abstractmethod
    def put_readings(self, tenant: str, readings: Sequence[Reading]) -> None:
        """Store readings and publish them."""

    @abstractmethod
    def _stored(self, tenant: str) -> list[Reading]:
        """All readings of a tenant."""

    @abstractmethod
    def _name(self, tenant: str, user: str | None) -> str | None:
        """A user's name."""

    async def enter(self, scope: Scope, patient: str, draft: Draft, *, author: str) -> Sequence[Value] | None:
        """See the port."""
        person = await self.item(scope, "patient", patient)
        if not isinstance(person, Patient):
            return None
        if person.ended is not None:
            raise EntryError(Problem("patient", "ended", patient))
        batch = await self._desk(scope.tenant).enter(patient, draft, author)
        return [value_of(r, patient, self._name(scope.tenant, author)) for r in batch]

    def _desk(self, tenant: str) -> EntryDesk:
        async def earlier(device: str, start: int, end: int) -> ReadingBatch:
            kept = self._stored(tenant)
            return ReadingBatch.of(r for r in kept if r.device == device and start <= r.corrected < end)

        async def take(batch: ReadingBatch, patients: list[str]) -> None:
            del patients
            known = {(r.device, r.digest) for r in self._stored(tenant)}
            self.put_readings(tenant, [r for r in batch if (r.device, r.digest) not in known])

        return self._desks.setdefault(tenant, EntryDesk(self.clock, earlier, take))
