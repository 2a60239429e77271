"""``hearthward run`` and ``hearthward cloud``: what is started, and what a person is told about it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click

from hearthward.app.broker import BrokerChild
from hearthward.app.cloud import Cloud, cloud_running, event_clock_of, open_records
from hearthward.app.edge import background, edge_running
from hearthward.app.player import EPOCH_NS, Books
from hearthward.app.process import serve
from hearthward.app.seed import Login, demo_logins, enter_plan, enter_staff, first_admin_link
from hearthward.app.tracker import Acknowledgements, Tracker
from hearthward.app.twins import live_ward, open_ward
from hearthward.app.ward import VIRTUAL, WardPlan, virtual_ward
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import RandomIds
from hearthward.core.settings import Settings
from hearthward.core.steady_clock import SteadyClock
from hearthward.core.telemetry import Telemetry

__all__ = ["broker_running", "run_cloud", "run_everything", "show_logins"]

log = logging.getLogger(__name__)


@asynccontextmanager
async def broker_running(settings: Settings, telemetry: Telemetry) -> AsyncIterator[str]:
    """The URL of the broker: the named one, or our own child's, which runs while the context is open."""
    if settings.broker.url != "embedded":
        yield settings.broker.url
        return
    async with BrokerChild(
        settings.data / "broker", settings.broker.port, telemetry=telemetry, ids=RandomIds()
    ) as broker:
        yield broker.url


def show_logins(url: str, logins: list[Login]) -> None:
    """Print the address and the demo's logins."""
    click.echo(f"\n  Ward wall   {url}/ward\n  API         {url}/api/v1/openapi.json\n")
    click.echo("  Logins of this start (role, login, password, PIN for shared walls):")
    for login in logins:
        click.echo(f"    {login.role:10} {login.login:10} {login.password}  {login.pin or ''}".rstrip())
    click.echo("\n  Ctrl-C stops everything.\n")


async def _say_how_to_enter(cloud: Cloud, tenant: str) -> None:
    """Print the address and, while nobody can log in yet, the administrator's one-time link."""
    secret = await first_admin_link(cloud.records, tenant)
    click.echo(f"\n  Pages       {cloud.url}")
    if secret is not None:
        click.echo(f"  First login {cloud.url}/link/{secret}")
        click.echo(
            "              (once, to set the administrator's password; then enter your ward at /admin)"
        )
    click.echo("")


async def run_everything(settings: Settings, *, virtual: bool) -> None:
    """``hearthward run``: until cancelled. Raises ConfigError when it cannot start."""
    telemetry, clock = Telemetry(), SteadyClock()
    if virtual:
        settings = settings.model_copy(update={"data": settings.data / VIRTUAL})
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings, patient=True))
        broker_url = await stack.enter_async_context(broker_running(settings, telemetry))
        if not virtual:
            cloud = await stack.enter_async_context(
                cloud_running(settings, records, broker_url=broker_url, clock=clock, telemetry=telemetry)
            )
            await _ensure_gateway(cloud, settings)
            edge = await stack.enter_async_context(
                edge_running(
                    settings,
                    broker_url=broker_url,
                    clock=clock,
                    telemetry=telemetry,
                    cloud_key=cloud.service.key.public,
                )
            )
            await _say_how_to_enter(cloud, settings.cloud.tenant)
            await serve(lambda: cloud.lives() and edge.lives())
        plan = virtual_ward(settings.edge.gateway, settings.cloud.tenant)
        ward = await stack.enter_async_context(open_ward(plan))
        started = clock.now_ns() - SECOND
        await enter_plan(records, ward.plan, started)
        logins = await demo_logins(records, plan)
        await enter_staff(records, plan, started)
        cloud = await stack.enter_async_context(
            cloud_running(settings, records, broker_url=broker_url, clock=clock, telemetry=telemetry)
        )
        acks, tracker = Acknowledgements(), Tracker(clock)
        edge = await stack.enter_async_context(
            edge_running(
                settings,
                broker_url=broker_url,
                clock=clock,
                telemetry=telemetry,
                virtual=ward.world.virtual,
                cloud_key=cloud.service.key.public,
            )
        )
        show_logins(cloud.url, logins)
        await stack.enter_async_context(
            background(
                lambda: live_ward(ward, seconds=None, acks=acks, tracker=tracker, books=Books()), "ward"
            )
        )
        await serve(lambda: cloud.lives() and edge.lives())


async def _ensure_gateway(cloud: Cloud, settings: Settings) -> None:
    """The gateway in this very process is entered by itself, so that a person only adds devices."""
    from hearthward.trust.access import Scope

    scope, ident = Scope.system(settings.cloud.tenant), settings.edge.gateway
    known = await cloud.records.read(
        lambda s: [g.id for g in cloud.records.directory(s).gateways.list(scope, ended=True)]
    )
    if ident not in known:
        await cloud.records.run(
            lambda s: cloud.records.directory(s).gateways.create(scope, ident=ident, label="this machine")
        )
        await cloud.service.directory_changed()


async def run_cloud(settings: Settings, *, seed: Path | None) -> None:
    """``hearthward cloud``: until cancelled. Raises ConfigError when it cannot start."""
    telemetry = Telemetry()
    plan = None if seed is None else WardPlan.read(seed)
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings, patient=True))
        clock: Clock = await event_clock_of(records) if settings.cloud.event_clock else SteadyClock()
        if plan is not None:
            if plan.tenant != settings.cloud.tenant:
                msg = f"the plan is for tenant {plan.tenant!r}, this cloud serves {settings.cloud.tenant!r}"
                raise ConfigError(msg, file=str(seed))
            start = EPOCH_NS if settings.cloud.event_clock else clock.now_ns()
            try:
                await enter_plan(records, plan, start - SECOND)
            except ConfigError as error:
                raise ConfigError(error.message, file=str(seed)) from error
        broker_url = await stack.enter_async_context(broker_running(settings, telemetry))
        cloud = await stack.enter_async_context(
            cloud_running(settings, records, broker_url=broker_url, clock=clock, telemetry=telemetry)
        )
        if settings.broker.url == "embedded":
            click.echo(f"  Broker      {broker_url} (for edges on this machine)")
        await _say_how_to_enter(cloud, settings.cloud.tenant)
        await serve(cloud.lives)


def remove_folder(folder: Path) -> None:
    """Remove a folder that a demonstration made."""
    shutil.rmtree(folder, ignore_errors=True)
