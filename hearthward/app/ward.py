"""The virtual ward: who lies where with which devices, and how their vital signs go.

A plan is plain data, so that it can travel to another process as JSON: the twins' process writes it, the
cloud's enters it into the records. The people are invented.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from hearthward.app.recording import Recording
from hearthward.core.errors import ConfigError

__all__ = [
    "CARRIED",
    "MAX_PLAYED",
    "TWINS",
    "VIRTUAL",
    "PlannedDevice",
    "PlannedPatient",
    "VitalSigns",
    "WardPlan",
    "plan_for_recording",
    "virtual_ward",
]

TwinKind = Literal[
    "heart-rate",
    "pulse-oximeter",
    "blood-pressure",
    "beurer-bm85",
    "masimo",
    "spot-oximeter",
    "thermometer",
    "glucose-meter",
    "glucose-sensor",
    "weight-scale",
    "body-composition",
    "mibfs",
    "room-sensor",
    "nonin-df2",
    "nonin-df7",
    "nonin-df8",
    "nonin-df13",
    "contec-5byte",
    "contec-9byte",
    "contec-bt",
    "nonin-bt",
    "mi-scale",
    "and-cuff",
    "and-scale",
    "and-thermometer",
    "mightysat",
    "omron-cuff",
    "silvercrest-cuff",
    "berry-oximeter",
    "jumper-oximeter",
    "jumper-cuff",
    "kinsa-thermometer",
    "medisana-bs430",
    "medisana-bs444",
    "sanitas-scale",
    "o2ring",
    "o2ring-s",
    "pc60fw",
    "yuwell-oximeter",
]

_OXIMETRY: Final = frozenset({"spo2", "pulse_rate"})
_CUFF: Final = frozenset({"nibp_systolic", "nibp_diastolic"})

TWINS: Final[Mapping[TwinKind, tuple[str, Literal["ble", "serial"], frozenset[str]]]] = {
    "heart-rate": ("sig-heart-rate", "ble", frozenset({"heart_rate"})),
    "pulse-oximeter": ("sig-pulse-oximeter", "ble", _OXIMETRY | {"perfusion_index"}),
    "blood-pressure": ("sig-blood-pressure", "ble", _CUFF | {"nibp_mean"}),
    "beurer-bm85": ("beurer-bm85", "ble", _CUFF),
    "masimo": ("masimo-ascii1", "serial", _OXIMETRY | {"perfusion_index"}),
    "spot-oximeter": ("sig-pulse-oximeter-spot", "ble", _OXIMETRY),
    "thermometer": ("sig-health-thermometer", "ble", frozenset({"body_temperature"})),
    "glucose-meter": ("sig-glucose", "ble", frozenset({"blood_glucose"})),
    "glucose-sensor": ("sig-cgm", "ble", frozenset({"interstitial_glucose"})),
    "weight-scale": ("sig-weight-scale", "ble", frozenset({"body_weight"})),
    "body-composition": ("sig-body-composition", "ble", frozenset({"body_weight", "body_fat"})),
    "mibfs": ("xiaomi-mibfs", "ble", frozenset({"body_weight"})),
    "room-sensor": ("sig-environmental-sensing", "ble", frozenset({"ambient_temperature"})),
    "nonin-df2": ("nonin-df2", "serial", _OXIMETRY),
    "nonin-df7": ("nonin-df7", "serial", _OXIMETRY),
    "nonin-df8": ("nonin-df8", "serial", _OXIMETRY),
    "nonin-df13": ("nonin-df13", "serial", _OXIMETRY),
    "contec-5byte": ("contec-cms50-5byte", "serial", _OXIMETRY),
    "contec-9byte": ("contec-cms50-9byte", "serial", _OXIMETRY),
    "contec-bt": ("contec-cms50d-bt", "ble", _OXIMETRY),
    "nonin-bt": ("nonin-3230", "ble", _OXIMETRY),
    "mi-scale": ("xiaomi-miscale", "ble", frozenset({"body_weight"})),
    "and-cuff": ("and-ua-651ble", "ble", _CUFF),
    "and-scale": ("and-uc-352ble", "ble", frozenset({"body_weight"})),
    "and-thermometer": ("and-ut-201ble", "ble", frozenset({"body_temperature"})),
    "mightysat": ("masimo-mightysat", "ble", _OXIMETRY),
    "omron-cuff": ("omron-blesmart", "ble", _CUFF),
    "silvercrest-cuff": ("silvercrest-sbm69", "ble", _CUFF),
    "berry-oximeter": ("berry-bci", "ble", _OXIMETRY),
    "jumper-oximeter": ("jumper-jpd500f", "ble", _OXIMETRY),
    "jumper-cuff": ("jumper-ha120", "ble", _CUFF),
    "kinsa-thermometer": ("kinsa-stick", "ble", frozenset({"body_temperature"})),
    "medisana-bs430": ("medisana-bs430", "ble", frozenset({"body_weight"})),
    "medisana-bs444": ("medisana-bs444", "ble", frozenset({"body_weight"})),
    "sanitas-scale": ("sanitas-sbf70", "ble", frozenset({"body_weight"})),
    "o2ring": ("wellue-o2ring", "ble", _OXIMETRY),
    "o2ring-s": ("wellue-o2ring-s", "ble", _OXIMETRY),
    "pc60fw": ("wellue-pc60fw", "ble", _OXIMETRY),
    "yuwell-oximeter": ("yuwell-yx110", "ble", _OXIMETRY),
}
"""Kind -> profile, transport, and the metrics that the virtual ward and the player send with it."""

_STREAMED: Final[tuple[TwinKind, ...]] = (
    "heart-rate",
    "pulse-oximeter",
    "blood-pressure",
    "beurer-bm85",
    "masimo",
)
CARRIED: Final = frozenset().union(*(TWINS[kind][2] for kind in _STREAMED))
"""All metrics that a twin can carry for the player."""

MAX_PLAYED: Final = 64
"""Patients of a recording that are played at once: three radios each, and the virtual radio holds 200."""


_STRICT: Final = ConfigDict(extra="forbid")
_LINES: Final = frozenset({"hci", "control"})
"""Keys beside the plan in the twins' file: where to reach the twins."""


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A device to be; ``address`` is known once its twin exists."""

    __pydantic_config__: ClassVar = _STRICT

    id: str
    kind: TwinKind
    interval_s: float
    address: str = ""

    @property
    def profile(self) -> str:
        """The catalogue's profile that the twin speaks."""
        return TWINS[self.kind][0]

    @property
    def transport(self) -> Literal["ble", "serial"]:
        """Over what it is reached."""
        return TWINS[self.kind][1]


