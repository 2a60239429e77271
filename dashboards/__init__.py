"""The web: REST API, live stream, ward wall and the plain pages around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dashboards.models import ProfileChoice

if TYPE_CHECKING:
    from fastapi import FastAPI

    from cloud_ingest.rulebook import Rulebook
    from cloud_ingest.service import CloudService
    from dashboards.api.twilio import TwilioBack
    from dashboards.cloud_rules import Workers
    from hearthward.core.settings import WebSettings
    from hearthward.core.telemetry import Telemetry
    from hearthward.trust.access import Principal

__all__ = ["ProfileChoice", "create_app"]


def create_app(
    service: CloudService,
    *,
    telemetry: Telemetry,
    settings: WebSettings | None = None,
    profiles: Sequence[ProfileChoice] = (),
    services: Mapping[str, Principal] | None = None,
    rulebook: Rulebook | None = None,
    twilio: TwilioBack | None = None,
    workers: Workers | None = None,
) -> FastAPI:
    """Build the web application over the running product.

    ``profiles`` are the catalogue's choices (``dashboards.profiles.profile_choices``); ``services`` maps
    tokens to service principals; ``rulebook`` is where ``service.rules`` come from (None: they count as
    shipped); ``settings`` have the address under which people reach the pages, and whom patients call;
    ``twilio`` tells calls of Twilio's from forged ones (None: none are taken); ``workers`` do long work
    (None: what can be is done in this very process). The wall goes by ``service.clock``. Call
    ``app.state.hub.close()`` before asking uvicorn to stop.
    """
    from dashboards.app import build_app
    from dashboards.cloud_backend import CloudBackend
    from dashboards.watching import Phones

    answers = None if twilio is None else twilio.answers
    backend = CloudBackend(service, rulebook=rulebook, answers=answers, workers=workers)
    return build_app(
        backend,
        telemetry=telemetry,
        profiles=profiles,
        services=services,
        twilio=twilio,
        public_url=None if settings is None else settings.public_url,
        phones=None if settings is None else Phones(settings.care_number, settings.emergency_number),
    )
