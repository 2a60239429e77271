"""What is done every few seconds, until cancelled: the rules' time, the broker's round trip, documents."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from cloud_ingest.config_publisher import ConfigPublisher
from cloud_ingest.gateways import GatewayBoard
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.pulse import BROKER, Pulse
from cloud_ingest.sources.base import FrameSource
from hearthward.core.errors import StoreUnavailable, UplinkError
from hearthward.core.telemetry import Telemetry

__all__ = ["offers", "probes", "ticks"]

log = logging.getLogger(__name__)

PROBE_EVERY_S: Final = 5.0
OFFER_EVERY_S: Final = 1.0
RECORDS_WAIT_S: Final = 1.0
"""Timers that the records could not take are tried again after so long."""


async def ticks(pipeline: Pipeline, every_s: float, telemetry: Telemetry) -> None:
    """Let the rules' timers pass: while the records cannot take that, again and again."""
    wait, waits = every_s, False
    while True:
        await asyncio.sleep(wait)
        wait = every_s
        try:
            await pipeline.tick()
            waits = False
        except StoreUnavailable as error:
            telemetry.count("ticks_failed_total")
            if not waits:  # once: the log may be on that disk
                log.error("timers wait for the records: %s", error)  # noqa: TRY400 - no traceback needed
            wait, waits = max(wait, RECORDS_WAIT_S), True
        except Exception:
            # the pipeline has told of it; readings must go on being stored and judged
            telemetry.count("ticks_failed_total")
            log.exception("the rules' timers failed")


async def probes(source: FrameSource, pulse: Pulse, telemetry: Telemetry) -> None:
    """Send a message of our own through the broker, again and again: a port that is open says little."""
    while True:
        try:
            await source.probe()
        except UplinkError as error:
            telemetry.count("broker_probes_failed_total")
            log.debug("the broker's round trip failed: %s", error)
        else:
            pulse.beat(BROKER)
        await asyncio.sleep(PROBE_EVERY_S)


async def offers(publisher: ConfigPublisher, gateways: GatewayBoard) -> None:
    """Give configuration documents again to gateways that do not run them."""
    while True:
        await asyncio.sleep(OFFER_EVERY_S)
        await publisher.publish_again(gateways.all())
