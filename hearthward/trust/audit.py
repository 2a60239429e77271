"""The append-only audit: who did what to what, and whether they were let."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from hearthward.trust.access import Principal, Resource

__all__ = ["SHOWN", "AuditEvent", "AuditLog", "MemoryAuditLog", "Outcome", "said_by"]

Outcome = Literal["done", "refused", "failed"]
SHOWN: Final = "view_"
"""With this begin the actions that only show something; lines of others say so by ``read`` in the detail."""
Detail = str | int | float | bool | None


def said_by(action: str) -> bool:
    """Whether the action alone says that something was shown."""
    return action.startswith(SHOWN)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One act; ``at`` is real UTC ns, ``detail`` holds ids and field names, never values or names."""

    at: int
    tenant: str
    actor: str
    action: str
    resource_kind: str
    resource_id: str = ""
    outcome: Outcome = "done"
    detail: dict[str, Detail] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        at: int,
        principal: Principal,
        action: str,
        resource: Resource,
        *,
        resource_id: str = "",
        outcome: Outcome = "done",
        **detail: Detail,
    ) -> AuditEvent:
        """An event of a principal's act on a resource; without ``resource_id`` its patient or ward stands."""
        return cls(
            at=at,
            tenant=principal.tenant,
            actor=principal.user,
            action=str(action),
            resource_kind=resource.kind,
            resource_id=resource_id or resource.patient or resource.ward or "",
            outcome=outcome,
            detail=dict(detail),
        )


class AuditLog(Protocol):
    """Where audit events go; there is no way to change or remove one."""

    async def append(self, event: AuditEvent) -> None:
        """Keep the event; returns when it is committed. Raises StoreUnavailable."""
        ...

    async def events(self, tenant: str, *, limit: int = 100) -> list[AuditEvent]:
        """The newest ``limit`` events of a tenant, newest first."""
        ...


class MemoryAuditLog:
    """The fake of the port."""

    def __init__(self) -> None:
        self._events: list[AuditEvent] = []

    async def append(self, event: AuditEvent) -> None:
        """Keep the event."""
        self._events.append(event)

    async def events(self, tenant: str, *, limit: int = 100) -> list[AuditEvent]:
        """The newest events of a tenant, newest first."""
        return [e for e in reversed(self._events) if e.tenant == tenant][:limit]
