"""Frames that an edge refused: in the API of gateways and devices, and on the devices' page."""

from __future__ import annotations

import re

import pytest

from dashboards.models import Gateway
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import World, world


def refuse(made: World) -> tuple[str, str]:
    """The first gateway tells of frames that it refused; returns its id and its device's."""
    gateway, device = made.ids["main", "gatewayA"], made.ids["main", "deviceA"]
    rejected = {device: {"truncated": 2, "integrity": 1, "novel": 4}, "gone": {"malformed": 3}}
    made.backend.put_gateway("main", Gateway(id=gateway, online=True, rejected=rejected))
    return gateway, device


async def test_the_api_tells_them_by_gateway_and_by_device():
    async with world() as made, made.client(made.principal(Role.ENGINEER)) as client:
        gateway, device = refuse(made)
        mine = {"truncated": 2, "integrity": 1, "novel": 4}
        shown = {g["id"]: g["rejected"] for g in (await client.get("/api/v1/gateways")).json()["items"]}
        assert shown[gateway] == {device: mine, "gone": {"malformed": 3}}
        assert {r for g, r in shown.items() if g != gateway and r} == set()
        devices = {d["id"]: d["rejected"] for d in (await client.get("/api/v1/devices")).json()["items"]}
        assert devices.pop(device) == mine
        assert not any(devices.values())


@pytest.mark.parametrize(
    ("language", "head", "reasons"),
    [
        ("en", "Frames refused", "7 wrong checksum 1, novel 4, too short 2"),
        ("zh-CN", "被拒帧数", "7 校验错误 1, novel 4, 过短 2"),
    ],
)
async def test_the_page_counts_them_with_their_reasons(language: str, head: str, reasons: str):
    async with (
        world() as made,
        made.client(made.principal(Role.ENGINEER), cookie=True, **{"accept-language": language}) as client,
    ):
        refuse(made)
        page = (await client.get("/devices")).text
    assert page.count(f">{head}</th>") == 2
    cells = [re.sub(r"<[^>]+>", "", c).strip() for c in re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)]
    assert reasons in cells
    assert "10" in cells, "the gateway's sum"
