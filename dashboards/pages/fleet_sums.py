"""Data quality and use, by device or by ward: the worst first, the least used first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from cloud_ingest.device_health.asking import AskedSpan
from dashboards.access import Context
from dashboards.fleet_csv import quality_table, use_table
from dashboards.fleet_words import grade
from dashboards.models import Ward
from dashboards.pages.fleet_common import DAYS, See, words
from dashboards.pages.render import page
from dashboards.paging import PAGE, Pager, page_number

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
By = Literal["device", "ward"]


@router.get("/fleet/quality")
async def quality(request: Request, context: See) -> Response:
    """The data-quality board, by device unless the address says otherwise."""
    asked, query = _asked(request, "device")
    found = await context.backend.data_quality(context.scope, query)
    shown = await _shown(context, asked, "/fleet/quality", found.total)
    return page(request, context, "fleet_quality.html", rows=found.items, grade=grade, **shown)


@router.get("/fleet/use")
async def use(request: Request, context: See) -> Response:
    """Hours of use, by ward unless the address says otherwise."""
    asked, query = _asked(request, "ward")
    rows, total = await context.backend.utilisation(context.scope, query)
    return page(
        request, context, "fleet_use.html", rows=rows, **await _shown(context, asked, "/fleet/use", total)
    )


@router.get("/fleet/quality.csv")
async def quality_csv(request: Request, context: See) -> Response:
    """The board as a table: all rows."""
    return quality_table(context, _asked(request, "device")[1])


@router.get("/fleet/use.csv")
async def use_csv(request: Request, context: See) -> Response:
    """Hours of use as a table: all rows."""
    return use_table(context, _asked(request, "ward")[1])


def _asked(request: Request, usual: By) -> tuple[dict[str, str], AskedSpan]:
    """What the address asks for; what means nothing counts as not given."""
    given = {name: request.query_params.get(name, "").strip()[:64] for name in ("by", "days", "ward", "page")}
    given["by"] = given["by"] if given["by"] in {"device", "ward"} else usual
    given["days"] = given["days"] if given["days"] in DAYS else "7"
    by: By = "device" if given["by"] == "device" else "ward"
    offset = (page_number(given["page"]) - 1) * PAGE
    return given, AskedSpan(by=by, days=int(given["days"]), ward=given["ward"], offset=offset)


async def _shown(context: Context, asked: Mapping[str, str], path: str, total: int) -> dict[str, Any]:
    wards = await context.backend.items(context.scope, "ward")

    def address(at: str = path, **more: str) -> str:
        kept = {k: v for k, v in {**asked, **more}.items() if v and k != "page"}
        return f"{at}?{urlencode(kept)}"

    return {
        "asked": asked,
        "path": path,
        "wards": [w for w in wards if isinstance(w, Ward)],
        "ways": [(by, address(by=by)) for by in ("device", "ward")],
        "periods": [(key, name, address(days=key)) for key, name in DAYS.items()],
        "csv": address(f"{path}.csv"),
        "down": lambda ward: address(by="device", ward=ward),
        "pager": Pager(path, asked, total, page_number(asked["page"])),
        **words(context),
    }
