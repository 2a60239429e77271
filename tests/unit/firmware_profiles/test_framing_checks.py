"""Every mistake in a framing is found when its profile is loaded, with its line and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from firmware_profiles import ProfileError, load_catalog
from tests.unit.firmware_profiles.samples import HEAD, write

GOOD: dict[str, dict[str, Any]] = {
    "delimiter": {"kind": "delimiter", "source": "f", "delimiter": "\n", "max_length": 40},
    "fixed": {"kind": "fixed", "source": "f", "length": 4, "tests": [{"at": 0, "mask": 128, "is": 128}]},
    "packet": {
        "kind": "packet",
        "source": "f",
        "length": 5,
        "tests": [{"at": 0, "is": 1}],
        "first": {"at": 1, "mask": 1, "is": 1},
        "group": 25,
        "integrity": "sum8",
    },
    "length": {"kind": "length", "source": "f", "start": "00 02", "length_at": 2, "max_length": 40},
}
MISTAKES: list[tuple[str, dict[str, Any], str, str]] = [
    ("delimiter", {"length": 4}, "length: 4", "length is not for kind delimiter"),
    ("delimiter", {"max_length": None}, "framing", "kind delimiter needs max_length"),
    ("fixed", {"first": {"at": 0, "is": 1}}, "first", "first is not for kind fixed"),
    ("fixed", {"tests": None}, "framing", "needs start, tests or integrity"),
    ("fixed", {"tests": [{"at": 4, "is": 1}]}, "at: 4", "a frame has 4 bytes"),
    ("fixed", {"tests": [{"at": 0, "mask": 128, "is": 1}]}, "is: 1", "it never holds"),
    ("fixed", {"tests": [{"at": 0, "is": 256}]}, "is: 256", "less than or equal to 255"),
    ("fixed", {"integrity": "sum8-body"}, "integrity", "sum8-body is for kind length"),
    ("fixed", {"integrity": "crc8-body"}, "integrity", "crc8-body is for kind length"),
    ("fixed", {"length": 2, "integrity": "crc16-mcrf4xx"}, "length: 2", "leaves no bytes beside the check"),
    ("fixed", {"length": 10, "unpack": "high-bits"}, "length: 10", "is 3 to 9 bytes"),
    ("fixed", {"start": "01 02 03 04 05"}, "start", "a frame has 4 bytes"),
    ("packet", {"group": None}, "framing", "kind packet needs group"),
    ("packet", {"first": {"at": 7, "is": 1}}, "at: 7", "a frame has 5 bytes"),
    ("length", {"start": None}, "framing", "kind length needs start"),
    ("length", {"length_at": 1}, "length_at", "the frame begins with 2 other bytes"),
    ("length", {"length": 41}, "length: 41", "is more than max_length"),
    ("length", {"lock": 17}, "lock", "less than or equal to 16"),
    ("length", {"source": "g"}, "source: g", "no frame is named 'g'"),
    ("length", {"start": "0"}, "start", "should match pattern"),
]


def text(framing: dict[str, Any], **transport: object) -> str:
    head = yaml.safe_load(HEAD)
    head["match"] = {}
    head["transport"] = {"kind": "serial", "baudrate": 9600, **transport}
    frame = {"fields": [{"name": "rate", "type": "u8", "metric": "heart_rate", "unit": "/min"}]}
    rest = {
        "framing": {key: value for key, value in framing.items() if value is not None},
        "frames": {"f": frame},
        "vectors": [{"origin": "by hand", "source": "f", "hex": "", "refused": "truncated"}],
    }
    return yaml.safe_dump({**head, **rest}, sort_keys=False)


@pytest.mark.parametrize("kind", GOOD)
def test_good_ones_are_taken(tmp_path: Path, kind: str):
    framer = load_catalog(write(tmp_path, text(GOOD[kind]))).get("test-device").framer()
    assert framer.source == "f"
    assert framer.pending == 0


@pytest.mark.parametrize(("kind", "change", "where", "what"), MISTAKES)
def test_mistakes_are_told_with_their_line(
    tmp_path: Path, kind: str, change: dict[str, Any], where: str, what: str
):
    path = write(tmp_path, text({**GOOD[kind], **change}))
    with pytest.raises(ProfileError) as caught:
        load_catalog(path)
    assert what in str(caught.value)
    (problem, *_) = caught.value.problems
    assert problem.line is not None
    assert where in path.read_text().splitlines()[problem.line - 1]


def test_a_farewell_is_for_a_serial_line(tmp_path: Path):
    load_catalog(write(tmp_path, text(GOOD["fixed"], farewell="A2")))
    with pytest.raises(ProfileError, match="is for a serial transport only"):
        load_catalog(write(tmp_path, HEAD.replace("{kind: ble}", "{kind: ble, farewell: A2}") + _REST))


_REST = """\
session: [{subscribe: "fff1", mode: notify}]
frames: {fff1: {fields: [{name: rate, type: u8, metric: heart_rate, unit: /min}]}}
vectors: [{origin: by hand, source: fff1, hex: "", refused: truncated}]
"""
