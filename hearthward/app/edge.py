"""Wires a gateway from settings."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from devices.consents import Consents
from devices.discovery import Discovery
from devices.links.radio import CONSENTS, open_radio
from devices.links.surroundings import Machine
from devices.supervisor import DeviceFleet
from edge_agent import CloudTrust, ConfigStore, EdgeAgent, Outbox, Uplink
from edge_agent.cursor_store import FileCursors
from firmware_profiles import load_catalog
from hearthward.app.bedside import Bedside
from hearthward.app.process import serve
from hearthward.core.clock import Clock, EventClock
from hearthward.core.errors import DecodeError
from hearthward.core.ids import RandomIds
from hearthward.core.model import ReadingBatch
from hearthward.core.settings import Settings
from hearthward.core.steady_clock import SteadyClock
from hearthward.core.telemetry import Telemetry

if TYPE_CHECKING:
    from devices.twins.radio import VirtualRadio

__all__ = ["CLOUD_KEY", "edge_running", "run_edge"]

log = logging.getLogger(__name__)

CLOUD_KEY: Final = "cloud-key"
"""The file in the gateway's folder that keeps the key of its cloud."""

OnAccepted = Callable[[ReadingBatch, int, int], None]
OnRefused = Callable[[str], None]


@asynccontextmanager
async def edge_running(  # noqa: PLR0913 - what differs between the commands that run one
    settings: Settings,
    *,
    broker_url: str,
    clock: Clock,
    telemetry: Telemetry,
    virtual: VirtualRadio | None = None,
    on_accepted: OnAccepted | None = None,
    on_refused: OnRefused | None = None,
    cloud_key: bytes | None = None,
    own: bool = False,
) -> AsyncIterator[EdgeAgent]:
    """A gateway that runs while the context is open. Raises ConfigError when it cannot start.

    What fails in it ends the body, and is raised.

    ``own``: the process is this gateway alone, and tells people of alarms on its terminal and page.
    ``cloud_key`` is the public key of the cloud in this very process, which is then the one to be believed.
    """
    edge, ids, catalog = settings.edge, RandomIds(), load_catalog()
    folder = settings.data / "edge"
    outbox = await Outbox.open(
        folder / "outbox", clock=clock, ids=ids, telemetry=telemetry, max_bytes=edge.outbox_bytes
    )
    named = None if edge.cloud_key is None else bytes.fromhex(edge.cloud_key)
    trust = CloudTrust(folder / CLOUD_KEY, clock=clock, key=cloud_key or named)
    bedside = Bedside(edge, own=own, clock=clock, telemetry=telemetry)
    spec = edge.radio if virtual is None else "virtual"
    try:
        async with open_radio(spec, virtual=virtual, bonds=folder / "bonds.json") as radio:

            def rejected(agent: EdgeAgent) -> Callable[[str, str, bytes, DecodeError], None]:
                def handle(device: str, source: str, payload: bytes, error: DecodeError) -> None:
                    agent.on_rejected(device, source, payload, error)
                    if on_refused is not None:
                        on_refused(device)

                return handle

            password = settings.broker.password
            discovery = Discovery(catalog, Machine(radio), clock)
            agent = EdgeAgent(
                edge.gateway,
                edge.tenant,
                outbox,
                ConfigStore(folder / "config.msgpack"),
                lambda agent: DeviceFleet(
                    catalog,
                    radio,
                    agent.accept,
                    clock,
                    ids,
                    telemetry,
                    agent.on_state,
                    rejected(agent),
                    on_read=agent.on_read,
                    on_frame=agent.frames.note,
                    wave_sink=agent.accept_waves,
                    cursors=FileCursors(folder / "cursors.json"),
                ),
                lambda agent: Uplink(
                    outbox,
                    broker_url,
                    tenant=edge.tenant,
                    gateway=edge.gateway,
                    clock=clock,
                    telemetry=telemetry,
                    on_config=agent.configure,
                    status=agent.status,
                    trust=trust,
                    around=discovery,
                    consents=Consents(folder / CONSENTS),
                    frames=agent.frames,
                    ids=ids,
                    username=settings.broker.username,
                    password=None if password is None else password.get_secret_value(),
                    in_flight=edge.in_flight,
                    resend_s=edge.resend_s,
                ),
                trust=trust,
                clock=clock,
                telemetry=telemetry,
                on_accepted=on_accepted,
                decider=lambda agent: bedside.decider(agent, outbox, folder),
                discovery=discovery,
            )
            async with (
                bedside.serving(),
                background(outbox.failure, "edge-outbox"),  # a process that accepts nothing has to be another
                background(agent.run, "edge"),
            ):
                yield agent
    finally:
        await outbox.close()


@asynccontextmanager
async def background(run: Callable[[], Awaitable[Any]], name: str) -> AsyncIterator[asyncio.Task[Any]]:
    """Run something beside the body: its failure ends the body, the end of the body cancels it."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_as_coroutine(run), name=name)
        try:
            yield task
        finally:
            task.cancel()


async def _as_coroutine(run: Callable[[], Awaitable[Any]]) -> Any:
    return await run()


async def run_edge(settings: Settings, *, event_clock: str | None) -> None:
    """``hearthward edge``: run the gateway until cancelled."""
    from hearthward.app.control import ControlClient, parse_address
    from hearthward.app.tracker import measured
    from hearthward.core.errors import ConfigError

    if settings.broker.url == "embedded":
        msg = "an edge of its own needs the cloud's broker: --broker mqtt://HOST:PORT (or broker.url)"
        raise ConfigError(msg, key="broker.url")
    telemetry = Telemetry()
    if event_clock is None:
        async with edge_running(
            settings, broker_url=settings.broker.url, clock=SteadyClock(), telemetry=telemetry, own=True
        ) as agent:
            log.info("gateway %s is up", settings.edge.gateway)
            await serve(agent.lives)
        return
    clock = EventClock()
    line = ControlClient(*parse_address(event_clock, "--event-clock"), clock)

    def accepted(batch: ReadingBatch, _first: int, _last: int) -> None:
        line.taken(Counter(device for device, _ in measured(batch)))

    async with background(line.run, "control line"):
        await line.synchronised()
        async with edge_running(
            settings,
            broker_url=settings.broker.url,
            clock=clock,
            telemetry=telemetry,
            on_accepted=accepted,
            on_refused=lambda device: line.taken({device: 1}),
            own=True,
        ) as agent:
            await serve(agent.lives)
