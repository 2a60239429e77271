"""The wall's present state of one tenant, kept in memory: who is where, newest values, active alarms."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from dashboards.backend import RosterDevice, RosterEntry, VitalSample
from dashboards.choices import Choices
from dashboards.live.score import SCORED, score_of
from dashboards.live.states import (
    INTERMITTENT_S,
    RANK,
    UNUSABLE,
    VITALS,
    ValueState,
    Vital,
    expected_interval_s,
    state_of,
)
from dashboards.live.views import MS, alarm_view, inactive_view, number, risk_shown
from dashboards.models import Alarm, Gateway, Inactivation, ProfileChoice, Value
from dashboards.risk_models import Risk
from hearthward.core.codes import METRICS
from hearthward.core.model import ASIDE, quality_names
from hearthward.trust.access import Scope
from rules.response.duty import ward_in

__all__ = ["Board", "TileView"]

TREND_POINTS: Final = 90
TREND_NS: Final = 60_000_000_000
RESCORE_NS: Final = 10_000_000_000
BY_HAND_S: Final = 3600.0
"""How often vital signs are expected by hand: where devices would send them, people look every few hours."""
WANTED: Final = SCORED | {m for v in VITALS for m in (*v.metrics, v.second) if m}

TileView = dict[str, Any]
"""A tile as JSON: ``id``, ``v`` (vital -> [text, state, measured ms, interval s, flags]), ``a`` (alarms,
latched too), ``q`` (second measurements that are being waited for), ``i`` (what is switched off), ``n``
(NEWS2, see ``score_of``; None: nothing known; False: it is not meant for this patient), ``k`` (the learned
risk, see ``risk_shown``; None: it is not meant for this patient) and ``m`` (how many of the patient's
messages nobody has seen)."""
ON_WALL: Final = frozenset({"active", "latched"})


@dataclass(slots=True)
class _Tile:
    entry: RosterEntry
    trend: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=TREND_POINTS))
    shown: dict[str, list[Any]] = field(default_factory=dict)
    score: list[Any] | Literal[False] | None = None
    rescore: int | None = None
    """When the score is looked at again though nothing came; None: at once."""


class Board:
    """State of one tenant's wall. All methods are synchronous and called from one loop."""

    def __init__(self, profiles: Iterable[ProfileChoice] = ()) -> None:
        self._profiles: Mapping[str, ProfileChoice] = Choices(profiles)
        self._tiles: dict[str, _Tile] = {}
        self._by_device: dict[str, str] = {}
        self._newest: dict[tuple[str, str], VitalSample] = {}
        self._usable: dict[tuple[str, str], VitalSample] = {}
        self._gateways: dict[str, Gateway] = {}
        self._alarms: dict[str, Alarm] = {}
        self._about: dict[str | None, dict[str, Alarm]] = {}
        """The same by patient."""
        self._mail: dict[str, int] = {}
        self._risks: dict[str, list[Any]] = {}
        self._names: dict[str, str] = {}
        self._children: dict[str, set[str]] = {}
        self._off: dict[str, list[Inactivation]] = {}
        self._homes: dict[str, str] = {}

    # --- what comes in --------------------------------------------------------------------------
    def set_roster(self, entries: Iterable[RosterEntry]) -> None:
        """Replace who is where; trends of patients who stay are kept."""
        before = self._tiles
        self._tiles = {}
        self._by_device = {}
        for entry in entries:
            old = before.get(entry.patient)
            same = old is not None and old.entry.devices == entry.devices
            self._tiles[entry.patient] = _Tile(entry, old.trend) if old and same else _Tile(entry)
            for device in entry.devices:
                self._by_device[device.device] = entry.patient
                self._homes[device.device] = device.gateway

    def new_devices(self, entries: Iterable[RosterEntry]) -> set[str]:
        """The devices of a roster that were not in the present one: their values may not be known."""
        return {d.device for e in entries for d in e.devices} - self._by_device.keys()

    def set_owners(self, owners: Mapping[str, tuple[str, ...]]) -> bool:
        """Replace who looks after whom; returns whether that changed for any tile."""
        changed = False
        for patient, tile in self._tiles.items():
            found = owners.get(patient, ())
            if tile.entry.owners != found:
                tile.entry = replace(tile.entry, owners=found)
                changed = True
        return changed

    def set_gateway(self, gateway: Gateway) -> None:
        """Take a gateway's status."""
        self._gateways[gateway.id] = gateway

    def set_alarm(self, alarm: Alarm) -> set[str]:
        """Take an alarm's new state; returns whose tiles it changes: its own and those of its roots."""
        before = self._alarms.get(alarm.id)
        if before is not None and (alarm.condition == "inactive" or before.patient != alarm.patient):
            self._about[before.patient].pop(alarm.id, None)
        if alarm.condition != "inactive":
            self._alarms[alarm.id] = alarm
            self._about.setdefault(alarm.patient, {})[alarm.id] = alarm
        else:
            self._alarms.pop(alarm.id, None)
        touched = {alarm.id, *self._children.get(alarm.id, ())}
        for root in {before and before.root, alarm.root} - {None}:
            under = self._children.setdefault(str(root), set())
            (under.add if alarm.root == root and alarm.id in self._alarms else under.discard)(alarm.id)
            touched.add(str(root))
        changed = {a.patient for key in touched if (a := self._alarms.get(key)) is not None}
        return {p for p in {alarm.patient, *changed} if p is not None}

    def set_alarms(self, alarms: Iterable[Alarm]) -> None:
        """Replace all alarms that are active, latched or asked about."""
        self._alarms, self._children, self._about = {}, {}, {}
        for alarm in alarms:
            self.set_alarm(alarm)

    def set_inactivations(self, present: Iterable[Inactivation]) -> set[str]:
        """Replace what is switched off; returns the patients whose tiles it may change."""
        before = set(self._off)
        self._off = {}
        for row in present:
            self._off.setdefault(row.subject, []).append(row)
        subjects = before | set(self._off)
        return {p for p, tile in self._tiles.items() if subjects & self._subjects(tile.entry)}

    def set_mail(self, unseen: Mapping[str, int]) -> set[str]:
        """Replace how many messages nobody has seen, by patient; returns the patients whose tiles change."""
        before, self._mail = self._mail, {p: n for p, n in unseen.items() if n}
        changed = {p for p in before.keys() | self._mail.keys() if before.get(p) != self._mail.get(p)}
        return changed & self._tiles.keys()

    def set_risks(self, risks: Mapping[str, Risk]) -> set[str]:
        """Replace the learned risks, by patient; returns the patients whose tiles change."""
        before, self._risks = self._risks, {patient: risk_shown(risk) for patient, risk in risks.items()}
        changed = {p for p in before.keys() | self._risks.keys() if before.get(p) != self._risks.get(p)}
        return changed & self._tiles.keys()

    @staticmethod
    def _subjects(entry: RosterEntry) -> set[str]:
        """The patient, and the devices and gateways that measure now."""
        devices = [d for d in entry.devices if not d.manual]
        equipment = {f"device:{d.device}" for d in devices} | {f"gateway:{d.gateway}" for d in devices}
        return {entry.patient, *equipment}

    def without_tile(self) -> set[str]:
        """What has an alarm and no tile: patients without a stay, devices, gateways, components."""
        return {a.patient for a in self._alarms.values() if a.patient is not None} - self._tiles.keys()

    def set_names(self, names: Mapping[str, str]) -> None:
        """Take names of what has no tile; those of what has one by now, or no alarm any more, are dropped."""
        wanted = self.without_tile()
        self._names = {key: name for key, name in {**self._names, **names}.items() if key in wanted}

    def take(self, samples: Iterable[VitalSample]) -> set[str]:
        """Take stored values; returns the patients whose tiles they may change."""
        touched: set[str] = set()
        for sample in samples:
            if sample.metric not in WANTED or sample.quality & ASIDE:
                continue
            key = sample.device, sample.metric
            old = self._newest.get(key)
            if old is not None and sample.corrected < old.corrected:
                continue
            self._newest[key] = sample
            if sample.value is not None and not sample.quality & UNUSABLE:
                self._usable[key] = sample
            patient = self._by_device.get(sample.device)
            if patient is not None:
                touched.add(patient)
                self._tiles[patient].rescore = None
                self._trend(self._tiles[patient], sample)
        return touched

    @staticmethod
    def _trend(tile: _Tile, sample: VitalSample) -> None:
        usable = sample.value is not None and not sample.quality & UNUSABLE
        if sample.metric in VITALS[0].metrics and sample.value is not None and usable:
            device = next((d for d in tile.entry.devices if d.device == sample.device), None)
            if device is None or device.manual:
                return
            since = device.since
            newer = not tile.trend or sample.corrected > tile.trend[-1][0]
            if sample.corrected >= since and newer:
                tile.trend.append((sample.corrected, sample.value))

    # --- what goes out --------------------------------------------------------------------------
    def refresh(self, now: int, patients: Iterable[str] | None = None) -> set[str]:
        """Compute the tiles' values anew; returns those of which anything shown changed."""
        changed: set[str] = set()
        for patient in list(self._tiles) if patients is None else patients:
            tile = self._tiles.get(patient)
            if tile is None:
                continue
            shown = {vital.key: self._value(tile.entry, vital, now) for vital in VITALS}
            score = self._scored(tile, now)
            if (shown, score) != (tile.shown, tile.score):
                tile.shown, tile.score = shown, score
                changed.add(patient)
        return changed

    def covers(self, scope: Scope, patient: str) -> bool:
        """Whether a patient's tile is in scope."""
        tile = self._tiles.get(patient)
        return tile is not None and self._in_scope(scope, tile.entry)

    @staticmethod
    def _in_scope(scope: Scope, entry: RosterEntry) -> bool:
        if scope.patient is not None and scope.patient != entry.patient:
            return False
        return scope.wards is None or entry.ward in scope.wards

    def roster(self, scope: Scope, now: int) -> list[TileView]:
        """Everything fixed about the tiles in scope, with values, alarms and trend."""
        return [self._whole(p, t, now) for p, t in self._tiles.items() if self._in_scope(scope, t.entry)]

    def whole(self, scope: Scope, patient: str, now: int) -> TileView | None:
        """The same of one tile; None for who has none, or none in the scope."""
        return self._whole(patient, self._tiles[patient], now) if self.covers(scope, patient) else None

    def _whole(self, patient: str, tile: _Tile, now: int) -> TileView:
        entry = tile.entry
        return {
            **self.tile(patient),
            "name": entry.name,
            "bed": entry.bed_label,
            "ward": entry.ward or "",
            "wardName": entry.ward_name,
            "home": entry.home,
            "by": ", ".join(entry.owners),
            "t": [[t // MS, v] for t, v in tile.trend if now - t <= TREND_NS],
        }

    def tile(self, patient: str) -> TileView:
        """The changing part of one tile."""
        tile = self._tiles[patient]
        mine = self._about.get(patient, {}).values()
        alarms = [self._alarm(a) for a in mine if a.condition in ON_WALL]
        asked = [self._alarm(a) for a in mine if a.condition == "asked"]
        off = [inactive_view(i) for key in sorted(self._subjects(tile.entry)) for i in self._off.get(key, ())]
        return {
            "id": patient,
            "v": tile.shown,
            "a": alarms,
            "q": asked,
            "i": off,
            "n": tile.score,
            "k": self._risks.get(patient),
            "m": self._mail.get(patient, 0),
        }

    def loose_alarms(self, scope: Scope) -> list[dict[str, Any]]:
        """Alarms that have no tile: of equipment and components, and of patients without an encounter.

        Patients without a stay have no ward: a scope of some wards sees none of them. What is of the whole
        house (a channel, ingest) is everybody's.
        """
        return [
            {**self._alarm(a), "patient": a.patient, "name": self._names.get(a.patient or "", a.patient)}
            for a in self._alarms.values()
            if a.patient not in self._tiles and a.condition in ON_WALL and self._reaches(scope, a.patient)
        ]

    def switched_off(self, scope: Scope) -> int:
        """How many inactivations there are in a scope."""
        return sum(len(rows) for key, rows in self._off.items() if self._reaches(scope, key))

    def unseen(self, scope: Scope) -> int:
        """How many messages of a scope's patients nobody has seen."""
        return sum(n for patient, n in self._mail.items() if self._reaches(scope, patient))

    def _reaches(self, scope: Scope, subject: str | None) -> bool:
        if not scope.confined:
            return True
        if subject in self._tiles:
            return self.covers(scope, str(subject))
        ward = self._ward(subject or "")
        if ward is None and (subject or "").startswith("component:"):
            return scope.patient is None
        return scope.patient is None and scope.wards is not None and ward in scope.wards

    def _ward(self, subject: str) -> str | None:
        """The ward of a gateway, of a device by its gateway, or of a part of ours that is about one."""
        kind, _, key = subject.rpartition(":")
        if kind == "component":
            return ward_in(subject)
        gateway = self._gateways.get(self._homes.get(key, "") if kind == "device" else key)
        return None if gateway is None or not kind else gateway.ward

    def gateways(self) -> tuple[int, int]:
        """(online, seen at all)."""
        seen = [g for g in self._gateways.values() if g.online is not None and g.ended is None]
        return sum(bool(g.online) for g in seen), len(seen)

    def _alarm(self, alarm: Alarm) -> dict[str, Any]:
        return alarm_view(
            alarm, len(self._children.get(alarm.id, ())), alarm.root if alarm.root in self._alarms else None
        )

    def _value(self, entry: RosterEntry, vital: Vital, now: int) -> list[Any]:
        best: tuple[tuple[bool, bool, int, int, int], list[Any]] | None = None
        for device in entry.devices:
            profile = self._profiles.get(device.profile or "")
            known = None if profile is None else self._known(device, profile)
            if not vital.measured_by(known):
                continue
            for order, metric in enumerate(vital.metrics):
                if known is not None and metric not in known:
                    continue
                interval = self._interval(device, metric)
                sample = self._sample(device, metric)
                if device.manual and sample is None:
                    continue
                gateway = self._gateways.get(device.gateway)
                state = state_of(sample, now, interval, device.device, gateway)
                # A cuff's pulse of an hour ago must not stand in for a strap that has just gone silent.
                rare = interval >= INTERMITTENT_S
                guess = known is None and sample is None
                rank = guess, rare, RANK[state], order, 0 if sample is None else -sample.corrected
                if best is None or rank < best[0]:
                    best = rank, self._shown(device, vital, sample, state, interval)
        return best[1] if best else ["", ValueState.NONE.value, 0, 0, []]

    def _known(self, device: RosterDevice, profile: ProfileChoice) -> frozenset[str] | None:
        """The metrics of a device: also what it told of other standard services, if it has any."""
        if not profile.composes or profile.metrics is None:
            return profile.metrics
        told = (m for vital in VITALS for m in vital.metrics if self._sample(device, m) is not None)
        return profile.metrics.union(told)

    def _interval(self, device: RosterDevice, metric: str) -> float:
        """Seconds between the values of a metric that come from a device, or by hand."""
        profile = self._profiles.get(device.profile or "")
        found = expected_interval_s(
            metric, device.interval_s, None if profile is None else profile.interval_of(metric)
        )
        return max(BY_HAND_S, found) if device.manual else found

    def states(self, patient: str, values: Iterable[Value], now: int) -> dict[str, ValueState]:
        """Of the newest values of a patient, by metric: how far each can be relied on, as tiles say it."""
        tile = self._tiles.get(patient)
        worn = {} if tile is None else {d.device: d for d in tile.entry.devices}
        found: dict[str, ValueState] = {}
        for v in values:
            device = worn.get(v.device)
            if v.metric not in METRICS:
                continue
            if device is None or v.time < device.since:
                found[v.metric] = ValueState.NONE
                continue
            off = sum(flag for flag in UNUSABLE if flag.name and flag.name.lower() in v.quality)
            sample = VitalSample(v.device, v.metric, v.value, v.time, v.received, off)
            gateway = self._gateways.get(device.gateway)
            interval = self._interval(device, v.metric)
            found[v.metric] = state_of(sample, now, interval, device.device, gateway)
        return found

    def _scored(self, tile: _Tile, now: int) -> list[Any] | Literal[False] | None:
        """The score as it was, unless a value came or one may have become too old."""
        if tile.rescore is not None and now < tile.rescore:
            return tile.score
        tile.rescore = now + RESCORE_NS
        return self._score(tile.entry, now)

    def _score(self, entry: RosterEntry, now: int) -> list[Any] | Literal[False] | None:
        """NEWS2 of what was measured on the patient, by devices and by hand."""
        if not entry.scored:
            return False
        found = (self._usable.get((d.device, m)) for d in entry.devices for m in SCORED)
        since = {d.device: d.since for d in entry.devices}
        return score_of(
            (s for s in found if s is not None and s.corrected >= since[s.device]), now, entry.scale
        )

    def _sample(self, device: RosterDevice, metric: str) -> VitalSample | None:
        sample = self._newest.get((device.device, metric))
        return sample if sample is not None and sample.corrected >= device.since else None

    def _shown(
        self,
        device: RosterDevice,
        vital: Vital,
        sample: VitalSample | None,
        state: ValueState,
        interval_s: float,
    ) -> list[Any]:
        if sample is not None and state in {ValueState.SENSOR_OFF, ValueState.SIGNAL_LOST}:
            usable = self._usable.get((sample.device, sample.metric))
            sample = usable if usable is not None and usable.corrected >= device.since else None
        if sample is None:
            return ["", state.value, 0, interval_s, []]
        text = "" if sample.value is None else number(sample.value)
        if vital.second is not None:
            second = self._sample(device, vital.second)
            paired = second is not None and second.group == sample.group
            text += f"/{number(second.value)}" if second and paired and second.value is not None else "/-"
        return [text, state.value, sample.as_of // MS, interval_s, quality_names(sample.quality)]
