"""The pages that people see: login, ward wall, directory, devices, a patient's own values."""

from dashboards.pages.admin import router as admin
from dashboards.pages.alarms import router as alarms
from dashboards.pages.burden import router as burden
from dashboards.pages.channels import router as channels
from dashboards.pages.consent import router as consent
from dashboards.pages.dead_letters import router as dead_letters
from dashboards.pages.devices import router as devices
from dashboards.pages.entry import router as entry
from dashboards.pages.escalation import router as escalation
from dashboards.pages.handover import router as handover
from dashboards.pages.invitations import router as invitations
from dashboards.pages.ledger import router as ledger
from dashboards.pages.limits import router as limits
from dashboards.pages.me import router as me
from dashboards.pages.oncall import router as oncall
from dashboards.pages.rules import router as rules
from dashboards.pages.session import router as session
from dashboards.pages.staff import router as staff
from dashboards.pages.switches import router as switches
from dashboards.pages.users import router as users
from dashboards.pages.wall import router as wall
from dashboards.pages.why import router as why

__all__ = ["ROUTERS"]

PEOPLE = (staff, oncall, handover, escalation)
ROUTERS = (
    session,
    wall,
    alarms,
    switches,
    admin,
    devices,
    entry,
    limits,
    rules,
    why,
    me,
    consent,
    invitations,
    users,
    channels,
    burden,
    dead_letters,
    ledger,
    *PEOPLE,
)
