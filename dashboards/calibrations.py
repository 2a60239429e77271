"""The site's own calibration of the learned risk, learned when somebody asks for it: once at a time.

What came of it is kept in memory, to be looked at and made a draft of. A restart forgets it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from cloud_ingest.calibrating import Calibrated, Calibrator
from hearthward.core.clock import Clock
from hearthward.core.errors import ConfigError, HearthwardError

__all__ = ["Calibrations", "Run"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """One time that it was asked for: since when (UTC ns), by whom, and what came of it.

    ``error`` says why it failed, and ``retry`` whether it may succeed later.
    """

    began: int
    by: str
    state: Literal["running", "done", "failed"] = "running"
    found: Calibrated | None = None
    error: str = ""
    retry: bool = False


class Calibrations:
    """Owns the task; ``calibrator`` None: nothing can be learned by this process."""

    def __init__(self, clock: Clock, calibrator: Calibrator | None = None) -> None:
        self._clock, self._calibrator = clock, calibrator
        self._task: asyncio.Task[None] | None = None
        self.run: Run | None = None

    @property
    def offered(self) -> bool:
        """Whether it can be asked for here."""
        return self._calibrator is not None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Give it up at the end."""
        try:
            yield
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    def start(self, by: str) -> Run:
        """Begin, unless it runs already. Raises ConfigError where nothing can be learned."""
        if self._calibrator is None:
            msg = "nothing can be learned by this process: hearthward rules recalibrate does"
            raise ConfigError(msg)
        if self.run is not None and self.run.state == "running":
            return self.run
        run = self.run = Run(self._clock.now_ns(), by)
        self._task = asyncio.create_task(self._go(run, self._calibrator), name="calibration")
        return run

    @staticmethod
    async def _go(run: Run, calibrator: Calibrator) -> None:
        try:
            run.found = await calibrator()
        except HearthwardError as error:
            log.warning("a calibration failed: %s", error.message)
            run.state, run.error, run.retry = "failed", error.message, error.retry
        except asyncio.CancelledError:
            run.state = "failed"
            raise
        except Exception:
            log.exception("a calibration failed")
            run.state = "failed"
        else:
            run.state = "done"
