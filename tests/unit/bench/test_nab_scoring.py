from __future__ import annotations

import math
import random

import pytest

from bench.nab import lofo, record_stack, windowed_gaussian
from bench.nab_data import Series, read_series
from bench.nab_scoring import NEVER, Labelled, best, deltas, normalised, probation, raw_at, worth
from bench.real_data import recordings

FILE = Labelled(1000, ((300, 399), (600, 649)))


def scores(*rows: int, count: int = FILE.rows) -> list[float]:
    return [1.0 if n in rows else 0.0 for n in range(count)]


def score(*rows: int) -> float:
    return normalised(raw_at([deltas(FILE, scores(*rows))], 0.5), [FILE])


def test_a_perfect_detector_has_100_and_one_that_finds_nothing_0():
    assert score(300, 600) == pytest.approx(100.0)
    assert score() == 0.0
    assert normalised(best([deltas(FILE, scores(300, 600))]).raw, [FILE]) == pytest.approx(100.0)
    assert best([deltas(FILE, scores())]).threshold == NEVER
    assert best([deltas(FILE, scores(500))]).raw == 0.0


def test_a_window_counts_once_by_its_earliest_detection():
    assert score(300, 301, 350, 399) == pytest.approx(50.0)
    assert score(350) < score(300)
    assert score(399) == pytest.approx(100 / 4 * (1 + (2 / (1 + math.exp(-0.05)) - 1) / math.tanh(2.5)))


def test_what_is_wrongly_detected_costs_less_close_behind_a_window():
    assert score(200) == pytest.approx(-100 * 0.11 / 4)
    assert worth(FILE, 620)[0] == 1
    assert worth(FILE, 900) == (-1, -0.11)
    assert worth(FILE, 400)[1] == pytest.approx(-0.11 * math.tanh(2.5 / 99))
    assert score(400) > score(450) > score(599)


def test_the_first_rows_do_not_count():
    assert (probation(1000), probation(5000), probation(16_000)) == (150, 750, 750)
    assert score(*range(150)) == 0.0
    assert score(150) < 0.0


def test_the_best_threshold_is_the_best_of_all():
    chance = random.Random(3)
    files = [Labelled(400, ((100, 139), (200, 239))), Labelled(300, ()), Labelled(500, ((400, 449),))]
    found = [[round(chance.random(), 2) for _ in range(f.rows)] for f in files]
    parts = [deltas(f, s) for f, s in zip(files, found, strict=True)]
    curve = best(parts)
    assert raw_at(parts, curve.threshold) == pytest.approx(curve.raw)
    assert all(raw_at(parts, n / 100) <= curve.raw + 1e-9 for n in range(101))


def test_a_score_is_needed_for_each_row():
    with pytest.raises(ValueError, match="3 scores for 1000 rows"):
        deltas(FILE, [0.0] * 3)


def made(folder: str, peak: float) -> Series:
    values = tuple(peak if n == 300 else n % 5 + 0.0 for n in range(1000))
    return Series(
        f"{folder}/x.csv", tuple(n * 60.0 for n in range(1000)), values, Labelled(1000, ((300, 399),))
    )


def test_a_folder_has_no_say_in_its_own_threshold():
    series = [made("a", 9.0), made("b", 50.0)]
    parts = [deltas(one.labelled, one.values) for one in series]
    assert normalised(best(parts).raw, [s.labelled for s in series]) == pytest.approx(100.0)
    assert normalised(lofo(series, parts), [s.labelled for s in series]) == pytest.approx(50.0)


def synthetic(seed: int, kind: str) -> Series:
    """Two weeks of a daily pattern at five minutes, with one anomaly of a kind on the eleventh day."""
    chance = random.Random(seed)
    values = []
    for n in range(4032):
        value = 10.0 * math.sin(2 * math.pi * n / 288) + chance.gauss(0, 1)
        if 2900 <= n < 3000:
            value = {"jump": value + 25.0, "flat": 0.0, "noise": value + chance.gauss(0, 12)}.get(kind, value)
        values.append(value)
    windows = ((2880, 3280),) if kind != "none" else ()
    return Series(
        f"{kind}/{seed}.csv", tuple(n * 300.0 for n in range(4032)), tuple(values), Labelled(4032, windows)
    )


def scored(series: list[Series]) -> tuple[float, float]:
    parts = [deltas(one.labelled, record_stack(one)) for one in series]
    labelled = [one.labelled for one in series]
    return normalised(best(parts).raw, labelled), normalised(raw_at(parts, 0.5), labelled)


PUBLISHED = {
    "realAdExchange/exchange-2_cpc_results.csv": -1.0,
    "realAdExchange/exchange-2_cpm_results.csv": -2.0,
    "realAdExchange/exchange-3_cpc_results.csv": 2.5026632611866138,
    "realAdExchange/exchange-3_cpm_results.csv": 0.862098587352162,
    "realAdExchange/exchange-4_cpc_results.csv": 0.2922884634276035,
    "realAdExchange/exchange-4_cpm_results.csv": 1.274710362684976,
    "realAWSCloudwatch/ec2_cpu_utilization_24ae8d.csv": -1.266678759349383,
    "realAWSCloudwatch/ec2_cpu_utilization_c6585a.csv": -1.32,
    "realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv": -0.13844919792440225,
}
"""Raw scores at a threshold of 1 in the benchmark's own ``windowedGaussian_standard_scores.csv``."""


def test_the_scoring_is_the_benchmarks_own():
    folder = recordings("nab")
    if folder is None:
        pytest.skip("the benchmark's files are not here: set HEARTHWARD_DATA")
    found = {}
    for one in read_series(folder, PUBLISHED):
        gained = raw_at([deltas(one.labelled, windowed_gaussian(one))], 1.0)
        found[one.name] = gained - len(one.labelled.windows)
    assert found == pytest.approx(PUBLISHED, abs=1e-9)


def test_the_record_stack_on_made_series():
    series = [synthetic(seed, kind) for seed, kind in enumerate(("jump", "flat", "noise", "none"))]
    standard, as_shipped = scored(series)
    assert standard > 85.0
    assert as_shipped > 70.0


def test_the_record_stack_on_the_benchmark():
    folder = recordings("nab")
    if folder is None:
        pytest.skip("the benchmark's files are not here: set HEARTHWARD_DATA")
    standard, as_shipped = scored(read_series(folder))
    assert standard > 72.0
    assert as_shipped > 70.0
