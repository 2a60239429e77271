"""Wrong input to the running commands: each refusal says what, where and what to do."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hearthward.app.lock import FolderLock
from hearthward.app.ward import virtual_ward
from hearthward.core.lock import FileLock
from tests.component.app.commands import refused
from tests.programs import ROOT

pytestmark = pytest.mark.usefixtures("clean_settings")

NOBODY = "mqtt://127.0.0.1:1"
"""A broker where none is: what is refused must be refused before it is missed."""


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder that cannot be made, not even by root."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "data"


def no_child_left() -> bool:
    return not psutil.Process().children()


# --- ports


@pytest.mark.parametrize(
    "command", [["run"], ["run", "--ward", "none"], ["cloud"], ["demo", "--seconds", "1"]]
)
def test_the_web_port_is_in_use(data: Path, busy: int, command: list[str]):
    told = refused("--data", data, *command, "--port", str(busy))
    assert f"cannot listen on 127.0.0.1:{busy}: Address already in use" in told
    assert "--port" in told
    assert no_child_left()


def test_the_brokers_port_is_in_use(data: Path, busy: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEARTHWARD_BROKER__PORT", str(busy))
    told = refused("--data", data, "cloud", "--port", "0")
    assert f"port {busy} on 127.0.0.1 is already in use" in told
    assert "broker.port" in told


@pytest.mark.parametrize("option", ["--hci", "--control"])
def test_a_port_of_the_twins_is_in_use(tmp_path: Path, busy: int, option: str):
    told = refused("twins", "--plan", tmp_path / "plan.json", option, str(busy))
    assert f"127.0.0.1:{busy}" in told
    assert "Address already in use; choose another" in told
    assert not (tmp_path / "plan.json").exists()


def test_a_port_beyond_all_ports(data: Path):
    assert "99999 is not in the range" in refused("--data", data, "run", "--port", "99999", code=2)


# --- the data folder


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--port", "0"],
        ["cloud", "--port", "0"],
        ["demo", "--seconds", "1"],
        ["edge", "--broker", NOBODY],
    ],
)
def test_the_data_folder_cannot_be_written(blocked: Path, command: list[str]):
    for folder in (blocked, Path("/proc/hearthward")):
        told = refused("--data", folder, *command)
        assert str(folder) in told
        assert "cannot be made" in told
    assert blocked.parent.read_text() == "in the way"
    assert no_child_left()


def test_the_data_folder_is_a_file(blocked: Path):
    assert "is a file" in refused("--data", blocked.parent, "run", code=2)


HOLDER = """
import sys
from pathlib import Path
from hearthward.app.lock import FolderLock
from hearthward.core.lock import FileLock
where = Path(sys.argv[2])
lock = FolderLock(where) if sys.argv[1] == "folder" else FileLock(where, "it")
lock.acquire()
sys.stdout.write("held\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("kind", "where", "command"),
    [
        ("folder", "virtual-ward/cloud", ["run", "--port", "0"]),
        ("folder", "cloud", ["cloud", "--port", "0"]),
        ("folder", "broker", ["cloud", "--port", "0"]),
        ("file", "edge/outbox.lock", ["edge", "--broker", NOBODY, "--radio", "off"]),
    ],
    ids=["run", "cloud", "broker", "edge"],
)
def test_the_data_folder_belongs_to_another_process(data: Path, kind: str, where: str, command: list[str]):
    (data / where).parent.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, kind, str(data / where)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        told = refused("--data", data, *command)
        assert f"already in use by process {holder.pid}" in told
        assert "stop that one first" in told
        assert holder.stdin is not None
        holder.stdin.close()
    lock = FolderLock(data / where) if kind == "folder" else FileLock(data / where, "it")
    with lock:
        assert no_child_left()


# --- addresses


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "http://h:1",
        "mqtt://",
        "mqtt://h:x",
        "mqtt://h:99999",
        "mqtt://h:0",
        "mqtt://h/path",
        "mqtt://[::1",
        "mqtt://u:hush@h:x",
        "mqtt://a b",
    ],
)
@pytest.mark.parametrize(
    "command", [["edge"], ["cloud", "--port", "0"], ["run", "--port", "0"]], ids=lambda c: c[0]
)
def test_a_brokers_address_that_is_none(data: Path, command: list[str], url: str):
    told = refused("--data", data, *command, "--broker", url)
    assert "broker.url: must be 'embedded' or look like mqtt://host:1883" in told
    assert "hush" not in told
    assert not data.exists()


