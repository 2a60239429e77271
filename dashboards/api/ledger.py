"""The loss ledger: what became of every reading, and closing the books on what will never come."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from cloud_ingest.balance import AskedLedger
from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft
from dashboards.backend import DirectoryError
from dashboards.ledger_models import LedgerView, WriteOff, asked_of
from dashboards.problems import ERROR_RESPONSES
from hearthward.trust.access import Action

__all__ = ["KIND", "Close", "See", "asked", "router", "write_off"]

router = APIRouter(prefix="/api/v1/ledger", tags=["ledger"], responses=ERROR_RESPONSES)
KIND: Final = "ledger"
See = Annotated[Context, Depends(Guard(Action.VIEW_SYSTEM, KIND))]
Close = Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, KIND))]


class WriteOffBody(Draft):
    """Which outbox, and why nothing more is expected of it."""

    gateway: Annotated[str, Field(min_length=1, max_length=64)]
    boot: Annotated[str, Field(min_length=1, max_length=64, description="the outbox's id")]
    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["disk replaced on site"])]


@router.get("")
async def get_ledger(
    context: See,
    since: Annotated[str, Query(description="how far back, such as 24h or 7d")] = "24h",
    by: Annotated[
        Literal["gateway", "device", "hour", ""], Query(description="rows; what is usual when left out")
    ] = "",
    gateway: Annotated[str, Query(description="only of this gateway")] = "",
    device: Annotated[str, Query(description="only of this device")] = "",
) -> LedgerView:
    """Read, accepted, sent, stored, known already, rejected, dropped, late - and whether that balances."""
    query = asked(context, since, by, gateway, device)
    return LedgerView.of(await context.backend.ledger(context.scope, query))


@router.post("/write-offs")
async def post_write_off(context: Close, body: WriteOffBody) -> WriteOff:
    """Write off what is unaccounted for of an outbox: its readings will not come any more."""
    return await write_off(context, body.gateway, body.boot, body.reason)


def asked(context: Context, since: str, by: str, gateway: str, device: str) -> AskedLedger:
    """What is meant by a query. Raises DirectoryError naming the field."""
    try:
        return asked_of(
            since, context.backend.clock.now_ns(), by=by, gateway=gateway or None, device=device or None
        )
    except ValueError as error:
        raise DirectoryError(field="since", code="invalid", value=since[:20]) from error


async def write_off(context: Context, gateway: str, boot: str, reason: str) -> WriteOff:
    """Close the books for the caller, audited. Raises DirectoryError."""
    done = await context.backend.write_off(context.who, gateway, boot, reason)
    detail = {"do": "write_off", "boot": boot, "numbers": done.numbers, "reason": done.reason, "id": done.id}
    await context.audit(Action.MANAGE_DEVICES, KIND, target=gateway, detail=detail)
    return done
