"""Wires ingest, rules, notifier and web pages from settings."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select

from cloud_ingest.pulse import WEB
from cloud_ingest.records import Records
from cloud_ingest.records.models import JournalRow
from cloud_ingest.rulebook import Rulebook
from cloud_ingest.service import CloudService
from cloud_ingest.sources.mqtt import Broker, MqttSource
from cloud_ingest.stores.archiving import ArchivingStore
from cloud_ingest.stores.base import TimeSeriesStore
from cloud_ingest.waves.base import WaveStore
from dashboards import create_app
from dashboards.cloud_rules import Workers
from dashboards.pages.render import warm
from dashboards.profiles import profile_choices
from firmware_profiles import load_catalog
from hearthward.app.backup.restoring import must_be_whole
from hearthward.app.backup.taking import Continuous
from hearthward.app.calibrating import ChildCalibrator
from hearthward.app.edge import background
from hearthward.app.lock import FolderLock
from hearthward.app.owner import write_owner
from hearthward.app.player import EPOCH_NS
from hearthward.app.reach import Telling, build_telling
from hearthward.app.room import when_room
from hearthward.app.stores import open_store, open_waves
from hearthward.app.web_probe import WebProbe
from hearthward.app.whatif import ChildTrier
from hearthward.core.clock import Clock, EventClock, SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import RandomIds
from hearthward.core.settings import Settings, is_loopback
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role
from hearthward.trust.keys import SigningKey
from rules import RuleSet
from rules.model import subject_key

__all__ = ["Cloud", "cloud_running", "event_clock_of", "key_file", "open_records"]

log = logging.getLogger(__name__)

START_POLL_S: Final = 0.01
BACKUP: Final = subject_key("component", "backup")
HUNG_S: Final = 60.0
"""Timers of which nothing came for so long, not even that the records cannot be written, hang."""
GRACE_S: Final = 1
"""Requests under way get so long when the server stops."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running cloud: its service, the address of its pages and a token for the REST API."""

    service: CloudService
    app: FastAPI
    url: str
    token: str

    @property
    def records(self) -> Records:
        """The relational records."""
        return self.service.records

    def lives(self) -> bool:
        """Whether no part hangs: one that waits for a disk does not, and no kill would mend it."""
        return self.service.hangs_s < HUNG_S


@asynccontextmanager
async def open_records(settings: Settings, *, patient: bool = False) -> AsyncIterator[Records]:
    """Lock the cloud's folder and open its records.

    A disk that is full or fails is waited for where ``patient``; else StoreUnavailable is raised. Raises
    ConfigError.
    """
    folder = settings.data / "cloud"
    if not folder.exists():
        must_be_whole(settings.data)  # before the folder is made: it would be in the restore's way
    with FolderLock(folder, f"the data folder {folder}"):
        must_be_whole(settings.data)
        opened = partial(
            Records.open,
            folder / "records.db",
            clock=SystemClock(),
            ids=RandomIds(),
            tenant=settings.cloud.tenant,
            profiles=load_catalog().names,
        )
        records = await (when_room(folder, opened) if patient else asyncio.to_thread(opened))
        try:
            yield records
        finally:
            await records.close()


@asynccontextmanager
async def cloud_running(
    settings: Settings, records: Records, *, broker_url: str, clock: Clock, telemetry: Telemetry
) -> AsyncIterator[Cloud]:
    """The cloud over opened records; runs while the context is open. Raises ConfigError."""
    listening = _listen(settings)
    async with AsyncExitStack() as stack:
        stack.callback(listening.close)
        records.clock = clock
        store = await open_store(settings, clock=clock, telemetry=telemetry)
        stack.push_async_callback(store.close)
        waves = await open_waves(settings, clock=clock, telemetry=telemetry)
        stack.push_async_callback(waves.close)
        extra = [settings.cloud.rules_path] if settings.cloud.rules_path else []
        rulebook = await asyncio.to_thread(Rulebook.of_files, records, settings.cloud.tenant, *extra)
        rules = await rulebook.rules_in_force()
        telling = await build_telling(settings, records, rules, RandomIds(), telemetry)
        for channel in telling.channels:
            stack.push_async_callback(channel.close)
        backup = backup_of(settings, telemetry)
        kept = store if backup is None else ArchivingStore(store, backup.stored)
        await asyncio.to_thread(SigningKey.of_file, key_file(settings))  # made now if it is not there
        service = _service(settings, records, (kept, waves), rules, broker_url, clock, telling, telemetry)
        await stack.enter_async_context(background(service.run, "cloud"))
        await service.started.wait()
        if backup is not None:
            told = partial(service.facts.put, BACKUP, "part_failing")
            await stack.enter_async_context(background(lambda: backup.run(told), "backup"))
        if (dead_man := telling.dead_man(settings, telemetry)) is not None:
            await stack.enter_async_context(background(dead_man.run, "heartbeat to the outside"))
        token = secrets.token_urlsafe(32)
        host, port = listening.getsockname()[:2]
        secure = settings.web.tls_certificate is not None
        shown = f"[{host}]" if ":" in host else host
        url = f"{'https' if secure else 'http'}://{shown}:{port}"
        app = create_app(
            service,
            telemetry=telemetry,
            settings=settings.web,
            profiles=profile_choices(load_catalog()),
            services={token: _command_line(settings.cloud.tenant)},
            rulebook=rulebook,
            twilio=telling.twilio,
            workers=Workers(ChildTrier(settings), ChildCalibrator(settings)),
        )
        await stack.enter_async_context(_web(app, settings, listening))
        service.pulse.expect(WEB)
        probe = WebProbe(url, lambda: service.pulse.beat(WEB), telemetry)
        await stack.enter_async_context(background(probe.run, "web probe"))
        await stack.enter_async_context(background(warm, "pages made ready"))
        write_owner(settings.data / "cloud", url, token)
        yield Cloud(service, app, url, token)


