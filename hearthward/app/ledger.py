"""The loss ledger for the command line: asked of the running cloud, or of its records when none runs.

The lock on the cloud's folder decides, as for ``hearthward users``. Writing off is audited both ways.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from cloud_ingest.balance import AskedLedger
from cloud_ingest.records import Records, RecordsAuditLog
from dashboards.ledger_models import LedgerView, asked_of
from hearthward.app.desk import must_have_records, records_opened, taken
from hearthward.app.rest import Rest
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from hearthward.trust.access import Action, Scope
from hearthward.trust.audit import AuditEvent

__all__ = ["csv_text", "ledger_text", "show_ledger", "write_off"]

API: Final = "/api/v1/ledger"
ACTOR: Final = "command-line"
COLUMNS: Final = (
    ("READ", "read"),
    ("REFUSED THERE", "rejected_at_gateway"),
    ("ACCEPTED", "accepted"),
    ("DROPPED", "dropped"),
    ("WAITING", "waiting"),
    ("SENT", "sent"),
    ("STORED", "stored"),
    ("LATE", "late"),
    ("BEFORE", "duplicate"),
    ("REJECTED", "rejected"),
    ("BALANCE", "balance"),
)
_KEYS: Final = ("gateway", "device", "hour")


async def show_ledger(
    settings: Settings,
    *,
    gateway: str | None,
    device: str | None,
    since: str,
    by: str | None,
    shape: str | None,
) -> tuple[str, bool]:
    """The ledger as text (or JSON, CSV), and whether readings are missing. Raises HearthwardError."""
    async with _desk(settings) as desk:
        found = await desk.ledger(since, by or "", gateway, device)
    missing = bool(found["total"]["missing"] or any(box["unaccounted"] for box in found["outboxes"]))
    if shape == "json":
        return json.dumps(found, ensure_ascii=False, indent=2), missing
    return csv_text(found).rstrip("\n") if shape == "csv" else ledger_text(found), missing


async def write_off(settings: Settings, gateway: str, boot: str, reason: str) -> str:
    """Close the books on an outbox. Raises HearthwardError."""
    async with _desk(settings) as desk:
        numbers = await desk.write_off(gateway, boot, reason)
    return f"written off of outbox {boot} of gateway {gateway}: {numbers:,}"


class _Desk(Protocol):
    """Where the ledger is kept."""

    async def ledger(self, since: str, by: str, gateway: str | None, device: str | None) -> Mapping[str, Any]:
        """As the API has it."""
        ...

    async def write_off(self, gateway: str, boot: str, reason: str) -> int:
        """How many were written off."""
        ...


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[_Desk]:
    """Take the folder if it is free, else go to who has it."""
    must_have_records(settings, "no readings were ever taken here")
    tenant = settings.cloud.tenant
    with taken(settings) as rest:
        if rest is not None:
            yield _Running(rest)
            return
        async with records_opened(settings.data / "cloud", tenant) as records:
            yield _Kept(records, tenant)


class _Kept:
    """The ledger when no cloud runs."""

    def __init__(self, records: Records, tenant: str) -> None:
        self._records, self._scope = records, Scope.system(tenant)

    async def ledger(self, since: str, by: str, gateway: str | None, device: str | None) -> Mapping[str, Any]:
        """See _Desk."""
        asked = self._asked(since, by, gateway, device)
        report = await self._records.read(lambda s: self._records.ledger(s).report(self._scope, asked))
        shown: Mapping[str, Any] = LedgerView.of(report).model_dump(mode="json")
        return shown

    def _asked(self, since: str, by: str, gateway: str | None, device: str | None) -> AskedLedger:
        try:
            return asked_of(since, self._records.clock.now_ns(), by=by, gateway=gateway, device=device)
        except ValueError as error:
            msg = f"--since: {error}"
            raise ConfigError(msg, field="since") from error

    async def write_off(self, gateway: str, boot: str, reason: str) -> int:
        """See _Desk."""
        row = await self._records.run(
            lambda s: self._records.ledger(s).write_off(self._scope, gateway, boot, reason, by=ACTOR)
        )
        event = AuditEvent(
            at=self._records.wall.now_ns(),
            tenant=self._scope.tenant,
            actor=ACTOR,
            action=Action.MANAGE_DEVICES,
            resource_kind="ledger",
            resource_id=gateway,
            detail={
                "do": "write_off",
                "boot": boot,
                "numbers": row.numbers,
                "reason": row.reason,
                "id": row.id,
            },
        )
        await RecordsAuditLog(self._records).append(event)
        return row.numbers


class _Running:
    """The ledger of a running cloud, over its REST API."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def ledger(self, since: str, by: str, gateway: str | None, device: str | None) -> Mapping[str, Any]:
        """See _Desk."""
        given = {"since": since, "by": by, "gateway": gateway, "device": device}
        query = urlencode({name: value for name, value in given.items() if value})
        return await self._rest.ask("GET", f"{API}?{query}", _checked)

    async def write_off(self, gateway: str, boot: str, reason: str) -> int:
        """See _Desk."""
        body = {"gateway": gateway, "boot": boot, "reason": reason}
        return await self._rest.ask("POST", f"{API}/write-offs", lambda a: int(a["numbers"]), body)


