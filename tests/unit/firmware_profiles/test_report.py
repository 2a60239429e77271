from __future__ import annotations

import json
from pathlib import Path

import firmware_profiles
from firmware_profiles import load_catalog
from firmware_profiles.report import check, decode_json, describe
from tests.unit.firmware_profiles.samples import SMALL, write

CATALOG = load_catalog()


def test_decode_json_of_the_published_frames():
    rows = decode_json(
        CATALOG.get("sig-blood-pressure"), "2a35", bytes.fromhex("167C0056006100E807060F11111B33000000")
    )
    assert [(row["metric"], row["value"], row["unit"], row["time"], row["quality"]) for row in rows] == [
        ("nibp_systolic", 124, "mm[Hg]", "2024-06-15T17:17:27", []),
        ("nibp_diastolic", 86, "mm[Hg]", "2024-06-15T17:17:27", []),
        ("nibp_mean", 97, "mm[Hg]", "2024-06-15T17:17:27", []),
        ("pulse_rate", 51, "/min", "2024-06-15T17:17:27", []),
    ]
    assert all(list(row) == ["metric", "value", "unit", "time", "quality"] for row in rows)
    rows = decode_json(CATALOG.get("sig-pulse-oximeter"), "2a5f", bytes.fromhex("0C62004E002000000000"))
    assert json.loads(json.dumps(rows)) == [
        {"metric": "spo2", "value": 98, "unit": "%", "time": None, "quality": ["ongoing"]},
        {"metric": "pulse_rate", "value": 78, "unit": "/min", "time": None, "quality": ["ongoing"]},
    ]


def test_numbers_without_noise_and_texts():
    line = b"02/22/16 22:47:45 SPO2=098% BPM=097 PI=03.60% EXC=000800\r\n"
    values = [json.dumps(row["value"]) for row in decode_json(CATALOG.get("masimo-ascii1"), "ascii1", line)]
    assert values == ["98", "97", "3.6"]
    (row,) = decode_json(CATALOG.get("sig-heart-rate"), "2a26", b"1.2\0")
    assert row == {"metric": "device_firmware", "value": "1.2", "unit": None, "time": None, "quality": []}


def test_describe_tells_what_differs():
    text = describe(CATALOG.get("beurer-bm85"))
    assert "extends    sig-blood-pressure (differs in 2a35 mean, 2a35 pulse, 2a35 user, 2a35 status)" in text
    assert "pulse: sfloat big-endian, if flags bit 2 -> pulse_rate /min, plausible 0 to 350" in text
    text = describe(CATALOG.get("masimo-ascii1"))
    assert "transport  serial 9600 8N1, a value every 1 s" in text
    assert "(inferred)" in text


def test_describe_tells_where_fields_stand():
    nonin = describe(CATALOG.get("nonin-df2"))
    assert "frame df2 (125 bytes, the same again only after 0.9 s)" in nonin
    assert "  status: u8 at 1, any of 25 every 5 -> quality sensor_off, poor_signal, motion" in nonin
    assert "  pleth: u8 at 2 -> pleth, 75 samples a second" in nonin
    assert "  pulse: u16 of hr_msb 0..1 and hr_lsb 0..6 -> pulse_rate /min, plausible 0 to 350" in nonin
    cgm = describe(CATALOG.get("sig-cgm"))
    assert "frame 2aa7 (crc16-mcrf4xx, or none, records)" in cgm
    assert "  offset: u16, elapsed min" in cgm
    scale = describe(CATALOG.get("xiaomi-mibfs"))
    assert "frame 181b (13 bytes, only if state bit 5, only if not state bit 7)" in scale
    assert "  volume: sfloat, if flags bit 4 and flags bit 5 -> medication_volume" in describe(
        CATALOG.get("sig-glucose")
    )
    assert "  mark: u16, always 0x1eb" in describe(CATALOG.get("contec-cms50d-bt"))


def test_describe_tells_how_a_line_is_spoken_to():
    catalog = load_catalog()
    assert "framing    25 frames of 5 bytes, sum8 enforced" in describe(catalog.get("nonin-df2"))
    assert "framing    lines that end with '\\r\\n'" in describe(catalog.get("masimo-ascii1"))
    contec = describe(catalog.get("contec-cms50-9byte"))
    assert "step       keepalive 7d 81 af 80 80 80 80 80 80 every 2 s" in contec
    assert "at the end 7D 81 A2 80 80 80 80 80 80" in contec


def test_check_names_a_vector_that_fails(tmp_path: Path):
    path = write(tmp_path, SMALL.replace("value: 72", "value: 73"))
    report = check([path])
    assert (report.profiles, report.vectors) == (1, 1)
    (problem,) = report.problems
    assert (report.ok, report.lines) == (False, report.problems)
    assert problem == (
        f"{path}: test-device vector 1 (by hand): expected [heart_rate=73 /min], got [heart_rate=72 /min]"
    )


def test_check_says_what_was_checked(tmp_path: Path):
    report = check([write(tmp_path, SMALL)])
    assert (report.ok, report.lines) == (True, ("1 profiles, 1 vectors: all as they say",))


def test_check_compares_time_quality_and_refusals(tmp_path: Path):
    for old, new in (
        ("value: 72", "value: 72, time: '2024-01-01T00:00:00'"),
        ("value: 72", "value: 72, quality: [motion]"),
        ("value: 72", "value: 72, record: 1"),
        ("readings: [{metric: heart_rate, value: 72}]", "refused: truncated"),
        ("readings: [{metric: heart_rate, value: 72}]", "readings: []"),
        ('hex: "00 48"', 'hex: "00"'),
    ):
        assert len(check([write(tmp_path, SMALL.replace(old, new))]).problems) == 1


def test_check_never_raises_for_files(tmp_path: Path):
    assert "no such file" in check([tmp_path / "none"]).problems[0]
    assert "test.yaml:1: " in check([write(tmp_path, "{}")]).problems[0]


def test_public_names_are_there():
    assert sorted(firmware_profiles.__all__) == firmware_profiles.__all__
    assert all(hasattr(firmware_profiles, name) for name in firmware_profiles.__all__)
