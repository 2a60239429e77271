"""What all repositories share: filtering by ``Scope``, finding, and refusing with the field's name."""

from __future__ import annotations

import math
import zoneinfo
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final, NoReturn, TypeVar

from sqlalchemy import ColumnElement, Select, and_, false, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud_ingest.records.models import Association, Base, Device, Encounter, Gateway, Patient
from cloud_ingest.records.written import legible
from hearthward.core.errors import AccessError, ConfigError
from hearthward.core.ids import Ids, check_id
from hearthward.trust.access import Scope
from rules.model import subject_key
from rules.response.duty import OF_WARD

__all__ = [
    "MAX_TEXT",
    "SUBJECT_KINDS",
    "Repository",
    "check_birth_date",
    "check_interval",
    "check_language",
    "check_period",
    "check_text",
    "check_timezone",
    "overlapping",
    "refuse",
    "refuse_code",
    "require_whole",
    "visible_patients",
]

M = TypeVar("M", bound=Base)

MAX_TEXT = 200
LANGUAGES = ("en", "zh")
SUBJECT_KINDS: Final = ("device", "gateway", "component")
"""What an alarm can be about besides patients."""
Text = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


def refuse(field: str, problem: str, *, reason: str = "invalid", **details: Any) -> NoReturn:
    """Raise the ConfigError for one field: ``reason`` is ``invalid``, ``conflict`` or ``not_found``."""
    msg = f"{field}: {problem}"
    raise ConfigError(msg, field=field, reason=reason, **details)


def refuse_code(field: str, code: str, value: object, text: str, reason: str = "invalid") -> NoReturn:
    """``refuse`` with a ``code`` and ``value`` that a page can word in its own language."""
    refuse(field, text, reason=reason, code=code, value=value)


def visible_patients(scope: Scope, now: int) -> Select[Any] | None:
    """The ids of the patients within ``scope``, or None for all of its tenant.

    A ward sees the patients who are in its care now: an encounter not yet ended.
    """
    if scope.patient is None and scope.wards is None:
        return None
    chosen = select(Encounter.patient).where(
        Encounter.tenant == scope.tenant,
        or_(Encounter.end.is_(None), Encounter.end > now),
    )
    if scope.wards is not None:
        chosen = chosen.where(Encounter.ward.in_(scope.wards))
        return chosen if scope.patient is None else chosen.where(Encounter.patient == scope.patient)
    return select(Patient.id).where(Patient.tenant == scope.tenant, Patient.id == scope.patient)


