"""Trials of changed rules that people asked for: few at once, each its owner's alone, given up at any time.

Kept in memory: what came of one is to be looked at and made a draft of. A restart forgets them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from cloud_ingest.trying import Progress, TryAsked
from dashboards.backend import DirectoryError
from dashboards.whatif_models import NumberView
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import HearthwardError
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal
from rules.whatif import Trial

__all__ = ["Job", "Tries"]

log = logging.getLogger(__name__)

AT_ONCE: Final = max(1, min(2, (os.cpu_count() or 1) - 1))
"""So many processes at most: one processor is always the product's own."""
OPEN: Final = 8
"""So many may run or wait."""
KEPT: Final = 24
KEPT_NS: Final = 2 * 3600 * SECOND

State = Literal["waiting", "running", "done", "failed", "cancelled"]
Work = Callable[[Progress], Awaitable[Trial]]


@dataclass(slots=True)
class Job:
    """One trial: what was asked, how far it has got, and what came of it.

    ``error`` says why it failed, and ``retry`` whether it may succeed later. ``numbers`` are those that were
    moved, ``text`` is the rule's file with them in their places; ``known`` maps lost alarms (by patient and
    beginning) to those that people truly got.
    """

    id: str
    who: tuple[str, str]
    rule: str
    asked: TryAsked
    text: str
    at: int
    numbers: Sequence[NumberView] = ()
    ward: str = ""
    state: State = "waiting"
    done: int = 0
    of: int = 0
    result: Trial | None = None
    error: str = ""
    retry: bool = False
    known: dict[tuple[str, int], str] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in {"waiting", "running"}


class Tries:
    """Owns the jobs and their tasks."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock, self._ids = clock, ids
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Give everything up at the end."""
        try:
            yield
        finally:
            tasks = [job.task for job in self._jobs.values() if job.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def start(
        self,
        who: Principal,
        rule: str,
        asked: TryAsked,
        work: Work,
        *,
        text: str,
        numbers: Sequence[NumberView],
        ward: str = "",
    ) -> Job:
        """Begin; what the person had under way is given up. Raises DirectoryError when too many wait."""
        self._forget()
        owner = who.tenant, who.user
        for job in self._jobs.values():
            if job.who == owner and job.open:
                self.cancel(job)
        if sum(job.open for job in self._jobs.values()) >= OPEN:
            raise DirectoryError(field="rule", code="busy", value=rule)
        job = Job(self._ids.new("try"), owner, rule, asked, text, self._now(), numbers, ward)
        job.of = len(asked.patients)
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._go(job, work), name=f"trial {job.id}")
        return job

    def get(self, who: Principal, rule: str, key: str) -> Job | None:
        """A person's own job for that rule; None: there is none, or it is somebody else's."""
        self._forget()
        job = self._jobs.get(key)
        return job if job is not None and (job.who, job.rule) == ((who.tenant, who.user), rule) else None

    def cancel(self, job: Job) -> None:
        """Give it up; nothing of it is kept but that it was."""
        if job.open:
            job.state = "cancelled"
            if job.task is not None:
                job.task.cancel()

    async def _go(self, job: Job, work: Work) -> None:
        def progress(done: int, of: int) -> None:
            job.done, job.of = done, of

        async with self._turns:
            job.state = "running"
            try:
                found = await work(progress)
            except HearthwardError as error:
                log.warning("a trial of rule %s failed: %s", job.rule, error.message)
                job.state, job.error, job.retry = "failed", error.message, error.retry
            except asyncio.CancelledError:
                job.state = "cancelled"
                raise
            except Exception:
                log.exception("a trial of rule %s failed", job.rule)
                job.state = "failed"
            else:
                job.state, job.result = "done", found

    def _now(self) -> int:
        return self._clock.monotonic_ns()

    def _forget(self) -> None:
        edge = self._now() - KEPT_NS
        for key, job in list(self._jobs.items()):
            if not job.open and (job.at < edge or len(self._jobs) > KEPT):
                del self._jobs[key]
