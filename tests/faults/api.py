"""The cloud's REST API, asked as a ward's own program would ask: with the token of its folder."""

from __future__ import annotations

import asyncio
import http.client
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

__all__ = ["Away", "Rest"]

TIMEOUT_S: Final = 10.0
PAGE: Final = 10_000


class Away(Exception):
    """Nobody answers, or not as hoped; ask again later."""


class Rest:
    """Finds address and token anew for each connection: the cloud has new ones after each start."""

    def __init__(self, folder: Path) -> None:
        self._token = folder / "token"
        self._connection: http.client.HTTPConnection | None = None
        self._header: dict[str, str] = {}
        self._one = asyncio.Lock()

    async def get(self, path: str, query: list[tuple[str, Any]] | None = None) -> Any:
        """GET as JSON; a path that begins with a slash is none of the API's and gives text. Raises Away."""
        async with self._one:
            return await asyncio.to_thread(self._get, path, query or [])

    async def readings(self, devices: list[str], since: str) -> list[dict[str, Any]]:
        """All readings of the devices measured since then (ISO 8601). Raises Away."""
        items: list[dict[str, Any]] = []
        start: str | None = since
        while start is not None:
            query = [*(("device", d) for d in devices), ("from", start), ("limit", PAGE)]
            page = await self.get("readings", query)
            items += page["items"]
            start = page["next"]
        return items

    async def alarms(self, rule: str, patient: str | None = None) -> list[dict[str, Any]]:
        """All alarms and worklist entries of a rule. Raises Away."""
        items: list[dict[str, Any]] = []
        before: str | None = None
        while True:
            query: list[tuple[str, Any]] = [("rule", rule), ("limit", 1000)]
            query += [("patient", patient)] if patient else []
            page = await self.get("alarms", query + ([("before", before)] if before else []))
            items += page["items"]
            before = page["next"]
            if before is None:
                return items

    async def counter(self, name: str) -> float:
        """The sum of one of the cloud's counters. Raises Away."""
        text = await self.get("/metrics")
        rows = (line.rpartition(" ") for line in text.splitlines() if line.startswith(name))
        return sum(float(value) for _, _, value in rows)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _get(self, path: str, query: list[tuple[str, Any]]) -> Any:
        try:
            if self._connection is None:
                owner = json.loads(self._token.read_text())
                where = urlsplit(owner["url"])
                self._connection = http.client.HTTPConnection(
                    str(where.hostname), where.port, timeout=TIMEOUT_S
                )
                self._header = {"Authorization": f"Bearer {owner['token']}"}
            where_to = path if path.startswith("/") else f"/api/v1/{path}?{urlencode(query)}"
            self._connection.request("GET", where_to, headers=self._header)
            answer = self._connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.OK:
                msg = f"GET {path} answered {answer.status}: {body[:300]!r}"
                raise Away(msg)
            return body.decode() if path.startswith("/") else json.loads(body)
        except (OSError, ValueError, http.client.HTTPException, Away) as error:
            self.close()
            raise Away(str(error)) from error
