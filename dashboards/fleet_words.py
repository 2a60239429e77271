"""What is found of devices, where they stand and what is done about it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cloud_ingest.device_health.asking import DeviceState, FindingKind, OrderState
from dashboards.device_words import spoken_in
from dashboards.i18n import N_
from hearthward.core.device_states import Cause, DeviceWord
from hearthward.core.device_words import ADVICE, reason_parts

__all__ = [
    "COLUMNS",
    "DEVICE_STATES",
    "DIMENSIONS",
    "EVIDENCE",
    "FINDINGS",
    "NOTES",
    "ORDER_STATES",
    "REFUSED",
    "advice_for",
    "cause_in",
    "grade",
]

FINDINGS: Final[Mapping[FindingKind | str, str]] = {
    "offline": N_("offline"),
    "battery": N_("battery"),
    "temperature": N_("temperature drift"),
    "voltage": N_("voltage drift"),
    "link": N_("radio link"),
    "dropouts": N_("drop-outs"),
    "bias": N_("measures otherwise"),
    "calibration": N_("calibration due"),
    "service": N_("service due"),
    "firmware": N_("firmware behind"),
    "life": N_("risk of failure"),
    "other": N_("other work"),
}
"""What a finding, and so the work order for it, is about."""
DEVICE_STATES: Final[Mapping[DeviceState, tuple[str, str]]] = {
    "streaming": (N_("connected"), "good"),
    "idle": (N_("no connection now"), "weak"),
    "trouble": (N_("cannot be read"), "warn"),
    "offline": (N_("gateway offline"), "bad"),
    "unknown": (N_("never heard"), "weak"),
}
"""Where a device stands, and the sign that says so."""
ORDER_STATES: Final[Mapping[OrderState, tuple[str, str]]] = {
    "open": (N_("nobody has it"), "warn"),
    "assigned": (N_("assigned"), "weak"),
    "done": (N_("done"), "good"),
}
NOTES: Final[Mapping[str, str]] = {
    "open": N_("opened"),
    "assign": N_("given to"),
    "take": N_("took it over"),
    "comment": N_("wrote"),
    "done": N_("done"),
    "gone": N_("no longer found"),
    "again": N_("found again"),
}
COLUMNS: Final[Mapping[str, str]] = {
    "id": N_("Device"),
    "state": N_("State"),
    "findings": N_("Findings"),
    "last_seen": N_("Last seen"),
    "ward": N_("Ward"),
    "gateway": N_("Gateway"),
    "profile": N_("Profile"),
    "firmware": N_("Firmware"),
    "rssi": N_("Signal"),
    "backlog": N_("Backlog"),
    "clock_skew": N_("Clock ahead"),
    "battery": N_("Battery"),
    "days_left": N_("Days left"),
    "hours_of_use": N_("Hours of use"),
}
"""The columns of the list of devices, in their order, by what they are sorted by."""
DIMENSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "completeness": (
        N_("Completeness"),
        N_("hours with values, of the hours between the first and the last"),
    ),
    "plausibility": (
        N_("Plausibility"),
        N_("readings that no check refused and nothing of their own speaks against"),
    ),
    "consistency": (
        N_("Consistency"),
        N_("readings that came once, are no copy's, and that no other signal contradicts"),
    ),
    "timeliness": (N_("Timeliness"), N_("readings that came within a minute")),
}
EVIDENCE: Final[Mapping[str, str]] = {
    "calibrated": N_("calibrated"),
    "cause": N_("cause"),
    "change": N_("change"),
    "cycles": N_("cycles"),
    "cycles_a_day": N_("cycles a day"),
    "cycles_left": N_("cycles left"),
    "cycles_left_high": N_("cycles left, at most"),
    "cycles_left_low": N_("cycles left, at least"),
    "days": N_("days"),
    "devices": N_("devices with it"),
    "difference": N_("difference"),
    "due": N_("due"),
    "every_days": N_("due every so many days"),
    "every_hours": N_("due every so many hours of use"),
    "fall": N_("fall"),
    "high": N_("at most"),
    "hours": N_("hours"),
    "hours_a_day": N_("hours a day of late"),
    "hours_before": N_("hours before"),
    "left": N_("days left"),
    "left_high": N_("days left, at most"),
    "left_low": N_("days left, at least"),
    "level": N_("level"),
    "losses": N_("losses"),
    "losses_before": N_("losses before"),
    "low": N_("at least"),
    "metric": N_("quantity"),
    "newest": N_("newest"),
    "other": N_("other device"),
    "others": N_("others compared with"),
    "own": N_("its own"),
    "pairs": N_("pairs compared"),
    "peers": N_("usual with its like"),
    "per_day": N_("a day"),
    "per_day_high": N_("a day, at most"),
    "per_day_low": N_("a day, at least"),
    "rssi": N_("signal, dBm"),
    "serviced": N_("serviced"),
    "since": N_("since"),
    "tolerance": N_("tolerance"),
    "units": N_("instruments learned from"),
    "weeks": N_("weeks looked at"),
}
"""What stands behind a finding; what is not here is shown as it is called."""
REFUSED: Final[Mapping[tuple[str, str], str]] = {
    ("gateway", "state"): N_("The gateway is not connected: nothing can be asked of it."),
    ("device", "full"): N_("Too many devices are looked at just now: try again in some minutes."),
    ("finding", "taken"): N_("There is a work order for it already."),
    ("finding", "unknown"): N_("It is no longer found."),
    ("device", "unknown"): N_("This device is no longer in use."),
    ("assignee", "unknown"): N_("There is nobody of that name here."),
    ("assignee", "held"): N_(
        "Somebody else has it: who, and since when, stands below. Take it over if you have agreed on that."
    ),
    ("text", "required"): N_("Write what is to be done."),
    ("text", "invalid"): N_("This text is too long: at most 500 characters."),
    ("due", "invalid"): N_("This is no date."),
    ("every_hours", "bounds"): N_("Write how many hours of use lie between: 1 to 100000, or leave it empty."),
    ("serviced", "future"): N_("This day is still to come."),
    ("calibrated", "future"): N_("This day is still to come."),
    ("every_days", "bounds"): N_("Write how many days lie between calibrations: 1 to 3650."),
    ("id", "state"): N_("It is done already."),
}
"""Why nothing was changed, by field and code of the refusal."""
BAD: Final = 0.9
FAIR: Final = 0.98


def grade(share: float | None) -> str:
    """The sign of a share of good data: bad below 0.90, warn below 0.98, else good; weak when not known."""
    if share is None:
        return "weak"
    return "bad" if share < BAD else "warn" if share < FAIR else "good"


def _word(cause: str) -> Cause:
    return Cause(cause) if cause in set(Cause) else Cause.OTHER


def cause_in(language: str, cause: str) -> str:
    """Why no values come of a device, in a language of the pages; empty when nothing is wrong."""
    before, after = reason_parts(DeviceWord("", _word(cause)), spoken_in(language))
    return "" if cause == Cause.NONE else before + after


def advice_for(language: str, cause: str) -> str:
    """What a person can do about it; empty when there is nothing to say."""
    said = ADVICE.get(_word(cause))
    return "" if said is None else said[spoken_in(language)]
