"""Calibrations and services of devices: when they were done, and how often they are due."""

from __future__ import annotations

from typing import Final

from cloud_ingest.device_health.hours import MOST_HOURS
from cloud_ingest.device_health.sums import KEPT_DAYS, day_of
from cloud_ingest.records.fleet import MOST_DAYS, Fleet
from cloud_ingest.records.fleet_models import DeviceCalibration, DeviceService
from cloud_ingest.records.scoping import refuse_code
from hearthward.core.clock import iso
from hearthward.trust.access import Scope

__all__ = ["UpkeepBook"]

HOURS: Final = "every_hours"


class UpkeepBook(Fleet):
    """Of the devices of a scope. Refusals are ConfigError with ``field`` and ``code``."""

    def calibration(self, scope: Scope, device: str) -> DeviceCalibration | None:
        """What was noted of a device."""
        return self.session.get(DeviceCalibration, (scope.tenant, device))

    def calibrate(
        self,
        scope: Scope,
        device: str,
        calibrated: int,
        every_days: int,
        by: str,
        every_hours: int | None = None,
    ) -> DeviceCalibration | None:
        """Note a calibration; None for a device that is not in scope. Raises ConfigError (see code)."""
        if self.device(scope, device) is None:
            return None
        if not 1 <= every_days <= MOST_DAYS:
            refuse_code("every_days", "bounds", f"1 - {MOST_DAYS}", f"give 1 to {MOST_DAYS} days")
        self._check("calibrated", calibrated, every_hours)
        row = self.calibration(scope, device) or DeviceCalibration(tenant=scope.tenant, device=device)
        if row.calibrated != calibrated:
            row.hours_since = self._gone(scope, device, calibrated)
        row.calibrated, row.every_days, row.every_hours = calibrated, every_days, every_hours
        row.by, row.at = by, self.now
        self.session.add(row)
        self.session.flush()
        return row

    def service(self, scope: Scope, device: str) -> DeviceService | None:
        """What was noted of a device."""
        return self.session.get(DeviceService, (scope.tenant, device))

    def serve(
        self, scope: Scope, device: str, serviced: int | None, every_hours: int | None, by: str
    ) -> DeviceService | None:
        """Note a service and its interval; None as above.

        ``serviced`` None: nobody knows when; ``every_hours`` None: as its profile has it.
        """
        if self.device(scope, device) is None:
            return None
        self._check("serviced", serviced, every_hours)
        row = self.service(scope, device)
        if row is None:
            row = DeviceService(tenant=scope.tenant, device=device, hours_before=0, hours_since=0)
            self.session.add(row)
        if row.serviced != serviced:
            row.hours_since = self._gone(scope, device, serviced)
        row.serviced, row.every_hours, row.by, row.at = serviced, every_hours, by, self.now
        self.session.flush()
        return row

    def _check(self, field: str, done: int | None, every_hours: int | None) -> None:
        if every_hours is not None and not 1 <= every_hours <= MOST_HOURS:
            refuse_code(HOURS, "bounds", f"1 - {MOST_HOURS}", f"give 1 to {MOST_HOURS} hours")
        if done is not None and not 0 < done <= self.now:
            refuse_code(field, "future", iso(done), "give a time that has passed")

    def _gone(self, scope: Scope, device: str, done: int | None) -> int:
        """Hours since ``done`` on days that are kept no longer: all where it lies before the kept ones."""
        kept = self.service(scope, device)
        long_ago = done is None or day_of(done) < day_of(self.now) - KEPT_DAYS
        return kept.hours_before if kept is not None and long_ago else 0
