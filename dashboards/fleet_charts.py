"""A device's days as small pictures (battery, radio, drop-outs, temperature, voltage), each in words too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from dashboards.fleet_models import DeviceDay, Look
from dashboards.i18n import N_, translations
from dashboards.sparkline import svg_line
from hearthward.core.clock import SECOND

__all__ = ["History", "histories"]

WIDTH: Final = 300
HEIGHT: Final = 64
DAY_NS: Final = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class History:
    """One of a device's figures over its days; ``said`` tells what the picture shows."""

    name: str
    unit: str
    drawn: Markup
    newest: float
    said: str


def _mean_of(field: str) -> Callable[[DeviceDay], float | None]:
    def mean(day: DeviceDay) -> float | None:
        look: Look | None = getattr(day, field)
        return None if look is None else look.mean

    return mean


def _dropouts(day: DeviceDay) -> float | None:
    return float(day.dropouts) if day.readings or day.dropouts else None


def _doubted(day: DeviceDay) -> float | None:
    return round(100 * (day.suspect + day.bad) / day.readings, 2) if day.readings else None


KINDS: Final[tuple[tuple[str, str, Callable[[DeviceDay], float | None]], ...]] = (
    (N_("Battery"), "%", _mean_of("battery")),
    (N_("Signal"), "dBm", _mean_of("rssi")),
    (N_("Drop-outs a day"), "", _dropouts),
    (N_("Readings in doubt"), "%", _doubted),
    (N_("Device temperature"), "°C", _mean_of("temperature")),
    (N_("Voltage"), "V", _mean_of("voltage")),
)


def histories(days: Sequence[DeviceDay], language: str) -> list[History]:
    """What there is of each kind, a point a day; kinds of which there is nothing are left out."""
    gettext = translations(language).gettext
    told = gettext("{name}: from {low} to {high} {unit} on {n} days, last {last} {unit}")
    found = []
    for name, unit, value in KINDS:
        points = [(day.day / DAY_NS, v) for day in days if (v := value(day)) is not None]
        if not points:
            continue
        values = [v for _, v in points]
        fields = {"low": f"{min(values):.4g}", "high": f"{max(values):.4g}", "last": f"{values[-1]:.4g}"}
        said = told.format(name=gettext(name), unit=unit, n=len(points), **fields).strip()
        drawn = svg_line(points, width=WIDTH, height=HEIGHT, label=said)
        found.append(History(gettext(name), unit, drawn, values[-1], said))
    return found