def test_an_edge_needs_a_broker(data: Path):
    assert "--broker mqtt://HOST:PORT" in refused("--data", data, "edge")
    assert not data.exists()


@pytest.mark.parametrize("text", ["nonsense", "127.0.0.1", ":1", "127.0.0.1:x", "127.0.0.1:70000"])
def test_a_players_clock_that_is_none(data: Path, text: str):
    told = refused("--data", data, "edge", "--broker", NOBODY, "--event-clock", text)
    assert f"--event-clock: {text!r} is not HOST:PORT" in told
    assert not data.exists()


@pytest.mark.parametrize(
    ("radio", "said"),
    [
        ("nonsense", "edge.radio: must be bluez, off"),
        ("virtual", "needs twins in the same process"),
        ("tcp-client:nowhere", "tcp-client needs HOST:PORT"),
    ],
)
def test_a_radio_that_is_none(data: Path, radio: str, said: str):
    assert said in refused("--data", data, "edge", "--broker", NOBODY, "--radio", radio)


def test_a_gateways_id_that_no_topic_takes(data: Path):
    told = refused("--data", data, "edge", "--broker", NOBODY, "--gateway", "a/b")
    assert "edge.gateway: must be 1 to 64 of the characters" in told


# --- settings


@pytest.mark.parametrize("command", [["run"], ["cloud"]])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - what is to be refused
def test_listening_to_the_world_without_tls(data: Path, command: list[str], host: str):
    told = refused("--data", data, *command, "--host", host)
    assert f"listening on {host} without TLS is refused: set web.tls_certificate and web.tls_key" in told
    assert not data.exists()


def test_a_certificate_that_is_not_there_or_none(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("CERTIFICATE", "KEY"):
        monkeypatch.setenv(f"HEARTHWARD_WEB__TLS_{name}", str(tmp_path / name))
    told = refused("--data", data, "cloud", "--port", "0")
    assert f"web.tls_certificate: no such file {tmp_path}/CERTIFICATE" in told
    for name in ("CERTIFICATE", "KEY"):
        (tmp_path / name).write_text("not PEM")
    told = refused("--data", data, "cloud", "--port", "0")
    assert "web.tls_certificate" in told
    assert no_child_left()


@pytest.mark.parametrize("command", ["run", "edge", "cloud", "demo", "doctor"])
def test_an_unknown_key_names_file_key_and_the_nearest(tmp_path: Path, command: str):
    file = tmp_path / "my.toml"
    file.write_text("[web]\nprot = 9000\n")
    told = refused("--config", file, command)
    assert told == f"hearthward: {file}: web.prot: unknown key (did you mean 'port'?)\n"


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("HEARTHWARD_WEB__PROT", "HEARTHWARD_WEB__PORT"),
        ("HEARTHWARD_WEBPORT", "HEARTHWARD_WEB__PORT"),
        ("HEARTHWARD_BROKER_URL", "HEARTHWARD_BROKER__URL"),
        ("HEARTHWARD_DATAFOLDER", "HEARTHWARD_DATA_FOLDER"),
    ],
)
def test_a_misspelt_variable_names_the_right_one(monkeypatch: pytest.MonkeyPatch, variable: str, said: str):
    monkeypatch.setenv(variable, "1")
    assert f"unknown variable {variable} (did you mean {said}?)" in refused("doctor")


def test_a_settings_file_that_is_not_there(tmp_path: Path):
    assert f"{tmp_path}/no.toml: no such settings file" in refused("--config", tmp_path / "no.toml", "doctor")


# --- files to read


