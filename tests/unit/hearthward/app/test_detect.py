from __future__ import annotations

import csv
import gzip
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from hearthward.app.cli import main
from hearthward.app.detect import seconds
from rules.detectors import RecordStack

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def lines(count: int = 80, peak: int = 60) -> list[str]:
    return [
        f"{BEGIN + timedelta(minutes=n):%Y-%m-%d %H:%M:%S},{120.0 if n == peak else 80 + n % 5},p{n}"
        for n in range(count)
    ]


def detect(path: Path, *more: str, time: str = "timestamp", value: str = "value"):
    return CliRunner().invoke(main, ["detect", str(path), "--time", time, "--value", value, *more])


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def scores(text: str) -> list[str]:
    return [row["score"] for row in csv.DictReader(io.StringIO(text))]


def good(tmp_path: Path, **more: int) -> Path:
    return table(tmp_path / "in.csv", "\n".join(["timestamp,value,who", *lines(**more)]) + "\n")


def test_each_row_gets_the_score_that_the_detector_gives_it(tmp_path: Path):
    path = good(tmp_path)
    done = detect(path)
    assert done.exit_code == 0
    stack = RecordStack()
    expected = [
        str(stack.update((BEGIN + timedelta(minutes=n)).timestamp(), 120.0 if n == 60 else 80.0 + n % 5))
        for n in range(80)
    ]
    assert scores(done.stdout) == expected
    assert float(expected[60]) > 0.5
    assert done.stderr == "80 of 80 rows scored\n"
    assert [line.rpartition(",")[0] for line in done.stdout.splitlines()] == path.read_text().splitlines()


def test_a_packed_table_is_scored_as_the_plain_one(tmp_path: Path):
    plain = good(tmp_path)
    packed = gzip.compress(plain.read_bytes())
    done = detect(table(tmp_path / "in.csv.gz", packed))
    assert done.exit_code == 0
    assert done.stdout == detect(plain).stdout
    for broken in (packed[:-20], packed[:40] + bytes(30) + packed[70:]):
        refused = detect(table(tmp_path / "broken.csv.gz", broken))
        assert refused.exit_code == 1
        assert "broken.csv.gz: is a gzip file that is" in refused.stderr
        assert not refused.stdout


def test_no_row_sees_a_later_one(tmp_path: Path):
    whole = scores(detect(good(tmp_path)).stdout)
    for count in (1, 30, 61):
        assert scores(detect(good(tmp_path, count=count)).stdout) == whole[:count]


def test_out_is_written_whole_and_nothing_goes_to_the_standard_output(tmp_path: Path):
    out = tmp_path / "deep" / "out.csv"
    done = detect(good(tmp_path), "--out", str(out))
    assert (done.exit_code, done.stdout) == (0, "")
    assert len(scores(out.read_text())) == 80
    assert [p.name for p in out.parent.iterdir()] == ["out.csv"]


def test_the_table_itself_is_not_written_over(tmp_path: Path):
    path = good(tmp_path)
    before = path.read_bytes()
    done = detect(path, "--out", str(path))
    assert done.exit_code == 1
    assert f"{path}: is read here and would be overwritten" in done.stderr
    assert path.read_bytes() == before


def test_rows_that_cannot_be_read_stay_without_a_score_and_are_told(tmp_path: Path):
    rows = lines()
    rows[10] = "2026-03-01 00:10:00,n/a,x"
    rows[11] = "yesterday,80,x"
    rows[12] = "2026-03-01 00:12:00"
    rows[13] = "2026-03-01 00:13:00,80,x,y"
    rows[14] = "2026-03-01 00:14:00,1e300,x"
    rows[15] = "2026-03-01 00:15:00,nan,x"
    rows.insert(20, "")
    path = table(tmp_path / "in.csv", "\n".join(["timestamp,value,who", *rows]) + "\n")
    done = detect(path)
    assert done.exit_code == 0
    found = done.stdout.splitlines()
    assert [line for line in found if line.endswith(",") or line == ""] == [
        "2026-03-01 00:10:00,n/a,x,",
        "yesterday,80,x,",
        "2026-03-01 00:12:00,,,",
        "2026-03-01 00:13:00,80,x,y,",
        "2026-03-01 00:14:00,1e300,x,",
        "2026-03-01 00:15:00,nan,x,",
        "",
    ]
    assert len(found) == 82
    assert "74 of 80 rows scored; 6 could not be read and have no score" in done.stderr
    assert "the first is row 12: 'n/a' is no number" in done.stderr
    scored_without = [line for n, line in enumerate(rows) if not (10 <= n <= 15 or n == 20)]
    other = table(tmp_path / "b.csv", "\n".join(["timestamp,value,who", *scored_without]))
    assert [s for s in scores(done.stdout) if s not in {"", "y"}] == scores(detect(other).stdout)


