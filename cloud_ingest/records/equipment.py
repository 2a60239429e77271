"""Gateways, devices, and which patient a device measures when."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Literal, TypedDict, Unpack

from sqlalchemy import ColumnElement, exists, or_, select

from cloud_ingest.records.models import Association, Device, Gateway, Patient, Ward
from cloud_ingest.records.scoping import (
    Repository,
    check_interval,
    check_period,
    check_text,
    check_timezone,
    overlapping,
    refuse,
    require_whole,
)
from hearthward.core.clock import iso
from hearthward.core.ids import GATEWAY_ID
from hearthward.trust.access import Scope

__all__ = ["Associations", "Devices", "Gateways", "own_address"]

Transport = Literal["ble", "serial"]


def own_address(transport: str, address: str) -> str:
    """An address as it is kept: of Bluetooth in capitals, as gateways tell it."""
    return address.upper() if transport == "ble" else address


class GatewayFields(TypedDict, total=False):
    """What can be changed of a gateway."""

    ward: str | None
    label: str
    timezone: str | None


class DeviceFields(TypedDict, total=False):
    """What can be changed of a device."""

    gateway: str
    address: str
    profile: str | None
    timezone: str | None
    interval_s: float | None
    label: str


class AssociationFields(TypedDict, total=False):
    """What can be corrected of an association."""

    device: str
    patient: str
    start: int
    end: int | None


class Gateways(Repository):
    """The edge agents."""

    def create(
        self,
        scope: Scope,
        *,
        ident: str,
        ward: str | None = None,
        label: str = "",
        timezone: str | None = None,
    ) -> Gateway:
        """Enter a gateway under its own id. Raises ConfigError: bad or taken id, unknown ward."""
        if not GATEWAY_ID.fullmatch(ident):
            refuse("gateway", f"the id {ident!r} must be 1-64 of the characters A-Z a-z 0-9 _ -")
        if ward is None:
            require_whole(scope, "a gateway without a ward")
        row = Gateway(
            tenant=scope.tenant,
            id=self._new_id(Gateway, scope, ident, "gw", "gateway"),
            ward=self._ward(scope, ward),
            label=check_text(label or ident, "label"),
            timezone=check_timezone(timezone),
            created=self.now,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, gateway: str, **fields: Unpack[GatewayFields]) -> Gateway:
        """Change ward, label or time zone; only what is given changes."""
        row = self.get(scope, gateway)
        if "ward" in fields:
            fields["ward"] = self._ward(scope, fields["ward"])
        if "label" in fields:
            fields["label"] = check_text(fields["label"] or gateway, "label")
        if "timezone" in fields:
            fields["timezone"] = check_timezone(fields["timezone"])
        self._change(row, dict(fields))
        return row

    def end(self, scope: Scope, gateway: str, *, at: int | None = None) -> Gateway:
        """Take a gateway out of use. Refused while it has devices."""
        row = self.get(scope, gateway)
        when = self._when(at, "end")
        used = exists().where(
            Device.tenant == scope.tenant, Device.gateway == gateway, Device.ended.is_(None)
        )
        if self.session.scalar(select(used)):
            refuse("gateway", f"{row.label} still has devices; end or move them first", reason="conflict")
        self._change(row, {"ended": when})
        return row

    def seen(self, scope: Scope, gateway: str, *, at: int, applied: int | None = None) -> Gateway | None:
        """Note that a gateway was heard of, and the version it applies; None when it is unknown."""
        row = self.session.get(Gateway, (scope.tenant, gateway))
        if row is None or (scope.wards is not None and row.ward not in scope.wards):
            return None
        row.last_seen = max(at, row.last_seen or 0)
        if applied is not None:
            row.config_version_applied = applied
        return row

    def get(self, scope: Scope, gateway: str) -> Gateway:
        """One gateway. Raises ConfigError (``not_found``)."""
        return self._find(Gateway, scope, gateway, "gateway", *self._ward_limit(Gateway.ward, scope))

    def list(self, scope: Scope, *, ended: bool = False) -> Sequence[Gateway]:
        """The gateways by id; those out of use only when asked for."""
        query = select(Gateway).where(*self.limits(scope))
        if not ended:
            query = query.where(Gateway.ended.is_(None))
        return self.session.scalars(query.order_by(Gateway.id)).all()

    def limits(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Which rows a scope covers."""
        return [Gateway.tenant == scope.tenant, *self._ward_limit(Gateway.ward, scope)]

    def _ward(self, scope: Scope, ward: str | None) -> str | None:
        if ward is not None:
            place = self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope))
            if place.ended is not None:
                refuse("ward", f"{place.name} is closed; choose another", reason="conflict")
        return ward


