"""The REST API under ``/api/v1``."""

from dashboards.api.alarms import router as alarms
from dashboards.api.around import router as around
from dashboards.api.burden import router as burden
from dashboards.api.calibration import router as calibration
from dashboards.api.care import router as care
from dashboards.api.channels import router as channels
from dashboards.api.consent import router as consent
from dashboards.api.dead_letters import router as dead_letters
from dashboards.api.directory import router as directory
from dashboards.api.entry import router as entry
from dashboards.api.escalation import router as escalation
from dashboards.api.fleet import router as fleet
from dashboards.api.handover import router as handover
from dashboards.api.invitations import router as invitations
from dashboards.api.ledger import router as ledger
from dashboards.api.limits import router as limits
from dashboards.api.live import router as live
from dashboards.api.notes import router as notes
from dashboards.api.push import router as push
from dashboards.api.readings import router as readings
from dashboards.api.rules import router as rules
from dashboards.api.session import router as session
from dashboards.api.shifts import router as shifts
from dashboards.api.sound_check import router as sound_check
from dashboards.api.staff import router as staff
from dashboards.api.switches import router as switches
from dashboards.api.system import router as system
from dashboards.api.trends import router as trends
from dashboards.api.twilio import router as twilio
from dashboards.api.users import router as users
from dashboards.api.waves import router as waves
from dashboards.api.whatif import router as whatif
from dashboards.api.why import router as why
from dashboards.api.work_orders import router as work_orders

__all__ = ["ROUTERS"]

CHANNELS = (twilio, channels, push, burden, ledger)
FLEET = (fleet, work_orders)
PEOPLE = (staff, shifts, handover, escalation)
ROUTERS = (
    session,
    users,
    invitations,
    consent,
    directory,
    around,
    readings,
    trends,
    waves,
    care,
    notes,
    entry,
    alarms,
    switches,
    why,
    limits,
    rules,
    calibration,
    whatif,
    *PEOPLE,
    *CHANNELS,
    *FLEET,
    live,
    sound_check,
    system,
    dead_letters,
)