def test_a_table_with_the_newest_row_on_top_is_told(tmp_path: Path):
    path = table(tmp_path / "in.csv", "\n".join(["timestamp,value,who", *reversed(lines())]) + "\n")
    done = detect(path)
    assert done.exit_code == 0
    assert "79 are dated before the row above them: sort the table" in done.stderr


def test_a_table_of_a_spreadsheet_keeps_its_mark_its_line_ends_and_its_bytes(tmp_path: Path):
    text = "\r\n".join(["Zeit;Wert;Name", *(line.replace(",", ";") for line in lines(3))]) + "\r\n"
    data = b"\xef\xbb\xbf" + text.encode() + b'2026-03-01;80;M\xfcller, ""J\r\n'
    out = tmp_path / "out.csv"
    done = detect(table(tmp_path / "in.csv", data), "--out", str(out), time="Zeit", value="Wert")
    assert done.exit_code == 0
    found = out.read_bytes()
    assert found.startswith(b"\xef\xbb\xbfZeit;Wert;Name;score\r\n")
    assert b"M\xfcller" in found
    assert found.count(b"\r\n") == found.count(b"\n") == 5


def test_spaces_round_the_names_of_columns_are_none_of_their_names(tmp_path: Path):
    done = detect(table(tmp_path / "in.csv", "who, timestamp , value\na, 2026-03-01 00:00:00, 80\n"))
    assert done.stdout == "who, timestamp , value,score\na, 2026-03-01 00:00:00, 80,0.0\n"


def test_a_quoted_field_may_have_line_ends(tmp_path: Path):
    text = 'note,timestamp,value\n"a,\nb",2026-03-01T00:00:00Z,80\n,2026-03-01T00:01:00+00:00,81\n'
    done = detect(table(tmp_path / "in.csv", text))
    assert done.stdout == text.replace("value\n", "value,score\n").replace("80\n", "80,0.0\n").replace(
        "81\n", "81,0.0\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01 00:00:00", 1772323200.0),
        ("2026-03-01T00:00:00.5", 1772323200.5),
        ("2026-03-01T01:00:00+01:00", 1772323200.0),
        ("2026-03-01T00:00:00Z", 1772323200.0),
        ("2026-03-01 00:00:00 UTC", 1772323200.0),
        (" 1772323200 ", 1772323200.0),
        ("1772323200000", 1772323200.0),
        ("1772323200000000", 1772323200.0),
        ("1772323200000000000", 1772323200.0),
        ("12.5", 12.5),
        ("-3", -3.0),
    ],
)
def test_times_in_many_shapes(text: str, expected: float):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "nan", "inf", "noon", "2026-13-01", "UTC", "2026-03-01 00:00:00 CET"])
def test_what_is_no_time(text: str):
    with pytest.raises(ValueError, match=r".+"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n1,2\n", "has no column 'timestamp'; its columns are a, b"),
        ("timestamp,b\n1,2\n", "has no column 'value'"),
        ("timestamp,value,score\n1,2,3\n", "has a column 'score' already"),
        ("timestamp,value,value\n1,2,3\n", "has 2 columns 'value'"),
        ("timestamp,value\n", "no row that can be read (it has a header only)"),
        ("timestamp,value\n1,x\n", "no row that can be read (row 2: 'x' is no number"),
        (b"\xff\xfet\0i\0m\0e\0", "save it as CSV UTF-8"),
        ("timestamp,value\n1,2\n2," + "x" * 200_000 + "\n", "cannot be read as CSV"),
    ],
    ids=["empty", "blank", "time", "value", "scored", "twice", "header", "unreadable", "utf-16", "huge"],
)
def test_a_table_that_cannot_be_scored_says_why_and_leaves_nothing(
    tmp_path: Path, text: str | bytes, says: str
):
    out = tmp_path / "out.csv"
    out.write_text("before")
    done = detect(table(tmp_path / "in.csv", text), "--out", str(out))
    assert done.exit_code == 1
    assert says in done.stderr
    assert "in.csv" in done.stderr
    assert out.read_text() == "before"


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path):
    assert "does not exist" in detect(tmp_path / "none.csv").stderr
    (tmp_path / "file").write_text("")
    done = detect(good(tmp_path), "--out", str(tmp_path / "file" / "out.csv"))
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
