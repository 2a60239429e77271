"""Every page of a large hospital: how long until its first content has come from the server.

The pages are those of the application itself, found by its routes, so that a new one is in here by itself.
"""

from __future__ import annotations

import asyncio
import http.client
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi.routing import APIRoute

from bench.figures import Outcome
from bench.fleet_seed import DAYS, fill_fleet
from bench.pages_seed import DEVICES, PATIENTS, fill_records, fill_store, open_alarms
from bench.processes import work_folder
from bench.ward import bench_settings
from hearthward.app.cloud import Cloud, cloud_running, open_records
from hearthward.app.process import settle
from hearthward.app.start import broker_running
from hearthward.core.clock import SystemClock
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role

__all__ = ["measure"]

LOADS: Final = 5
"""A list as CSV is loaded once."""
TARGET_MS: Final = 300.0
TIMEOUT_S: Final = 60.0
REDIRECTS: Final = frozenset({302, 303, 307})
WHO: Final[dict[str, Principal]] = {
    name: Principal(
        f"u-{name}" if role in {Role.ADMIN, Role.PATIENT} else user,
        name,
        "main",
        frozenset({role}),
        wards,
        patient,
    )
    for name, role, user, wards, patient in (
        ("doctor", Role.DOCTOR, "u003", None, None),
        ("nurse", Role.NURSE, "u000", frozenset({"w00"}), None),
        ("admin", Role.ADMIN, "", None, None),
        ("engineer", Role.ENGINEER, "u004", None, None),
        ("patient", Role.PATIENT, "", None, "p0001"),
    )
}
"""Who asks; a page is asked for by the first of them who may see it."""
KEYS: Final = {
    "ward": "w00",
    "bed": "b0040",
    "patient": "p0001",
    "encounter": "e0001",
    "gateway": "gw-1",
    "device": "dev-00001",
    "association": "a00001",
    "alarm": "alm-00001",
    "rule": "spo2-low",
    "policy": "default",
    "metric": "spo2",
}
"""What stands for the parts of addresses."""
WITH: Final = {
    "/admin": ("?q=Okafor", "?q=C0:00:00:00:12:34"),
    "/admin/device": ("?q=Oximeter+99", "?page=150", "?ward=w01&ended=1"),
    "/admin/patient": ("?q=Okafor&page=3", "?ended=1&page=90"),
    "/admin/association": ("?ended=1&page=400", "?q=Lindqvist"),
    "/admin/encounter": ("?ended=1",),
    "/alarms": ("?show=all", "?ward=w01&show=all"),
    "/assign": ("?device=dev-00001",),
    "/audit": ("?days=all", "?days=all&patient=p0001", "?days=all&who=Person+7"),
    "/burden": ("?since=30d",),
    "/devices": ("?page=100", "?q=dev-0012"),
    "/fleet": ("?q=dev-0012", "?sort=rssi&down=1&page=100", "?state=offline"),
    "/fleet/quality": ("?by=ward&days=30", "?days=90"),
    "/fleet/use": ("?by=device&days=90",),
}
"""Lists are asked for in other ways, too."""
LEFT_OUT: Final = (
    "/api/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/login",
    "/link/",
    "/lang/",
    "/service-worker",
)


@dataclass(slots=True)
class Load:
    """How one address answered: milliseconds until the first and the last byte, and CPU, of each load.

    CPU is the whole process's, which asks and answers: the least of some loads is what a page costs.
    """

    path: str
    who: str
    status: int
    first: list[float]
    whole: list[float]
    cpu: list[float]
    size: int = 0


def measure() -> Outcome:
    """Fill a large hospital, serve it, and ask for each page from another thread, over HTTP on loopback."""
    return asyncio.run(_measure())


