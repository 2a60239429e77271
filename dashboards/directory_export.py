"""Lists of the directory and the audit as CSV, read and sent in bounded pieces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from fastapi.responses import Response
from pydantic import BaseModel

from dashboards.access import Context
from dashboards.csv_stream import stream_csv
from dashboards.directory_port import AskedAudit, AskedItems
from dashboards.models import Association, Bed, Device, Encounter, Gateway, Kind, Patient, Ward
from hearthward.core.clock import iso
from hearthward.trust.access import Action

__all__ = ["export_audit", "export_entries"]

PIECE: Final = 1000
FIRST: Final = 50
"""The first piece is small, so that a download begins at once."""
SHAPES: Final[dict[Kind, type[BaseModel]]] = {
    "ward": Ward,
    "bed": Bed,
    "patient": Patient,
    "encounter": Encounter,
    "gateway": Gateway,
    "device": Device,
    "association": Association,
}
LEFT_OUT: Final = frozenset({"states", "rejected", "trouble"})
"""What is no single value."""
TIMES: Final = frozenset({"start", "end", "ended", "last_seen", "config_since", "superseded_at"})
NAMED: Final[tuple[Kind, ...]] = ("ward", "bed", "patient", "gateway", "device")
PERSONAL: Final = frozenset({"patient", "bed"})


def export_entries(context: Context, asked: AskedItems) -> Response:
    """All entries that are asked for; beside each id that it names, what that is called."""
    fields = [name for name in SHAPES[asked.kind].model_fields if name not in LEFT_OUT]
    readable = context.may(Action.VIEW_DIRECTORY)
    named = [k for k in NAMED if k in fields and (readable or k not in PERSONAL)]

    async def rows() -> AsyncIterator[Sequence[object]]:
        offset, limit = 0, FIRST
        while True:
            piece = replace(asked, offset=offset, limit=limit)
            found = await context.backend.item_page(context.scope, piece)
            for row in found.items:
                values = [_plain(name, getattr(row, name)) for name in fields]
                yield [*values, *(found.names.get((k, getattr(row, k)), "") for k in named)]
            offset += limit
            if len(found.items) < limit:
                return
            limit = PIECE

    return stream_csv(f"hearthward-{asked.kind}.csv", [*fields, *(f"{k}_name" for k in named)], rows())


def export_audit(context: Context, asked: AskedAudit) -> Response:
    """All lines that are asked for, newest first."""

    async def rows() -> AsyncIterator[Sequence[object]]:
        before, limit = asked.before, FIRST
        while True:
            found = await context.backend.audit_page(
                context.scope, replace(asked, before=before, limit=limit)
            )
            for e in found.items:
                detail = json.dumps(e.detail, ensure_ascii=False, sort_keys=True) if e.detail else ""
                yield e.seq, iso(e.at), e.actor, e.actor_name, e.action, e.kind, e.target, e.outcome, detail
            before, limit = found.next, PIECE
            if before is None:
                return

    header = ("number", "time", "actor", "name", "action", "kind", "target", "outcome", "detail")
    return stream_csv("hearthward-audit.csv", header, rows())


def _plain(name: str, value: object) -> object:
    return iso(value) if name in TIMES and isinstance(value, int) else value
