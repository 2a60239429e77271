"""Who may do what: roles, principals, actions, resources, and the one policy function.

``allowed`` is the only place that decides; ``Scope`` carries its result into the repositories, which
cannot be called without one and filter every row by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from hearthward.core.errors import AccessError

__all__ = [
    "ALONE",
    "OF_ONE",
    "POLICY",
    "Action",
    "Principal",
    "Resource",
    "Role",
    "Scope",
    "allowed",
    "require",
    "scope_of",
]


class Role(StrEnum):
    """What a person or a wall display is here to do."""

    NURSE = "nurse"
    DOCTOR = "doctor"
    ENGINEER = "engineer"
    PATIENT = "patient"
    FAMILY = "family"
    ADMIN = "admin"
    DISPLAY = "display"


class Action(StrEnum):
    """What can be asked for; a route names exactly one."""

    VIEW_WARD = "view_ward"
    VIEW_PATIENT = "view_patient"
    VIEW_READINGS = "view_readings"
    EXPORT_READINGS = "export_readings"
    VIEW_ALARMS = "view_alarms"
    VIEW_LIMITS = "view_limits"
    SET_LIMIT = "set_limit"
    GIVE_ORDER = "give_order"
    VIEW_RULES = "view_rules"
    DRAFT_RULE = "draft_rule"
    APPROVE_RULE = "approve_rule"
    ACCEPT_ALARM = "accept_alarm"
    PAUSE_ALARM = "pause_alarm"
    SWITCH_OFF_ALARM = "switch_off_alarm"
    VIEW_TECHNICAL_ALARMS = "view_technical_alarms"
    ANSWER_TECHNICAL_ALARM = "answer_technical_alarm"
    MAINTAIN_DEVICE = "maintain_device"
    WATCH_FRAMES = "watch_frames"
    VIEW_STAFF = "view_staff"
    MANAGE_STAFF = "manage_staff"
    ASSIGN_PATIENT = "assign_patient"
    HAND_OVER = "hand_over"
    MANAGE_ESCALATION = "manage_escalation"
    VIEW_CHANNELS = "view_channels"
    TEST_CHANNEL = "test_channel"
    VIEW_BURDEN = "view_burden"
    REPORT_WALL = "report_wall"
    ENTER_READING = "enter_reading"
    VIEW_DIRECTORY = "view_directory"
    MANAGE_DIRECTORY = "manage_directory"
    ASSIGN_DEVICE = "assign_device"
    VIEW_DEVICES = "view_devices"
    MANAGE_DEVICES = "manage_devices"
    VIEW_SYSTEM = "view_system"
    REPLAY_DEAD_LETTER = "replay_dead_letter"
    VIEW_USERS = "view_users"
    MANAGE_USERS = "manage_users"
    VIEW_AUDIT = "view_audit"
    VIEW_OWN_ACCOUNT = "view_own_account"
    VIEW_OWN_PAGE = "view_own_page"
    VIEW_MESSAGES = "view_messages"
    WRITE_MESSAGE = "write_message"
    VIEW_CARE_PLAN = "view_care_plan"
    MANAGE_CARE_PLAN = "manage_care_plan"
    MARK_TASK = "mark_task"
    VIEW_NOTES = "view_notes"
    WRITE_NOTE = "write_note"
    VIEW_CONSENT = "view_consent"
    GIVE_CONSENT = "give_consent"
    INVITE_PERSON = "invite_person"
    TRY_RULE = "try_rule"


PrincipalKind = Literal["user", "display", "service"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something that has proved who it is.

    ``wards`` None means all wards of the tenant, an empty set none. ``patient`` confines the principal to
    that one patient, whatever its roles.
    """

    user: str
    name: str
    tenant: str
    roles: frozenset[Role]
    wards: frozenset[str] | None = None
    patient: str | None = None
    kind: PrincipalKind = "user"


@dataclass(frozen=True, slots=True)
class Resource:
    """What an action is about.

    With neither ``ward`` nor ``patient`` it is a collection of the tenant (its rows are filtered by the
    ``Scope``) or something tenant-wide. An item of a patient names the patient, and the ward responsible
    for the patient if there is one.
    """

    kind: str
    tenant: str
    ward: str | None = None
    patient: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows a repository may touch: one tenant, some wards (None: all), one patient (None: any)."""

    tenant: str
    wards: frozenset[str] | None = None
    patient: str | None = None

    @classmethod
    def system(cls, tenant: str) -> Scope:
        """The whole of one tenant, for the product's own parts."""
        return cls(tenant)

    @property
    def confined(self) -> bool:
        """Whether it covers less than the whole tenant."""
        return self.wards is not None or self.patient is not None

    def within(self, wards: Iterable[str]) -> Scope:
        """The same scope narrowed to ``wards`` (never widened)."""
        asked = frozenset(wards)
        return Scope(self.tenant, asked if self.wards is None else asked & self.wards, self.patient)


