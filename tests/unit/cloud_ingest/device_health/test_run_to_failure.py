"""Files in the format of C-MAPSS, good and bad."""

import gzip
from pathlib import Path

import pytest

from cloud_ingest.device_health.run_to_failure import read_runs
from hearthward.core.errors import ConfigError
from tests.unit.cloud_ingest.device_health.engines import engine, lines


@pytest.mark.parametrize("packed", [False, True])
def test_units_come_in_order_with_all_their_cycles(tmp_path: Path, *, packed: bool):
    text = lines(engine(1, 30), engine(2, 20)).encode()
    (tmp_path / "runs.txt").write_bytes(gzip.compress(text) if packed else text)
    first, second = read_runs(tmp_path / "runs.txt")
    assert (first.unit, len(first), second.unit, len(second)) == (1, 30, 2, 20)
    assert first.sensors[29][1] == pytest.approx(engine(1, 30).sensors[29][1], abs=1e-6)
    assert len(first.until(7)) == 7


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("1 1 2 3", 1, "4 columns instead of 26"),
        ("1 1" + " 0" * 23 + " x", 1, "column 26 is no number: 'x'"),
        ("1 1" + " 0" * 23 + " inf", 1, "column 26 is no number"),
        ("1 2" + " 0" * 24, 1, "unit 1 has cycle 2 after cycle 0"),
        ("1.5 1" + " 0" * 24, 1, "whole numbers"),
        ("\n".join(f"{u} {c}" + " 0" * 24 for u, c in [(1, 1), (2, 1), (1, 2)]), 3, "sort by unit"),
    ],
    ids=["columns", "text", "infinite", "gap", "fraction", "order"],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, said: str):
    file = tmp_path / "runs.txt"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_runs(file)
    assert caught.value.file == str(file)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "delimiter", [",", ";", "\t", ", "], ids=["comma", "semicolon", "tab", "comma space"]
)
@pytest.mark.parametrize("named", [False, True])
def test_a_table_of_a_spreadsheet_is_read_as_the_sets_own(tmp_path: Path, delimiter: str, *, named: bool):
    own = lines(engine(1, 30), engine(2, 20))
    (tmp_path / "runs.txt").write_text(own)
    names = ["unit", "cycle", *(f"c{n}" for n in range(24))]
    rows = [*([names] if named else []), *(line.split() for line in own.splitlines())]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    (tmp_path / "runs.csv").write_bytes(text.encode())
    assert read_runs(tmp_path / "runs.csv") == read_runs(tmp_path / "runs.txt")


def test_names_further_down_or_of_other_columns_are_refused(tmp_path: Path):
    names = ",".join(f"c{n}" for n in range(26))
    numbers = "1,1" + ",0" * 24
    for text, line in ((f"{numbers}\n{names}\n", 2), (f"{names},more\n{numbers}\n", 1)):
        (tmp_path / "runs.csv").write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_runs(tmp_path / "runs.csv")
        assert caught.value.line == line


def test_nothing_and_damage_are_said(tmp_path: Path):
    (tmp_path / "empty").write_text("\n \n")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(lines(engine(1, 30)).encode())[:-9])
    for name, said in (("empty", "no line"), ("cut.gz", "damaged"), ("missing", "No such file")):
        with pytest.raises(ConfigError, match=said):
            read_runs(tmp_path / name)
