"""A world of two wards, as the tests of pages ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.dashboards.webworld import World, world


@pytest.fixture
async def made() -> AsyncIterator[World]:
    async with world() as made:
        yield made