_CARE: Final = frozenset(
    {
        Action.VIEW_WARD,
        Action.VIEW_PATIENT,
        Action.VIEW_READINGS,
        Action.EXPORT_READINGS,
        Action.VIEW_ALARMS,
        Action.ACCEPT_ALARM,
        Action.PAUSE_ALARM,
        Action.VIEW_TECHNICAL_ALARMS,
        Action.ANSWER_TECHNICAL_ALARM,
        Action.VIEW_STAFF,
        Action.ASSIGN_PATIENT,
        Action.HAND_OVER,
        Action.VIEW_BURDEN,
        Action.REPORT_WALL,
        Action.ENTER_READING,
        Action.VIEW_LIMITS,
        Action.SET_LIMIT,
        Action.VIEW_RULES,
        Action.VIEW_DIRECTORY,
        Action.ASSIGN_DEVICE,
        Action.VIEW_DEVICES,
        Action.VIEW_OWN_ACCOUNT,
        Action.VIEW_MESSAGES,
        Action.WRITE_MESSAGE,
        Action.VIEW_CARE_PLAN,
        Action.MANAGE_CARE_PLAN,
        Action.MARK_TASK,
        Action.VIEW_NOTES,
        Action.WRITE_NOTE,
        Action.VIEW_CONSENT,
        Action.INVITE_PERSON,
        Action.TRY_RULE,
    }
)
_CLINICAL: Final = frozenset(
    {
        Action.ACCEPT_ALARM,
        Action.PAUSE_ALARM,
        Action.SWITCH_OFF_ALARM,
        Action.HAND_OVER,
        Action.ENTER_READING,
        Action.SET_LIMIT,
        Action.GIVE_ORDER,
        Action.WRITE_MESSAGE,
        Action.MANAGE_CARE_PLAN,
        Action.MARK_TASK,
        Action.WRITE_NOTE,
    }
)
"""What takes clinical responsibility for one patient."""
_OWN: Final = frozenset({Action.VIEW_OWN_PAGE, Action.GIVE_CONSENT})
"""What is the patient's alone."""

OF_ONE: Final = frozenset({Role.PATIENT, Role.FAMILY})
"""Roles that are about one patient."""
ALONE: Final = OF_ONE | {Role.DISPLAY}
"""Roles that stand alone: who has another one too, has a second login."""

POLICY: Final[Mapping[Role, frozenset[Action]]] = MappingProxyType(
    {
        Role.NURSE: _CARE,
        # A release of a rule needs two of those who may approve; orders for a patient only a doctor gives.
        # To switch alarms off, however briefly it is called, takes a doctor; to pause them does not.
        Role.DOCTOR: _CARE
        | {Action.GIVE_ORDER, Action.SWITCH_OFF_ALARM, Action.DRAFT_RULE, Action.APPROVE_RULE},
        # Gateways, devices and the system; no patient's name, and a value only in the bytes of a device's
        # frames, for minutes and audited, when it has to be seen how they are decoded.
        Role.ENGINEER: frozenset(
            {
                Action.VIEW_DEVICES,
                Action.MANAGE_DEVICES,
                Action.VIEW_SYSTEM,
                Action.REPLAY_DEAD_LETTER,
                Action.VIEW_RULES,
                Action.VIEW_TECHNICAL_ALARMS,
                Action.ANSWER_TECHNICAL_ALARM,
                Action.MAINTAIN_DEVICE,
                Action.WATCH_FRAMES,
                Action.VIEW_STAFF,
                Action.VIEW_CHANNELS,
                Action.TEST_CHANNEL,
                Action.VIEW_BURDEN,
                Action.VIEW_OWN_ACCOUNT,
            }
        ),
        # Their own data, nothing else (``patient`` of the principal); what they observe themselves counts.
        Role.PATIENT: frozenset(
            {
                Action.VIEW_PATIENT,
                Action.VIEW_READINGS,
                Action.EXPORT_READINGS,
                Action.VIEW_ALARMS,
                Action.ENTER_READING,
                Action.VIEW_OWN_ACCOUNT,
                Action.VIEW_MESSAGES,
                Action.WRITE_MESSAGE,
                Action.VIEW_CARE_PLAN,
                Action.MARK_TASK,
                Action.VIEW_CONSENT,
            }
        )
        | _OWN,
        # Looks at one patient's page as far as that patient's consent goes (dashboards/consent.py), no more.
        Role.FAMILY: frozenset({Action.VIEW_OWN_PAGE, Action.VIEW_CONSENT, Action.VIEW_OWN_ACCOUNT}),
        # Sees and keeps the directory, the users and the audit; takes no clinical responsibility.
        Role.ADMIN: frozenset(Action) - _CLINICAL - _OWN,
        # A wall: reads its wards; accepting there needs a person.
        Role.DISPLAY: frozenset(
            {Action.VIEW_WARD, Action.VIEW_READINGS, Action.VIEW_ALARMS, Action.REPORT_WALL}
        ),
    }
)
"""The policy as a table: role -> what it may do, within its tenant, wards and patient."""


def allowed(principal: Principal, action: Action, resource: Resource) -> bool:
    """Whether ``principal`` may do ``action`` on ``resource``: THE policy."""
    if principal.tenant != resource.tenant:
        return False
    if not any(action in POLICY[role] for role in principal.roles):
        return False
    if not principal.roles.isdisjoint(OF_ONE) and principal.patient is None:
        return False
    item = resource.patient is not None or resource.ward is not None
    if principal.patient is not None:
        return not item or resource.patient == principal.patient
    if principal.wards is not None and item:
        return resource.ward in principal.wards
    return True


def require(principal: Principal | None, action: Action, resource: Resource) -> None:
    """Raise AccessError unless ``allowed``; without a principal, one that says so (``authenticated``)."""
    if principal is None:
        msg = "log in first"
        raise AccessError(msg, authenticated=False, action=action, resource=resource.kind)
    if not allowed(principal, action, resource):
        msg = f"{principal.name} may not {action.replace('_', ' ')} here"
        raise AccessError(msg, user=principal.user, action=action, resource=resource.kind)


def scope_of(principal: Principal) -> Scope:
    """The rows a principal may touch. Raises AccessError for a patient's role without its patient."""
    if not principal.roles.isdisjoint(OF_ONE) and principal.patient is None:
        msg = "this login is a patient's or a relative's but of no patient: an administrator must set it"
        raise AccessError(msg, user=principal.user)
    return Scope(principal.tenant, principal.wards, principal.patient)