class Devices(Repository):
    """The devices at gateways."""

    def create(  # noqa: PLR0913 - the columns
        self,
        scope: Scope,
        *,
        gateway: str,
        transport: Transport,
        address: str,
        profile: str | None = None,
        timezone: str | None = None,
        interval_s: float | None = None,
        label: str = "",
        ident: str | None = None,
    ) -> Device:
        """Enter a device. Raises ConfigError: unknown gateway or profile, address taken at that gateway."""
        if transport not in {"ble", "serial"}:
            refuse("transport", f"{transport!r} is not offered; choose ble or serial")
        place = self._gateway(scope, gateway)
        address = own_address(transport, check_text(address, "address"))
        self._free_address(scope, place.id, transport, address)
        row = Device(
            tenant=scope.tenant,
            id=self._new_id(Device, scope, ident, "dev", "device"),
            gateway=place.id,
            transport=transport,
            address=address,
            profile=self._profile(profile),
            timezone=check_timezone(timezone),
            interval_s=check_interval(interval_s),
            label=check_text(label or ident or address, "label"),
            created=self.now,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, device: str, **fields: Unpack[DeviceFields]) -> Device:
        """Change a device; only what is given changes. Its transport is what it is."""
        row = self.get(scope, device)
        if "gateway" in fields:
            self._gateway(scope, fields["gateway"])
        if "address" in fields:
            fields["address"] = own_address(row.transport, check_text(fields["address"], "address"))
        if "profile" in fields:
            fields["profile"] = self._profile(fields["profile"])
        if "timezone" in fields:
            fields["timezone"] = check_timezone(fields["timezone"])
        if "interval_s" in fields:
            fields["interval_s"] = check_interval(fields["interval_s"])
        if "label" in fields:
            fields["label"] = check_text(fields["label"] or device, "label")
        gateway, address = fields.get("gateway", row.gateway), fields.get("address", row.address)
        self._free_address(scope, gateway, row.transport, address, but=device)
        self._change(row, dict(fields))
        return row

    def end(self, scope: Scope, device: str, *, at: int | None = None) -> Device:
        """Take a device out of use; its present association ends with it."""
        row = self.get(scope, device)
        when = self._when(at, "end")
        for worn in self.session.scalars(
            select(Association).where(
                Association.tenant == scope.tenant,
                Association.device == device,
                Association.superseded_at.is_(None),
                or_(Association.end.is_(None), Association.end > when),
            )
        ):
            worn.end = max(when, worn.start + 1)
        self._change(row, {"ended": when})
        return row

    def get(self, scope: Scope, device: str) -> Device:
        """One device. Raises ConfigError (``not_found``)."""
        return self._find(
            Device, scope, device, "device", *self._device_limit(Device.id, Device.gateway, scope)
        )

    def list(self, scope: Scope, *, gateway: str | None = None, ended: bool = False) -> Sequence[Device]:
        """The devices by id; those out of use only when asked for."""
        query = select(Device).where(*self.limits(scope))
        if gateway is not None:
            query = query.where(Device.gateway == gateway)
        if not ended:
            query = query.where(Device.ended.is_(None))
        return self.session.scalars(query.order_by(Device.id)).all()

    def limits(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Which rows a scope covers."""
        return [Device.tenant == scope.tenant, *self._device_limit(Device.id, Device.gateway, scope)]

    def _gateway(self, scope: Scope, gateway: str) -> Gateway:
        place = self._find(Gateway, scope, gateway, "gateway", *self._ward_limit(Gateway.ward, scope))
        if place.ended is not None:
            refuse("gateway", f"{place.label} is out of use; choose another", reason="conflict")
        return place

    def _profile(self, profile: str | None) -> str | None:
        if profile is None or not profile.strip():
            return None
        if self.profiles is not None and profile not in self.profiles:
            near = difflib.get_close_matches(profile, sorted(self.profiles), n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else "see `hearthward profiles list`"
            refuse("profile", f"there is no profile {profile!r}; {hint}", reason="not_found")
        return profile

    def _free_address(
        self, scope: Scope, gateway: str, transport: str, address: str, *, but: str = ""
    ) -> None:
        other = self.session.scalars(
            select(Device).where(
                Device.tenant == scope.tenant,
                Device.gateway == gateway,
                Device.transport == transport,
                Device.address == address,
                Device.ended.is_(None),
                Device.id != but,
            )
        ).first()
        if other is not None:
            refuse(
                "address",
                f"{address!r} is device {other.label} at this gateway; end that one first",
                reason="conflict",
                device=other.id,
            )


class Associations(Repository):
    """Which patient a device measures, by interval; a device measures one patient at a time."""

    def create(
        self,
        scope: Scope,
        *,
        device: str,
        patient: str,
        start: int | None = None,
        end: int | None = None,
        ident: str | None = None,
    ) -> Association:
        """Give a device to a patient. Raises ConfigError: unknown, out of use, with another patient then."""
        row = Association(
            tenant=scope.tenant,
            id=self._new_id(Association, scope, ident, "asc", "association"),
            device=device,
            patient=patient,
            start=self._when(start, "start"),
            end=end,
            created=self.now,
        )
        self._check(scope, row)
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, association: str, **fields: Unpack[AssociationFields]) -> Association:
        """Correct an association: a new row takes its place, the old one is kept as superseded."""
        old = self.get(scope, association)
        self._present(old)
        row = Association(
            tenant=scope.tenant,
            id=self.ids.new("asc"),
            device=fields.get("device", old.device),
            patient=fields.get("patient", old.patient),
            start=self._when(fields.get("start", old.start), "start"),
            end=fields.get("end", old.end),
            created=self.now,
        )
        self._check(scope, row, instead=old.id)
        self._change(old, {"superseded_at": self.now, "superseded_by": row.id})
        self.session.add(row)
        self.session.flush()
        return row

    def end(self, scope: Scope, association: str, *, at: int | None = None) -> Association:
        """Take the device off the patient."""
        row = self.get(scope, association)
        self._present(row)
        when = self._when(at, "end")
        if row.end is not None and row.end <= when:
            refuse("association", f"ended already at {iso(row.end)}", reason="conflict")
        check_period(row.start, when)
        self._change(row, {"end": when})
        return row

    def get(self, scope: Scope, association: str) -> Association:
        """One association, superseded ones too. Raises ConfigError (``not_found``)."""
        limits = self._patient_limit(Association.patient, scope)
        return self._find(Association, scope, association, "association", *limits)

    def list(
        self,
        scope: Scope,
        *,
        device: str | None = None,
        patient: str | None = None,
        ended: bool = False,
        superseded: bool = False,
    ) -> Sequence[Association]:
        """The associations in order of start; ended and superseded ones only when asked for."""
        query = select(Association).where(*self.limits(scope))
        if device is not None:
            query = query.where(Association.device == device)
        if patient is not None:
            query = query.where(Association.patient == patient)
        if not ended:
            query = query.where(or_(Association.end.is_(None), Association.end > self.now))
        if not superseded:
            query = query.where(Association.superseded_at.is_(None))
        return self.session.scalars(query.order_by(Association.start, Association.id)).all()

    def limits(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Which rows a scope covers."""
        return [Association.tenant == scope.tenant, *self._patient_limit(Association.patient, scope)]

    @staticmethod
    def _present(row: Association) -> None:
        if row.superseded_at is not None:
            refuse(
                "association", f"was corrected already; change {row.superseded_by} instead", reason="conflict"
            )

    def _check(self, scope: Scope, row: Association, *, instead: str = "") -> None:
        check_period(row.start, row.end)
        device = self._find(
            Device, scope, row.device, "device", *self._device_limit(Device.id, Device.gateway, scope)
        )
        patient = self._find(Patient, scope, row.patient, "patient", *self._patient_limit(Patient.id, scope))
        if device.ended is not None and (row.end is None or row.end > device.ended):
            refuse("device", f"{device.label} is out of use; choose another", reason="conflict")
        if patient.ended is not None and (row.end is None or row.end > patient.ended):
            refuse("patient", "this patient's record is closed", reason="conflict")
        with self.session.no_autoflush:
            other = self.session.scalars(
                select(Association).where(
                    Association.tenant == scope.tenant,
                    Association.device == row.device,
                    Association.superseded_at.is_(None),
                    Association.id.not_in([row.id, instead]),
                    *overlapping(Association.start, Association.end, row.start, row.end),
                )
            ).first()
        if other is not None:
            until = "now" if other.end is None else iso(other.end)
            refuse(
                "device",
                f"{device.label} measures another patient from {iso(other.start)} to {until}; "
                "end that association first, or correct it",
                reason="conflict",
                association=other.id,
            )
