"""All that is found of one device, from its days and what is known of it: pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from cloud_ingest.device_health.battery import Battery, battery_finding, battery_of, level_of
from cloud_ingest.device_health.drift import Place, drift_finding, link_finding
from cloud_ingest.device_health.dropouts import dropout_finding
from cloud_ingest.device_health.due import calibration_finding, firmware_finding, offline_finding
from cloud_ingest.device_health.findings import Finding
from cloud_ingest.device_health.hours import ByHours, by_hours, service_finding
from cloud_ingest.device_health.sums import DaySums, SignalName, day_of

__all__ = ["Known", "Upkeep", "judged"]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """When it was done last (UTC ns, None: nobody has said), how often it is due, hours of use since."""

    done: int | None
    every_days: int | None = None
    every_hours: int | None = None
    used: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a device in use. Times are UTC ns; ``peers`` and ``firmwares`` are of its profile.

    ``worn`` is since when somebody has it on: one that lies in a drawer may be silent.
    """

    device: str
    worn: int | None = None
    last_seen: int | None = None
    interval_s: float | None = None
    cause: str = "none"
    firmware: str = ""
    calibrated: Upkeep | None = None
    serviced: Upkeep | None = None
    peers: Sequence[tuple[int, int]] = ()
    firmwares: Collection[str] = ()
    compared: Sequence[Finding] = field(default=())
    """What the comparison with a second device on the same patient came to."""
    place: Place = field(default_factory=dict)
    """The temperatures of all devices behind its gateway."""
    life: Finding | None = None
    """What its own sensors say of its end, where its model's life was learned."""


def judged(known: Known, days: Sequence[DaySums], now: int) -> tuple[list[Finding], Battery | None]:
    """The findings of a device whose ``days`` are given oldest first, and its battery."""
    today = day_of(now)

    def of(name: SignalName) -> list[tuple[int, float]]:
        return [(s.day, s.signals[name].mean) for s in days if name in s.signals]

    levels = [(s.day, level_of(s.signals["battery"])) for s in days if "battery" in s.signals]
    battery = battery_of(levels, today)
    found = [
        battery_finding(battery, today),
        drift_finding("temperature", of("temperature"), today, device=known.device, place=known.place),
        drift_finding("voltage", of("voltage"), today),
        link_finding(of("rssi"), today),
        dropout_finding(days, known.peers, today),
        firmware_finding(known.firmware, known.firmwares, today),
        known.life,
    ]
    if known.worn is not None:
        found.append(offline_finding(known.last_seen, known.worn, known.interval_s, known.cause, now))
    found += [_calibration(known.calibrated, days, today), _service(known.serviced, days, today)]
    return [finding for finding in (*found, *known.compared) if finding is not None], battery


def _hours(known: Upkeep, days: Sequence[DaySums], today: int) -> ByHours | None:
    return None if known.every_hours is None else by_hours(known.used, known.every_hours, days, today)


def _calibration(known: Upkeep | None, days: Sequence[DaySums], today: int) -> Finding | None:
    if known is None or known.done is None or known.every_days is None:
        return None
    return calibration_finding(known.done, known.every_days, today, _hours(known, days, today))


def _service(known: Upkeep | None, days: Sequence[DaySums], today: int) -> Finding | None:
    used = None if known is None else _hours(known, days, today)
    return None if known is None or used is None else service_finding(used, known.done)
