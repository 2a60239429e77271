"""The side that a conformance test asks: the port's fake, then the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.component.dashboards.sides import FakeSide, Side, real


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made
