"""The steps of a session: what is compiled of them, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_profiles import DeviceFacts, ProfileError, RacpStep, Step, load_catalog
from firmware_profiles.document import read_document
from firmware_profiles.report import describe
from firmware_profiles.resolve import parse, resolve_all
from tests.unit.firmware_profiles.samples import HEAD, SMALL, write

STORED = """\
schema: 1
id: test-store
version: 1
title: A device with a store
provenance: {source: the tests, licence: Apache-2.0, certainty: inferred}
match: {ble: [{name: TEST-2}]}
transport: {kind: ble, pairing: bond, keepalive: {every_s: 20, write: "ffe1", hex: "7D 81"}}
session:
  - {write: "ffe1", hex: "01 02", retries: 3}
  - {delay_s: 0.5}
  - {set_time: "2a2b", optional: true}
  - {racp: {control: "2a52", records: "fff1", cursor: sequence, delete: true}, within_s: 10}
frames:
  fff1:
    fields:
      - {name: number, type: u16}
      - {name: rate, type: u8, metric: heart_rate, unit: /min}
dedupe: {record: number}
vectors:
  - {origin: by hand, source: fff1, hex: "0100 48", readings: [{metric: heart_rate, value: 72, record: 1}]}
"""

LINE = """\
schema: 1
id: test-line
version: 1
title: An instrument that is asked
provenance: {source: the tests, licence: Apache-2.0, certainty: inferred}
match: {}
transport: {kind: serial, baudrate: 9600, keepalive: {every_s: 5, hex: "AF"}}
session:
  - {send: "7D 81 A1"}
  - {expect: "06", within_s: 2}
  - {set_time: nonin}
framing: {kind: delimiter, source: line, delimiter: "\\r", max_length: 80}
frames:
  line:
    fields:
      - {name: rate, type: u8, metric: heart_rate, unit: /min}
vectors:
  - {origin: by hand, source: line, hex: "48", readings: [{metric: heart_rate, value: 72}]}
"""

HEARD = """\
schema: 1
id: test-heard
version: 1
title: A device that only advertises
provenance: {source: the tests, licence: Apache-2.0, certainty: inferred}
match: {ble: [{name: TEST-3}]}
transport: {kind: advertisement}
frames:
  fff1:
    fields:
      - {name: rate, type: u8, metric: heart_rate, unit: /min}
vectors:
  - {origin: by hand, source: fff1, hex: "48", readings: [{metric: heart_rate, value: 72}]}
