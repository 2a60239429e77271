"""Which rules are in force: the shipped library, and what a site released in its place.

A site's active release replaces the shipped rule of the same id; a release on trial is decided beside it as
shadow and never signalled. Files given in the settings count as shipped: who can write them, runs the system.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.models import Alarm, RuleRelease, RuleVersion, TransitionRow
from cloud_ingest.records.releases import ON_TRIAL, Act, Releases
from cloud_ingest.records.rule_versions import keep_versions, rule_version, versions_of
from cloud_ingest.records.scoping import refuse
from cloud_ingest.why import STAGED
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Principal, Scope
from rules import Rule, RuleSet
from rules.examples import failures
from rules.loader import load_files, load_rule
from rules.stages import misfits_with

__all__ = ["Entry", "RuleHistory", "Rulebook", "Shipped", "Trial", "staged", "tried"]

TRIAL_NS: Final = 7 * 86_400 * SECOND
"""How far back a trial is compared with the rule in force."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A rule that comes with the product or its settings, and its file's text."""

    rule: Rule
    text: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A release on trial beside the rule in force: how often each would have signalled, or did, lately."""

    release: RuleRelease
    rule: Rule
    since: int
    episodes: int
    alarms: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule in force (None: only on trial), the release it came by (None: shipped), and what is on trial."""

    id: str
    rule: Rule | None
    release: RuleRelease | None
    trial: Trial | None

    @property
    def shown(self) -> Rule:
        """The rule in force, or else the one on trial."""
        if self.rule is not None:
            return self.rule
        if self.trial is None:
            msg = f"rule {self.id} is neither in force nor on trial"
            raise ConfigError(msg, rule=self.id)
        return self.trial.rule


@dataclass(frozen=True, slots=True)
class RuleHistory:
    """A rule with its file's text, all of its releases and all contents it ever had, newest first."""

    entry: Entry | None
    text: str
    releases: Sequence[RuleRelease]
    versions: Sequence[RuleVersion]


