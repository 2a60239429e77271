"""Listens to the live stream as a wall does, to measure when a value could be seen."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from dashboards.live.states import VITALS
from hearthward.app.tracker import Tracker
from hearthward.core.model import ReadingBatch

__all__ = ["LiveListener"]

log = logging.getLogger(__name__)
RETRY_S: Final = 0.2
LIMIT: Final = 1 << 22
REMEMBERED: Final = 50_000
_VITAL_OF: Final = {m: vital.key for vital in VITALS for m in vital.metrics}


class LiveListener:
    """One client of ``/api/v1/live``; tells the tracker which payloads have reached it."""

    def __init__(self, url: str, token: str, tracker: Tracker) -> None:
        self._host = urlsplit(url).hostname or ""
        self._port = urlsplit(url).port or 80
        self._token = token
        self._tracker = tracker
        self._due: dict[tuple[str, str, int], list[tuple[str, int]]] = {}

    def stored(self, batch: ReadingBatch, patients: list[str | None]) -> None:
        """Readings were committed: from now on the stream should show them."""
        for i, patient in enumerate(patients):
            vital = _VITAL_OF.get(batch.metric[i])
            if patient is not None and vital is not None:
                key = patient, vital, batch.corrected[i] // 1_000_000
                self._due.setdefault(key, []).append((batch.device[i], batch.received[i]))
        while len(self._due) > REMEMBERED:
            self._due.pop(next(iter(self._due)))

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            try:
                await self._listen(self._take)
            except (OSError, ValueError) as error:
                log.debug("live stream: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _listen(self, take: Callable[[str, Any], None]) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=LIMIT)
        try:
            writer.write(
                f"GET /api/v1/live HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
                f"Authorization: Bearer {self._token}\r\nAccept: text/event-stream\r\n\r\n".encode()
            )
            kind = ""
            while line := await reader.readline():
                if line.startswith(b"event: "):
                    kind = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    take(kind, json.loads(line[6:]))
        finally:
            writer.close()

    def _take(self, kind: str, data: Any) -> None:
        if kind != "patch":
            return
        for tile in data["tiles"]:
            for vital, shown in tile["v"].items():
                keys = self._due.pop((tile["id"], vital, shown[2]), None)
                if keys:
                    self._tracker.reached("live", keys)
