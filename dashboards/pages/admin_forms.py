"""The directory's forms: fields of each kind of entry, what it is called, and what is said of refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from dashboards.backend import DirectoryError
from dashboards.i18n import N_
from dashboards.models import Kind

__all__ = [
    "FORMS",
    "HELP",
    "REASONS",
    "RELATED",
    "TITLES",
    "TRANSPORTS",
    "Attempt",
    "Input",
    "blamed",
]


@dataclass(frozen=True, slots=True)
class Input:
    """A field of a form. ``choices`` names a kind to choose from, or lists (value, text)."""

    name: str
    label: str
    choices: Kind | tuple[tuple[str, str], ...] | None = None
    hint: str = ""
    required: bool = False
    kind: str = "text"


WARD_OR_HOME: Final = (("ward", N_("in a bed")), ("home", N_("at home")))
OUTCOMES: Final = (
    ("discharged", N_("discharged")),
    ("intensive_care", N_("moved to intensive care")),
    ("died", N_("died")),
)
TRANSPORTS: Final = (("ble", N_("Bluetooth LE")), ("serial", N_("serial port")))
YES_OR_NO: Final = (("false", N_("no")), ("true", N_("yes")))
TONGUES: Final = (("en", "English"), ("zh", "中文"))
WHEN: Final = N_("empty: now; else as 2026-03-01 08:00, by the clock there")
FORMS: Final[dict[Kind, tuple[Input, ...]]] = {
    "ward": (
        Input("name", N_("Name"), required=True),
        Input(
            "wall_expected",
            N_("Has a wall display"),
            YES_OR_NO,
            hint=N_("yes: that none is heard for 10 seconds is an alarm"),
        ),
    ),
    "bed": (
        Input("ward", N_("Ward"), "ward", required=True),
        Input("label", N_("Label"), required=True),
    ),
    "patient": (
        Input("name", N_("Name"), required=True),
        Input("mrn", N_("Hospital number")),
        Input("birth_date", N_("Date of birth"), kind="date"),
        Input("language", N_("Language"), TONGUES, required=True),
        Input("phone", N_("Phone"), hint=N_("with the country, such as +8613800138000")),
        Input("email", N_("E-mail")),
        Input("pregnant", N_("Pregnant"), YES_OR_NO, hint=N_("NEWS2 is not for the pregnant")),
    ),
    "encounter": (
        Input("patient", N_("Patient"), "patient", required=True),
        Input("kind", N_("Where"), WARD_OR_HOME, required=True),
        Input("bed", N_("Bed"), "bed", hint=N_("for a stay on a ward")),
        Input("ward", N_("Ward"), "ward", hint=N_("who watches a patient at home")),
        Input("start", N_("From"), hint=WHEN),
        Input("end", N_("Until"), hint=N_("empty: it lasts")),
        Input(
            "outcome", N_("How it ended"), OUTCOMES, hint=N_("what the learned risk can be recalibrated by")
        ),
    ),
    "gateway": (
        Input("id", N_("Id"), required=True, hint=N_("as in the gateway's settings, such as gw-1")),
        Input("label", N_("Label")),
        Input("ward", N_("Ward"), "ward"),
        Input("timezone", N_("Time zone"), hint=N_("of its devices' clocks, such as Asia/Shanghai")),
    ),
    "device": (
        Input("id", N_("Id"), hint=N_("empty: made for you")),
        Input("label", N_("Label")),
        Input("gateway", N_("Gateway"), "gateway", required=True),
        Input("transport", N_("Connection"), TRANSPORTS, required=True),
        Input("address", N_("Address"), required=True, hint=N_("C4:12:5D:00:AE:91 or /dev/ttyUSB0")),
        Input(
            "profile",
            N_("Profile"),
            (),
            hint=N_("serial: must be chosen; else empty: found when it connects"),
        ),
        Input("timezone", N_("Time zone"), hint=N_("of its own clock; empty: as its gateway")),
        Input("interval_s", N_("Interval (s)"), kind="number", hint=N_("expected seconds between values")),
    ),
    "association": (
        Input("device", N_("Device"), "device", required=True),
        Input("patient", N_("Patient"), "patient", required=True),
        Input("start", N_("From"), hint=WHEN),
        Input("end", N_("Until"), hint=N_("empty: it lasts")),
    ),
}
TITLES: Final[dict[Kind, str]] = {
    "ward": N_("Wards"),
    "bed": N_("Beds"),
    "patient": N_("Patients"),
    "encounter": N_("Stays"),
    "gateway": N_("Gateways"),
    "device": N_("Devices"),
    "association": N_("Who wears what"),
}
HELP: Final[dict[Kind, str]] = {
    "ward": N_("A ward, or a team that looks after patients at home."),
    "bed": N_("The label is what the wall shows."),
    "patient": N_("A person; nothing is ever deleted, only ended."),
    "encounter": N_("Puts a patient on the wall: in a bed, or at home."),
    "gateway": N_("The box that the devices talk to."),
    "device": N_("One that measures, reached through a gateway."),
    "association": N_("From then on, its values belong to that patient."),
}
REASONS: Final = {
    "required": N_("is required"),
    "unknown": N_("does not exist: {value}"),
    "taken": N_("is in use already: {value}"),
    "period": N_("must end after it starts and not overlap another period"),
    "ended": N_("has ended already"),
    "in_use": N_("is still in use: end first what uses it"),
    "short": N_("is too short"),
    "invalid": N_("is not valid: {value}"),
    "gateway": N_("is configured at another gateway already ({value}): change that entry, or end it"),
    "empty": N_("nobody lies there now: choose a patient, or leave it empty and assign it later"),
    "either": N_("choose a patient or a bed, not both"),
    "several": N_("fits several, give the id: {value}"),
    "serial": N_("is required: a serial device cannot be identified when it connects"),
    "transport": N_("is not for a device with this connection: {value}"),
    "state": N_("is not connected now: nothing can be given to it"),
}
"""What a refused field says on the page, by the code of a DirectoryError."""
MISSING: Final = frozenset({"missing", "string_too_short"})


@dataclass(slots=True)
class Attempt:
    """A form that was refused: which, what was typed, and what is wrong with which field."""

    kind: Kind
    key: str = ""
    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)


def blamed(kind: Kind, key: str, form: dict[str, str], error: ValidationError | DirectoryError) -> Attempt:
    """The refused form with what is wrong of which field."""
    attempt = Attempt(kind, key, form)
    if isinstance(error, DirectoryError):
        attempt.errors[error.field] = error.code, error.value
        return attempt
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else ""
        blank = not form.get(name, "").strip()
        code = "required" if problem["type"] in MISSING or blank else "invalid"
        attempt.errors[name] = code, form.get(name, "")
    return attempt


RELATED: Final[dict[Kind, tuple[Kind, ...]]] = {
    "ward": ("bed", "gateway", "encounter"),
    "bed": ("encounter",),
    "patient": ("encounter", "association"),
    "gateway": ("device",),
    "device": ("association",),
}
"""What an entry's page shows of other kinds: those that name it, past ones too."""
