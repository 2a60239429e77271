"""Training on made-up stays: repeatable, the same online as offline, and nothing peeked at."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from bench import deterioration_fit as fitting
from bench import train_deterioration
from bench.deterioration import _episodes, _limit
from bench.icu_stays import acvpu, read_stays
from bench.real_data import recordings
from bench.train_deterioration import difference
from rules.models.deterioration import ALERT_FILE, PLAIN_FILE
from tests.unit.rules.models.courses import HOUR, course_of, stay

STAYS = [stay(n, died=n % 3 == 0) for n in range(30)]
DIED = np.array([s.died for s in STAYS])


@pytest.fixture(scope="module")
def table() -> fitting.Table:
    return fitting.table_of(STAYS, conscious=True, hours=(6, 24, 48))


LEARNED = np.arange(21)


@pytest.fixture(scope="module")
def _quick() -> Iterator[None]:
    few = ({"max_leaf_nodes": 3, "max_iter": 3}, {"max_leaf_nodes": 4, "max_iter": 2})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "GRID", few)
        patch.setitem(fitting._COMMON, "min_samples_leaf", 5)
        yield


@pytest.fixture(scope="module")
def fitted(table: fitting.Table, _quick: None) -> fitting.Fitted:
    return fitting.fit(table, LEARNED, DIED[LEARNED])


def test_offline_rows_are_what_is_seen_online(table: fitting.Table):
    at_end = table.at((48,))
    row = at_end.x[list(at_end.stay).index(3)]
    assert list(row) == pytest.approx(course_of(STAYS[3]).features(48 * HOUR, conscious=True), nan_ok=True)


def test_ours_is_the_librarys(table: fitting.Table, fitted: fitting.Fitted):
    assert len(fitted.trees.trees) in {2, 3}
    assert any(len(tree) > 1 for tree in fitted.trees.trees)
    assert difference(fitted.trees, fitted, table) < 1e-6


@pytest.mark.usefixtures("_quick")
def test_the_same_stays_give_the_same_model_whatever_becomes_of_who_is_held_out(
    table: fitting.Table, fitted: fitting.Fitted
):
    held = np.isin(table.stay, LEARNED, invert=True)
    turned = replace(table, died=np.where(held, 1 - table.died, table.died))
    again = fitting.fit(turned, LEARNED, DIED[LEARNED])
    assert again.trees.to_json() == fitted.trees.to_json()
    assert np.isnan(fitted.inner[held]).all()
    other = np.where(np.isin(np.arange(len(DIED)), LEARNED), DIED, ~DIED)
    assert _limit(turned, again, LEARNED, other) == _limit(table, fitted, LEARNED, DIED)


def test_a_fit_takes_one_thread(table: fitting.Table, monkeypatch: pytest.MonkeyPatch):
    """More of them wait for each other: a fit of some milliseconds then takes seconds of two cores."""
    from threadpoolctl import threadpool_info

    seen = []

    def look(*_: Any) -> None:
        seen.append({pool["num_threads"] for pool in threadpool_info()})
        raise LookupError

    monkeypatch.setattr(fitting, "boosted", look)
    with pytest.raises(LookupError):
        fitting.fit(table, LEARNED, DIED[LEARNED])
    assert seen == [{1}]


def recorded(folder: Path) -> Path:
    """Some of the made-up stays in the format of the challenge."""
    folder.mkdir()
    ends = "".join(f"{s.ident},{int(s.died)}\n" for s in STAYS[:15])
    (folder / "set-a-outcomes.csv").write_text(f"RecordID,In-hospital_death\n{ends}")
    scale = {0.0: 15, 3.0: 5}
    rows = [
        (t, s.ident, "gcs", scale[v]) if m == "consciousness" else (t, s.ident, m, v)
        for s in STAYS[:15]
        for t, m, v in s.readings
    ]
    with gzip.open(folder / "set-a.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerows([("time", "patient", "metric", "value"), *rows])
    return folder


@pytest.mark.usefixtures("_quick")
def test_files_can_be_checked_for_being_what_training_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    folder = recorded(tmp_path / "set")
    monkeypatch.setattr(train_deterioration, "recordings", lambda _: folder)
    monkeypatch.setattr(train_deterioration, "table_of", partial(fitting.table_of, hours=(6, 24, 48)))
    at = ["--out", str(tmp_path)]
    assert train_deterioration.main(at) == 0
    assert (tmp_path / ALERT_FILE).is_file()
    assert train_deterioration.main([*at, "--check"]) == 0
    written = (tmp_path / PLAIN_FILE).read_text()
    (tmp_path / PLAIN_FILE).write_text(written.replace("1", "2", 1))
    assert train_deterioration.main([*at, "--check"]) == 1
    assert capsys.readouterr().err.endswith(f"not what training writes today: {tmp_path / PLAIN_FILE}\n")


@pytest.mark.timeout(1800)
def test_the_shipped_files_are_what_training_writes_today():
    if recordings("cinc2012") is None:
        pytest.skip("the recordings are not here: set HEARTHWARD_DATA")
    if not os.environ.get("HEARTHWARD_TRAINING"):
        pytest.skip("it takes a minute of CPU: set HEARTHWARD_TRAINING=1")
    assert train_deterioration.main(["--check"]) == 0


def test_alarms_are_counted_with_their_hysteresis(table: fitting.Table):
    part = table.of(np.array([0, 1]))
    assert list(part.stay) == [0, 0, 0, 1, 1, 1]
    assert list(_episodes(part, [1.0, 0.8, 1.0, 1.0, 0.4, 1.0], 1.0, 0.5, 2)) == [1, 2]


@pytest.mark.parametrize(("gcs", "code"), [(15, 0), (14, 1), (12, 2), (8, 3), (3, 4)])
def test_the_coma_scale_is_told_as_acvpu(gcs: float, code: float):
    assert acvpu(gcs) == code


def test_what_is_no_vital_sign_is_counted(tmp_path: Path):
    (tmp_path / "set-a-outcomes.csv").write_text("RecordID,In-hospital_death\n2,1\n1,0\n")
    rows = [
        (60, 1, "gcs", 14),
        (0, 1, "fio2", 0.4),
        (0, 1, "heart_rate", 80),
        (5, 1, "gcs", 0),
        (9, 1, "ph", 7),
    ]
    with gzip.open(tmp_path / "set-a.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerows([("time", "patient", "metric", "value"), *rows])
    found = read_stays(tmp_path)
    assert [(s.ident, s.died) for s in found.stays] == [("1", False), ("2", True)]
    assert found.stays[0].readings == [(0.0, "heart_rate", 80.0), (60.0, "consciousness", 1.0)]
    assert found.stays[0].oxygen == [(0.0, 1.0)]
    assert (found.rows, found.others) == (5, {"gcs": 2, "fio2": 1, "ph": 1})
