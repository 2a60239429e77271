"""Episodes that gateways' rules have opened become alarms here, or other names of those that there are.

What holds, in whatever order words and readings come (docs/adr/0018-edge-decisions-merge.md):
- One episode is one alarm. Its name is that which was learned first; the gateway's is another name of it.
- What has ended at a gateway never begins again here by readings of that time.
- While a gateway that goes by the same limits keeps an alarm open, only clear readings that are newer than
  its word, and the lack of another word for ``GRACE``, end it.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from hearthward.core.ids import stable_id
from rules.compiled import LATE_AFTER, Compiled
from rules.episodes import Episodes
from rules.evaluate import Verdict, evaluate, worst_of
from rules.evidence import cleared, peaks_of, seen_at, shown, terms_told, told
from rules.extremes import alike, forget_extremes, needed
from rules.filling import render
from rules.model import Adopt
from rules.rule import SECOND, Rule
from rules.shared import NOTHING, OPEN, Elsewhere, Shared, Span, overlap
from rules.state import Episode, State, Subject

__all__ = ["Adoption", "is_news"]


def is_news(state: State, event: Adopt) -> bool:
    """Whether an input would change anything: it says more of an alarm than is known, or of another one."""
    subject = state.subjects.get(event.subject)
    known = None if subject is None else subject.shared.get(event.rule, NOTHING).named(event.alarm)
    if known is None:
        return True
    if event.ended is not None:
        return known.end == OPEN or not known.sure
    return known.end == OPEN and event.word > known.last


class Adoption(Episodes):
    """Takes gateways' words in."""

    def adopt(self, event: Adopt, subject: Subject) -> None:
        """Take one word; the rule is one of those there are."""
        if not is_news(self.state, event):
            return
        rule = self.state.rules.by_id[event.rule]
        compiled = self.plan(event.subject, subject).rules.get(event.rule)
        known = subject.shared.get(event.rule, NOTHING).named(event.alarm)
        word = self._heard(event, subject)
        if compiled is not None:
            self._let_end(event, subject, word, compiled)
        if compiled is None:
            self._history(event, subject, word, rule, None)
        elif word.end == OPEN:
            self._goes_on(event, subject, word, compiled, known)
        elif known is None or known.end == OPEN:
            self._ended(event, subject, word, compiled)
        else:
            self._corrected(event, subject, word, compiled)
        if compiled is not None and subject.clock >= word.last:
            at = subject.clock
            self.memo.clear()
            self.judge(event.subject, subject, compiled, at, late=False, news=[], again=True)

    def _heard(self, event: Adopt, subject: Subject) -> Elsewhere:
        """Note the word, and the readings that it rests on."""
        shared = subject.shared.get(event.rule, NOTHING)
        known = shared.named(event.alarm)
        onset, last, end, sure = event.onset, event.word, OPEN, True
        if event.ended is not None:
            end = max(event.ended, onset)
        if known is not None:
            onset, last = min(onset, known.onset), max(last, known.last)
        elif event.source:
            # a gateway has one at a time: of two the older one is over, also where it was started anew
            for other in shared.open_of(event.source):
                if other.onset <= onset:
                    shared = shared.with_word(other._replace(end=onset, sure=False))
            later = shared.next_of(event.source, onset)
            if end == OPEN and later is not None:
                end, sure = later, False
        ours, opened = ("", False) if known is None else (known.ours, known.opened)
        word = Elsewhere(
            event.alarm, event.source, onset, last, end, sure, ours, opened, event.rule_hash, event.limit
        )
        found = [*told(event, self.now), *cleared(event, self.now)]
        shared = shared.with_word(word).with_seen(found)
        subject.share(event.rule, shared)
        return word

    def _let_end(self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled) -> None:
        """End what only a word kept open whose end was lost: the gateway speaks of the next one already.

        It was seen to be clear here in between, for as long as the rule wants; so the next one is told anew.
        """
        episode = subject.episodes.get(compiled.key)
        if episode is None or episode.condition != "active" or episode.clear_at is None:
            return
        over = episode.clear_at + compiled.clear_after
        if over <= min(word.onset, subject.clock) and not self.held(subject, compiled, episode):
            done = replace(episode, why="next_came", late=self.now - over > LATE_AFTER)
            self._end(event.subject, subject, compiled, done, over)
            self._origin(event)

    # -- it goes on

    def _goes_on(
        self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled, known: Elsewhere | None
    ) -> None:
        episode = subject.episodes.get(compiled.key)
        if episode is not None and episode.condition == "active":
            if known is not None and known.ours == episode.alarm:
                self._worse(event, subject, compiled, episode)
            else:
                self._merge(event, subject, word, compiled, episode)
            return
        past = subject.shared[compiled.key].over_after(word.last)
        if past is not None:  # what was seen here since then ended it
            if not word.ours:
                self._is_past(event, subject, word, compiled, past)
            return
        verdict = self._with(event, subject, compiled, word.last)
        if not alike(compiled, event.rule_hash, event.limit) and compiled.opens(verdict.results) is False:
            # by the limits in force here it is none
            self._past(event, subject, word, compiled)
            return
        self._begin(event, subject, word, compiled, known)

    def _begin(
        self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled, known: Elsewhere | None
    ) -> None:
        name, key, shared = event.subject, compiled.key, subject.shared[compiled.key]
        before = subject.episodes.get(key)
        onset = word.onset if before is None else min(word.onset, before.onset)
        over = [s.end for s in shared.overlapping(onset, inf, entry=False)]
        onset = max([shared.covered_until(onset, word.onset), *over])
        started = max(event.at, onset)
        peaks = peaks_of(event, compiled)
        alarm = event.alarm
        taken = alarm in self.state.alarms  # of another rule: a gateway that gives a name twice
        if known is not None or taken or any(s.alarm == alarm for s in shared.past):
            alarm = stable_id("alm", self.state.node, key, name, onset, self.seq)
        if before is not None:
            peaks = worst_of(compiled, before.peaks, peaks)
            alarm = before.alarm or alarm
        adopted = Episode(
            condition="active",
            onset=onset,
            due=started,
            seq=self.seq,
            late=self.now - started > LATE_AFTER,
            peaks=peaks,
            snapshot=shown(event),
            told=True,
            told_at=started,
            alarm=alarm,
            started=started,
            priority=compiled.rule.priority,
            values=dict(event.values),
            text=dict(event.text) or dict(compiled.rule.title),
            early=True,
            why="adopted",
            limit=event.limit or compiled.limit,
        )
        forget_extremes(subject)
        subject.episodes[key] = adopted
        self.state.alarms[adopted.alarm] = name, key
        self._ours(event.rule, subject, word, adopted.alarm, opened=True)
        self._tell("start", name, compiled, adopted, started)
        self._origin(event, alias=event.alarm != adopted.alarm)
        self.absorb(name, subject, compiled, adopted.alarm, shared.overlapping(word.onset, inf, entry=True))

    def _worse(self, event: Adopt, subject: Subject, compiled: Compiled, episode: Episode) -> None:
        """The gateway has told people that it got worse."""
        peaks = worst_of(compiled, episode.peaks, peaks_of(event, compiled))
        if peaks == episode.peaks:
            return
        at = max(event.word, episode.started)
        worse = replace(
            episode,
            peaks=peaks,
            told=True,
            told_at=at,
            values=dict(event.values),
            text=dict(event.text) or episode.text,
            snapshot=shown(event, episode.snapshot),
        )
        subject.episodes[compiled.key] = worse
        self._tell("update", event.subject, compiled, worse, at)
        self._origin(event)

    def _merge(
        self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled, episode: Episode
    ) -> Episode:
        """The gateway's alarm is another name of ours. Returns the episode as it is now."""
        if word.last >= episode.onset:
            over = subject.shared[compiled.key].overlapping(word.onset, inf, entry=False)
            onset = max([word.onset, *(s.end for s in over)])
            episode = replace(episode, onset=min(episode.onset, onset))
        subject.episodes[compiled.key] = episode
        self._ours(event.rule, subject, word, episode.alarm)
        if event.alarm != episode.alarm:
            at = max(episode.started, min(word.last, self.now))
            told = replace(episode, why="merged")
            self._tell("update", event.subject, compiled, told, at, inputs=event.inputs)
            self._origin(event, alias=True)
        return episode

    # -- it is over

    def _ended(self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled) -> None:
        key, shared = compiled.key, subject.shared[compiled.key]
        episode = subject.episodes.get(key)
        if episode is not None and episode.condition == "active":
            if self._rests_on(shared, word, episode) or overlap(word.onset, word.end, episode.onset, inf):
                if word.ours != episode.alarm:
                    episode = self._merge(event, subject, word, compiled, episode)
                self._let_go(event, subject, word, compiled, episode)
                return
            if word.ours == episode.alarm:  # taken for one with it, which began later
                word = self._ours(event.rule, subject, word, "")
        if word.ours:
            return
        self._past(event, subject, word, compiled)

    def _past(self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled) -> None:
        """It is over, and nothing of ours is open that it could be."""
        shared = subject.shared[compiled.key]
        end = word.last if word.end == OPEN else word.end
        past = next(shared.overlapping(word.onset, max(end, word.onset), entry=False), None)
        if past is None:
            self._history(event, subject, word, compiled.rule, compiled)
        else:
            self._is_past(event, subject, word, compiled, past)

    def _is_past(
        self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled, past: Span
    ) -> None:
        """The gateway's alarm is another name of one of ours that is over."""
        self._ours(event.rule, subject, word, past.alarm)
        self._note("update", event.subject, compiled.rule, compiled.hash, past, {"why": "merged"})
        self._origin(event, alias=True)

    @staticmethod
    def _rests_on(shared: Shared, word: Elsewhere, episode: Episode) -> bool:
        """Whether an alarm of ours is there by a gateway's word alone, of which this is the last."""
        if word.ours != episode.alarm:
            return False
        began = any(e.opened for e in shared.elsewhere if e.ours == episode.alarm)
        return word.opened or (began and not shared.holding(episode.alarm))

    def _let_go(
        self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled, episode: Episode
    ) -> None:
        """A gateway's part of our alarm is over: ours is, too, unless something else keeps it open."""
        name, key = event.subject, compiled.key
        if subject.shared[key].holding(episode.alarm):
            return
        same = event.closing == "end" and alike(compiled, event.rule_hash, event.limit)
        at = word.end if same else max(word.end, subject.clock)
        # by a reading, or before what was read at that time
        by_time = bool(event.cleared) and all(m.time < word.end for m in cleared(event, self.now))
        upto = word.end - by_time if same else None
        verdict = self._with(event, subject, compiled, at, upto=upto)
        if verdict.goes_on(episode.peaks, needed(compiled, episode)) is True:
            return
        at = max(word.end, episode.started)
        late = self.now - at > LATE_AFTER
        if event.closing == "reset":
            text = dict(event.text) or episode.text
            self._reset(name, compiled.rule, replace(episode, text=text, late=late), at)
            del subject.episodes[key]
        else:
            shot = verdict.snapshot()
            text = render(compiled, compiled.rule.cleared, shot)
            done = replace(episode, values=shot.values, text=text, late=late, why="ended_there")
            self._end(name, subject, compiled, done, at, event.cleared)
        self._origin(event)

    def _history(
        self, event: Adopt, subject: Subject, word: Elsewhere, rule: Rule, compiled: Compiled | None
    ) -> None:
        """It began and ended without us: told there it is history to be looked at, else it signals now."""
        name, key = event.subject, event.rule
        end = word.last if word.end == OPEN else word.end
        end = max(end, word.onset)
        started = min(max(event.at, word.onset), end)
        if self._into_entry(event, subject, word, rule, end):
            return
        late = self.now - started > LATE_AFTER
        told = event.told or compiled is None or word.end == OPEN
        self._ours(event.rule, subject, word, event.alarm)
        episode = Episode(
            condition="pending",
            onset=word.onset,
            due=started,
            seq=self.seq,
            late=late,
            peaks=(),
            snapshot=shown(event),
            alarm=event.alarm,
            started=started,
            priority=rule.priority,
            values=dict(event.values),
            text=dict(event.text) or dict(rule.title),
            limit=event.limit or rule.limit,
        )
        digest = self.state.rules.hashes[rule.key]
        entry = told or compiled is None or self.now - started > round(rule.max_lateness_s * SECOND)
        self.over(subject, key, Span(event.alarm, word.onset, end, entry=entry))
        why = "told_there" if event.told else "too_late"
        detail: dict[str, Any] = {**terms_told(event), "why": why, "ended": end}
        if entry:
            inputs = event.inputs
            self._transition("late", name, rule, digest, episode, started, inputs=inputs, detail=detail)
            self.transitions[-1] = replace(self.transitions[-1], condition="inactive")
            self._origin(event)
            return
        assert compiled is not None  # noqa: S101 - else it is an entry
        active = replace(episode, condition="active", why="adopted")
        self._tell("start", name, compiled, active, started)
        self._origin(event)
        self.absorb(
            name, subject, compiled, event.alarm, subject.shared[key].overlapping(word.onset, end, entry=True)
        )
        self._tell("end", name, compiled, replace(active, why="ended_there"), end)
        self._origin(event)

    def _corrected(self, event: Adopt, subject: Subject, word: Elsewhere, compiled: Compiled) -> None:
        """The end of what had been concluded to be over is known now."""
        episode = subject.episodes.get(event.rule)
        if episode is not None and self._rests_on(subject.shared[event.rule], word, episode):
            self._let_go(event, subject, word, compiled, episode)
            return
        entries = (s for s in subject.shared[event.rule].past if s.entry and s.alarm == event.alarm)
        entry = next(entries, None)
        if entry is None:
            return
        self.over(subject, event.rule, entry._replace(end=word.end))
        detail = {"why": "told_there", "ended": word.end}
        self._note("late", event.subject, compiled.rule, compiled.hash, entry, detail)
        self._origin(event)

    def _into_entry(self, event: Adopt, subject: Subject, word: Elsewhere, rule: Rule, end: int) -> bool:
        """Whether the worklist has it already: then it is that entry."""
        entry = next(subject.shared[event.rule].overlapping(word.onset, end, entry=True), None)
        if entry is None or not event.told:
            return False
        self._ours(event.rule, subject, word, entry.alarm)
        digest = self.state.rules.hashes[rule.key]
        self._note("late", event.subject, rule, digest, entry, {"why": "told_there"})
        self._origin(event, alias=True)
        return True

    # -- helpers

    @staticmethod
    def _ours(key: str, subject: Subject, word: Elsewhere, alarm: str, *, opened: bool = False) -> Elsewhere:
        """Note which alarm of ours a gateway's is, and whether that began by it."""
        word = word._replace(ours=alarm, opened=opened)
        subject.share(key, subject.shared[key].with_word(word))
        return word

    def _with(
        self, event: Adopt, subject: Subject, compiled: Compiled, at: int, *, upto: int | None = None
    ) -> Verdict:
        """The rule judged at ``at`` on what the gateways have seen, too."""
        shared = subject.shared.get(event.rule, NOTHING)
        own = [*told(event, self.now), *cleared(event, self.now)]
        seen = seen_at(subject, compiled, [*shared.seen, *own], at, upto=upto)
        return evaluate(compiled, seen, self.state.context(event.subject), at)

    def _origin(self, event: Adopt, *, alias: bool = False) -> None:
        """Say with the last transition where it comes from; ``alias``: under which other name."""
        last = self.transitions[-1]
        origin = {
            "gateway": event.source,
            "alarm": event.alarm,
            "onset": event.onset,
            "at": event.at,
            "ended": event.ended,
            "told": event.told,
            "limit": event.limit,
            "rule_hash": event.rule_hash,
            "config": event.config,
            "decided": event.decided,
            "terms": None if event.terms is None else sorted(event.terms),
        }
        more = {"alias": event.alarm} if alias else {}
        self.transitions[-1] = replace(last, detail={**last.detail, **more, "origin": origin})
