"""Everything that is wrong with a profile file is said with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles import Profile, ProfileError, load_catalog
from firmware_profiles.document import read_document
from firmware_profiles.registry import SHIPPED
from firmware_profiles.report import check
from hearthward.core.errors import ConfigError
from tests.unit.firmware_profiles.samples import HEAD, SMALL, catalog_with, write


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def refused(folder: Path, text: str) -> ProfileError:
    path = write(folder, text)
    with pytest.raises(ProfileError) as caught:
        load_catalog(path)
    assert caught.value.file == str(path)
    assert str(caught.value).startswith(str(path))
    assert isinstance(caught.value, ConfigError)
    return caught.value


def test_the_sample_is_right(tmp_path: Path):
    profile = load_catalog(write(tmp_path, SMALL)).get("test-device")
    assert profile.decode("fff1", b"\0\x48")[0].value == 72
    assert check([tmp_path]).problems == ()


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        (
            "metric: heart_rate",
            "metrc: heart_rate",
            "metrc",
            r"unknown key 'metrc' \(did you mean 'metric'\?\)",
        ),
        ("version: 1", "versoin: 1", "versoin", r"unknown key 'versoin' \(did you mean 'version'\?\)"),
        ("frames:", "zzz: 1\nframes:", "zzz", "unknown key 'zzz' .known: "),
        ("version: 1\n", "", "", "key 'version' is missing"),
        ("version: 1", "version: one", "version", "valid integer, not 'one'"),
        (
            "version: 1",
            "version: 1\nversion: 2",
            "version: 2",
            r"'version' stands here a second time .first on line 3",
        ),
        ("schema: 1", "schema: 2", "schema", "Input should be 1"),
        ("type: u8, metric", "type: u9, metric", "name: rate", "Input should be 'u8'"),
        (
            "metric: heart_rate",
            "metric: heartrate",
            "name: rate",
            r"unknown metric 'heartrate' \(did you mean 'heart_rate'",
        ),
        ("metric: heart_rate", "metric: walls_audible", "name: rate", "no device measures walls_audible"),
        ("unit: /min", "unit: bpm", "name: rate", "unit of heart_rate must be one of '/min', not 'bpm'"),
        (", unit: /min", "", "name: rate", "unit of heart_rate must be one of"),
        ("unit: /min", "unit: /min, range: [0, 999]", "name: rate", "must be low < high within 0 to 350"),
        ("unit: /min", "unit: /min, range: [9, 3]", "name: rate", "must be low < high"),
        ("unit: /min", "unit: /min, present_if: {field: flag, bit: 0}", "name: rate", "did you mean 'flags'"),
        (
            "unit: /min",
            "unit: /min, present_if: {field: flags, bit: 8}",
            "name: rate",
            "flags has bits 0 to 7",
        ),
        ("unit: /min", "unit: /min, bits: [3, 9]", "name: rate", "is not low..high within u8"),
        ("name: rate", "name: flags", "name: flags, type: u8, metric", "field 'flags' stands there twice"),
        ("name: rate", "name: __import__", "name: __import__", "should match pattern"),
        (
            "type: u8}",
            "type: u8, scale: {times: 2}}",
            "name: flags",
            "without a metric nothing comes of scale",
        ),
        ("type: u8}", "type: utf8}", "name: flags", "must be the last field"),
        ("type: u8}", "type: hex}", "name: flags", "hex is for frames of pairs"),
        (
            "type: u8}",
            "type: u8, quality: [{flag: motion}]}",
            "name: flags",
            "either any_bit, or bits and is",
        ),
        (
            "type: u8}",
            "type: u8, quality: [{any_bit: [8], flag: motion}]}",
            "name: flags",
            "u8 has bits 0 to 7",
        ),
        (
            "type: u8}",
            "type: u8, quality: [{any_bit: [1], flag: moton}]}",
            "name: flags",
            "Input should be 'demo'",
        ),
        ("fields:\n", "stamp: MM/DD/YY HH:MM:SS\n    fields:\n", "fff1:", "are for frames of pairs"),
        ('"fff1", mode', '"fff2", mode', "subscribe", "no frame decodes 'fff2'"),
        (", mode: notify", "", "subscribe", "mode .notify or indicate. goes with subscribe"),
        ("source: fff1", "source: fff3", "source: fff3", "no frame is named 'fff3'"),
        ('hex: "00 48"', 'hex: "0 48"', "hex:", "should match pattern"),
        ('hex: "00 48"', "hex: 64", "hex: 64", r"\(put it in quotes\), not 64"),
        ('hex: "00 48", ', "", "origin", "either hex or text"),
        ("transport: {kind: ble}\n", "", "", "has no transport"),
        ("{kind: ble}", "{kind: ble, parity: E}", "transport", "is for a serial transport only"),
        ("{kind: ble}", "{kind: serial, baudrate: 9600}", "match", "needs framing"),
        ("{kind: ble}", "{kind: ble, backoff_first_s: 90}", "transport", "is longer than backoff_max_s"),
        ("{name: TEST-1}", "{name: '('}", "match", "is no regular expression"),
        ("{name: TEST-1}", "{}", "match", "it would match every device"),
        ("{name: TEST-1}", "{services: [1810]}", "match", r"\(put it in quotes\)"),
        (
            "{name: TEST-1}]",
            "{name: TEST-1}], firmware: '4.6'",
            "match",
            "firmware bound '4.6' is not one of",
        ),
        ("{name: TEST-1}]", "{name: TEST-1}], firmware: '>5 <4'", "match", "holds no version"),
        ("frames:", "health: {battery: battery_level}\nframes:", "health", "no field gives this metric"),
        ("frames:", "time: {zone: local}\nframes:", "time", "no frame carries"),
        ("frames:", "dedupe: {record: number}\nframes:", "dedupe", "no field is named 'number'"),
        ("frames:", "update: {method: dfu}\nframes:", "update", "Input should be 'none'"),
        ("frames:", "quirks: []\nincludes: [sig-batery]\nframes:", "includes", r"did you mean 'sig-battery'"),
        ("frames:", "includes: [masimo-ascii1]\nframes:", "includes", "both must be on Bluetooth"),
        ("frames:", "includes: [sig-heart-rate]\nframes:", "includes", "includes others itself"),
        (
            "frames:",
            "quirks: [{frame: fff1, field: rate, set: {}}]\nframes:",
            "quirks",
            "what a profile extends",
        ),
        ("frames:", "extends: test-device\nframes:", "extends", "extends itself"),
        ("frames:", "extends: nothing\nframes:", "extends", "no profile is named 'nothing'"),
        ("frames:", "frames: [", "fields", "is not valid YAML"),
        ("title: A", "title: &a A", "title", "anchors and aliases are not used"),
        ("title: A", "title: !!str A", "title", "tag .* is not used"),
        ("title: A", "title: [A, b]\n#", "title", "valid string"),
        ("vectors:", "---\nvectors:", "---", "second document"),
        ("session:", "? [a, b]\n: 1\nsession:", "? [a", "a key must be a text"),
    ],
)
def test_each_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, at: str, message: str):
    assert old in SMALL
    text = SMALL.replace(old, new, 1)
    error = refused(tmp_path, text)
    assert error.line == (line_of(text, at) if at else 1)
    with pytest.raises(ProfileError, match=message):
        raise error


def test_a_profile_without_a_vector(tmp_path: Path):
    text = SMALL[: SMALL.index("vectors:")] + "vectors: []\n"
    assert "at least one vector" in str(refused(tmp_path, text))


def test_every_finding_is_told_not_only_the_first(tmp_path: Path):
    text = SMALL.replace("metric: heart_rate, u", "metrc: heart_rate, u").replace("version: 1", "version: x")
    error = refused(tmp_path, text)
    assert [problem.line for problem in error.problems] == [3, line_of(text, "metrc")]
    (tmp_path / "other.yaml").write_text("schema: 1")
    assert len(check([tmp_path]).problems) > 2


def test_yaml_1_1_surprises_are_texts(tmp_path: Path):
    path = write(
        tmp_path,
        "a: on\nb: no\nc: 1:30\nd: 2e10\ne: 0777\nf: 2a19\ng: 2020-01-01\nh: 0x1F\ni: -1.5\nj: true\n",
    )
    assert read_document(path).data == {
        "a": "on", "b": "no", "c": "1:30", "d": "2e10", "e": "0777", "f": "2a19", "g": "2020-01-01",
        "h": 31, "i": -1.5, "j": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a: \xff", "is not UTF-8"),
        (b"a: \x00", "is not valid YAML"),
        (b"[" * 100, "nested deeper"),
        (b"", "must be a mapping"),
        (b"- 1", "must be a mapping"),
        (b"#" * 1_000_001, "larger than"),
    ],
)
def test_files_that_are_no_profile(tmp_path: Path, raw: bytes, message: str):
    path = tmp_path / "raw.yaml"
    path.write_bytes(raw)
    with pytest.raises(ProfileError, match=message) as caught:
        load_catalog(path)
    assert caught.value.file == str(path)


def test_a_character_that_yaml_forbids_is_told_with_its_line(tmp_path: Path):
    path = write(tmp_path, "a: é\nb: 温\nc: x\x07y\n")
    with pytest.raises(ProfileError, match=r"U\+0007 is not allowed") as caught:
        read_document(path)
    assert caught.value.line == 3


@given(text=st.text(alphabet="ab:-[]{}#&*!|>'\"%@`,? \n0x1.", max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str):
    path = write(tmp_path_factory.getbasetemp(), text)
    try:
        read_document(path)
    except ProfileError as e:
        assert e.file == str(path)  # noqa: PT017 - either outcome is right


def test_paths(tmp_path: Path):
    with pytest.raises(ProfileError, match="no such file"):
        load_catalog(tmp_path / "none.yaml")
    with pytest.raises(ProfileError, match="holds no"):
        load_catalog(tmp_path)
    assert len(load_catalog(SHIPPED, SHIPPED / "sig-battery.yaml")) == len(load_catalog())


QUIRKY = HEAD.replace("transport: {kind: ble}\n", "extends: sig-blood-pressure\n") + (
    'vectors:\n  - {origin: by hand, source: "2a35", hex: "", refused: truncated}\nquirks:\n'
)


@pytest.mark.parametrize(
    ("quirk", "message"),
    [
        ("{frame: 2a37, field: mean, set: {}}", "no frame is named '2a37' .did you mean '2a36'"),
        ("{frame: 2a35, field: men, set: {}}", "has no field 'men' .did you mean 'mean'"),
        ("{frame: 2a35, field: mean, set: {nuls: [0]}}", "unknown key 'nuls' .did you mean 'nulls'"),
        ("{frame: 2a35, field: mean, set: {type: u9}}", "Input should be 'u8'"),
        ("{frame: 2a35, field: mean, set: {unit: psi}}", "must be one of 'mm.Hg.', 'kPa', not 'psi'"),
        ("{frame: 2a35, field: flags, set: {type: sfloat}}", "'flags' is no earlier integer field"),
    ],
)
def test_a_wrong_quirk_is_named_with_its_line(tmp_path: Path, quirk: str, message: str):
    with pytest.raises(ProfileError, match=message) as caught:
        load_catalog(write(tmp_path, f"{QUIRKY}  - {quirk}\n"))
    if "earlier" not in message:  # that one is about the fields that look at it
        assert (caught.value.file, caught.value.line) == (str(tmp_path / "test.yaml"), QUIRKY.count("\n") + 1)


def test_extending_takes_over_what_is_not_said(tmp_path: Path):
    base = load_catalog().get("sig-blood-pressure")
    mine = load_catalog(
        write(tmp_path, f"{QUIRKY}  - {{frame: 2a35, field: mean, set: {{nulls: [0]}}}}\n")
    ).get("test-device")
    assert (mine.sources, mine.session, mine.timings) == (base.sources, base.session, base.timings)
    assert mine.hash != base.hash


def test_a_circle_of_extends(tmp_path: Path):
    one = SMALL.replace("frames:", "extends: two\nframes:").replace("id: test-device", "id: one")
    two = (
        one.replace("extends: two", "extends: one")
        .replace("id: one\n", "id: two\n")
        .replace("TEST-1", "TEST-2")
    )
    with pytest.raises(ProfileError, match="extends itself: "):
        catalog_with(tmp_path, one, two)


def hash_of(folder: Path, text: str) -> Profile:
    return load_catalog(write(folder, text)).get("test-device")


def test_the_hash_is_of_the_content(tmp_path: Path):
    first = hash_of(tmp_path, SMALL)
    assert len(first.hash) == 16
    assert int(first.hash, 16) >= 0
    same = [
        "# a comment\n" + SMALL,
        SMALL.replace(
            "version: 1\ntitle: A device of the tests\n", "title: A device of the tests\nversion: 1\n"
        ),
        SMALL.replace("{kind: ble}", "{kind: ble, backoff_first_s: 1}"),
        SMALL.replace("origin: by hand", "origin: by another hand"),
    ]
    other = [
        SMALL.replace("version: 1", "version: 2"),
        SMALL.replace("unit: /min", "unit: /min, nulls: [0]"),
        SMALL.replace("TEST-1", "TEST-2"),
        SMALL.replace("frames:", "includes: [sig-battery]\nframes:"),
    ]
    assert {hash_of(tmp_path, text).hash for text in same} == {first.hash}
    assert len({hash_of(tmp_path, text).hash for text in other} | {first.hash}) == len(other) + 1


def test_a_profile_is_immutable():
    profile = load_catalog().get("sig-heart-rate")
    with pytest.raises(AttributeError):
        profile.id = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        profile.decoders["2a37"] = lambda _: ()  # type: ignore[index]