@dataclass(frozen=True, slots=True)
class PlannedPatient:
    """A patient to be, in a bed or (``bed`` None) at home."""

    __pydantic_config__: ClassVar = _STRICT

    id: str
    name: str
    bed: str | None
    devices: tuple[PlannedDevice, ...]
    birth_date: str = "1950-01-01"


@dataclass(frozen=True, slots=True)
class WardPlan:
    """Everything that must be in the records before the first reading."""

    __pydantic_config__: ClassVar = _STRICT

    ward: str
    gateway: str
    patients: tuple[PlannedPatient, ...]
    tenant: str = "main"
    about: str = field(default="virtual ward: invented people, simulated devices")

    def devices(self) -> Iterator[tuple[PlannedPatient, PlannedDevice]]:
        """All devices with their patients."""
        return ((p, d) for p in self.patients for d in p.devices)

    def with_addresses(self, addresses: Mapping[str, str]) -> WardPlan:
        """The plan with the twins' addresses by device id."""
        patients = tuple(
            replace(p, devices=tuple(replace(d, address=addresses[d.id]) for d in p.devices))
            for p in self.patients
        )
        return replace(self, patients=patients)

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> WardPlan:
        """Read a plan from a JSON (or YAML) file. Raises ConfigError naming the file and the field."""
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            msg = f"cannot be read: {error.strerror}"
            raise ConfigError(msg, file=str(path)) from error
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            msg = "is not a ward plan: it is neither JSON nor YAML"
            raise ConfigError(msg, file=str(path)) from error
        if isinstance(data, dict):
            data = {key: value for key, value in data.items() if key not in _LINES}
        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, found["loc"]))
            msg = f"is not a ward plan: {where + ': ' if where else ''}{found['msg']}"
            raise ConfigError(msg, file=str(path)) from error


