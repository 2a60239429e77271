"""``hearthward replay``: rules run over a recording or the stored history, for people and as JSON."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

from hearthward.app.files import check_writable, write_atomically
from hearthward.app.history import read_history
from hearthward.app.tracks import Gathered, Timescale, read_events, read_tracks
from hearthward.core.clock import SECOND, iso, parse_iso
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from rules.context import Context
from rules.loader import load_rules, load_rules_only
from rules.replay import Episode, Replay, replay
from rules.rule import RuleSet
from rules.tally import (
    Caught,
    Event,
    active_days,
    catch,
    days_by_patient,
    first_begun,
    median_warning,
    top_share,
    unmatched,
)

__all__ = ["SHIPPED", "Request", "run_replay"]

SHIPPED: Final = "shipped"
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: a recording, or a period of the stored history (``start`` to ``until``, ISO).

    ``rules`` and ``compare`` are folders (or files) of rules that stand alone, or ``SHIPPED``. ``horizon_s``
    and ``tolerance_s`` are ``before`` and ``after`` of ``rules.tally.catch``.
    """

    recording: Path | None = None
    start: str | None = None
    until: str | None = None
    patients: tuple[str, ...] = ()
    rules: str = SHIPPED
    only: tuple[str, ...] = ()
    setting: Literal["ward", "home"] | None = None
    compare: str | None = None
    events: Path | None = None
    horizon_s: float = 3600.0
    tolerance_s: float = 1800.0
    unit: str = "s"
    out: Path | None = None


