"""Hours of use in the records: as pure counting has them, and beyond the days that are kept."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from cloud_ingest.device_health.hours import used_since
from cloud_ingest.device_health.kept_days import row_of_day
from cloud_ingest.device_health.sums import DAY_NS, KEPT_DAYS, DaySums, day_of
from cloud_ingest.records import Records
from cloud_ingest.records import fleet_hours as hours
from cloud_ingest.records.models import DeviceDay
from hearthward.core.errors import ConfigError

from .conftest import START, SYSTEM

TODAY = day_of(START)
DEVICE = "d-w1"
pytestmark = pytest.mark.usefixtures("furnished")


def keep(records: Records, days: Iterable[DaySums]) -> None:
    rows = [DeviceDay(**row_of_day("main", day)) for day in days]
    records.run_now(lambda s: s.add_all(rows))


def served(records: Records, serviced: int | None, every: int | None = None) -> None:
    records.run_now(lambda s: records.fleet(s).serve(SYSTEM, DEVICE, serviced, every, "u"))


def since(records: Records) -> tuple[int, int, int | None]:
    """Hours since the service, since the calibration (None: there is none), ever."""

    def read(session: object) -> tuple[int, int, int | None]:
        service = hours.services_of(session, "main", [DEVICE])[DEVICE]  # type: ignore[arg-type]
        calibration = hours.calibrations_of(session, "main", [DEVICE]).get(DEVICE)  # type: ignore[arg-type]
        ever = hours.hours_ever(session, "main", [DEVICE]).get(DEVICE, 0)  # type: ignore[arg-type]
        return service.used, ever, None if calibration is None else calibration.used

    return records.read_now(read)


def test_the_database_counts_as_the_pure_function_does(records: Records):
    chance = random.Random(3)
    days = [DaySums(DEVICE, TODAY - ago, hours=chance.getrandbits(24)) for ago in range(0, 30, 2)]
    keep(records, [*days, DaySums("other", TODAY, hours=7)])
    ever = used_since(days, None)
    assert since(records) == (ever, ever, None)
    for _ in range(20):
        done = START - chance.randrange(31 * DAY_NS)
        served(records, done)
        records.run_now(lambda s, at=done: records.fleet(s).calibrate(SYSTEM, DEVICE, at, 365, "u", 500))  # type: ignore[misc]
        counted = used_since(days, done)
        assert since(records) == (counted, ever, counted)


def test_hours_of_days_that_are_kept_no_longer_go_on_counting(records: Records):
    first = TODAY - KEPT_DAYS
    keep(records, [DaySums(DEVICE, first + n, hours=0b1111) for n in range(4)])
    keep(records, [DaySums("d-w2", first, hours=0b11)])
    served(records, (first + 1) * DAY_NS)  # at the beginning of the second day: its first hour is before
    records.run_now(
        lambda s: records.fleet(s).calibrate(SYSTEM, DEVICE, (first + 2) * DAY_NS - 1, 3650, "u", 9000)
    )
    assert since(records) == (11, 16, 8)
    for gone in range(5):
        records.run_now(lambda s, n=gone: hours.prune_days(s, "main", START + n * DAY_NS))  # type: ignore[misc]
        records.run_now(lambda s, n=gone: hours.prune_days(s, "main", START + n * DAY_NS))  # type: ignore[misc]
        used, ever, calibrated = since(records)
        assert (ever, calibrated) == (16, 8)
        assert used in {11, 8}  # of the day of the service itself nothing is counted once it is gone
    kept = records.read_now(lambda s: s.query(DeviceDay).count())
    assert kept == 0
    assert records.read_now(lambda s: hours.hours_ever(s, "main", ["d-w2"])) == {"d-w2": 2}
    served(records, START - 1)
    assert since(records)[:2] == (0, 16)
    served(records, None)
    assert since(records)[:2] == (16, 16)
    served(records, (first - 9) * DAY_NS)  # before all that is kept: nobody knows better than all of them
    assert since(records)[:2] == (16, 16)


def test_a_new_interval_leaves_the_counter_as_it_is(records: Records):
    served(records, START - DAY_NS, 500)
    keep(records, [DaySums(DEVICE, TODAY, hours=0b111)])
    before = since(records)[0]
    served(records, START - DAY_NS, 600)
    assert since(records)[0] == before > 0


@pytest.mark.parametrize(
    ("serviced", "every", "field"), [(START + 1, 5, "serviced"), (None, 0, "every_hours")]
)
def test_what_cannot_be_is_refused(records: Records, serviced: int | None, every: int, field: str):
    with pytest.raises(ConfigError) as caught:
        served(records, serviced, every)
    assert caught.value.details["field"] == field