class Repository:
    """Rows of one kind within a ``Scope``; lives as long as the session it is made with.

    ``now`` (UTC ns) stamps what is made and decides what is present; ``wall`` is real time where that
    differs (while a recording is played): log-ins, expiries and birth dates go by it.
    """

    def __init__(
        self,
        session: Session,
        *,
        now: int,
        ids: Ids,
        wall: int | None = None,
        profiles: Collection[str] | None = None,
    ) -> None:
        self.session = session
        self.now = now
        self.wall = now if wall is None else wall
        self.ids = ids
        self.profiles = profiles

    def _find(self, model: type[M], scope: Scope, ident: str, what: str, *limits: ColumnElement[bool]) -> M:
        """The row of that id, if ``limits`` let it be seen; else it does not exist for this scope."""
        columns: Any = model
        row = self.session.scalars(
            select(model).where(columns.tenant == scope.tenant, columns.id == ident, *limits)
        ).one_or_none()
        if row is None:
            refuse(what, f"there is no {what} {ident!r} here; choose one of the list", reason="not_found")
        return row

    def _new_id(self, model: type[Base], scope: Scope, ident: str | None, kind: str, what: str) -> str:
        if ident is None:
            return self.ids.new(kind)
        check_id(ident, what)
        if self.session.get(model, (scope.tenant, ident)) is not None:
            refuse(what, f"the id {ident!r} is taken; choose another", reason="conflict")
        return ident

    def _ward_limit(self, column: Text, scope: Scope) -> list[ColumnElement[bool]]:
        if scope.patient is not None:
            return [false()]
        return [] if scope.wards is None else [column.in_(scope.wards)]

    def _staff_limit(self, column: Text, scope: Scope) -> list[ColumnElement[bool]]:
        """What belongs to a ward of the scope, or to none: the whole organisation's."""
        wards = self._ward_limit(column, scope)
        return wards if scope.patient is not None or not wards else [or_(column.is_(None), *wards)]

    def _patient_limit(self, column: Text, scope: Scope) -> list[ColumnElement[bool]]:
        seen = visible_patients(scope, self.now)
        return [] if seen is None else [column.in_(seen)]

    def _device_limit(self, device: Text, gateway: Text, scope: Scope) -> list[ColumnElement[bool]]:
        """Devices at the wards' gateways, and those that measure a visible patient now."""
        seen = visible_patients(scope, self.now)
        if seen is None:
            return []
        worn = select(Association.device).where(
            Association.tenant == scope.tenant,
            Association.superseded_at.is_(None),
            or_(Association.end.is_(None), Association.end > self.now),
            Association.patient.in_(seen),
        )
        near = select(Gateway.id).where(
            Gateway.tenant == scope.tenant, *self._ward_limit(Gateway.ward, scope)
        )
        return [or_(device.in_(worn), gateway.in_(near))]

    def _subject_limit(
        self, column: Text, scope: Scope, *, house: bool = True
    ) -> Sequence[ColumnElement[bool]]:
        """Subjects of alarms: visible patients, the wards' equipment and components, and the ``house``'s."""
        patients = self._patient_limit(column, scope)
        if not patients or scope.wards is None or scope.patient is not None:
            return patients
        gateways = select(subject_key("gateway", "") + Gateway.id).where(
            Gateway.tenant == scope.tenant, *self._ward_limit(Gateway.ward, scope)
        )
        devices = select(subject_key("device", "") + Device.id).where(
            Device.tenant == scope.tenant, *self._device_limit(Device.id, Device.gateway, scope)
        )
        components = [subject_key("component", f"{p}-{w}") for w in sorted(scope.wards) for p in OF_WARD]
        found = or_(*patients, column.in_(gateways), column.in_(devices), column.in_(components))
        if not house:
            return [found]
        of_house = and_(
            column.startswith(subject_key("component", ""), autoescape=True),
            *(~column.startswith(subject_key("component", f"{part}-"), autoescape=True) for part in OF_WARD),
        )
        return [or_(found, of_house)]

    def _change(self, row: Base, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(row, name, value)
        self.session.flush()

    def _when(self, at: int | None, field: str) -> int:
        if at is None:
            return self.now
        if at > self.now:
            refuse(field, "lies in the future; give a time that has passed")
        return at


def require_whole(scope: Scope, what: str) -> None:
    """Raise AccessError unless the scope is the whole tenant."""
    if scope.confined:
        msg = f"{what} concerns the whole organisation; this login is confined to some wards or a patient"
        raise AccessError(msg)


def overlapping(
    start: InstrumentedAttribute[int], end: InstrumentedAttribute[int | None], first: int, last: int | None
) -> list[ColumnElement[bool]]:
    """Conditions for rows whose [start, end) shares a moment with [first, last); None is without end."""
    conditions = [or_(end.is_(None), end > first)]
    if last is not None:
        conditions.append(start < last)
    return conditions


def check_text(value: str, field: str) -> str:
    """Text that people can read: not empty, one line, at most ``MAX_TEXT`` characters."""
    text = legible(value)
    if not text or len(text) > MAX_TEXT or "\n" in text:
        refuse(field, f"give 1 to {MAX_TEXT} printable characters")
    return text


def check_timezone(value: str | None, field: str = "timezone") -> str | None:
    """An IANA time zone such as ``Asia/Shanghai``, or none."""
    if value is None or not value.strip():
        return None
    try:
        return zoneinfo.ZoneInfo(value.strip()).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        refuse(field, f"{value!r} is no time zone; give one such as Europe/Berlin or Asia/Shanghai")


def check_language(value: str, field: str = "language") -> str:
    """``en`` or ``zh``."""
    if value not in LANGUAGES:
        refuse(field, f"{value!r} is not offered; choose {' or '.join(LANGUAGES)}")
    return value


def check_birth_date(value: str | None, now: int, field: str = "birth_date") -> str | None:
    """An ISO 8601 date that is not in the future, or none."""
    if value is None or not value.strip():
        return None
    try:
        day = date.fromisoformat(value.strip())
    except ValueError:
        refuse(field, f"{value!r} is no date; write it as 1948-03-27")
    today = date.fromordinal(date(1970, 1, 1).toordinal() + now // 86_400_000_000_000)
    # A day of grace: it is tomorrow already east of Greenwich.
    if (day - today).days > 1:
        refuse(field, f"{value} lies in the future")
    return day.isoformat()


def check_interval(value: float | None, field: str = "interval_s") -> float | None:
    """Seconds between values, above zero and at most a week, or none."""
    if value is None:
        return None
    if not math.isfinite(value) or not 0 < value <= 7 * 86_400:
        refuse(field, "give seconds above 0 and at most a week, or leave it empty")
    return float(value)


def check_period(start: int, end: int | None) -> None:
    """A period must end after it starts."""
    if end is not None and end <= start:
        refuse("end", "must be after the start")
