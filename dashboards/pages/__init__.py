"""The pages that people see: login, ward wall, directory, devices, a patient's own values."""

from dashboards.pages.admin import router as admin
from dashboards.pages.burden import router as burden
from dashboards.pages.channels import router as channels
from dashboards.pages.devices import router as devices
from dashboards.pages.entry import router as entry
from dashboards.pages.limits import router as limits
from dashboards.pages.me import router as me
from dashboards.pages.rules import router as rules
from dashboards.pages.session import router as session
from dashboards.pages.wall import router as wall
from dashboards.pages.why import router as why

__all__ = ["ROUTERS"]

ROUTERS = (session, wall, admin, devices, entry, limits, rules, why, me, channels, burden)
