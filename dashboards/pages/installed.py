"""What makes the page installable on a phone: the manifest, and the page without a connection."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from dashboards.access import Context, Guard
from dashboards.i18n import html_lang
from dashboards.pages.render import asset_digest, page

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
Public = Annotated[Context, Depends(Guard(public=True))]


@router.get("/manifest.webmanifest")
async def manifest(context: Public) -> Response:
    """The web app's manifest (W3C); it says nothing of anybody, so no login is asked for."""
    icon = f"/assets/{asset_digest()}/icon.svg"
    body: dict[str, Any] = {
        "id": "/me",
        "name": "Hearthward",
        "short_name": "Hearthward",
        "lang": html_lang(context.language),
        "start_url": "/me",
        "scope": "/",
        "display": "standalone",
        "background_color": "#e9eef3",
        "theme_color": "#0d2b42",
        "icons": [{"src": icon, "sizes": "any", "type": "image/svg+xml", "purpose": "any"}],
    }
    return JSONResponse(body, media_type="application/manifest+json")


@router.get("/offline")
async def offline(request: Request, context: Public) -> Response:
    """What an installed page shows without a connection; kept by the browser, it says nothing of anybody."""
    return page(
        request,
        Context(context.backend, None, "", context.language),
        "offline.html",
        phones=request.app.state.phones,
    )
