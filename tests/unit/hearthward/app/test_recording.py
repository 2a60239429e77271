"""The reader of recordings."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hearthward.app.recording import Moment, read_recording
from hearthward.core.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_are_grouped_by_time_whatever_their_order(tmp_path: Path):
    path = write(tmp_path / "r.csv", "time,patient,metric,value\n60,a,spo2,97\n0,b,spo2,95\n0,a,spo2,96\n")
    recording = read_recording(path)
    assert list(recording.moments()) == [
        Moment(0.0, (("b", "spo2", 95.0), ("a", "spo2", 96.0))),
        Moment(60.0, (("a", "spo2", 97.0),)),
    ]
    assert recording.carried() == {"a": {"spo2"}, "b": {"spo2"}}
    assert recording.intervals_s() == {("a", "spo2"): 60.0}


def test_gzip_and_empty_cells(tmp_path: Path):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(b"time,patient,metric,value\n0,a,spo2,97\n1,a,spo2,\n2,a,spo2,nan\n"))
    recording = read_recording(path)
    assert len(recording) == 1
    assert recording.without_value == {"spo2": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,patient,metrik,value\n", "r.csv:1: .*unknown column 'metrik', missing column 'metric'"),
        ("patient,time,metric,value\n", "r.csv:1: .*the order differs"),
        ("time,patient,metric,value\n0,a,spo2\n", "r.csv:2: 3 columns instead of 4"),
        ("time,patient,metric,value\n0,a,spo2,high\n", "r.csv:2: column 'value': 'high' is not a number"),
        ("time,patient,metric,value\nsoon,a,spo2,1\n", "r.csv:2: column 'time': 'soon' is not a number"),
        ("time,patient,metric,value\n0,,spo2,1\n", "r.csv:2: column 'patient' is empty"),
        ("time,patient,metric,value\n", "r.csv: holds no values"),
        ("", "r.csv:1: the header must be"),
    ],
)
def test_wrong_files_are_refused_with_line_and_reason(tmp_path: Path, text: str, said: str):
    with pytest.raises(ConfigError, match=said):
        read_recording(write(tmp_path / "r.csv", text))


def test_damaged_archive_and_missing_file(tmp_path: Path):
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(b"time,patient,metric,value\n0,a,spo2,97\n")[:-9])
    with pytest.raises(ConfigError, match=r"r\.csv\.gz: cannot be read"):
        read_recording(tmp_path / "r.csv.gz")
    with pytest.raises(ConfigError, match="No such file"):
        read_recording(tmp_path / "none.csv")


def test_what_spreadsheets_write_is_read(tmp_path: Path):
    path = tmp_path / "r.csv"
    path.write_bytes('\ufeff"time","patient","metric","value"\r\n0,"王, 五",spo2,97\r\n\r\n'.encode())
    assert read_recording(path).carried() == {"王, 五": {"spo2"}}
