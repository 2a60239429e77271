"""A pump wears out: from histories of others that failed to the finding, the work order and the pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud_ingest.device_health.asking import AskedFleet, AskedOrders
from cloud_ingest.device_health.life_model import load_all
from cloud_ingest.device_health.sums import DAY_NS
from dashboards.fleet_models import FindingView, WorkOrder
from firmware_profiles import load_catalog
from hearthward.app.cli import main
from hearthward.core.model import Reading
from tests.component.dashboards.sides import SCOPE, T0, RealSide, furnish, lived, made_reading
from tests.unit.cloud_ingest.device_health.engines import engine, lines

PUMP = "generic-instrument"
TOLD = (2, 3, 4)
"""The sensors that say something."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a biomedical engineer makes it from the histories of pumps that failed."""
    folder = tmp_path_factory.mktemp("pumps")
    train, found = folder / "train.txt", folder / "pump.life"
    train.write_text(lines(*(engine(n, 60 + 6 * n) for n in range(1, 8))))
    result = CliRunner().invoke(main, ["rul", str(train), "--save", str(found)])
    assert result.exit_code == 0, result.output
    return found


@pytest.fixture
async def side(tmp_path: Path, saved: Path) -> AsyncIterator[RealSide]:
    lives = load_all({PUMP: saved}, load_catalog().get)
    async with lived(RealSide(tmp_path, lives=lives)) as made:
        await furnish(made)
        fields = {"gateway": "gw-1", "transport": "serial", "profile": PUMP}
        for n, key in enumerate(("worn", "new")):
            await made.backend.create(SCOPE, "device", {**fields, "id": key, "address": f"/dev/ttyS{n}"})
        yield made


def reports(device: str, unit: int, life: int, first: int, last: int, overhauled: int = 0) -> list[Reading]:
    """What a pump reports of some cycles, four a day; counted from the ``overhauled`` one on."""
    run = engine(unit, life)
    return [
        made_reading(device, metric, value, T0 + (overhauled + n) * DAY_NS // 4)
        for n in range(first, last)
        for metric, value in [
            ("device_cycles", float(n + 1)),
            *((f"device_setting_{i}", x) for i, x in enumerate(run.settings[n], 1)),
            *((f"device_sensor_{i}", run.sensors[n][i - 1]) for i in TOLD),
        ]
    ]


async def lives(side: RealSide) -> list[FindingView]:
    """What is found now."""
    await side.service.health.round()
    page = await side.backend.needs_attention(SCOPE, AskedFleet(kind="life"))
    return [a.finding for a in page.items]


async def orders(side: RealSide) -> list[WorkOrder]:
    page = await side.backend.work_orders(SCOPE, AskedOrders())
    return [order for order in page.items if order.kind == "life"]


async def test_one_that_wears_out_gets_a_finding_a_date_and_a_work_order(side: RealSide):
    await side.report([*reports("new", 31, 84, 0, 10), *reports("worn", 30, 84, 0, 20)])
    assert await lives(side) == [], "nothing shows yet"
    await side.report(reports("worn", 30, 84, 20, 60))
    (early,) = await lives(side)
    await side.report(reports("worn", 30, 84, 60, 80))
    (found,) = await lives(side)
    assert found.id == early.id
    evidence = found.evidence
    assert (found.device, found.confidence, evidence["cycles"], evidence["units"]) == ("worn", 0.9, 80, 7)
    low, left, high = (float(evidence[f"cycles_left{part}"]) for part in ("_low", "", "_high"))
    assert 0 <= low <= left <= high
    assert left < 15 < float(early.evidence["cycles_left"])  # it has four left
    assert found.proposed is not None
    assert T0 + 19 * DAY_NS <= found.proposed <= T0 + 24 * DAY_NS
    assert found.text["en"].startswith("Fails in about")
    assert "预计约" in found.text["zh"]
    (order,) = await orders(side)
    assert (order.device, order.finding, order.opened_by) == ("worn", found.id, "")
    file = await side.backend.fleet_device(SCOPE, "worn")
    assert file is not None
    assert [f.kind for f in file.findings] == ["life"]


async def test_an_overhaul_ends_it(side: RealSide):
    await side.report(reports("worn", 30, 84, 0, 80))
    assert len(await lives(side)) == 1
    await side.report(reports("worn", 32, 84, 0, 6, overhauled=80))
    assert await lives(side) == []
    (order,) = await orders(side)
    assert [note.do for note in order.notes] == ["open", "gone"]
