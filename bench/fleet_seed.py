"""What is known of a large hospital's devices: sums of 90 days, where each stands, findings, counts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from hearthward.core.clock import SECOND

__all__ = ["DAYS", "fill_fleet"]

DAYS: Final = 90
_DAY: Final = 86_400 * SECOND
_HOUR: Final = 3600 * SECOND
_FILLED: Final = (
    # seven devices of ten are in use on a day; here and there something is refused, late or in doubt
    """
    WITH RECURSIVE ago(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM ago WHERE n + 1 < :days),
      d(tenant, id, k) AS (SELECT tenant, id, CAST(substr(id, 5) AS INTEGER) FROM devices)
    INSERT INTO device_days (tenant, day, device, hours, used, span, stored, rejected, repeated, late,
      dropouts, signals)
    SELECT d.tenant, :today - n, d.id, 16777215, 24 - (n + k) % 5, 24, 20000 + k,
      CASE WHEN (n + k) % 30 = 0 THEN 700 ELSE 0 END, (n * k) % 3,
      CASE WHEN (n + k) % 40 = 0 THEN 3000 ELSE k % 9 END, (n + k) % 4,
      '{"battery": [24, 71.5, 70.0, 73.0, 70.0], "rssi": [900, -71.2, -88.0, -60.0, -70.0]}'
    FROM d CROSS JOIN ago WHERE (3 * n + k) % 10 < 7
    """,
    """
    WITH d(tenant, id, k) AS (SELECT tenant, id, CAST(substr(id, 5) AS INTEGER) FROM devices)
    INSERT INTO device_standings (tenant, device, state, cause, last_seen, backlog, firmware, rssi, battery,
      days_left, hours_of_use)
    SELECT tenant, id, CASE k % 9 WHEN 0 THEN 'offline' WHEN 1 THEN 'trouble' ELSE 'streaming' END,
      CASE k % 9 WHEN 0 THEN 'gateway_offline' WHEN 1 THEN 'link_lost' ELSE 'none' END, :now, 0, '1.2',
      -50.0 - k % 40, k % 101, k % 60, k
    FROM d
    """,
    """
    WITH d(tenant, id, k) AS (SELECT tenant, id, CAST(substr(id, 5) AS INTEGER) FROM devices)
    INSERT INTO device_findings (tenant, id, device, kind, about, evidence, confidence, proposed, text,
      opened, seen)
    SELECT tenant, 'fnd_' || id, id, CASE k % 3 WHEN 0 THEN 'battery' WHEN 1 THEN 'link' ELSE 'dropouts' END,
      '', '{"level": 12.0, "left": 3.0}', 0.9, :now + k * :an_hour,
      '{"en": "Battery at 12 %, lasts 3 days", "zh": "电池 12 %, 可用 3 天"}', :now - 24 * :an_hour, :now
    FROM d WHERE k % 20 = 0
    """,
    """
    WITH RECURSIVE ago(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM ago WHERE n + 1 < 24)
    INSERT INTO ledger_counts (tenant, hour, gateway, boot, device, kind, n)
    SELECT d.tenant, :hour - ago.n, d.gateway, 'bench', d.id, k.kind, 900
    FROM devices AS d CROSS JOIN ago
    CROSS JOIN (SELECT 'read' AS kind UNION SELECT 'accepted' UNION SELECT 'stored') AS k
    """,
)


async def fill_fleet(records: Records, now: int) -> None:
    """What rounds would have made of the devices that are there, up to ``now`` (UTC ns)."""
    known = {"days": DAYS, "today": now // _DAY, "now": now, "hour": now // _HOUR, "an_hour": _HOUR}

    def write(session: Session) -> None:
        for sql in _FILLED:
            statement = text(sql)
            names = statement.compile().params
            session.execute(statement, {name: known[name] for name in names})

    await records.run(write)
