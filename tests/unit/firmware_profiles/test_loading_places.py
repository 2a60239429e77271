"""Each misuse of places, records, samples, joined numbers and roles is said with its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_profiles import ProfileError, load_catalog
from tests.unit.firmware_profiles.samples import HEAD, write

SEQUENCE = """\
    fields:
      - {name: flags, type: u8}
      - {name: time, type: dt7}
      - {name: rate, type: u8, metric: heart_rate, unit: /min}
"""
FIXED = """\
    length: 8
    fields:
      - {name: flags, type: u8, at: 0}
      - {name: pleth, type: u8, at: 1, wave: {metric: pleth, rate_hz: 75, every: 2, count: 3}}
      - {name: rate, type: u16, join: [{field: flags, bits: [0, 6]}], metric: heart_rate, unit: /min}
"""
RECORDS = """\
    records: true
    integrity: crc16-mcrf4xx
    integrity_optional: true
    fields:
      - {name: size, type: u8, role: size}
      - {name: elapsed, type: u16, role: elapsed_min}
      - {name: rate, type: u8, metric: heart_rate, unit: /min}
"""
ZONED = """\
    fields:
      - {name: start, type: dt7, role: start, metric: sensor_session_start}
      - {name: zone, type: s8, role: utc_offset_quarters}
      - {name: dst, type: u8, role: dst}
