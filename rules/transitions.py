"""What people are told of an episode: the transitions of one step, with all that a decision rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hearthward.core.ids import stable_id
from rules.compiled import Compiled
from rules.conditions import Smoothing
from rules.context import Limit
from rules.filling import render
from rules.model import Transition, TransitionKind
from rules.rule import Rule
from rules.shared import Span
from rules.state import Episode, Snapshot, State

__all__ = ["Transitions"]

_CLOSING: Final = frozenset({"end", "reset"})


class Transitions:
    """Collects the transitions of one step, in order."""

    def __init__(self, state: State, seq: int, now: int) -> None:
        self.state = state
        self.seq = seq
        self.now = now
        self.transitions: list[Transition] = []

    def _named(self, name: str, compiled: Compiled, episode: Episode) -> Episode:
        """The episode with its identity, equal wherever and whenever the same is decided."""
        alarm = stable_id("alm", self.state.node, compiled.key, name, episode.onset, episode.seq)
        again = sum(t.kind in {"start", "ask"} and t.alarm.startswith(alarm) for t in self.transitions)
        if again:
            alarm = f"{alarm}_{again + 1}"  # values of one time that breached, cleared and breached
        return replace(episode, alarm=alarm)

    def _told(self, compiled: Compiled, episode: Episode, at: int) -> Episode:
        shot = episode.snapshot
        return replace(
            episode,
            told=True,
            told_at=at,
            values=dict(shot.values),
            text=render(compiled, compiled.rule.explanation, shot),
            limit=compiled.limit,
        )

    def _tell(
        self,
        kind: TransitionKind,
        name: str,
        compiled: Compiled,
        episode: Episode,
        at: int,
        *,
        inputs: tuple[dict[str, Any], ...] | None = None,
    ) -> None:
        shown = (
            episode.snapshot.inputs if inputs is None and kind not in {"escalate", "de-escalate"} else inputs
        )
        detail = _detail(compiled, episode)
        self._transition(
            kind, name, compiled.rule, compiled.hash, episode, at, inputs=shown or (), detail=detail
        )

    def _note(
        self,
        kind: TransitionKind,
        name: str,
        rule: Rule,
        digest: str,
        span: Span,
        detail: dict[str, Any],
    ) -> None:
        """Say something of what is not (or no more) active: an entry of the worklist, what is over."""
        none = Snapshot()
        entry = Episode(
            "pending",
            span.onset,
            span.end,
            self.seq,
            late=span.entry,
            peaks=(),
            snapshot=none,
            alarm=span.alarm,
            priority=rule.priority,
            limit=rule.limit,
        )
        self._transition(kind, name, rule, digest, entry, span.end, detail=detail)
        self.transitions[-1] = replace(self.transitions[-1], condition="inactive")

    def _transition(  # noqa: PLR0913 - what it carries
        self,
        kind: TransitionKind,
        name: str,
        rule: Rule,
        digest: str,
        episode: Episode,
        at: int,
        *,
        inputs: tuple[dict[str, Any], ...] = (),
        actor: str | None = None,
        note: str = "",
        detail: dict[str, Any] | None = None,
    ) -> None:
        self.transitions.append(
            Transition(
                alarm=episode.alarm,
                patient=name,
                rule=rule.id,
                rule_hash=digest,
                kind=kind,
                condition="inactive" if kind in _CLOSING else episode.condition,
                priority=episode.priority,
                at=at,
                onset=episode.onset,
                seq=self.seq,
                values=dict(episode.values),
                limit=episode.limit or rule.limit,
                text=dict(episode.text),
                inputs=tuple(dict(i) for i in inputs),
                actor=actor,
                late=episode.late,
                decided=self.now,
                note=note,
                shadow=rule.shadow,
                detail=detail or {},
            )
        )


def _detail(compiled: Compiled, episode: Episode) -> dict[str, Any]:
    """What a decision rests on besides values and limit."""
    rule = compiled.rule
    out: dict[str, Any] = {"delay_s": rule.delay_s, **episode.snapshot.detail}
    smoothing = next((s for leaf in compiled.leaves if (s := getattr(leaf, "smoothing", None))), None)
    if isinstance(smoothing, Smoothing):
        out["smoothing"] = [smoothing.kind, smoothing.window_s]
    if rule.parameters:
        out["parameters"] = {
            name: {"default": p.value, **_set_by(compiled.limits.get(name))}
            for name, p in rule.parameters.items()
        }
    if episode.why:
        out["why"] = episode.why
    return out


def _set_by(limit: Limit | None) -> dict[str, Any]:
    if limit is None:
        return {}
    return {
        "value": limit.value,
        "by": limit.by,
        "start": limit.start,
        "reason": limit.reason,
        "expires": limit.expires,
    }
