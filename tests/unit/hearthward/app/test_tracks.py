"""Recordings as the rules take them: what is used, what is counted, what is refused, and times."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.app.tracks import BASE, Gathered, Timescale, read_events, read_tracks
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError

HEADER = "time,patient,metric,value\n"
SECONDS = Timescale()


def read(tmp_path: Path, rows: str, *patients: str, unit: str = "s") -> Gathered:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + rows)
    return read_tracks(path, Timescale(unit), patients)


def test_one_track_a_patient_in_order_of_time(tmp_path: Path):
    found = read(tmp_path, "60,a,spo2,97\n0,b,spo2,95\n0.5,a,heart_rate,61\n0.5,a,spo2,96\n")
    a, b = found.tracks["a"], found.tracks["b"]
    assert list(found.tracks) == ["a", "b"]
    assert [(t - BASE) / SECOND for t in a.time] == [0.5, 0.5, 60]
    assert (a.metric, list(a.value)) == (["heart_rate", "spo2", "spo2"], [61, 96, 97])
    assert (len(b), found.readings) == (1, 4)
    assert (a.first, a.last) == (BASE + SECOND // 2, BASE + 60 * SECOND)


def test_what_is_not_used_is_counted(tmp_path: Path):
    rows = "0,a,gcs,15\n9,a,fio2,0.4\n0,a,spo2,101\n0,a,spo2,\n0,a,gcs,nan\n0,a,ibp_mean,-60\n1,a,spo2,97\n"
    found = read(tmp_path, rows)
    assert found.unknown == {"gcs": 1, "fio2": 1}
    assert found.without_value == {"spo2": 1, "gcs": 1}
    assert found.rejected == {"out_of_range": {"spo2": 1, "ibp_mean": 1}}
    assert (found.readings, len(found.tracks["a"])) == (7, 1)
    assert found.tracks["a"].last == BASE + 9 * SECOND


def test_coded_values_stand_as_codes(tmp_path: Path):
    rows = "0,a,consciousness,V\n0,a,supplemental_oxygen,oxygen\n0,a,consciousness,X\n1,a,consciousness,2\n"
    found = read(tmp_path, rows)
    assert list(found.tracks["a"].value) == [2, 1]
    assert found.rejected == {"unknown_code": {"consciousness": 2}}


def test_only_the_patients_asked_for(tmp_path: Path):
    found = read(tmp_path, "0,a,spo2,97\n0,b,spo2,oops\n", "a")
    assert (list(found.tracks), found.others, found.readings) == (["a"], {"b"}, 1)
    with pytest.raises(ConfigError, match=r"r\.csv: holds no patient 'ada'; did you mean 'ade'\?"):
        read(tmp_path, "0,ade,spo2,97\n", "ada")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0,a,spo2,high\n", "r.csv:2: column 'value': 'high' is not a number"),
        ("0,a,gcs,high\n", "r.csv:2: column 'value': 'high' is not a number"),
        ("0,a,spo2,inf\n", "r.csv:2: column 'value': 'inf' is not a number"),
        ("0,a,spo2,97\nsoon,a,spo2,1\n", "r.csv:3: column 'time': 'soon' is not a number"),
        ("1e300,a,spo2,97\n", "r.csv:2: column 'time': '1e300' is more than 150 years from the start"),
        ("0,a,spo2\n", "r.csv:2: 3 columns instead of 4"),
        ("0,,spo2,97\n", "r.csv:2: column 'patient' is empty"),
        ("", "r.csv: holds no values"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, row: str, said: str):
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, row)


@given(st.floats(-1e9, 4e9), st.sampled_from(["s", "ms", "min", "h", "d"]))
def test_times_come_back_as_they_were_recorded(time: float, unit: str):
    scale = Timescale(unit)
    ns = scale.ns(time)
    if ns is None:
        assert unit in {"h", "d", "min"}
        return
    size = {"s": 1, "ms": 1e-3, "min": 60, "h": 3600, "d": 86_400}[unit]
    assert abs(scale.time(ns) - time) <= max(2e-9 / size, abs(time) * 1e-15) + 1e-9


def test_times_are_exact():
    for time, ns in ((0.1, 100_000_000), (1_700_000_000.25, 1_700_000_000_250_000_000), (-0.5, -500_000_000)):
        assert SECONDS.ns(time) == BASE + ns
        assert SECONDS.time(BASE + ns) == time
    assert isinstance(SECONDS.time(BASE + 60 * SECOND), int)
    assert Timescale("min").ns(0.1) == BASE + 6 * SECOND
    assert Timescale("h").time(BASE + 5400 * SECOND) == 1.5


def test_events(tmp_path: Path):
    known = read(tmp_path, "0,a,spo2,97\n0,b,spo2,97\n", "a")
    path = tmp_path / "e.csv.gz"
    path.write_bytes(gzip.compress(b'patient,time,label\na,60,"fall, of pressure"\n\nb,70,x\n'))
    (event,) = read_events(path, SECONDS.parsed, known)
    assert (event.patient, event.time, event.label) == ("a", BASE + 60 * SECOND, "fall, of pressure")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,patient,label\n", "e.csv:1: the header must be patient,time,label"),
        ("patient,time,label\na,60\n", "e.csv:2: 2 columns instead of 3"),
        ("patient,time,label\nc,60,x\n", "e.csv:2: nothing was recorded of a patient 'c'"),
        ("patient,time,label\na,soon,x\n", "e.csv:2: column 'time': 'soon' is no time"),
        ("patient,time,label\nb,60,x\n", "e.csv: holds no events"),
    ],
)
def test_wrong_events_are_refused_with_their_line(tmp_path: Path, text: str, said: str):
    known = read(tmp_path, "0,a,spo2,97\n0,b,spo2,97\n", "a")
    path = tmp_path / "e.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_events(path, SECONDS.parsed, known)
    with pytest.raises(ConfigError, match="No such file"):
        read_events(tmp_path / "none.csv", SECONDS.parsed, known)