_BEDS: Final = (
    "Ada Lindqvist",
    "Benno Aschauer",
    "Chen Yulan",
    "Dorothy Okafor",
    "Emil Novak",
    "Fatima Haddad",
    "Gustav Brandt",
    "Han Meiling",
    "Ines Carvalho",
    "Jonas Petrov",
    "Kirsten Dahl",
    "Luo Jianguo",
)
_HOMES: Final = ("Maria Esposito", "Nils Aalto", "Olga Sidorova", "Pan Xiuying")
_CUFF_S: Final = 60.0


VIRTUAL: Final = "virtual-ward"
"""The virtual ward keeps its data in a folder of its own, apart from real patients."""

LONGEST_S: Final = 7 * 86_400.0
"""No device is expected less often than once a week, however a recording goes."""


def virtual_ward(gateway: str = "gw-1", tenant: str = "main") -> WardPlan:
    """Twelve beds (heart-rate belt, oximeter by radio or wire, cuff) and four homes (oximeter, cuff).

    The first home has an oximeter on a wire as well, which sends its pleth wave, too.
    """
    patients = []
    for n, name in enumerate(_BEDS, 1):
        oximeter: TwinKind = "masimo" if n % 3 == 0 else "pulse-oximeter"
        devices: tuple[PlannedDevice, ...] = (
            PlannedDevice(f"hr-{n:02}", "heart-rate", 1.0),
            PlannedDevice(f"ox-{n:02}", oximeter, 1.0),
            PlannedDevice(f"bp-{n:02}", "blood-pressure", _CUFF_S),
        )
        patients.append(PlannedPatient(f"pat-{n:02}", name, f"{n}", devices, f"{1936 + 3 * n}-04-{n:02}"))
    for n, name in enumerate(_HOMES, 1):
        cuff: TwinKind = "beurer-bm85" if n % 2 == 0 else "blood-pressure"
        devices = (
            PlannedDevice(f"home-ox-{n}", "pulse-oximeter", 1.0),
            PlannedDevice(f"home-bp-{n}", cuff, _CUFF_S),
        )
        if n == 1:
            devices = (*devices, PlannedDevice("home-pleth-1", "contec-5byte", 1.0))
        patients.append(PlannedPatient(f"home-{n}", name, None, devices, f"{1941 + 5 * n}-09-{n:02}"))
    return WardPlan("Ward 1", gateway, tuple(patients), tenant)


def plan_for_recording(recording: Recording, gateway: str = "gw-1", tenant: str = "main") -> WardPlan:
    """One bed a patient of the recording, with the devices that can carry what it holds.

    Raises:
        ConfigError: more than ``MAX_PLAYED`` patients.
    """
    carried = recording.carried()
    if len(carried) > MAX_PLAYED:
        msg = f"the recording has {len(carried)} patients; at most {MAX_PLAYED} can be played at once"
        raise ConfigError(msg)
    intervals = recording.intervals_s()
    patients = []
    for n, (name, metrics) in enumerate(carried.items(), 1):
        devices = []
        for kind in ("heart-rate", "pulse-oximeter", "blood-pressure"):
            mine = metrics & TWINS[kind][2]
            if mine:
                interval = min((intervals.get((name, m), 1.0) for m in mine), default=1.0)
                devices.append(PlannedDevice(f"{kind}-{n:03}", kind, min(interval, LONGEST_S)))
        patients.append(PlannedPatient(_patient_id(name, n), name, f"{n}", tuple(devices)))
    return WardPlan("Played", gateway, tuple(patients), tenant, about="a played recording")


