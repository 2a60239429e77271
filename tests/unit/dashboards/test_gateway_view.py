"""Which configuration a gateway runs, which it shall run, and since when, as the web shows it."""

from __future__ import annotations

import re

import pytest

from cloud_ingest.feed import GatewayState
from cloud_ingest.records import models as rows
from dashboards.cloud_views import gateway_of
from dashboards.models import Gateway
from hearthward.core.device_states import DeviceWord
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import T0, world


def row(applied: int | None, at: int | None) -> rows.Gateway:
    return rows.Gateway(
        tenant="main", id="gw", label="", config_version_applied=applied, config_applied_at=at, created=0
    )


@pytest.mark.parametrize(
    ("kept", "applied", "shown"),
    [
        ((None, None), None, (None, None)),
        ((None, None), (7, 50), (7, 50)),
        ((7, 20), None, (7, 20)),
        ((7, 20), (7, 50), (7, 20)),
        ((6, 20), (7, 50), (7, 50)),
    ],
)
def test_since_when_it_runs_a_version_outlives_a_restart_of_the_cloud(
    kept: tuple[int | None, int | None],
    applied: tuple[int, int] | None,
    shown: tuple[int | None, int | None],
):
    found = gateway_of(row(*kept), GatewayState("gw", online=True), applied, 8)
    assert (found.config_version, found.config_since, found.config_issued) == (*shown, 8)


def test_one_that_nobody_entered_is_shown_as_it_reports_itself():
    found = gateway_of(None, GatewayState("gw-x", online=True), (7, 50), None)
    assert (found.id, found.config_version, found.config_issued) == ("gw-x", 7, None)


@pytest.mark.parametrize(
    ("language", "since", "behind"),
    [("en", "7 since", "not 8, which was issued"), ("zh-CN", "7 自", "未启用已下发的 8")],
)
async def test_the_page_says_that_it_is_behind(language: str, since: str, behind: str):
    async with (
        world() as made,
        made.client(made.principal(Role.ENGINEER), cookie=True, **{"accept-language": language}) as client,
    ):
        for ident, issued in (("gatewayA", 8), ("gatewayB", 7)):
            told = Gateway(
                id=made.ids["main", ident],
                online=True,
                config_version=7,
                config_since=T0,
                config_issued=issued,
            )
            made.backend.put_gateway("main", told)
        page = (await client.get("/devices")).text
        items = (await client.get("/api/v1/gateways")).json()["items"]
    cells = [
        " ".join(re.sub(r"<[^>]+>", "", c).split())
        for c in re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)
    ]
    shown = [c for c in cells if c.startswith(since)]
    assert sorted(behind in c for c in shown) == [False, True]
    assert {i["config_issued"] for i in items} == {7, 8}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            (
                "refuses this cloud: it trusts another key",
                "its clock is ahead",
                "refused receipts (digest 2)",
            ),
        ),
        ("zh-CN", ("拒绝本服务器, 其信任的是另一密钥", "时钟偏快", "拒绝了回执 (digest 2)")),
    ],
)
async def test_the_page_says_what_the_gateway_itself_cannot_do(language: str, words: tuple[str, ...]):
    async with (
        world() as made,
        made.client(made.principal(Role.ENGINEER), cookie=True, **{"accept-language": language}) as client,
    ):
        told = {"trust": "key", "clock": "ahead", "receipts": "digest 2", "of a later": "release"}
        made.backend.put_gateway("main", Gateway(id=made.ids["main", "gatewayA"], online=True, trouble=told))
        page = (await client.get("/devices")).text
        items = (await client.get("/api/v1/gateways")).json()["items"]
    assert [w for w in (*words, "of a later: release") if w not in page] == []
    assert told in [i["trouble"] for i in items]


def test_what_a_gateway_tells_of_itself_reaches_the_web():
    found = gateway_of(None, GatewayState("gw", trouble={"trust": "key"}), None, None)
    assert found.trouble == {"trust": "key"}


@pytest.mark.parametrize(
    ("online", "state", "cause"), [(True, "streaming", "none"), (False, "offline", "gateway_offline")]
)
def test_how_devices_are_is_known_only_while_their_gateway_is_there(*, online: bool, state: str, cause: str):
    told = GatewayState("gw", online=online, last_seen=90, devices={"d": DeviceWord("streaming", since=5)})
    found = gateway_of(None, told, None, None).conditions["d"]
    assert (found.state, found.cause, found.since) == (state, cause, 5 if online else 90)
