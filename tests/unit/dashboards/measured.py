"""Values of a patient, as the tests of trends and of the patient's page make them."""

from __future__ import annotations

from collections.abc import Sequence

from hearthward.core.model import Quality
from tests.unit.dashboards.webworld import S, World, reading

HOUR = 3600 * S
MEMORY = int(Quality.FROM_STORE | Quality.TIME_UNKNOWN)


def measure(made: World, values: Sequence[float], *, every: int = 60, metric: str = "spo2") -> None:
    """Values up to two seconds before the world's present."""
    now = made.clock.now_ns() - 2 * S
    rows = [
        reading("main-oxi-A", metric, value, now - (len(values) - 1 - i) * every * S)
        for i, value in enumerate(values)
    ]
    made.backend.put_readings("main", rows)