def _checked(answer: Any) -> Mapping[str, Any]:
    """What another version answers may lack something."""
    shown: Mapping[str, Any] = LedgerView.model_validate(answer).model_dump(mode="json")
    return shown


def ledger_text(found: Mapping[str, Any]) -> str:
    """The ledger for people: the sentence, the lines, and outboxes that do not balance."""
    return "\n".join(_lines(found))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield found["text"]["en"]
    if found["lines"]:
        yield ""
        rows = [_row(_name(line), line["figures"]) for line in found["lines"]]
        yield from _table(
            [(found["by"].upper(), *(title for title, _ in COLUMNS)), *rows, _row("all", found["total"])]
        )
    open_ = [box for box in found["outboxes"] if box["unaccounted"]]
    for box in open_:
        state = "replaced" if box["state"] == "replaced" else "in use"
        yield ""
        yield (
            f"outbox {box['boot']} of {box['gateway']} ({state}): of {box['numbers']:,} numbers given out "
            f"{box['committed']:,} are committed, {box['dropped']:,} declared lost, {box['waiting']:,} wait; "
            f"{box['unaccounted']:,} are unaccounted for"
        )
    if open_:
        yield ""
        yield "where nothing more will come: hearthward ledger write-off GATEWAY OUTBOX --reason WHY"


def _name(line: Mapping[str, Any]) -> str:
    if line["hour"] is not None:
        return str(line["hour"])
    if line["device"] is not None:
        return str(line["device"]) or "(no device)"
    return str(line["gateway"])


def _row(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    return name, *(_cell(key, figures) for _, key in COLUMNS)


def _cell(key: str, figures: Mapping[str, Any]) -> str:
    value = figures[key]
    if key == "balance":
        n = figures.get(value)
        text = f"{n:,} {value}" if isinstance(n, int) and value != "unknown" else str(value)
        return f"{text}, {figures['untold']:,} not told yet" if figures["untold"] else text
    if isinstance(value, dict):
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in value.items())
        return f"{sum(value.values()):,} ({reasons})" if value else "0"
    return "-" if value is None else f"{value:,}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def csv_text(found: Mapping[str, Any]) -> str:
    """The lines as CSV, with a header; reasons stand in columns of their own."""
    dicts = ("rejected_at_gateway", "dropped", "rejected")
    plain = [key for key, value in found["total"].items() if key not in dicts]
    reasons = [
        (kind, reason)
        for kind in dicts
        for reason in sorted({r for line in found["lines"] for r in line["figures"][kind]})
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_KEYS, *plain, *(f"{kind}:{reason}" for kind, reason in reasons)])
    for line in found["lines"]:
        figures = line["figures"]
        writer.writerow(
            [
                *(_safe(line[key]) for key in _KEYS),
                *("" if figures[key] is None else figures[key] for key in plain),
                *(figures[kind].get(reason, 0) for kind, reason in reasons),
            ]
        )
    return out.getvalue()


def _safe(value: object) -> str:
    """No spreadsheet takes it for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