"""


def resolved(path: Path) -> None:
    """Check one file alone. Raises ProfileError."""
    one = parse(read_document(path))
    resolve_all({one.doc.id: one})


def test_all_verbs_are_compiled_in_their_order_with_pairing_first_and_keeping_alive_last(tmp_path: Path):
    stored = load_catalog(write(tmp_path, STORED)).get("test-store")
    assert stored.session == (
        Step("pair", mode="bond"),
        Step("write", "ffe1", data=b"\x01\x02", retries=3),
        Step("delay", seconds=0.5),
        Step("set_time", "2a2b", optional=True),
        Step("racp", "2a52", racp=RacpStep("2a52", "fff1", "sequence", delete=True, within_s=10)),
        Step("keepalive", "ffe1", data=b"\x7d\x81", seconds=20),
    )
    line = load_catalog(write(tmp_path, LINE)).get("test-line")
    assert line.session == (
        Step("send", data=b"\x7d\x81\xa1"),
        Step("expect", data=b"\x06", seconds=2),
        Step("set_time", "nonin"),
        Step("keepalive", data=b"\xaf", seconds=5),
    )


def test_they_are_told_to_people(tmp_path: Path):
    text = describe(load_catalog(write(tmp_path, STORED)).get("test-store"))
    for said in (
        "step       pair (bond)",
        "step       write ffe1 01 02",
        "step       delay 0.5 s",
        "step       set time 2a2b, if it has it",
        "step       racp 2a52 records fff1, from the last one on deleted once they are committed",
        "step       keepalive ffe1 7d 81 every 20 s",
    ):
        assert said in text.splitlines()


@pytest.mark.parametrize(
    ("base", "old", "new", "message"),
    [
        (STORED, "{delay_s: 0.5}", "{delay_s: 0.5, read: ffe1}", "one of .*, not read and delay_s"),
        (STORED, "{delay_s: 0.5}", "{optional: true}", "a step is one of subscribe, read"),
        (STORED, "{delay_s: 0.5}", "{delay_s: 0.5, optional: true}", "a delay is always possible"),
        (STORED, "{delay_s: 0.5}", "{delay_s: 0.5, retries: 1}", "a delay does not fail"),
        (STORED, ', hex: "01 02"', "", "hex goes with write, and only with it"),
        (STORED, 'hex: "01 02"', 'hex: ""', "needs at least one byte"),
        (STORED, "{delay_s: 0.5}", '{read: fff1, hex: "00"}', "hex goes with write"),
        (STORED, "{delay_s: 0.5}", "{read: fff1, mode: notify}", "goes with subscribe, and only with it"),
        (STORED, "{delay_s: 0.5}", "{read: fff1, within_s: 3}", "is for expect and racp only"),
        (STORED, "{delay_s: 0.5}", '{send: "00"}', "send is no step for Bluetooth"),
        (STORED, 'set_time: "2a2b"', "set_time: nonin", "over Bluetooth it is 2a2b"),
        (STORED, 'set_time: "2a2b"', 'set_time: "2a0f"', "over Bluetooth it is 2a2b"),
        (STORED, 'records: "fff1"', 'records: "2a52"', "another characteristic than the control point"),
        (STORED, 'records: "fff1"', 'records: "fff2"', "no frame decodes 'fff2'"),
        (STORED, "dedupe: {record: number}\n", "", "cursor sequence needs dedupe"),
        (STORED, "cursor: sequence, delete", "delete", "needs cursor: without numbers"),
        (STORED, 'write: "ffe1", hex: "7D', 'hex: "7D', "needs write: the characteristic"),
        (STORED, "  - {delay_s: 0.5}\n", "", None),
        (LINE, "set_time: nonin", 'set_time: "2a2b"', "on a serial line it is nonin"),
        (LINE, '{send: "7D 81 A1"}', "{read: fff1}", "read is no step for a serial line"),
        (LINE, "every_s: 5,", "every_s: 5, write: ffe1,", "a serial line has no characteristics"),
        (LINE, "baudrate: 9600", "baudrate: 9600, pairing: bond", "is for Bluetooth connections only"),
        (LINE, '{send: "7D 81 A1"}', '{send: ""}', "needs at least one byte"),
        (HEARD, "kind: advertisement", "kind: advertisement, idle_s: 60", "silence means nothing"),
        (HEARD, "kind: advertisement", "kind: advertisement, pairing: bond", "Bluetooth connections only"),
        (
            HEARD,
            "kind: advertisement",
            'kind: advertisement, keepalive: {every_s: 1, hex: "00"}',
            "nothing is sent",
        ),
        (HEARD, "frames:\n", "session: [{read: fff1}]\nframes:\n", "read is no step for advertisements"),
        (HEARD, "  fff1:", "  weight:", "named by its service"),
        (HEARD, "fff1", "m0157", None),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path: Path, base: str, old: str, new: str, message: str | None):
    assert old in base
    path = write(tmp_path, base.replace(old, new))
    if message is None:
        resolved(path)
        return
    with pytest.raises(ProfileError, match=message) as caught:
        resolved(path)
    assert caught.value.problems[0].line is not None


def test_the_clock_is_set_before_the_store_is_fetched(tmp_path: Path):
    lines = STORED.splitlines(keepends=True)
    clock = next(line for line in lines if "set_time" in line)
    late = "".join(line for line in lines if line != clock).replace("frames:\n", clock + "frames:\n")
    with pytest.raises(ProfileError, match="set_time stands before racp"):
        resolved(write(tmp_path, late))


def test_an_advertiser_is_found_by_what_it_says_like_any_bluetooth_device(tmp_path: Path):
    catalog = load_catalog(write(tmp_path, HEARD))
    assert catalog.match(DeviceFacts("ble", name="test-3")).id == "test-heard"
    rival = write(tmp_path, SMALL.replace("TEST-1", "TEST-3"), "rival.yaml")
    with pytest.raises(ProfileError, match="both match the same devices"):
        load_catalog(tmp_path / "test.yaml", rival)


STREAM = """\
framing: {kind: fixed, source: fff1, length: 1, start: "01"}
"""
TALK = """\
session:
  - {subscribe: fff1, mode: notify}
  - {write: fff2, hex: "01"}
  - {expect: "02", source: fff1, within_s: 2}
  - {set_time: fff2, clock: {epoch: "2010-01-01", endian: big, before: "02"}}
"""


def talking(text: str = TALK, more: str = "") -> str:
    frames = "frames:\n  fff1: {fields: [{name: rate, type: u8, metric: heart_rate, unit: /min}]}\n"
    return (
        HEAD
        + text
        + more
        + frames
        + 'vectors:\n  - {origin: by hand, source: fff1, hex: "", refused: truncated}\n'
    )


def test_a_conversation_is_said_by_steps(tmp_path: Path):
    profile = load_catalog(write(tmp_path, talking(more=STREAM))).get("test-device")
    expect, clock = profile.session[2:]
    assert (expect.kind, expect.characteristic, expect.data, expect.seconds) == ("expect", "fff1", b"\x02", 2)
    assert clock.clock is not None
    assert (clock.clock.epoch, clock.clock.endian, clock.clock.before) == ("2010-01-01", "big", "02")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source: fff1, within_s", "within_s", "expect needs source"),
        ("source: fff1, within_s", "source: fff3, within_s", "that a step before subscribes to"),
        (
            'write: fff2, hex: "01"',
            'write: fff2, hex: "01", source: fff1',
            "is for expect over Bluetooth",
        ),
        (
            'write: fff2, hex: "01"',
            'write: fff2, hex: "01", clock: {before: "02"}',
            "is for set_time only",
        ),
        (
            "set_time: fff2",
            'set_time: "2a2b"',
            "characteristic that is not the standard's",
        ),
        ("2010-01-01", "2010-13-01", "is no day of the calendar"),
        ("2010-01-01", "1969-12-31", "is no day of the calendar"),
        (', clock: {epoch: "2010-01-01", endian: big, before: "02"}', "", "or any other with clock"),
    ],
)
def test_a_conversation_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, message: str):
    assert old in TALK
    with pytest.raises(ProfileError, match=message):
        load_catalog(write(tmp_path, talking(TALK.replace(old, new))))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (STREAM.replace("fff1", "fff9"), "a characteristic that the session subscribes to"),
        (STREAM + "composes: true\n", "take composes away"),
        (STREAM.replace(', start: "01"', ""), "needs start, tests or integrity"),
    ],
)
def test_a_stream_is_of_one_characteristic(tmp_path: Path, more: str, message: str):
    with pytest.raises(ProfileError, match=message):
        load_catalog(write(tmp_path, talking(more=more)))