@dataclass(slots=True)
class _Subject:
    """What the rules are run over, and how its times are written."""

    name: dict[str, Any]
    unit: str
    gathered: Gathered
    contexts: dict[str, Context]
    written: Callable[[int], Any]
    days: dict[str, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Result:
    """One rule set's replay and its figures."""

    name: str
    found: Replay
    caught: list[Caught]
    summary: dict[str, Any]


def run_replay(request: Request, settings: Settings) -> str:
    """Replay, write the JSON if asked to, and return the table for people. Raises ConfigError."""
    if request.out is not None:
        check_writable(request.out, request.recording, request.events)
    rule_sets = [_rules(request.rules, request.only)]
    if request.compare is not None:
        rule_sets.append(_rules(request.compare, request.only))
    subject = _subject(request, settings)
    names = [request.rules, request.compare or ""]
    results = [_run(name, rules, subject, request) for name, rules in zip(names, rule_sets, strict=False)]
    if request.out is not None:
        write_atomically(request.out, _json(_document(subject, results, request)).encode())
    return _table(subject, results)


def _rules(source: str, only: Sequence[str]) -> RuleSet:
    rules = load_rules() if source == SHIPPED else load_rules_only(Path(source))
    if not only:
        return rules
    kept = tuple(r for r in rules if any(fnmatchcase(r.id, pattern) for pattern in only))
    if not kept:
        known = ", ".join(r.id for r in rules)
        msg = f"no rule of {source} is called {' or '.join(map(repr, only))}; there are: {known}"
        raise ConfigError(msg)
    return RuleSet(kept)


# -- what is replayed


def _subject(request: Request, settings: Settings) -> _Subject:
    subject = (
        _history(request, settings) if request.recording is None else _recording(request.recording, request)
    )
    tracks = subject.gathered.tracks
    if request.setting is not None:
        subject.contexts = {
            patient: replace(subject.contexts.get(patient, Context()), setting=request.setting)
            for patient in tracks
        }
    subject.days = days_by_patient(tracks.values())
    return subject


def _recording(path: Path, request: Request) -> _Subject:
    scale = Timescale(request.unit)
    gathered = read_tracks(path, scale, request.patients)
    subject = _Subject({"recording": str(path)}, request.unit, gathered, {}, scale.time)
    if request.events is not None:
        subject.events = read_events(request.events, scale.parsed, gathered)
    return subject


def _history(request: Request, settings: Settings) -> _Subject:
    start, until = _moment(request.start, "--from"), _moment(request.until, "--to")
    if start >= until:
        msg = f"--from {request.start} is not before --to {request.until}"
        raise ConfigError(msg)
    history = asyncio.run(read_history(settings, start, until, request.patients))
    about = {"data": str(settings.data), "from": iso(start), "to": iso(until)}
    subject = _Subject(about, "ISO 8601", history.gathered, history.contexts, iso)
    if request.events is not None:
        subject.events = read_events(request.events, _ns_of_iso, history.gathered)
    return subject


def _moment(text: str | None, option: str) -> int:
    if text is None:
        msg = f"{option} is missing: name a recording, or a period of the stored history with --from and --to"
        raise ConfigError(msg)
    try:
        return parse_iso(text)
    except ValueError as error:
        msg = f"{option}: {text!r} is no time such as 2026-03-01T08:30 or 2026-03-01T08:30:00+01:00"
        raise ConfigError(msg) from error


def _ns_of_iso(text: str) -> int | None:
    try:
        return parse_iso(text)
    except ValueError:
        return None


def _run(name: str, rules: RuleSet, subject: _Subject, request: Request) -> _Result:
    found = replay(rules, subject.gathered.tracks.values(), subject.contexts)
    before, after = round(request.horizon_s * SECOND), round(request.tolerance_s * SECOND)
    caught = catch(found.episodes, subject.events, before, after)
    begun = first_begun(found.episodes, subject.events, before, after)
    return _Result(name, found, caught, _summary(name, found, (caught, begun), subject))


# -- as JSON


def _json(document: dict[str, Any]) -> str:
    """As JSON with one line a key, and one line an entry of its lists: to be read and searched by line."""
    lines = []
    for key, value in document.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(json.dumps(v, ensure_ascii=False) for v in value) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _summary(
    name: str, found: Replay, events: tuple[list[Caught], list[Caught]], subject: _Subject
) -> dict[str, Any]:
    """A rule set's figures."""
    days = sum(subject.days.values())
    episodes = found.episodes
    by_rule = {
        rule.id: {
            "title": rule.title,
            "version": rule.version,
            "hash": found.rules.hashes[rule.key],
            "priority": rule.priority,
            "alarms": len(own := [e for e in episodes if e.rule == rule.id]),
            "alarms_per_patient_day": _rate(len(own), days),
            "rises": sum(s.rule == rule.id for e in episodes for s in e.rises),
            "patients": len({e.patient for e in own}),
            "asked": found.asked[rule.id],
        }
        for rule in found.rules
    }
    share = top_share(episodes, len(subject.days))
    out: dict[str, Any] = {
        "rules": {"from": name, "hash": found.rules.hash, "count": len(found.rules)},
        "patient_days": round(days, _DIGITS),
        "alarms": len(episodes),
        "alarms_per_patient_day": _rate(len(episodes), days),
        "rises": sum(len(e.rises) for e in episodes),
        "active_share": _rate(active_days(episodes, subject.gathered.tracks.values()), days),
        "top_tenth_share": None if share is None else round(share, _DIGITS),
        "by_priority": dict(Counter(e.priority for e in episodes)),
        "by_rule": by_rule,
        "readings_read": sum(found.read.values()),
        "unread": dict(sorted((found.unread + subject.gathered.unknown).items())),
    }
    if subject.events:
        out["events"] = _events(*events, subject)
    return out


def _rate(count: float, days: float) -> float | None:
    return round(count / days, _DIGITS) if days else None


def _events(caught: list[Caught], begun: list[Caught], subject: _Subject) -> dict[str, Any]:
    warning = median_warning(caught)
    news = median_warning(begun)
    listed = [
        {
            "patient": c.event.patient,
            "time": subject.written(c.event.time),
            "label": c.event.label,
            "rule": None if c.episode is None else c.episode.rule,
            "told": None if c.episode is None else subject.written(c.episode.started),
            "warning_s": None if c.warning is None else c.warning / SECOND,
        }
        for c in caught
    ]
    return {
        "events": len(caught),
        "caught": sum(c.episode is not None for c in caught),
        "told_before": sum(c.warning is not None and c.warning >= 0 for c in caught),
        "median_warning_s": None if warning is None else warning / SECOND,
        "begun": sum(c.episode is not None for c in begun),
        "median_warning_begun_s": None if news is None else news / SECOND,
        "lost": [e for e in listed if e["rule"] is None],
        "all": listed,
    }


def _episode(episode: Episode, subject: _Subject) -> dict[str, Any]:
    written, peak = subject.written, episode.peak
    return {
        "patient": episode.patient,
        "rule": episode.rule,
        "version": episode.version,
        "hash": episode.hash,
        "title": episode.title,
        "kind": episode.kind,
        "priority": episode.priority,
        "onset": written(episode.onset),
        "started": written(episode.started),
        "end": None if episode.end is None else written(episode.end),
        "peak": None if peak is None else round(peak.value, _DIGITS),
        "peak_of": None if peak is None else peak.of,
        "peak_at": None if peak is None else written(peak.at),
        "limit": episode.limit,
        "text": episode.text,
        "late": episode.late,
        "rises": [
            {"rule": s.rule, "priority": s.priority, "time": written(s.at), "text": s.text}
            for s in episode.rises
        ],
        "inputs": [
            {
                key: written(value) if key in {"time", "received"} else value
                for key, value in entry.items()
                if value is not None
            }
            for entry in episode.inputs
        ],
    }


def _document(subject: _Subject, results: list[_Result], request: Request) -> dict[str, Any]:
    base, gathered = results[0], subject.gathered
    alarms = Counter(e.patient for e in base.found.episodes)
    out = {
        **subject.name,
        "unit": subject.unit,
        "setting": request.setting,
        "patients": len(subject.days),
        "readings": gathered.readings,
        **base.summary,
        "without_value": dict(sorted(gathered.without_value.items())),
        "rejected": {reason: dict(sorted(c.items())) for reason, c in sorted(gathered.rejected.items())},
        "by_patient": {
            patient: {"days": round(days, _DIGITS), "alarms": alarms[patient]}
            for patient, days in subject.days.items()
        },
        "episodes": [_episode(e, subject) for e in base.found.episodes],
        "worklist": [
            {"patient": x.patient, "rule": x.rule, "time": subject.written(x.at), "text": x.text}
            for x in base.found.late
        ],
    }
    if subject.events:
        out["horizon_s"], out["tolerance_s"] = request.horizon_s, request.tolerance_s
    if len(results) > 1:
        out["compare"] = _comparison(subject, *results)
    return out


def _comparison(subject: _Subject, base: _Result, other: _Result) -> dict[str, Any]:
    """The other rule set's figures, and in which episodes the first one differs from it."""
    ours, theirs = base.found.episodes, other.found.episodes
    return {
        **other.summary,
        "gained": [_episode(e, subject) for e in unmatched(ours, theirs)],
        "lost": [_episode(e, subject) for e in unmatched(theirs, ours)],
    }


# -- for people


def _table(subject: _Subject, results: list[_Result]) -> str:
    gathered = subject.gathered
    head = ", ".join(f"{value}" for value in subject.name.values())
    size = f"{_plural(len(subject.days), 'patient')}, {_plural(gathered.readings, 'reading')}"
    lines = [f"{head}: {size}, {sum(subject.days.values()):,.2f} patient-days"]
    rows = _rows(subject, results)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines += [_line(row, widths) for row in rows]
    lines += _footnotes(subject, results)
    return "\n".join(lines)


def _line(row: list[str], widths: list[int]) -> str:
    name, *cells = row
    aligned = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
    return "  ".join([name.ljust(widths[0]), *aligned]).rstrip()


def _rows(subject: _Subject, results: list[_Result]) -> list[list[str]]:
    rows = [["", *(f"rules: {r.name}" for r in results)]]

    def add(title: str, cell: Callable[[_Result], str]) -> None:
        rows.append([title, *(cell(r) for r in results)])

    add("rules", lambda r: f"{len(r.found.rules)}")
    add("alarms", lambda r: f"{len(r.found.episodes):,}")
    if any(r.summary["rises"] for r in results):
        add("  and rises of these, told anew", lambda r: f"{r.summary['rises']:,}")
    add("alarms per patient-day", lambda r: _shown(r.summary["alarms_per_patient_day"]))
    add("time with an alarm", lambda r: _percent(r.summary["active_share"]))
    add("borne by the top 10 % of patients", lambda r: _percent(r.summary["top_tenth_share"]))
    if subject.events:
        add("events caught", lambda r: f"{r.summary['events']['caught']}/{r.summary['events']['events']}")
        add("  told before they began", lambda r: f"{r.summary['events']['told_before']}")
        add("  median warning", lambda r: _minutes(r.summary["events"]["median_warning_s"]))
        add("  an alarm began around them", lambda r: f"{r.summary['events']['begun']}")
        add("    its median warning", lambda r: _minutes(r.summary["events"]["median_warning_begun_s"]))
    for rule in dict.fromkeys(rule for r in results for rule in sorted(r.summary["by_rule"])):
        if any(r.summary["by_rule"].get(rule, {}).get("alarms") for r in results):
            add(f"  {rule}", lambda r: f"{r.summary['by_rule'].get(rule, {}).get('alarms', '-')}")  # noqa: B023
    if len(results) > 1:
        ours, theirs = (r.found.episodes for r in results)
        rows.append(["episodes gained", str(len(unmatched(ours, theirs))), ""])
        rows.append(["episodes lost", str(len(unmatched(theirs, ours))), ""])
    return rows


def _footnotes(subject: _Subject, results: list[_Result]) -> list[str]:
    gathered, base = subject.gathered, results[0]
    lines = [
        f"event lost by {r.name}: {c.event.patient} at {subject.written(c.event.time)} ({c.event.label})"
        for r in results
        for c in r.caught
        if c.episode is None
    ]
    if unread := base.summary["unread"]:
        lines.append(f"read by no rule: {_counts(unread)}")
    if gathered.without_value:
        lines.append(f"without a value: {_counts(gathered.without_value)}")
    for reason, counts in sorted(gathered.rejected.items()):
        lines.append(f"not used, {reason.replace('_', ' ')}: {_counts(counts)}")
    if base.found.late:
        lines.append(f"too late to signal (worklist): {len(base.found.late)}")
    return lines


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{metric} {count:,}" for metric, count in sorted(counts.items()))


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _minutes(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds / 60:.1f} min"
