"""Rules, releases, limits and orders as the web's shapes: pure, shared by the fake and the real backend."""

from __future__ import annotations

from typing import Any, NoReturn

from cloud_ingest.contexts import limit_of
from cloud_ingest.records.models import PatientLimit, PatientOrder, RuleRelease
from cloud_ingest.records.models import RuleVersion as VersionRow
from cloud_ingest.rulebook import Entry, RuleHistory
from dashboards.backend import REASONS, DirectoryError
from dashboards.rule_models import (
    Limit,
    Order,
    Release,
    RuleDetail,
    RuleParameter,
    RuleTrial,
    RuleVersion,
    RuleView,
)
from hearthward.core.codes import METRICS
from hearthward.core.errors import ConfigError
from rules import Rule, RuleFileError, RuleSet
from rules.conditions import Count, Deviation, Missing, Unusual, leaves

__all__ = [
    "clock_time",
    "detail_view",
    "file_error",
    "limit_view",
    "minute_of",
    "order_view",
    "refuse_for_web",
    "release_view",
    "rule_view",
    "unit_of",
]

_SAME = ("id", "rule", "version", "hash", "state", "created", "shadowed_at", "approved_at", "activated_at")


def clock_time(minute: int | None) -> str | None:
    """A minute of the day as people write it: ``22:00``."""
    return None if minute is None else f"{minute // 60:02d}:{minute % 60:02d}"


def minute_of(text: str) -> int:
    """The minute of the day of ``22:00``. Raises ValueError."""
    hours, _, minutes = text.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2):  # noqa: PLR2004 - two digits
        msg = f"{text!r} is no time of the day such as 22:00"
        raise ValueError(msg)
    found = int(hours) * 60 + int(minutes)
    if int(hours) > 23 or int(minutes) > 59:  # noqa: PLR2004 - a clock's
        msg = f"{text!r} is no time of the day such as 22:00"
        raise ValueError(msg)
    return found


def limit_view(row: PatientLimit, rules: RuleSet, now: int) -> Limit:
    """A limit, and whether it still counts with the rule as it is now."""
    rule = rules.by_id.get(row.rule)
    bounds = None if rule is None else rule.parameters.get(row.parameter)
    present = row.ended_at is None and (row.expires is None or row.expires > now)
    return Limit(
        id=row.id,
        patient=row.patient,
        rule=row.rule,
        parameter=row.parameter,
        value=row.value,
        daily_from=clock_time(row.daily_from),
        daily_to=clock_time(row.daily_to),
        timezone=row.timezone,
        set_by=row.set_by_name,
        set_at=row.set_at,
        reason=row.reason,
        expires=row.expires,
        ended_at=row.ended_at,
        ended_by=row.ended_by_name,
        ended_reason=row.ended_reason,
        superseded_by=row.superseded_by,
        present=present,
        holds=present and limit_of(row).holds(now),
        counts=bounds is not None and bounds.low <= row.value <= bounds.high,
    )


def order_view(row: PatientOrder, now: int) -> Order:
    """An order."""
    return Order(
        id=row.id,
        patient=row.patient,
        kind=row.kind,
        given_by=row.given_by_name,
        given_at=row.given_at,
        reason=row.reason,
        expires=row.expires,
        ended_at=row.ended_at,
        ended_by=row.ended_by_name,
        ended_reason=row.ended_reason,
        present=row.ended_at is None and (row.expires is None or row.expires > now),
    )


def release_view(row: RuleRelease) -> Release:
    """A release, people by name."""
    kept: dict[str, Any] = {name: getattr(row, name) for name in (*_SAME, "ended_at", "replaces", "note")}
    return Release(
        **kept,
        author=row.author_name,
        author_id=row.author,
        approved_by=row.approved_by_name,
        activated_by=row.activated_by_name,
        ended_by=row.ended_by_name,
    )


def rule_view(entry: Entry) -> RuleView:
    """A rule in force or on trial."""
    rule, trial = entry.shown, entry.trial
    state = "shadow" if entry.rule is None else "shipped" if entry.release is None else "released"
    return RuleView(
        id=rule.id,
        version=rule.version,
        hash=rule.hash,
        state=state,
        title=rule.title,
        kind=rule.kind,
        priority=rule.priority,
        limit=rule.limit,
        delay_s=rule.delay_s,
        setting=rule.setting,
        subject=rule.subject,
        adults=rule.adults,
        audience=list(rule.audience),
        latching=rule.latching,
        raises=rule.raises,
        escalation=rule.escalation,
        clinical_source=rule.clinical_source,
        parameters=[
            RuleParameter(name=name, value=p.value, low=p.low, high=p.high, unit=unit_of(rule, name))
            for name, p in sorted(rule.parameters.items())
        ],
        release=None if entry.release is None else release_view(entry.release),
        trial=None
        if trial is None
        else RuleTrial(
            release=release_view(trial.release),
            limit=trial.rule.limit,
            since=trial.since,
            episodes=trial.episodes,
            alarms=trial.alarms,
        ),
    )


def unit_of(rule: Rule, parameter: str) -> str:
    """The unit of a rule's parameter, from where its condition uses it."""
    for leaf in leaves(rule.condition):
        inner = leaf.of if isinstance(leaf, Count) else leaf
        if isinstance(inner, Missing) and inner.for_s == parameter:
            return "s"
        if isinstance(inner, Unusual) or (isinstance(inner, Deviation) and inner.asked == "spreads"):
            continue  # of 1, and in spreads: neither is in the signal's unit
        metric = getattr(inner, "metric", None)
        used = (getattr(inner, name, None) for name in ("value", "by", "hysteresis"))
        if metric in METRICS and parameter in used:
            return METRICS[metric].unit or ""
    return ""


def detail_view(key: str, history: RuleHistory) -> RuleDetail:
    """A rule in full."""
    return RuleDetail(
        id=key,
        rule=None if history.entry is None else rule_view(history.entry),
        text=history.text,
        releases=[release_view(row) for row in history.releases],
        texts={row.id: row.source for row in history.releases},
        versions=[_version(row) for row in history.versions],
    )


def _version(row: VersionRow) -> RuleVersion:
    return RuleVersion(hash=row.hash, version=row.version, first_seen=row.first_seen, content=row.content)


def refuse_for_web(error: ConfigError) -> NoReturn:
    """Raise the records' refusal as the web's, with the same words; one without a code stays as it is."""
    code = error.details.get("code")
    if code not in REASONS:
        raise error
    made = DirectoryError(str(error.details["field"]), str(code), error.details.get("value", ""))
    made.message = error.message
    made.args = (error.message,)
    raise made from error


def file_error(error: RuleFileError) -> DirectoryError:
    """What is wrong with a rule's text, each with its line."""
    found = "; ".join(
        problem.message if problem.line is None else f"line {problem.line}: {problem.message}"
        for problem in error.problems
    )
    return DirectoryError("text", "rule", found)
