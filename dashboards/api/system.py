"""Health, metrics and the audit log."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.directory_port import AskedAudit
from dashboards.models import AuditEntry, Instant
from dashboards.problems import ERROR_RESPONSES
from hearthward.core.process_figures import tell_process_figures
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Action

__all__ = ["prometheus", "router"]

router = APIRouter(tags=["system"], responses=ERROR_RESPONSES)
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class AuditQuery(BaseModel):
    """Which lines of the audit."""

    who: str = Field("", max_length=120, description="id, login or part of a name")
    action: str = Field("", max_length=64)
    kind: str = Field("", max_length=64, description="of what it is about")
    target: str = Field("", max_length=120, description="id of what it is about")
    outcome: str = Field("", max_length=16)
    patient: str = Field("", max_length=64, description="id: what names that patient or what is of them")
    since: Instant | None = None
    until: Instant | None = Field(None, description="exclusive")
    before: int | None = Field(None, ge=0, lt=2**63, description="only lines older than this one")
    limit: int = Field(200, ge=1, le=1000)


class AuditList(BaseModel):
    """Who did what, newest first; ``next`` is the ``before`` of the following page, null at the end."""

    items: list[AuditEntry]
    next: int | None = None


@router.get("/healthz")
async def healthz(context: Annotated[Context, Depends(Guard(public=True))]) -> dict[str, str]:
    """Whether the web process answers at all."""
    del context
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(context: Annotated[Context, Depends(Guard(public=True))]) -> JSONResponse:
    """200 when every part is ready, 503 with the reasons when not."""
    trouble = dict(await context.backend.ready())
    status = "ready" if not trouble else "not ready"
    return JSONResponse({"status": status, "parts": trouble}, status_code=503 if trouble else 200)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(
    request: Request, context: Annotated[Context, Depends(Guard(Action.VIEW_SYSTEM, "metrics"))]
) -> PlainTextResponse:
    """All counters and gauges as Prometheus text."""
    del context
    tell_process_figures(request.app.state.telemetry)
    return PlainTextResponse(prometheus(request.app.state.telemetry), media_type=PROMETHEUS)


@router.get("/api/v1/audit")
async def audit(
    context: Annotated[Context, Depends(Guard(Action.VIEW_AUDIT, "audit"))],
    asked: Annotated[AuditQuery, Query()],
) -> AuditList:
    """The audit log: all of it, or what is asked for. Each look is in it, too."""
    told = asked.model_dump(exclude={"who"}, exclude_unset=True)
    await context.audit(Action.VIEW_AUDIT, "audit", detail=told)
    found = await context.backend.audit_page(context.scope, AskedAudit(**asked.model_dump()))
    return AuditList(items=list(found.items), next=found.next)


@router.get("/api/v1/openapi.json", include_in_schema=False)
async def openapi(
    request: Request, context: Annotated[Context, Depends(Guard(public=True))]
) -> dict[str, Any]:
    """This API's own description."""
    del context
    schema: dict[str, Any] = request.app.openapi()
    return schema


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{re.sub(r"[^a-zA-Z0-9_]", "_", name)}="{escaped}"'


def prometheus(telemetry: Telemetry) -> str:
    """Telemetry -> Prometheus text format 0.0.4; names and label values are escaped."""
    lines: list[str] = []
    seen = ""
    for name, kind, labels, value in telemetry.samples():
        safe = re.sub(r"[^a-zA-Z0-9_:]", "_", name)
        safe = f"_{safe}" if safe[:1].isdigit() else safe
        if safe != seen:
            lines.append(f"# TYPE {safe} {kind}")
            seen = safe
        marks = ",".join(_label(k, v) for k, v in labels)
        lines.append(f"{safe}{{{marks}}} {value!r}" if marks else f"{safe} {value!r}")
    return "\n".join(lines) + "\n"
