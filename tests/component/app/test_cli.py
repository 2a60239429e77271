"""The command line as a new user meets it: help, the README's examples, decoding, profiles and rules."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from firmware_profiles import load_catalog
from hearthward import __version__
from hearthward.app.cli import main
from tests.component.app.commands import invoke, refused
from tests.programs import ROOT
from tests.unit.firmware_profiles.samples import SMALL

pytestmark = pytest.mark.usefixtures("clean_settings")

BM85 = "566A0047000000EA07080B121F00003F000000"
RAD8 = (
    "02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% SPCO=--.-% SPMET=--.-% DESAT=-- "
    "PIDELTA=+-- ALARM=0000 EXC=000800"
)


def every_command(group: click.Group = main, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield above, group
    for name, sub in group.commands.items():
        if isinstance(sub, click.Group):
            yield from every_command(sub, *above, name)
        else:
            yield (*above, name), sub


@pytest.mark.parametrize("words", [words for words, _ in every_command()], ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_says_everything(words: tuple[str, ...], flag: str):
    command = dict(every_command())[words]
    result = invoke(*words, flag)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith(f"Usage: {' '.join(('hearthward', *words))} ")
    said = " ".join(result.stdout.split())
    assert command.help
    assert " ".join(command.help.split()) in said
    for option in command.params:
        if isinstance(option, click.Option):
            assert all(name in said for name in option.opts), option.name
            assert option.help or isinstance(option.type, click.Choice), f"{words}: {option.name} has no help"


def test_the_version_and_a_misspelt_command():
    assert invoke("--version").stdout == f"hearthward, version {__version__}\n"
    assert "No such command 'twims'. Did you mean 'twins'?" in refused("twims", code=2)


# --- what the README shows


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text()
    shown = re.findall(r"^    (?:\$ )?(?:~\S*/|\./dev )?hearthward (.+)$", text, re.MULTILINE)
    shown += re.findall(r"`(?:\./dev )?hearthward ([^`]+)`", text)
    return [re.sub(r"\s+# .*", "", line) for line in shown]


def test_the_readme_shows_commands():
    assert len(readme_commands()) >= 8


@pytest.mark.parametrize("line", readme_commands())
def test_each_command_of_the_readme_exists_with_its_options(line: str):
    words = shlex.split(line)
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"hearthward {line}"
        command, words = found, words[1:]
    if words:
        command.make_context("hearthward", words)


def test_the_decoding_that_the_readme_shows_comes_out():
    text = (ROOT / "README.md").read_text()
    shown = re.search(r"^    \$ hearthward (decode .+)\n    (\[.+?), \.\.\.\]$", text, re.MULTILINE)
    assert shown is not None
    result = invoke(*shlex.split(shown[1]))
    assert result.exit_code == 0
    assert result.stdout.startswith(shown[2])


# --- decode


@pytest.mark.parametrize(
    ("profile", "source", "frame", "expected", "time"),
    [
        (
            "sig-blood-pressure",
            "2a35",
            ["16 7C00 5600 6100 E807060F11111B 3300 0000"],
            {"nibp_systolic": 124, "nibp_diastolic": 86, "nibp_mean": 97, "pulse_rate": 51},
            "2024-06-15T17:17:27",
        ),
        (
            "beurer-bm85",
            "2A35",
            [BM85.lower()],
            {"nibp_systolic": 106, "nibp_diastolic": 71, "pulse_rate": 63},
            "2026-08-11T18:31:00",
        ),
        ("sig-pulse-oximeter", "2a5f", ["0C62004E002000000000"], {"spo2": 98, "pulse_rate": 78}, None),
        (
            "masimo-ascii1",
            "ascii1",
            ["--text", RAD8],
            {"spo2": 98, "pulse_rate": 97, "perfusion_index": 3.6},
            "2016-02-22T22:47:45",
        ),
        (
            "masimo-ascii1",
            "ascii1",
            [RAD8.encode().hex()],
            {"spo2": 98, "pulse_rate": 97, "perfusion_index": 3.6},
            "2016-02-22T22:47:45",
        ),
    ],
)
def test_decoding_captured_frames(
    profile: str, source: str, frame: list[str], expected: dict[str, float], time: str | None
):
    result = invoke("decode", profile, source, *frame)
    assert (result.exit_code, result.stderr) == (0, "")
    readings = json.loads(result.stdout)
    assert all(list(r) == ["metric", "value", "unit", "time", "quality"] for r in readings)
    assert {r["metric"]: r["value"] for r in readings} == expected
    assert {r["time"] for r in readings} == {time}
    assert all(isinstance(r["unit"], str) and isinstance(r["quality"], list) for r in readings)


def test_a_record_says_its_number_and_its_minutes():
    (sensor,) = json.loads(invoke("decode", "sig-cgm", "2aa7", "06008C001000", "--json").stdout)
    assert (sensor["value"], sensor["time"], sensor["record"], sensor["elapsed_s"]) == (140, None, 16, 960)
    meter = json.loads(invoke("decode", "sig-glucose", "2a18", "020700E807060F11111B0CC011").stdout)
    assert {row["record"] for row in meter} == {7}
    assert not any("elapsed_s" in row for row in meter)
    joined = invoke("decode", "sig-cgm+sig-glucose", "2aa7", "06008C001000")
    assert json.loads(joined.stdout) == [sensor]


def test_the_samples_of_a_frame_are_shown_when_they_are_asked_for():
    vector = next(v for v in load_catalog().get("contec-cms50-5byte").document.vectors if v.readings)
    frame = "contec-cms50-5byte", vector.source, vector.payload.hex()
    told = json.loads(invoke("decode", *frame, "--waves").stdout)
    assert told["readings"] == json.loads(invoke("decode", *frame).stdout)
    (wave,) = told["waves"]
    assert list(wave) == ["metric", "rate_hz", "unit", "quality", "samples"]
    assert (wave["metric"], wave["rate_hz"], len(wave["samples"])) == ("pleth", 60, len(vector.payload) // 5)
    strap = json.loads(invoke("decode", "sig-heart-rate", "2a37", "0048", "--waves").stdout)
    assert strap["waves"] == []


def test_a_measurement_under_way_is_flagged():
    readings = json.loads(invoke("decode", "sig-pulse-oximeter", "2a5f", "0C62004E002000000000").stdout)
    assert all(r["quality"] == ["ongoing"] for r in readings)


def test_an_unset_clock_is_flagged():
    frame = "16 7C00 5600 6100 00000000000000 3300 0000"
    readings = json.loads(invoke("decode", "sig-blood-pressure", "2a35", frame).stdout)
    assert readings
    assert all("clock_unset" in r["quality"] and r["time"] is None for r in readings)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["beurer-bm85", "2a35", BM85[:-2]], "truncated"),
        (["beurer-bm85", "2a35", ""], "truncated"),
        (["beurer-bm85", "2a35", BM85 + "00"], "oversized"),
        (["sig-heart-rate", "2a37", "00"], "truncated"),
        (["sig-heart-rate", "2a37", "0048" + "00" * 40], "oversized"),
        (["masimo-ascii1", "ascii1", "--text", "hello"], "malformed"),
        (["masimo-ascii1", "ascii1", "--text", "héllo"], "malformed"),
        (["sig-heart-rate", "2a35", "0048"], "unknown_source"),
    ],
)
def test_a_refused_frame_gives_its_reason_and_no_reading(arguments: list[str], reason: str):
    assert refused("decode", *arguments).startswith(f"refused ({reason}): ")


def test_an_unknown_source_names_the_known_ones():
    assert "it has 2a37, 2a19" in refused("decode", "sig-heart-rate", "2a99", "0048")


def test_an_unknown_profile_names_those_like_it_or_all():
    assert "did you mean 'beurer-bm85'?" in refused("decode", "beurer-bm86", "2a35", BM85)
    known = refused("decode", "zzz", "2a35", BM85)
    assert all(profile.id in known for profile in load_catalog())


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (["567"], "HEX: 3 digits make no whole bytes"),
        (["0x0648"], "HEX: 'x' is no hexadecimal digit"),
        ([RAD8], "'/' is no hexadecimal digit (text protocols: --text LINE)"),
        ([], "give the frame either as HEX or with --text LINE"),
        (["00", "--text", "00"], "--text LINE, not both"),
    ],
)
def test_what_is_no_frame_is_wrong_usage(frame: list[str], said: str):
    assert said in refused("decode", "sig-heart-rate", "2a37", *frame, code=2)


def test_further_profiles_decode_too(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    result = invoke("decode", "test-device", "fff1", "0048", "--catalog", path)
    assert json.loads(result.stdout)[0]["value"] == 72
    assert str(tmp_path / "no") in refused(
        "decode", "test-device", "fff1", "0048", "--catalog", tmp_path / "no"
    )


# --- profiles and rules


def test_profiles_are_listed_and_shown():
    listed = invoke("profiles", "list")
    assert (listed.exit_code, listed.stderr) == (0, "")
    shipped = [profile.id for profile in load_catalog()]
    assert [line.split()[0] for line in listed.stdout.splitlines()] == shipped
    for profile in shipped:
        shown = invoke("profiles", "show", profile)
        assert shown.exit_code == 0
        assert shown.stdout.startswith(f"{profile} version ")
    assert "did you mean 'sig-heart-rate'?" in refused("profiles", "show", "sig-hart-rate")


def test_rules_are_listed_and_shown():
    listed = invoke("rules", "list")
    assert listed.exit_code == 0
    for rule in ("spo2-low", "heart-rate-high", "heart-rate-low", "home-bp-high"):
        assert rule in listed.stdout
        assert rule in invoke("rules", "show", rule).stdout
    assert "did you mean 'spo2-low'?" in refused("rules", "show", "spo2-lwo")


@pytest.mark.parametrize("group", ["profiles", "rules"])
def test_what_is_shipped_passes_its_own_check(group: str):
    result = invoke(group, "check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.match(r"\d+ (profiles|rules), \d+ (vectors|examples)", result.stdout)


def test_a_good_profile_passes(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(SMALL)
    for path in (tmp_path, tmp_path / "mine.yaml"):
        assert invoke("profiles", "check", path).exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("title:", "titel:"), ":4: unknown key 'titel' (did you mean 'title'?)"),
        (SMALL.replace("type: u8, metric", "typ: u8, metric"), ":14: "),
        (SMALL.replace("value: 72", "value: 73"), "73"),
        (SMALL.replace("{name: TEST-1}", '{services: ["180d"]}'), "sig-heart-rate"),
        ("", ":1: "),
        ("id: [", ": is not valid YAML"),
    ],
    ids=["unknown key", "unknown key deep inside", "wrong vector", "two match", "empty", "no YAML"],
)
def test_a_broken_profile_is_told_by_file_and_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    told = refused("profiles", "check", path)
    assert str(path) in told
    assert said in told


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("delay_s:", "dealy_s:"), "unknown key 'dealy_s' (did you mean 'delay_s'?)"),
        (("priority: high", "priority: hihg"), "priority"),
        (("id: spo2-low", "id: spo2-low"), "spo2-low"),
    ],
    ids=["unknown key", "unknown word", "the same id twice"],
)
def test_a_broken_rule_is_told_by_file_and_line(tmp_path: Path, wrong: tuple[str, str], said: str):
    shipped = next(p for p in (ROOT / "rules").rglob("*.yaml") if "id: spo2-low" in p.read_text())
    path = tmp_path / "mine.yaml"
    text = shipped.read_text().replace(*wrong)
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith(wrong[1].split(":")[0]))
    path.write_text(text)
    told = refused("rules", "check", path)
    assert f"{path}:{line}: " in told
    assert said in told


@pytest.mark.parametrize("group", ["profiles", "rules"])
@pytest.mark.parametrize("what", ["missing", "empty folder", "no text"])
def test_a_path_that_holds_nothing_to_check_is_refused(tmp_path: Path, group: str, what: str):
    path = tmp_path / ("thing.yaml" if what == "no text" else "thing")
    if what == "empty folder":
        path.mkdir()
    elif what == "no text":
        path.write_bytes(b"\xff\xfe\0")
    assert str(path) in refused(group, "check", path)
