"""Health, metrics and the audit log."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from dashboards.access import Context, Guard
from dashboards.models import AuditEntry
from dashboards.problems import ERROR_RESPONSES
from hearthward.core.process_figures import tell_process_figures
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Action

__all__ = ["prometheus", "router"]

router = APIRouter(tags=["system"], responses=ERROR_RESPONSES)
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"


class AuditList(BaseModel):
    """Who did what, newest first."""

    items: list[AuditEntry]


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
    context: Annotated[Context, Depends(Guard(Action.VIEW_AUDIT, "audit", reads=True))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> AuditList:
    """The audit log."""
    return AuditList(items=list(await context.backend.audit_entries(context.scope, limit=limit)))


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