def _patient_id(name: str, n: int) -> str:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in name)
    return safe if safe == name and len(safe) <= 64 else f"{safe[:48]}-{n}"  # noqa: PLR2004 - an id's length


@dataclass(frozen=True, slots=True)
class _Episode:
    """From ``start`` for ``length`` seconds, again every ``every``, the metrics move by these amounts."""

    start: float
    length: float
    every: float
    shift: Mapping[str, float]

    def weight(self, at: float) -> float:
        """0 outside, 1 in the middle, with 4 s slopes."""
        if at < self.start:
            return 0.0
        phase = (at - self.start) % self.every
        return max(0.0, min(1.0, phase / 4, (self.length - phase) / 4))


_EPISODES: Final[Mapping[str, _Episode]] = {
    "pat-03": _Episode(1, 75, 420, {"spo2": -12.0, "pulse_rate": 14.0, "heart_rate": 14.0}),
    "pat-08": _Episode(45, 60, 600, {"heart_rate": 84.0, "pulse_rate": 84.0}),
    "home-2": _Episode(10, 130, 900, {"nibp_systolic": 90.0, "nibp_diastolic": 42.0, "nibp_mean": 58.0}),
}


_SELDOM: Final = {
    "body_temperature": (36.9, 0.3, 1),
    "blood_glucose": (118.0, 14.0, 0),
    "interstitial_glucose": (121.0, 12.0, 0),
    "body_weight": (74.0, 9.0, 1),
    "body_fat": (27.0, 4.0, 1),
    "ambient_temperature": (22.0, 0.8, 1),
}
"""What is measured now and then: level, spread among patients, decimals."""


class VitalSigns:
    """An invented patient: a slow random walk round a personal level, with scripted episodes."""

    _LEVELS: Final = {
        "heart_rate": (74.0, 9.0, 1.6),
        "spo2": (97.0, 0.8, 0.25),
        "nibp_systolic": (124.0, 9.0, 2.5),
        "nibp_diastolic": (76.0, 6.0, 1.8),
        "perfusion_index": (3.2, 0.9, 0.1),
    }

    def __init__(self, patient: str, seed: int = 0) -> None:
        self._random = random.Random(f"{seed}:{patient}")  # noqa: S311 - invented, repeatable
        self._episode = _EPISODES.get(patient)
        self._level = {m: self._random.gauss(a, b) for m, (a, b, _) in self._LEVELS.items()}
        self._level["spo2"] = min(self._level["spo2"], 98.2)
        self._drift = dict.fromkeys(self._LEVELS, 0.0)
        own = random.Random(f"{seed}:{patient}:seldom")  # noqa: S311 - apart, so that the others stay as they are
        self._seldom = {m: round(own.gauss(level, spread), n) for m, (level, spread, n) in _SELDOM.items()}

    def at(self, second: float) -> dict[str, float]:
        """The values at a second of the ward's life, whole as devices show them. Call with growing ones."""
        for name, (_, spread, step) in self._LEVELS.items():
            self._drift[name] = 0.96 * self._drift[name] + self._random.gauss(0, step)
            self._drift[name] = max(-spread, min(spread, self._drift[name]))
        values = {m: self._level[m] + self._drift[m] for m in self._LEVELS}
        values["pulse_rate"] = values["heart_rate"] + self._random.gauss(0, 0.8)
        systolic, diastolic = values["nibp_systolic"], values["nibp_diastolic"]
        values["nibp_mean"] = diastolic + (systolic - diastolic) / 3
        if self._episode is not None:
            weight = self._episode.weight(second)
            for metric, shift in self._episode.shift.items():
                values[metric] += weight * shift
        values["spo2"] = min(100.0, values["spo2"])
        values["perfusion_index"] = max(0.2, values["perfusion_index"])
        shown = {m: round(v, 2 if m == "perfusion_index" else 0) for m, v in values.items()}
        return {**self._seldom, **shown}
