"""The demo's account: what was sent, what the REST API gives back, which alarms, how fast."""

from __future__ import annotations

import asyncio
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from hearthward.app.player import EPOCH_NS
from hearthward.core.clock import SECOND, iso, parse_iso
from hearthward.core.errors import StoreUnavailable

__all__ = ["Api", "alarms_of", "books_balance", "stored_of"]

PAGE: Final = 5000
ALARMS: Final = 1000
TIMEOUT_S: Final = 30.0
Sums = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True, slots=True)
class Api:
    """The REST API of a running cloud, as anybody with a token sees it."""

    url: str
    token: str

    async def get(self, path: str, **query: str | int | None) -> Any:
        """GET as JSON. Raises StoreUnavailable with the server's own words."""
        return await asyncio.to_thread(self._get, path, {k: v for k, v in query.items() if v is not None})

    def _get(self, path: str, query: dict[str, str | int]) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {self.token}"})  # noqa: S310 - our own server's address
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - see above
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")[:300]
            msg = f"GET /api/v1/{path} answered {error.code}: {said}"
            raise StoreUnavailable(msg) from error
        except OSError as error:
            msg = f"GET /api/v1/{path} failed: {error}"
            raise StoreUnavailable(msg) from error


async def stored_of(api: Api, patients: dict[str, str], metrics: frozenset[str]) -> tuple[Sums, int]:
    """Patient's name -> metric -> count and sum, read page by page, and how many readings stand there twice.

    ``patients`` are names by id. A reading stands there twice when device, metric, measurement and value
    are the same.
    """
    out: Sums = {}
    twice = 0
    for patient, name in patients.items():
        values: defaultdict[str, list[float]] = defaultdict(list)
        start: str | None = None
        seen: set[tuple[Any, ...]] = set()
        while True:
            page = await api.get("readings", patient=patient, **{"from": start}, limit=PAGE)
            for item in page["items"]:
                if item["metric"] in metrics and item["value"] is not None:
                    values[item["metric"]].append(item["value"])
                    key = item["device"], item["metric"], item["group"], item["value"]
                    twice += key in seen
                    seen.add(key)
            start = page["next"]
            if start is None:
                break
        if values:
            out[name] = {
                metric: {"count": len(column), "sum": round(math.fsum(column), 6)}
                for metric, column in sorted(values.items())
            }
    return out, twice


async def alarms_of(
    api: Api, patients: dict[str, str], *, epoch: int = EPOCH_NS, worklist: bool = False
) -> list[dict[str, Any]]:
    """All alarms (or the worklist's entries), the first first; onset and end in seconds from ``epoch``."""
    alarms: dict[str, dict[str, Any]] = {}
    until: str | None = None
    while True:
        page = (await api.get("alarms", limit=ALARMS, to=until, worklist=str(worklist).lower()))["items"]
        fresh = [a for a in page if a["id"] not in alarms]
        alarms |= {a["id"]: a for a in fresh}
        if len(page) < ALARMS or not fresh:
            break
        until = iso(parse_iso(page[-1]["started"]) + 1000)
    rows = [
        {
            "id": a["id"],
            "patient": patients.get(a["patient"], a["patient"]),
            "rule": a["rule"],
            "priority": a["priority"],
            "onset": _seconds(a["onset"], epoch),
            "end": None if a["ended"] is None else _seconds(a["ended"], epoch),
        }
        for a in alarms.values()
    ]
    return sorted(rows, key=lambda r: (r["onset"], r["rule"], r["patient"]))


def _seconds(moment: str, epoch: int) -> float:
    return round((parse_iso(moment) - epoch) / SECOND, 3)


def books_balance(sent: Sums, stored: Sums) -> bool:
    """Whether count and sum agree everywhere (sums to a millionth)."""
    return sent.keys() == stored.keys() and all(
        sent[p].keys() == stored[p].keys()
        and all(
            sent[p][m]["count"] == stored[p][m]["count"]
            and math.isclose(sent[p][m]["sum"], stored[p][m]["sum"], abs_tol=1e-6)
            for m in sent[p]
        )
        for p in sent
    )