def plan_text(**changes: object) -> str:
    plan = virtual_ward().to_data()
    plan["patients"] = plan["patients"][:1]
    plan["patients"][0]["devices"] = [
        {"id": "d1", "kind": "masimo", "interval_s": 1.0, "address": "/dev/x", **changes}
    ]
    return json.dumps(plan)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not a ward plan: it is neither JSON nor YAML"),
        ("\0", "is not a ward plan"),
        ("[]", "is not a ward plan"),
        ("{}", "is not a ward plan: ward: Field required"),
        (plan_text(kind="toaster"), "patients.0.devices.0.kind: Input should be 'heart-rate'"),
        (plan_text(interval_s="often"), "patients.0.devices.0.interval_s: "),
        (plan_text(colour="red"), "patients.0.devices.0.colour: "),
        (plan_text(id="d 1"), "'d 1'"),
        (plan_text(address=""), "address"),
    ],
)
def test_a_plan_that_is_none(data: Path, tmp_path: Path, text: str | None, said: str):
    path = tmp_path / "plan.json"
    if text is not None:
        path.write_text(text)
    told = refused("--data", data, "cloud", "--port", "0", "--seed", path)
    assert str(path) in told
    assert said in told


def test_a_plan_for_somebody_else(data: Path, tmp_path: Path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(virtual_ward(tenant="other").to_data()))
    told = refused("--data", data, "cloud", "--port", "0", "--seed", path)
    assert "the plan is for tenant 'other', this cloud serves 'main'" in told


ROW = "1,a,heart_rate,80\n"
HEADER = "time,patient,metric,value\n"


@pytest.mark.parametrize("command", [["demo"], ["twins", "--plan", "plan.json"]], ids=["demo", "twins"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ": cannot be read: No such file"),
        (
            "time,patient,metric,val\n" + ROW,
            ":1: the header must be time,patient,metric,value; unknown column 'val'",
        ),
        ("time,patient,value\n", ":1: the header must be time,patient,metric,value; missing column 'metric'"),
        (
            "patient,time,metric,value\n" + ROW,
            ":1: the header must be time,patient,metric,value; the order differs",
        ),
        (HEADER + ROW + "2,a,heart_rate\n", ":3: 3 columns instead of 4"),
        (HEADER + ROW + "x,a,heart_rate,80\n", ":3: column 'time': 'x' is not a number"),
        (HEADER + ROW + "2,a,heart_rate,high\n", ":3: column 'value': 'high' is not a number"),
        (HEADER + "1,,heart_rate,80\n", ":2: column 'patient' is empty"),
        (HEADER, ": holds no values"),
        ("", ":1: the header must be"),
    ],
)
def test_a_recording_that_is_none(tmp_path: Path, command: list[str], text: str | None, said: str):
    path = tmp_path / "recording.csv"
    if text is not None:
        path.write_text(text)
    assert f"{path}{said}" in refused(*command, "--play", path)
    assert no_child_left()


def test_a_damaged_archive(tmp_path: Path):
    path = tmp_path / "recording.csv.gz"
    whole = gzip.compress((HEADER + ROW * 1000).encode())
    for damaged in (b"time", whole[: len(whole) // 2], whole[:20] + b"\xff\xff" + whole[22:]):
        path.write_bytes(damaged)
        assert f"{path}: cannot be read: " in refused("demo", "--play", path)


@pytest.mark.parametrize("speed", ["0", "-1", "fast"])
def test_a_speed_that_is_none(speed: str):
    assert "--speed" in refused("demo", "--speed", speed, code=2)


# --- files to write


def test_a_report_that_cannot_be_written_is_told_before_the_play(tmp_path: Path, blocked: Path):
    path = tmp_path / "recording.csv"
    path.write_text(HEADER + ROW)
    for command in (["demo"], ["twins", "--plan", tmp_path / "plan.json"]):
        told = refused(*command, "--play", path, "--report", blocked / "report.json")
        assert f"{blocked}/report.json: cannot be written: Not a directory" in told
    assert not (tmp_path / "plan.json").exists()


def test_a_plan_or_a_folder_of_ports_that_cannot_be_written(tmp_path: Path, blocked: Path):
    assert "cannot be written: Not a directory" in refused("twins", "--plan", blocked / "plan.json")
    told = refused("twins", "--plan", tmp_path / "plan.json", "--ptys", blocked / "ptys")
    assert "the folder cannot be made: Not a directory" in told
