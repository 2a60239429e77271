"""Dead letters for the command line: through the running cloud, or on its folder when none runs.

The lock on the cloud's folder decides, as for ``hearthward users``. To show and to replay is audited both
ways.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records import Records, RecordsAuditLog
from cloud_ingest.records.dead_letters import Asked, find_one
from cloud_ingest.replaying import MOST
from dashboards.cloud_dead_letters import book_of
from dashboards.dead_letter_models import (
    DeadLetterBook,
    DeadLetterDetail,
    ReplayedLetters,
    ReplayResult,
)
from hearthward.app.desk import must_have_records, records_opened, taken
from hearthward.app.offline import offline_pipeline
from hearthward.app.rest import Rest
from hearthward.core.clock import SECOND, SystemClock, iso, parse_iso
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from hearthward.trust.access import Action, Scope
from hearthward.trust.audit import AuditEvent

__all__ = ["list_letters", "replay_letters", "show_letter"]

API: Final = "/api/v1/dead-letters"
ACTOR: Final = "command-line"
PERIOD: Final = re.compile(r"([1-9][0-9]{0,4})([hd])")
_HOURS: Final = {"h": 1, "d": 24}


async def list_letters(
    settings: Settings, *, reason: str, gateway: str, state: str | None, since: str, limit: int, as_json: bool
) -> str:
    """The letters asked for, as a table or JSON. Raises HearthwardError."""
    async with _desk(settings) as desk:
        start = _start(since, desk.now())
        book = await desk.book(Asked(reason, gateway, state or "", start, None, limit))
    return book.model_dump_json(indent=2) if as_json else "\n".join(_table(book))


async def show_letter(settings: Settings, ident: int, *, as_json: bool) -> str:
    """One letter with what is in it. Raises HearthwardError."""
    async with _desk(settings) as desk:
        letter = await desk.show(ident)
    return letter.model_dump_json(indent=2) if as_json else "\n".join(_described(letter))


async def replay_letters(
    settings: Settings, ids: Sequence[int], *, reason: str, dry_run: bool, as_json: bool
) -> tuple[str, bool]:
    """Replay letters by id or reason; what came of it, and whether all got in. Raises HearthwardError."""
    if bool(ids) == bool(reason):
        msg = "name dead letters by their ID, or a --reason; see `hearthward deadletter list`"
        raise ConfigError(msg, field="ids")
    done: list[ReplayResult] = []
    async with _desk(settings) as desk:
        if reason:
            after: str | None = None
            while True:
                found = await desk.replay([], reason, after, dry_run=dry_run)
                done += found.items
                after = found.next
                if after is None:
                    break
        for n in range(0, len(ids), MOST):
            done += (await desk.replay(ids[n : n + MOST], "", None, dry_run=dry_run)).items
    whole = all(result.state == "replayed" for result in done)
    if as_json:
        return json.dumps([r.model_dump(mode="json") for r in done], indent=2), whole
    return "\n".join(_came(done, dry_run=dry_run)), whole


class _Desk(Protocol):
    """Where dead letters are."""

    def now(self) -> int:
        """The time there (UTC ns)."""
        ...

    async def book(self, asked: Asked) -> DeadLetterBook:
        """The letters asked for."""
        ...

    async def show(self, ident: int) -> DeadLetterDetail:
        """One of them."""
        ...

    async def replay(
        self, ids: Sequence[int], reason: str, after: str | None, *, dry_run: bool
    ) -> ReplayedLetters:
        """Some of them, as the API takes them."""
        ...


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[_Desk]:
    """Take the folder if it is free, else go to who has it."""
    must_have_records(settings, "no readings were ever taken here")
    with taken(settings) as rest:
        if rest is not None:
            yield _Running(rest)
            return
        async with (
            records_opened(settings.data / "cloud", settings.cloud.tenant) as records,
            AsyncExitStack() as stack,
        ):
            yield _Kept(settings, records, stack)


class _Kept:
    """Dead letters when no cloud runs. To replay one, what takes readings in is put together for a while."""

    def __init__(self, settings: Settings, records: Records, stack: AsyncExitStack) -> None:
        self._settings, self._records, self._stack = settings, records, stack
        self._pipeline: Pipeline | None = None
        self._tenant = settings.cloud.tenant

    def now(self) -> int:
        """See _Desk."""
        return self._records.wall.now_ns()

    async def book(self, asked: Asked) -> DeadLetterBook:
        """See _Desk."""
        return await self._records.read(lambda s: book_of(s, Scope.system(self._tenant), asked))

    async def show(self, ident: int) -> DeadLetterDetail:
        """See _Desk."""
        row = await self._records.read(lambda s: find_one(s, self._tenant, ident))
        if row is None:
            raise _missing(ident)
        await self._audit(Action.VIEW_SYSTEM, ident, do="show")
        return DeadLetterDetail.of(row)

    async def replay(
        self, ids: Sequence[int], reason: str, after: str | None, *, dry_run: bool
    ) -> ReplayedLetters:
        """See _Desk."""
        done: list[ReplayResult] = []
        if self._pipeline is None:
            opened = offline_pipeline(self._settings, self._records)
            self._pipeline = await self._stack.enter_async_context(opened)
        replayer = self._pipeline.replayer
        chosen = ids or await replayer.waiting(reason, int(after or 0))
        for ident in chosen:
            found = await replayer.replay(ident, ACTOR, dry_run=dry_run)
            if found is None:
                raise _missing(ident)
            done.append(ReplayResult.of(found))
            if not dry_run:
                detail = {"do": "replay", "state": found.state.value, "outcome": found.outcome}
                await self._audit(Action.REPLAY_DEAD_LETTER, ident, **detail)
        more = str(chosen[-1]) if reason and len(chosen) == MOST else None
        return ReplayedLetters(items=done, next=more)

    async def _audit(self, action: Action, ident: int, **detail: str) -> None:
        event = AuditEvent(
            at=self._records.wall.now_ns(),
            tenant=self._tenant,
            actor=ACTOR,
            action=action,
            resource_kind="dead_letter",
            resource_id=str(ident),
            detail=dict(detail),
        )
        await RecordsAuditLog(self._records).append(event)


class _Running:
    """Dead letters of a running cloud, over its REST API."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def now(self) -> int:
        """See _Desk: the cloud is on this machine."""
        return SystemClock().now_ns()

    async def book(self, asked: Asked) -> DeadLetterBook:
        """See _Desk."""
        given: dict[str, Any] = {"reason": asked.reason, "gateway": asked.gateway, "state": asked.state}
        given |= {"since": "" if asked.since is None else iso(asked.since), "limit": asked.limit}
        query = urlencode({name: value for name, value in given.items() if value})
        return await self._rest.ask("GET", f"{API}?{query}", DeadLetterBook.model_validate)

    async def show(self, ident: int) -> DeadLetterDetail:
        """See _Desk."""
        return await self._rest.ask("GET", f"{API}/{ident}", DeadLetterDetail.model_validate)

    async def replay(
        self, ids: Sequence[int], reason: str, after: str | None, *, dry_run: bool
    ) -> ReplayedLetters:
        """See _Desk."""
        body: Mapping[str, Any] = {
            "ids": [str(n) for n in ids],
            "reason": reason,
            "after": after,
            "dry_run": dry_run,
        }
        return await self._rest.ask("POST", f"{API}/replay", ReplayedLetters.model_validate, body)


