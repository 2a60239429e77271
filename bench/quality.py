"""What the quality gate costs, which alarms it takes away, and what of these was an event."""

from __future__ import annotations

import csv
import gzip
import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import msgpack

from bench.figures import Outcome
from bench.real_data import recordings
from hearthward.core.codes import METRICS
from hearthward.core.model import Quality
from rules import Engine, Readings, Rows, RuleSet, State, Tick, load_rules
from rules.detectors.quality import Gate, refine
from rules.rule import SECOND

__all__ = ["measure"]

DAY: Final = 86_400.0
TARGET_US: Final = 5.0
TARGET_PER_DAY: Final = 1.0
STATE_BYTES: Final = 1024
OXIMETER: Final = frozenset({"spo2", "pulse_rate"})
DOUBTFUL: Final = "signal-doubtful"
_ALWAYS: Final = 10**18


def measure() -> Outcome:
    """Alarms of the library on a recorded ICU stay without and with the gate; CPU on made streams."""
    out = Outcome("quality", "the quality gate: alarms taken away beside events lost, CPU, memory")
    _cost(out)
    folder = recordings("icu-numerics")
    if folder is None:
        out.add("SpO2 alarms a day", None, "/d", note="skipped: no ../shared/data/icu-numerics here")
    else:
        _stay(out, folder / "s00001.csv.gz")
    folder = recordings("ahe")
    if folder is None:
        out.add("pressures put aside", None, "", note="skipped: no ../shared/data/ahe here")
    else:
        _pressures(out, folder / "train.csv.gz")
    return out


def _cost(out: Outcome) -> None:
    draw = random.Random(8)  # noqa: S311 - readings, not secrets
    gate, inputs = Gate(), []
    usual = {"heart_rate": 80, "spo2": 97, "pulse_rate": 80, "respiratory_rate": 16}
    for second in range(600):
        at = second * SECOND
        inputs.append(
            Rows.of(
                (f"p{bed}", f"d{bed}", metric, float(value + draw.randint(-2, 2)), at, at, 0)
                for bed in range(12)
                for metric, value in usual.items()
            )
        )
    began = time.process_time()
    for rows in inputs:
        refine(gate, rows, 0, _ALWAYS)
    taken = (time.process_time() - began) / sum(map(len, inputs))
    streams = [s for g in gate.values() for devices in g.streams.values() for s in devices.values()]
    out.add("CPU a reading, 48 readings a frame", taken * 1e6, "us", target=TARGET_US)
    most = max(len(msgpack.packb(s.pack())) for s in streams)
    out.add("state a stream, as kept", float(most), "B", target=float(STATE_BYTES))


def _stay(out: Outcome, path: Path) -> None:
    events = list(_recorded(path))
    days = (events[-1].now - events[0].now) / SECOND / DAY
    gated = _alarms(events)
    with patch("rules.work.refine", lambda _gate, rows, *_a, **_k: rows):
        plain = _alarms(events)
    for name, found in (("without", plain), ("with", gated)):
        low = [a for a in found if a["rule"] == "spo2-low"]
        target = TARGET_PER_DAY if found is gated else None
        out.add(f"SpO2 alarms a day, {name} the gate", len(low) / days, "/d", target=target, note=_named(low))
        out.add(f"alarms of the library a day, {name} the gate", len(found) / days, "/d")
    technical = [a for a in gated if a["rule"] == "signal-bad"]
    out.add("lost signals told instead", len(technical) / days, "/d")
    doubtful = [a for a in gated if a["rule"] == DOUBTFUL]
    hours = sum(min(a["end"], events[-1].now / SECOND) - a["start"] for a in doubtful) / 3600
    note = f"{len(doubtful)}, present for {hours:.1f} h of {days * 24:.1f}"
    out.add("signals in doubt for minutes, told", len(doubtful) / days, "/d", note=note)
    lost = [a for a in plain if not _still(a, gated) and _event(a, events)]
    words = "; ".join(f"{a['rule']} at {a['start']:.0f} s" for a in lost)
    out.add("events lost: below a limit, not 0", float(len(lost)), "", target=0.0, note=words)


