"""The pages that people see: login, ward wall, directory, devices, a patient's own values."""

from dashboards.pages.admin import router as admin
from dashboards.pages.adopt_device import router as adopt_device
from dashboards.pages.alarms import router as alarms
from dashboards.pages.assign import router as assign
from dashboards.pages.audit import router as audit
from dashboards.pages.burden import router as burden
from dashboards.pages.calibration import router as calibration
from dashboards.pages.care_plan import router as care_plan
from dashboards.pages.channels import router as channels
from dashboards.pages.consent import router as consent
from dashboards.pages.dead_letters import router as dead_letters
from dashboards.pages.devices import router as devices
from dashboards.pages.entry import router as entry
from dashboards.pages.escalation import router as escalation
from dashboards.pages.find_devices import router as find_devices
from dashboards.pages.fleet import router as fleet
from dashboards.pages.fleet_device import router as fleet_device
from dashboards.pages.fleet_orders import router as fleet_orders
from dashboards.pages.fleet_sums import router as fleet_sums
from dashboards.pages.handover import router as handover
from dashboards.pages.installed import router as installed
from dashboards.pages.invitations import router as invitations
from dashboards.pages.ledger import router as ledger
from dashboards.pages.limits import router as limits
from dashboards.pages.me import router as me
from dashboards.pages.me_messages import router as me_messages
from dashboards.pages.me_plan import router as me_plan
from dashboards.pages.me_values import router as me_values
from dashboards.pages.messages import router as messages
from dashboards.pages.oncall import router as oncall
from dashboards.pages.own_sessions import router as own_sessions
from dashboards.pages.patient import router as patient
from dashboards.pages.patient_notes import router as patient_notes
from dashboards.pages.picking import router as picking
from dashboards.pages.rules import router as rules
from dashboards.pages.session import router as session
from dashboards.pages.staff import router as staff
from dashboards.pages.switches import router as switches
from dashboards.pages.users import router as users
from dashboards.pages.wall import router as wall
from dashboards.pages.waves import router as waves
from dashboards.pages.whatif import router as whatif
from dashboards.pages.why import router as why

__all__ = ["ROUTERS"]

PEOPLE = (staff, oncall, handover, escalation)
FLEET = (fleet, fleet_device, fleet_orders, fleet_sums)
OWN = (me, me_messages, me_plan, me_values, installed, messages, care_plan, own_sessions)
ROUTERS = (
    session,
    wall,
    patient,
    patient_notes,
    waves,
    alarms,
    switches,
    admin,
    picking,
    assign,
    audit,
    devices,
    find_devices,
    adopt_device,
    entry,
    limits,
    rules,
    calibration,
    whatif,
    why,
    *OWN,
    consent,
    invitations,
    users,
    channels,
    burden,
    dead_letters,
    ledger,
    *FLEET,
    *PEOPLE,
)