def _missing(ident: int) -> ConfigError:
    msg = f"there is no dead letter {ident}; see `hearthward deadletter list`"
    return ConfigError(msg, field="ids")


def _start(since: str, now: int) -> int | None:
    """A period before now, or a time. Raises ConfigError."""
    if not since:
        return None
    if (period := PERIOD.fullmatch(since)) is not None:
        return now - int(period[1]) * _HOURS[period[2]] * 3600 * SECOND
    try:
        return parse_iso(since)
    except ValueError as error:
        msg = f"--since: {since[:40]!r} is neither a period (24h, 7d) nor a time (2026-03-01T08:00Z)"
        raise ConfigError(msg, field="since") from error


def _table(book: DeadLetterBook) -> Iterator[str]:
    if not book.items:
        yield "no dead letters" + (" of that kind" if book.reasons else "")
    else:
        rows = [("ID", "WHEN", "GATEWAY", "REASON", "READINGS", "STATE")]
        rows += [
            (x.id, iso(x.at)[:19] + "Z", x.gateway or "-", x.reason, f"{x.readings or '-'}", x.state)
            for x in book.items
        ]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        details = ("WHAT WAS WRONG", *(x.detail for x in book.items))
        for row, detail in zip(rows, details, strict=True):
            cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f"{cells}  {detail}"
    for r in book.reasons:
        yield f"{r.reason}: {r.letters:,} letters, {r.open:,} not let in with {r.readings:,} readings"
    for d in book.dropped:
        yield (
            f"dropped for their age or number: {d.letters:,} of {d.reason} with {d.readings:,} readings, "
            f"last {iso(d.at)[:19]}Z"
        )


def _described(letter: DeadLetterDetail) -> Iterator[str]:
    yield f"dead letter {letter.id}, {letter.state}"
    yield f"when:     {iso(letter.at)}"
    yield f"gateway:  {letter.gateway or '-'}" + (f", outbox {letter.boot}" if letter.boot else "")
    yield f"topic:    {letter.topic or '-'}"
    yield f"reason:   {letter.reason}"
    yield f"detail:   {letter.detail}"
    yield f"content:  {letter.size:,} bytes" + (f", {letter.readings:,} readings" if letter.readings else "")
    if letter.replayed_at is not None:
        yield f"replayed: {iso(letter.replayed_at)} by {letter.replayed_by}: {_outcome(letter.outcome)}"
    for row in letter.rows:
        value = row.code if row.value is None else f"{row.value:g}"
        mark = "  let in" if row.let_in else ""
        what = f"{row.device}  {row.metric}  {value}  measured {iso(row.measured)}"
        yield f"  {row.number or '-':>8}  {what}{mark}"
    for wave in letter.waves:
        what = f"{wave.device}  {wave.metric}  {wave.samples} samples of {wave.rate_hz:g} Hz"
        yield f"  {wave.number or '-':>8}  {what} to {iso(wave.measured)}"
    for block in letter.blocks:
        kind = "decisions" if block.decisions else "waveforms" if block.waves else "readings"
        yield f"  {kind} {block.first}-{block.last}, {block.size:,} bytes"
    yield from letter.hex.splitlines()


def _outcome(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name.replace(':', ' as ')}" for name, n in counts.items()) or "nothing"


def _came(done: Sequence[ReplayResult], *, dry_run: bool) -> Iterator[str]:
    sums: Counter[str] = Counter()
    for result in done:
        if result.changed:
            sums.update(result.outcome)
        again = "" if result.changed else " (let in before)"
        yield f"{result.id}  {result.reason}  {result.state}: {_outcome(result.outcome)}{again}"
    verb = "would be replayed" if dry_run else "replayed"
    yield f"{len(done):,} dead letters {verb}: {_outcome(sums)}"