async def _measure() -> Outcome:
    clock, telemetry = SystemClock(), Telemetry()
    about = (
        f"each page with {DEVICES:,} devices, {DAYS} days of their sums and {PATIENTS:,} patients, "
        f"{LOADS} times over HTTP on loopback"
    )
    outcome = Outcome("pages", about)
    with work_folder() as folder:
        settings = bench_settings(folder)
        async with open_records(settings) as records, broker_running(settings, telemetry) as broker:
            await fill_records(records, clock.now_ns())
            await fill_fleet(records, clock.now_ns())
            await fill_store(settings.data / "cloud", clock.now_ns())
            start = time.perf_counter()
            async with cloud_running(
                settings, records, broker_url=broker, clock=clock, telemetry=telemetry
            ) as cloud:
                outcome.add("cloud up", time.perf_counter() - start, "s", note="everything there already")
                await open_alarms(records, clock.now_ns())
                for name, who in WHO.items():
                    cloud.app.state.services[f"{cloud.token}-{name}"] = who
                paths, unknown = _pages(cloud)
                settle()  # as a cloud that has started does
                for load in await asyncio.to_thread(_ask_all, cloud, paths):
                    _tell(outcome, load)
    for path in unknown:
        outcome.add(path, None, "ms", note="not asked for: nothing known to put into its address")
    return outcome


def _tell(outcome: Outcome, load: Load) -> None:
    if load.status in REDIRECTS:
        return
    if load.status != http.client.OK:
        outcome.add(load.path, None, "ms", note=f"{load.who}: {load.status}")
        return
    middle = sorted(load.first)[len(load.first) // 2]
    note = f"whole {max(load.whole):.0f}, CPU {min(load.cpu):.0f} ms, {load.size / 1000:.0f} kB, {load.who}"
    outcome.add(load.path, middle, "ms", target=TARGET_MS, note=f"at most {max(load.first):.0f}; {note}")


def _pages(cloud: Cloud) -> tuple[list[str], list[str]]:
    """The addresses of all pages, and of those that could not be made."""
    paths, unknown = [], []
    for template in sorted({path for path in _routes(cloud.app) if not path.startswith(LEFT_OUT)}):
        path = _filled(template)
        if path is None:
            unknown.append(template)
            continue
        paths += [path, *(path + query for query in WITH.get(path, ()))]
    return paths, unknown


def _routes(app: Any) -> Iterator[str]:
    stack: list[tuple[str, Any]] = [("", route) for route in app.routes]
    while stack:
        prefix, route = stack.pop()
        if isinstance(route, APIRoute):
            if "GET" in (route.methods or ()):
                yield prefix + route.path
        elif (inner := getattr(route, "original_router", None)) is not None:
            stack += [(prefix, r) for r in inner.routes]


def _filled(template: str) -> str | None:
    """An address with what stands for its parts; None when nothing does."""
    parts = []
    before = ""
    for part in template.split("/"):
        if part.startswith("{"):
            name = part.strip("{}").split(":")[0]
            value = KEYS.get(before if name == "key" else name)
            if value is None:
                return None
            parts.append(value)
        else:
            parts.append(part)
        before = part
    return "/".join(parts)


def _ask_all(cloud: Cloud, paths: list[str]) -> list[Load]:
    host = urlsplit(cloud.url).netloc
    tokens = {name: f"{cloud.token}-{name}" for name in WHO}
    loads = []
    for path in paths:
        loads.append(_ask(host, tokens, path))
        shown = [round(ms) for ms in loads[-1].first]
        cpu = [round(ms) for ms in loads[-1].cpu]
        print(f"  {path} {loads[-1].status} {shown} ms, CPU {cpu}", file=sys.stderr, flush=True)
    return loads


def _ask(host: str, tokens: Mapping[str, str], path: str) -> Load:
    """Ask as the first who may see it; the very first load compiles templates and does not count."""
    found = Load(path, "nobody", 0, [], [], [])
    for who, token in tokens.items():
        status, *_ = _get(host, token, path)
        found = Load(path, who, status, [], [], [])
        if status not in {http.client.FORBIDDEN, http.client.NOT_FOUND}:
            break
    if found.status == http.client.OK:
        for _ in range(1 if ".csv" in path else LOADS):
            began = time.process_time()
            _, first, whole, found.size = _get(host, tokens[found.who], path)
            found.cpu.append((time.process_time() - began) * 1e3)
            found.first.append(first)
            found.whole.append(whole)
    return found


def _get(host: str, token: str, path: str) -> tuple[int, float, float, int]:
    """Status, milliseconds until the first and the last byte of the body, and how many there were."""
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_S)
    try:
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read(1)
        first = time.perf_counter() - began
        body += answer.read()
        return answer.status, first * 1e3, (time.perf_counter() - began) * 1e3, len(body)
    finally:
        connection.close()
