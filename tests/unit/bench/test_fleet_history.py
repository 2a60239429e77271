"""The made-up history of devices that pictures are taken of goes by what the product keeps and finds."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from bench.fleet_history import WORN, fill_history
from cloud_ingest.device_health.asking import AskedFleet
from cloud_ingest.records import Records
from hearthward.core.clock import SystemClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Scope

SYSTEM = Scope.system("main")


def test_each_device_with_which_something_is_the_matter_has_its_finding(tmp_path: Path):
    records = Records.open(tmp_path / "records.db", clock=SystemClock(), ids=SeededIds(1))

    def furnish(session: Session) -> None:
        directory = records.directory(session)
        directory.gateways.create(SYSTEM, ident="gw-1")
        for n in range(WORN + 1):
            directory.devices.create(
                SYSTEM, gateway="gw-1", transport="ble", address=f"AA:{n:02}", ident=f"d{n:02}"
            )

    records.run_now(furnish)
    fill_history(tmp_path / "records.db")
    found, _ = records.read_now(lambda s: records.fleet(s).attention(SYSTEM, AskedFleet()))
    records.close_now()
    told = {line.finding.device: line.finding.kind for line in found}
    assert {"d03": "calibration", "d08": "battery", "d17": "link", "d21": "service"}.items() <= told.items()
