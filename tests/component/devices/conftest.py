"""A world of twins and a radio on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from devices.links.radio import Radio, open_radio
from devices.twins.world import TwinWorld


@pytest.fixture
async def world() -> AsyncIterator[TwinWorld]:
    async with TwinWorld(seed=7) as made:
        yield made


@pytest.fixture
async def radio(world: TwinWorld) -> AsyncIterator[Radio]:
    async with open_radio("virtual", virtual=world.virtual) as opened:
        yield opened