class Rulebook:
    """The rules of one tenant. What is released is kept in the records only; nothing is cached here."""

    def __init__(self, records: Records, tenant: str, shipped: Iterable[Shipped]) -> None:
        self.tenant = tenant
        self.shipped: Mapping[str, Shipped] = {s.rule.id: s for s in shipped}
        self.turn = asyncio.Lock()
        """Held while a change is committed and put in force, so that changes take effect in their order."""
        self._records = records
        self._system = Scope.system(tenant)

    @classmethod
    def of_files(cls, records: Records, tenant: str, *extra: Path) -> Rulebook:
        """The shipped library and ``extra`` files or folders. Raises RuleFileError (file, line)."""
        loaded = load_files(*extra)
        return cls(records, tenant, [Shipped(x.rule, Path(x.file).read_text("utf-8")) for x in loaded])

    async def rules_in_force(self) -> RuleSet:
        """What is to be decided by, rules on trial included (``shadow``); their contents are kept.

        Raises ConfigError when the content of a release cannot be read any more, and StoreUnavailable.
        """
        return await self._records.run(self._keep)

    async def entries(self, now: int) -> Sequence[Entry]:
        """Every rule in force or on trial, by id."""
        return await self._records.read(lambda s: list(self._entries(s, now).values()))

    async def history(self, rule: str, now: int) -> RuleHistory | None:
        """One rule with all its releases and contents; None when there never was one of that id."""

        def read(session: Session) -> RuleHistory | None:
            entry = self._entries(session, now).get(rule)
            releases = self._releases(session).list(self._system, rule=rule)
            versions = versions_of(session, self.tenant, rule)
            if entry is None and not releases and not versions:
                return None
            text = "" if entry is None else self._text(entry)
            return RuleHistory(entry, text, releases, versions)

        return await self._records.read(read)

    async def releases(self) -> Sequence[RuleRelease]:
        """All releases, the newest first."""
        return await self._records.read(lambda s: self._releases(s).list(self._system))

    async def draft(self, scope: Scope, text: str, *, note: str, who: Principal) -> RuleRelease:
        """Enter a site's own version of a rule, as YAML.

        Raises RuleFileError (line) for what is no rule, ConfigError for one that is in force already or whose
        version's number is taken, and AccessError.
        """
        rule = load_rule(text, "draft").rule

        def write(session: Session) -> RuleRelease:
            entry = self._entries(session, 0).get(rule.id)
            if entry is not None and entry.rule is not None and entry.rule.hash == rule.hash:
                same = f"{rule.id} version {rule.version} ({rule.hash}) is in force already"
                refuse("text", same, reason="conflict", code="taken", value=rule.hash)
            return self._releases(session).draft(scope, rule, text, note=note, who=who)

        return await self._records.run(write)

    async def advance(self, scope: Scope, release: str, act: Act, *, who: Principal) -> RuleRelease:
        """Take a release one step further; the caller puts ``rules_in_force`` in force, holding ``turn``.

        Raises ConfigError: not there, no such step, examples that fail (before a trial), or a stage of an
        alarm that does not fit the other (before a trial, and before it is in force); and AccessError.
        """
        if act == "shadow":
            row = await self._records.read(lambda s: self._releases(s).get(self._system, release))
            tried(row.source)

        def write(session: Session) -> RuleRelease:
            releases = self._releases(session)
            row = releases.advance(scope, release, act, who=who)
            if act in {"shadow", "activate"}:
                staged(self._content(session, row), self._entries(session, 0).values(), act)
            return row

        return await self._records.run(write)

    # -- within a session

    def _releases(self, session: Session) -> Releases:
        records = self._records
        return Releases(session, now=records.clock.now_ns(), wall=records.wall.now_ns(), ids=records.ids)

    def _keep(self, session: Session) -> RuleSet:
        found: list[Rule] = []
        for entry in self._entries(session, 0).values():
            found += [entry.rule] if entry.rule is not None else []
            found += [replace(entry.trial.rule, shadow=True)] if entry.trial is not None else []
        texts = {s.rule.hash: s.text for s in self.shipped.values() if s.text}
        keep_versions(session, self.tenant, found, self._records.clock.now_ns(), texts)
        return RuleSet(tuple(found))

    def _entries(self, session: Session, now: int) -> dict[str, Entry]:
        active: dict[str, RuleRelease] = {}
        trials: dict[str, RuleRelease] = {}
        for release in self._releases(session).in_force(self._system):
            (trials if release.state in ON_TRIAL else active)[release.rule] = release
        found: dict[str, Entry] = {}
        for key in sorted({*self.shipped, *active, *trials}):
            shipped = self.shipped.get(key)
            rule = None if shipped is None else shipped.rule
            if key in active:
                rule = self._content(session, active[key])
            trial = self._trial(session, trials[key], rule, now) if key in trials else None
            found[key] = Entry(key, rule, active.get(key), trial)
        return found

    def _content(self, session: Session, release: RuleRelease) -> Rule:
        """The rule of a release, from its kept content: it does not depend on how files are read today."""
        version = rule_version(session, self.tenant, release.hash)
        try:
            if version is None:
                msg = "its content is not kept"
                raise ValueError(msg)
            return Rule.from_content(version.content)
        except (ValueError, LookupError, TypeError) as error:
            msg = (
                f"release {release.id} of rule {release.rule} cannot be read by this version ({error}): "
                "roll it back with the version that released it, or restore a copy of the records"
            )
            raise ConfigError(msg, release=release.id, rule=release.rule) from error

    def _trial(self, session: Session, release: RuleRelease, rule: Rule | None, now: int) -> Trial:
        since = max(release.shadowed_at or 0, now - TRIAL_NS)
        episodes = self._count(session, release.rule, release.hash, since)
        alarms = 0 if rule is None else self._told(session, rule.hash, since)
        return Trial(release, self._content(session, release), since, episodes, alarms)

    def _told(self, session: Session, digest: str, since: int) -> int:
        """How often the rule's condition made an alarm, or was a stage of one."""
        part = TransitionRow.detail["part", "rule_hash"].as_string()
        staged = and_(TransitionRow.detail["why"].as_string().in_(STAGED), part == digest)
        query = (
            select(func.count())
            .select_from(Alarm)
            .join(TransitionRow, and_(TransitionRow.tenant == Alarm.tenant, TransitionRow.alarm == Alarm.id))
            .where(
                Alarm.tenant == self.tenant,
                Alarm.started >= since,
                Alarm.shadow.is_(False),
                Alarm.signalled,
                or_(and_(TransitionRow.kind == "start", TransitionRow.rule_hash == digest), staged),
            )
        )
        return session.scalar(query) or 0

    def _count(self, session: Session, rule: str, digest: str, since: int) -> int:
        """How often a rule on trial would have alarmed."""
        query = select(func.count()).where(
            Alarm.tenant == self.tenant,
            Alarm.rule == rule,
            Alarm.rule_hash == digest,
            Alarm.started >= since,
            Alarm.shadow.is_(True),
            Alarm.signalled,
        )
        return session.scalar(query) or 0

    def _text(self, entry: Entry) -> str:
        if entry.release is not None:
            return entry.release.source
        if entry.rule is not None:
            return self.shipped[entry.id].text
        return "" if entry.trial is None else entry.trial.release.source


def tried(text: str) -> None:
    """Read a rule strictly and run its own examples. Raises RuleFileError; ConfigError saying what fails."""
    wrong = list(failures(load_rule(text, "draft")))
    if wrong:
        msg = "; ".join(wrong)
        refuse("text", msg, code="examples", value=msg)


def staged(rule: Rule, entries: Iterable[Entry], act: Act) -> None:
    """Raise ConfigError where ``rule`` raises, or is raised by, one that it does not fit.

    For a trial the others are those in force or on trial, to be put in force those in force.
    """
    known = {e.id: e.rule or e.shown for e in entries if e.rule is not None or act == "shadow"}
    wrong = list(misfits_with(rule, known))
    if wrong:
        msg = "; ".join(wrong)
        refuse("text", msg, reason="conflict", code="stages", value=msg)
