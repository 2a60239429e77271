"""What an episode carries along: how far it went at its worst, under a changed rule, too."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import inf

from rules.compiled import Compiled, Peaks
from rules.conditions import Count, Leaf, Score, leaves
from rules.evaluate import Verdict, worst_of
from rules.model import Measured
from rules.rule import Rule
from rules.state import Episode, Subject

__all__ = [
    "alike",
    "breached",
    "carry",
    "forget_extremes",
    "like",
    "needed",
    "remeasured",
    "rescored",
    "unclear",
    "worsen",
]


def alike(compiled: Compiled, rule_hash: str, limit: str) -> bool:
    """Whether a gateway goes by the same rule and limit; one that does not say does."""
    return rule_hash in {"", compiled.hash} and limit in {"", compiled.limit}


def forget_extremes(subject: Subject) -> None:
    """A new episode has been judged on nothing yet."""
    for devices in subject.series.values():
        for series in devices.values():
            series.low, series.high = inf, -inf


def unclear(episode: Episode) -> Episode:
    """The episode when not all is clear (any more)."""
    return episode if episode.clear_at is None else replace(episode, clear_at=None)


def worsen(compiled: Compiled, episode: Episode, verdict: Verdict) -> Episode:
    """The episode with a new extreme, if this is one: what was shown then is what people are told next."""
    peaks = worst_of(compiled, episode.peaks, verdict.peaks)
    if peaks == episode.peaks:
        return episode
    return replace(episode, peaks=peaks, snapshot=verdict.snapshot(), told=False)


def rescored(episode: Episode, verdict: Verdict) -> Episode:
    """The episode as it is now, if its score is as high as ever but made of other points than before.

    Else people would be told of the parameter that began it, which may be well again.
    """
    if verdict.peaks != episode.peaks or "score" not in episode.snapshot.detail:
        return episode
    shot = verdict.snapshot()
    same = shot.detail.get("score") == episode.snapshot.detail["score"]
    return episode if same else replace(episode, snapshot=shot)


def carry(episode: Episode, new: Compiled, old: Rule | None, now: int) -> Episode:
    """An episode under a changed rule: its delay counts anew, its extremes stay where a like leaf is."""
    if old is None:
        return episode
    known: defaultdict[tuple[str, str], list[float | None]] = defaultdict(list)
    for leaf, peak in zip(leaves(old.condition), episode.peaks, strict=True):
        known[like(leaf)].append(peak)
    peaks: Peaks = tuple(known[like(leaf)].pop(0) if known[like(leaf)] else None for leaf in new.leaves)
    due = episode.due
    if episode.condition == "pending":
        due = max(episode.onset + new.delay, now)
    elif episode.condition == "asked":
        due = max(episode.onset + new.timeout, now)
    return replace(episode, peaks=peaks, due=due)


def remeasured(subject: Subject, news: list[Measured]) -> Subject:
    """The subject as a second measurement shows it: of its signals no other device's values count."""
    out = Subject()
    out.clock, out.series = subject.clock, dict(subject.series)
    for m in news:
        out.series[m.metric] = {m.device: subject.series[m.metric][m.device]}
    return out


def like(leaf: Leaf) -> tuple[str, str]:
    """What makes leaves of two versions of a rule the same: their kind and their signal."""
    metric = leaf.of.metric if isinstance(leaf, Count) else getattr(leaf, "metric", "") or ""
    return type(leaf).__name__ + str(getattr(leaf, "falling", "")), metric


def breached(compiled: Compiled, episode: Episode) -> set[str]:
    """The signals of the leaves that had a part in the breach."""
    return {
        like(leaf)[1]
        for leaf, peak in zip(compiled.leaves, episode.peaks, strict=True)
        if peak is not None and not isinstance(leaf, Score)
    }


def needed(compiled: Compiled, episode: Episode) -> frozenset[str]:
    """What must be known for a score to end: all that raised it."""
    if not any(isinstance(leaf, Score) for leaf in compiled.leaves):
        return frozenset()
    score: dict[str, dict[str, int]] = episode.snapshot.detail.get("score", {})
    return frozenset(p for p, points in score.get("points", {}).items() if points)