def _recorded(path: Path) -> Iterable[Readings]:
    """One input for each time of the recording; metrics that nobody knows are left out."""
    found: dict[float, list[tuple[str, float]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["metric"] in METRICS:
                found.setdefault(float(row["time"]), []).append((row["metric"], float(row["value"])))
    for seq, (second, values) in enumerate(sorted(found.items())):
        at = round(second * SECOND)
        rows = Rows.of(
            ("p", "oximeter" if m in OXIMETER else "monitor", m, value, at, at, 0) for m, value in values
        )
        yield Readings(2 * seq + 1, at, rows, "gw", at)


def _alarms(events: Iterable[Readings], rules: RuleSet | None = None) -> list[dict[str, Any]]:
    """All alarms of the rules, or of the library: rule, start and end in seconds."""
    engine = Engine(State.empty("bench", rules or RuleSet(tuple(load_rules()))))
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        for t in (*engine.step(Tick(event.seq - 1, event.now)), *engine.step(event)):
            if t.kind == "start":
                found[t.alarm] = {"rule": t.rule, "start": t.onset / SECOND, "end": float("inf")}
            elif t.kind in {"end", "reset"} and t.alarm in found:
                found[t.alarm]["end"] = t.at / SECOND
    return list(found.values())


def _still(alarm: dict[str, Any], others: Iterable[dict[str, Any]]) -> bool:
    return any(
        o["rule"] == alarm["rule"] and o["start"] < alarm["end"] and alarm["start"] < o["end"] for o in others
    )


def _event(alarm: dict[str, Any], events: Iterable[Readings]) -> bool:
    """Whether an alarm on the oximeter had any value that was measured, and low."""
    metric, limit = ("pulse_rate", 40.0) if alarm["rule"].startswith("pulse") else ("spo2", 91.0)
    return any(
        m == metric and value is not None and 0 < value < limit
        for e in events
        if alarm["start"] <= e.now / SECOND < alarm["end"]
        for m, value in zip(e.rows.metric, e.rows.value, strict=True)
    )


def _named(alarms: Iterable[dict[str, Any]]) -> str:
    return ", ".join(f"{a['rule']} at {a['start']:.0f} s" for a in list(alarms)[:4])


def _pressures(out: Outcome, path: Path) -> None:
    """No recorded pressure is put aside, however low, so that no hypotension can be lost."""
    gate, bad, doubted, n = Gate(), 0, 0, 0
    records: dict[str, list[Readings]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at, metric, known = round(float(row["time"]) * SECOND), row["metric"], METRICS[row["metric"]]
            value = float(row["value"])
            rows = refine(gate, Rows.of([(row["patient"], "line", metric, value, at, at, 0)]), 0, _ALWAYS)
            events = records.setdefault(row["patient"], [])
            one = Rows.of([("p", "line", metric, value, at, at, 0)])
            events.append(Readings(2 * len(events) + 1, at, one, "gw", at))
            n += 1
            doubted += bool(rows.quality[0] & Quality.SUSPECT)
            bad += bool(rows.quality[0] & Quality.BAD) and known.low <= value <= known.high
    out.add("arterial pressures put aside", float(bad), "", target=0.0, note=f"of {n:,} in 60 records")
    out.add("arterial pressures doubted", doubted / max(n, 1) * 100, "%")
    rules = RuleSet(tuple(r for r in load_rules() if r.id == DOUBTFUL))
    told = sum(len(_alarms(events, rules)) for events in records.values())
    days = sum(events[-1].now - events[0].now for events in records.values()) / SECOND / DAY
    out.add("pressures in doubt for minutes, told", told / days, "/d", note=f"{told} in {days:.1f} days")
