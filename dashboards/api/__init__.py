"""The REST API under ``/api/v1``."""

from dashboards.api.alarms import router as alarms
from dashboards.api.directory import router as directory
from dashboards.api.entry import router as entry
from dashboards.api.limits import router as limits
from dashboards.api.live import router as live
from dashboards.api.readings import router as readings
from dashboards.api.rules import router as rules
from dashboards.api.session import router as session
from dashboards.api.system import router as system
from dashboards.api.users import router as users
from dashboards.api.why import router as why

__all__ = ["ROUTERS"]

ROUTERS = (session, users, directory, readings, entry, alarms, why, limits, rules, live, system)
