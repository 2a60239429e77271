"""``hearthward rul`` from the command line."""

import csv
import io
from pathlib import Path

import pytest
from click.testing import CliRunner

from hearthward.app.cli import main
from tests.unit.cloud_ingest.device_health.engines import engine, lines


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text(lines(*(engine(n, 80 + 9 * n) for n in range(1, 9))))
    test.write_text(lines(engine(3, 110, cycles=70), engine(9, 110, cycles=105)))
    return str(train), str(test)


def test_one_line_a_unit_in_the_order_of_the_file(files: tuple[str, str], tmp_path: Path):
    out = tmp_path / "new" / "left.csv"
    result = CliRunner().invoke(main, ["rul", *files, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "2 units" in result.output
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["unit"] for row in rows] == ["3", "9"]
    assert list(rows[0]) == ["unit", "rul"]
    assert float(rows[0]["rul"]) > float(rows[1]["rul"]) >= 0


def test_what_it_learns_from_is_not_written_over(files: tuple[str, str]):
    before = [Path(name).read_bytes() for name in files]
    for more in (("--out", files[1]), ("--out", files[0]), ("--save", files[0])):
        result = CliRunner().invoke(main, ["rul", *files, *more])
        assert result.exit_code == 1
        assert "would be overwritten" in result.output
    assert [Path(name).read_bytes() for name in files] == before


def test_the_screen_gets_it_without_a_file(files: tuple[str, str]):
    result = CliRunner().invoke(main, ["rul", *files, "--band"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "unit,rul,low,high"
    assert len(result.output.splitlines()) == 3


def test_a_bad_line_is_told_and_nothing_is_written(files: tuple[str, str], tmp_path: Path):
    Path(files[1]).write_text("1 1 0 0\n")
    out = tmp_path / "left.csv"
    result = CliRunner().invoke(main, ["rul", *files, "--out", str(out)])
    assert result.exit_code == 1
    assert f"{files[1]}" in result.output
    assert "4 columns" in result.output
    assert not out.exists()


def test_what_was_learned_can_be_kept_and_used_again(files: tuple[str, str], tmp_path: Path):
    train, test = files
    saved = tmp_path / "pump.life"
    result = CliRunner().invoke(main, ["rul", train, "--save", str(saved)])
    assert result.exit_code == 0, result.output
    assert "learned from 8 units" in result.output
    again = CliRunner().invoke(main, ["rul", str(saved), test, "--band"])
    assert again.exit_code == 0, again.output
    assert (
        again.output.splitlines() == CliRunner().invoke(main, ["rul", *files, "--band"]).output.splitlines()
    )
    neither = CliRunner().invoke(main, ["rul", train])
    assert neither.exit_code == 2
    assert "--save" in neither.output