"""


def profile(frame: str) -> str:
    head = HEAD + 'session:\n  - {subscribe: "fff1", mode: notify}\nframes:\n  fff1:\n'
    return head + frame + 'vectors:\n  - {origin: by hand, source: fff1, hex: "", refused: truncated}\n'


@pytest.mark.parametrize("frame", [SEQUENCE, FIXED, RECORDS, ZONED])
def test_the_samples_are_right(tmp_path: Path, frame: str):
    assert load_catalog(write(tmp_path, profile(frame))).get("test-device").sources == ("fff1",)


Z = "\n      - {name: z, type: u8, join: [{field: time, bits: [0, 1]}]}"
MISUSES = [
    # fixed places
    (SEQUENCE, "type: u8}", "type: u8, at: 0}", "flags", "at: is|is for frames with a fixed length: give"),
    (SEQUENCE, "type: u8}", "type: u8, any_in: {every: 2, count: 2}}", "flags", "any_in|fixed length"),
    (FIXED, "type: u8, at: 0}", "type: u8}", "flags", "needs at: where flags stands"),
    (FIXED, "at: 0}", "at: 8}", "flags", "flags would end at byte 9, but the fields have 8"),
    (FIXED, "length: 8", "length: 5", "pleth", "pleth would end at byte 6, but the fields have 5"),
    (
        FIXED,
        "length: 8",
        "length: 6\n    integrity: sum8",
        "pleth",
        "would end at byte 6, but the fields have 5",
    ),
    (FIXED, "length: 8", "length: 0", "length", "greater than or equal to 1"),
    (FIXED, "type: u8, at: 0}", "type: utf8, at: 0}", "flags", "reaches to the end: not in a frame of fixed"),
    (FIXED, "join: [{", "at: 3, join: [{", "name: rate", "at has no meaning"),
    (FIXED, "join: [{field: flags, bits: [0, 6]}]", "at: 3, repeat: end", "name: rate", "use wave or any_in"),
    (
        FIXED,
        "join: [{field: flags, bits: [0, 6]}]",
        "at: 3, any_in: {every: 1, count: 2}",
        "name: rate",
        "the bits of several bytes together are flags, not a number",
    ),
    (FIXED, "length: 8", "length: 8\n    records: true", "records", "either a fixed length or records"),
    (
        FIXED,
        "length: 8",
        "length: 8\n    integrity: sum8\n    integrity_optional: true",
        "integrity_opt",
        "goes with",
    ),
    (
        FIXED,
        "length: 8",
        "length: 8\n    integrity: sum8\n    integrity_none: FFFF",
        "integrity_none",
        "has as many bytes as the check",
    ),
    (FIXED, "length: 8", 'length: 8\n    integrity_none: "FF"', "integrity_none", "has as many bytes"),
    # joined numbers
    (
        FIXED,
        "field: flags, bits",
        "field: flag, bits",
        "name: rate",
        "'flag' is no earlier integer field .did you",
    ),
    (FIXED, "bits: [0, 6]}]", "bits: [0, 9]}]", "name: rate", r"\[0, 9\] is not low..high within u8"),
    (FIXED, "type: u16, join", "type: sfloat, join", "name: rate", "makes an integer, not sfloat"),
    (FIXED, "type: u16, join", "type: s16, join", "name: rate", "a joined number has no sign: use u8"),
    (
        FIXED,
        "{field: flags, bits: [0, 6]}]",
        "{field: flags, bits: [0, 7]}, {field: flags, bits: [0, 7]}, {field: flags, bits: [0, 7]}]",
        "name: rate",
        "24 bits do not fit into u16",
    ),
    (
        FIXED,
        "type: u16, join",
        "type: u16, bits: [0, 3], join",
        "name: rate",
        "cannot go with of, bits or repeat",
    ),
    (FIXED, "type: u16, join", "type: u16, endian: big, join", "name: rate", "no byte order of its own"),
    (
        SEQUENCE,
        "type: dt7}",
        "type: u8, present_if: {field: flags, bit: 0}}" + Z,
        "name: z",
        "time is not always there: give z the same present_if",
    ),
    # marks
    (SEQUENCE, "type: u8}", "type: s8, must_be: 5}", "flags", "is for u8, u16, u24 and u32"),
    (SEQUENCE, "type: u8}", "type: u8, must_be: 256}", "flags", "does not fit into u8"),
    (SEQUENCE, "unit: /min", "unit: /min, must_be: 5", "name: rate", "is a mark in its own bytes"),
    # samples
    (FIXED, "metric: pleth", "metric: plet", "pleth, type", "'plet' is no waveform .did you mean 'pleth'"),
    (FIXED, "metric: pleth", "metric: spo2", "pleth, type", "'spo2' is no waveform"),
    (FIXED, "metric: pleth, rate", "metric: pleth, unit: mV, rate", "pleth, type", "is '1': bring it there"),
    (FIXED, "at: 1, wave", "at: 1, enum: {'1': a}, wave", "pleth, type", "cannot go with enum"),
    (FIXED, "type: u8, at: 1", "type: sfloat, at: 1", "pleth, type", "samples are integers, not sfloat"),
    (FIXED, ", count: 3", "", "pleth, type", "needs count: how many samples"),
    (FIXED, "every: 2", "every: 0", "pleth, type", "greater than or equal to 1"),
    (FIXED, "type: u8, at: 1", "type: u32, at: 1", "pleth, type", "is less than the 4 bytes of u32"),
    (FIXED, "rate_hz: 75", "rate_hz: 0", "pleth, type", "greater than 0"),
    (
        FIXED,
        "at: 1, wave",
        "at: 1, quality: [{any_bit: [0], flag: motion}], wave",
        "pleth, type",
        "of its own",
    ),
    (
        SEQUENCE,
        "type: u8, metric: heart_rate, unit: /min",
        "type: u8, wave: {metric: pleth, rate_hz: 75, count: 3}",
        "name: rate",
        "elsewhere samples reach to the end",
    ),
    (
        SEQUENCE,
        "type: u8}",
        "type: u8, wave: {metric: pleth, rate_hz: 75}}",
        "flags",
        "must be the last field",
    ),
    (
        SEQUENCE,
        "metric: heart_rate, unit: /min",
        "metric: pleth",
        "name: rate",
        "is a waveform: put it under wave",
    ),
    # records
    (RECORDS, ", role: size", "", "records", "the first field, and only that, needs the role size"),
    (RECORDS, "    records: true\n", "", "fields", "is for frames with records: true"),
    (RECORDS, "type: u8, role: size", "type: u16, role: size", "name: size", "size is for u8, not u16"),
    (RECORDS, "unit: /min", "unit: /min, repeat: end", "records", "no field may reach to the end"),
    (
        RECORDS,
        "name: elapsed, type: u16, role: elapsed_min",
        "name: t, type: dt7",
        "records",
        "say elapsed_min",
    ),
    (
        RECORDS,
        "    integrity: crc16-mcrf4xx\n",
        "",
        "integrity_optional",
        "goes with integrity, and not with a fixed length",
    ),
    (
        RECORDS,
        "records: true",
        "records: true\n    only_if: [{field: elapsed, bit: 0}]",
        "only_if",
        "is not for records or pairs",
    ),
    # frames worth keeping, two flags
    (
        SEQUENCE,
        "    fields:",
        "    only_if: [{field: flag, bit: 0}]\n    fields:",
        "only_if",
        "did you mean 'flags'",
    ),
    (
        SEQUENCE,
        "    fields:",
        "    only_if: [{field: flags, bit: 8}]\n    fields:",
        "only_if",
        "has bits 0 to 7",
    ),
    (
        FIXED,
        "length: 8",
        "length: 8\n    only_if: [{field: rate, bit: 0}]",
        "only_if",
        "look at one of its parts",
    ),
    (
        SEQUENCE,
        "unit: /min",
        "unit: /min, also_if: {field: flags, bit: 0}",
        "name: rate",
        "goes with present_if: one condition alone stands there",
    ),
    (
        SEQUENCE,
        "unit: /min",
        "unit: /min, present_if: {field: flags, bit: 0}, also_if: {field: flgs, bit: 0}",
        "name: rate",
        "did you mean 'flags'",
    ),
    # roles
    (SEQUENCE, "type: u8}", "type: u8, role: clock}", "flags", "clock is for dt7, seconds32, time8, not u8"),
    (
        SEQUENCE,
        "type: u8}",
        "type: s8, role: clock_offset_min}",
        "flags",
        "needs an earlier dt7, time8 or seconds32",
    ),
    (SEQUENCE, "type: u8}", "type: u8, role: clok}", "flags", "Input should be 'clock'"),
    (
        SEQUENCE,
        "metric: heart_rate",
        "role: elapsed_min, metric: heart_rate",
        "name: rate",
        "elapsed_min is no reading",
    ),
    (ZONED, ", metric: sensor_session_start", "", "zone", "whose zone it says"),
    (ZONED, "role: dst}", "role: dst, present_if: {field: zone, bit: 0}}", "dst", "must always be there"),
    (ZONED, "role: dst", "role: utc_offset_quarters", "dst", "utc_offset_quarters is for s8, not u8"),
    (ZONED, "metric: sensor_session_start", "metric: heart_rate", "start", "numbers numeric"),
    (SEQUENCE, "type: dt7}", "type: dt7}\n      - {name: again, type: time8}", "fields", "at most one dt7"),
    (
        RECORDS,
        "metric: heart_rate, unit: /min",
        "role: elapsed_min",
        "fields",
        "at most one field of the role elapsed_min",
    ),
    # seconds, kinds of message
    (
        SEQUENCE,
        "type: dt7}",
        'type: dt7, epoch: "2010-01-01"}',
        "name: time",
        "is for seconds32, not dt7",
    ),
    (SEQUENCE, "type: dt7}", 'type: seconds32, epoch: "2010-02-30"}', "name: time", "no day of the calendar"),
    (SEQUENCE, "type: dt7}", "type: seconds32, epoch: first}", "name: time", "epoch"),
    (
        SEQUENCE,
        "    fields:",
        '    begins: ""\n    fields:',
        "begins",
        "is at least one byte",
    ),
    (RECORDS, "    records: true", '    records: true\n    begins: "81"', "begins", "without records"),
    # units
    (
        SEQUENCE,
        "metric: heart_rate, unit: /min",
        "metric: spo2, unit: mmol/L",
        "name: rate",
        "one of '%', not",
    ),
    (
        SEQUENCE,
        "unit: /min",
        "unit: /min, unit_if: {field: flags, bit: 0, unit: /min, scale: {over: 0}}",
        "name: rate",
        "greater than 0",
    ),
]


@pytest.mark.parametrize(("frame", "old", "new", "at", "message"), MISUSES)
def test_each_misuse_is_named_with_its_line(
    tmp_path: Path, frame: str, old: str, new: str, at: str, message: str
):
    assert old in frame
    text = profile(frame.replace(old, new, 1))
    path = write(tmp_path, text)
    with pytest.raises(ProfileError, match=message) as caught:
        load_catalog(path)
    assert caught.value.file == str(path)
    body = text.index("  fff1:")
    line = text[: text.index(at, body)].count("\n") + 1
    assert line in {problem.line for problem in caught.value.problems}


def test_moles_are_of_glucose_only(tmp_path: Path):
    text = profile(SEQUENCE).replace("metric: heart_rate, unit: /min", "metric: glucose_trend, unit: mmol/L")
    with pytest.raises(ProfileError, match="must be one of 'mg/dL/min', not 'mmol/L'"):
        load_catalog(write(tmp_path, text))


def test_what_is_included_is_asked_for_once(tmp_path: Path):
    text = profile(SEQUENCE).replace(
        "session:\n", 'includes: [sig-current-time]\nsession:\n  - {read: "2a2b", optional: true}\n'
    )
    steps = load_catalog(write(tmp_path, text)).get("test-device").document.session
    assert [step.read or step.subscribe for step in steps] == ["2a2b", "fff1"]
