"""The fake's dead letters: whatever a test puts in; what was refused for its time or by our fault gets in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from cloud_ingest.records.dead_letters import Asked
from cloud_ingest.replaying import MOST
from dashboards.dead_letter_models import (
    DeadLetter,
    DeadLetterBook,
    DeadLetterDetail,
    Dropped,
    ReasonTotal,
    ReplayResult,
)
from hearthward.core.clock import Clock
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["FakeDeadLetters"]

LET_IN: Final = frozenset({"future", "unknown_metric", "undecided", "internal_error"})
"""Reasons that do not hold any more when a letter is replayed here."""


class FakeDeadLetters:
    """The part of ``FakeBackend`` that is about dead letters."""

    clock: Clock

    def __init__(self) -> None:
        self._letters: defaultdict[str, dict[str, DeadLetterDetail]] = defaultdict(dict)
        self.dropped_letters: defaultdict[str, list[Dropped]] = defaultdict(list)

    def _of(self, tenant: str) -> Any:
        raise NotImplementedError

    def put_dead_letter(self, tenant: str, letter: DeadLetterDetail) -> None:
        """Record something refused."""
        self._letters[tenant][letter.id] = letter

    def _letters_in(self, scope: Scope) -> list[DeadLetterDetail]:
        gateways = self._of(scope.tenant).items["gateway"]
        return [
            letter
            for letter in self._letters[scope.tenant].values()
            if not scope.confined
            or (letter.gateway in gateways and gateways[letter.gateway].ward in (scope.wards or ()))
        ]

    async def dead_letters(self, scope: Scope, asked: Asked) -> DeadLetterBook:
        """See the port."""
        every = self._letters_in(scope)
        chosen = [
            letter
            for letter in every
            if asked.reason in {"", letter.reason}
            and asked.gateway in {"", letter.gateway}
            and asked.state in {"", letter.state}
            and (asked.since is None or letter.at >= asked.since)
            and (asked.before is None or int(letter.id) < asked.before)
        ]
        chosen.sort(key=lambda letter: -int(letter.id))
        shown = DeadLetter.model_fields.keys()
        return DeadLetterBook(
            items=[DeadLetter(**x.model_dump(include=set(shown))) for x in chosen[: asked.limit]],
            reasons=_totals(every),
            dropped=[] if scope.confined else self.dropped_letters[scope.tenant],
        )

    async def dead_letter(self, scope: Scope, key: str) -> DeadLetterDetail | None:
        """See the port."""
        return next((letter for letter in self._letters_in(scope) if letter.id == key), None)

    async def waiting_letters(self, scope: Scope, reason: str, after: str | None) -> Sequence[str]:
        """See the port."""
        ids = [int(x.id) for x in self._letters_in(scope) if x.reason == reason and x.state != "replayed"]
        return [str(n) for n in sorted(ids) if n > int(after or 0)][:MOST]

    async def replay_letter(self, who: Principal, key: str, *, dry_run: bool) -> ReplayResult | None:
        """See the port."""
        letter = await self.dead_letter(scope_of(who), key)
        if letter is None:
            return None
        changed = letter.state != "replayed"
        if changed:
            good = letter.reason in LET_IN
            n = max(1, letter.readings)
            done = "judged" if letter.reason == "undecided" else "stored"
            marks: dict[str, Any] = {
                "state": "replayed" if good else "refused",
                "outcome": {done if good else f"refused:{letter.reason}": n},
                "replayed_at": self.clock.now_ns(),
                "replayed_by": who.user,
            }
            letter = letter.model_copy(update=marks)
            if not dry_run:
                self._letters[who.tenant][key] = letter
        return ReplayResult(
            id=key, reason=letter.reason, state=letter.state, outcome=letter.outcome, changed=changed
        )


def _totals(letters: Sequence[DeadLetterDetail]) -> list[ReasonTotal]:
    every = Counter(x.reason for x in letters)
    waiting = [x for x in letters if x.state != "replayed"]
    return [
        ReasonTotal(
            reason=reason,
            letters=n,
            open=sum(x.reason == reason for x in waiting),
            readings=sum(x.readings for x in waiting if x.reason == reason),
        )
        for reason, n in sorted(every.items())
    ]