def backup_of(settings: Settings, telemetry: Telemetry) -> Continuous | None:
    """What keeps the copy of the cloud's data, if the settings name a place for it."""
    wanted = settings.backup
    if wanted.folder is None:
        return None
    return Continuous(
        settings.data / "cloud",
        wanted.folder,
        every_s=wanted.every_s,
        base_every_s=wanted.base_every_h * 3600,
        clock=SystemClock(),
        telemetry=telemetry,
    )


def key_file(settings: Settings) -> Path:
    """Where this data folder's cloud keeps the key by which it signs."""
    return settings.data / "cloud" / "signing-key.pem"


def _command_line(tenant: str) -> Principal:
    """Who has the token file may administer and read, but takes no alarm over."""
    roles = frozenset({Role.ADMIN, Role.ENGINEER})
    return Principal("command-line", "command line", tenant, roles, kind="service")


def _service(
    settings: Settings,
    records: Records,
    stores: tuple[TimeSeriesStore, WaveStore],
    rules: RuleSet,
    broker_url: str,
    clock: Clock,
    telling: Telling,
    telemetry: Telemetry,
) -> CloudService:
    from cloud_ingest.device_health.life_model import load_all

    password, catalog = settings.broker.password, load_catalog()
    broker = Broker.of_url(
        broker_url, settings.broker.username, None if password is None else password.get_secret_value()
    )
    telling.service = CloudService(
        records=records,
        store=stores[0],
        waves=stores[1],
        source=MqttSource(broker, ids=RandomIds(), telemetry=telemetry),
        rules=rules,
        clock=clock,
        telemetry=telemetry,
        settings=settings.cloud,
        notifier=telling.notifier,
        reach=telling.reach,
        key=SigningKey.of_file(key_file(settings)),
        catalog=catalog,
        lives=load_all(settings.cloud.life_models, catalog.get),
    )
    return telling.service


async def event_clock_of(records: Records) -> EventClock:
    """A recording's clock, standing where the journal ended."""
    last = await records.read(lambda session: session.scalar(select(func.max(JournalRow.at))))
    return EventClock(max(EPOCH_NS, last or 0))


def _listen(settings: Settings) -> socket.socket:
    """Listen before anything else starts, so that a taken port is told at once."""
    host, port = settings.web.host, settings.web.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        msg = (
            f"cannot listen on {host}:{port}: {error.strerror}; "
            "stop what uses that port or choose another with --port (web.port)"
        )
        raise ConfigError(msg, key="web.port") from error
    listening.setblocking(False)
    if not is_loopback(host):
        log.info("listening beyond this machine, on %s, with TLS", host)
    return listening


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has one owner of signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _web(app: FastAPI, settings: Settings, listening: socket.socket) -> AsyncIterator[None]:
    certificate, key = settings.web.tls_certificate, settings.web.tls_key
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=_readable(certificate, "web.tls_certificate"),
        ssl_keyfile=_readable(key, "web.tls_key"),
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        msg = f"web.tls_certificate and web.tls_key: no PEM files that fit together ({error})"
        raise ConfigError(msg, key="web.tls_certificate") from error
    server = _Server(config)

    async def serve() -> None:
        await server.serve(sockets=[listening])
        if not server.should_exit:
            msg = "the web server ended unexpectedly; see the log"
            raise ConfigError(msg)

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve(), name="web")
        try:
            while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(START_POLL_S)
            yield
        finally:
            app.state.hub.close()
            server.should_exit = True
            await asyncio.wait([serving])


def _readable(path: Path | None, key: str) -> Any:
    if path is None:
        return None
    if not path.is_file():
        msg = f"{key}: no such file {path}"
        raise ConfigError(msg, key=key)
    return str(path)
