"""What comes from the broker, given to whom it is for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from cloud_ingest.around import AroundBoard
from cloud_ingest.books import Books
from cloud_ingest.config_publisher import ConfigPublisher
from cloud_ingest.frame_watch import FrameWatches
from cloud_ingest.gateways import GatewayBoard
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.sources.base import Message
from hearthward.core.errors import DecodeError
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Status, parse_topic

__all__ = ["Arrivals"]

log = logging.getLogger(__name__)

DIGEST_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Sorts messages by their topics."""

    tenant: str
    pipeline: Pipeline
    gateways: GatewayBoard
    publisher: ConfigPublisher
    books: Books
    around: AroundBoard
    frames: FrameWatches
    telemetry: Telemetry

    def take(self, message: Message) -> None:
        """Frames go to the pipeline, also those with a strange topic: it keeps what it refuses."""
        try:
            tenant, gateway, kind = parse_topic(message.topic)
        except DecodeError:
            self.pipeline.offer(message)
            return
        if kind == "frame":
            self.pipeline.offer(message)
        elif tenant != self.tenant:
            self.telemetry.count("messages_ignored_total", kind=kind)
        elif kind == "status":
            self._take_status(gateway, message)
        elif kind == "applied":
            self._take_applied(gateway, message)
        elif kind == "account":
            self.books.offer(gateway, message.payload)
        elif kind == "sightings":
            self.around.take(gateway, message.payload)
        elif kind == "raw":
            self.frames.take(gateway, message.payload)

    def _take_status(self, gateway: str, message: Message) -> None:
        if not message.payload:
            return  # a retained status was cleared
        try:
            status = Status.decode(message.payload)
        except DecodeError as error:
            self.telemetry.count("messages_rejected_total", kind="status")
            log.warning("status of gateway %s refused: %s", gateway, error)
            return
        if self.gateways.status(gateway, status):
            self.pipeline.alive(gateway)

    def _take_applied(self, gateway: str, message: Message) -> None:
        digest = message.payload[:DIGEST_CHARACTERS].decode("ascii", "replace")
        self.gateways.runs(gateway, digest, self.publisher.version_of(gateway, digest))
