from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles import DeviceFacts, FirmwareRange, ProfileError, load_catalog, short_uuid
from firmware_profiles.firmware import parse_version
from hearthward.core.errors import UnsupportedDevice
from tests.unit.firmware_profiles.samples import SMALL, catalog_with

CATALOG = load_catalog()


def ble(**facts: object) -> DeviceFacts:
    return DeviceFacts("ble", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ble(services=frozenset({"180d", "180f", "180a"})), "sig-heart-rate"),
        (ble(services=frozenset({"0000180D-0000-1000-8000-00805F9B34FB"})), "sig-heart-rate"),
        (ble(services=frozenset({"1822"})), "sig-pulse-oximeter"),
        (ble(services=frozenset({"1810"}), name="A&D"), "sig-blood-pressure"),
        (ble(services=frozenset({"1810"}), name="BM85"), "beurer-bm85"),
        (ble(services=frozenset({"1810"}), name="Beurer BM 85"), "beurer-bm85"),
        (ble(services=frozenset({"1810"}), model="BM85"), "beurer-bm85"),
        (ble(name="bm85"), "beurer-bm85"),
    ],
)
def test_the_shipped_profiles(facts: DeviceFacts, expected: str):
    assert CATALOG.match(facts).id == expected


@pytest.mark.parametrize(
    "facts",
    [
        ble(),
        ble(name="some lamp", services=frozenset({"180f", "180a"})),
        DeviceFacts("serial", usb="0403:6001"),
        DeviceFacts("serial", name="BM85"),
    ],
)
def test_none_matches(facts: DeviceFacts):
    with pytest.raises(UnsupportedDevice, match="no profile matches"):
        CATALOG.match(facts)


def test_two_ways_to_read_one_device_are_not_guessed():
    facts = ble(name="BM85", services=frozenset({"1810", "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"}))
    with pytest.raises(UnsupportedDevice, match=r"beurer-bm85, nonin-3230; name one"):
        CATALOG.match(facts)


def with_match(match: str, profile_id: str = "test-device") -> str:
    return SMALL.replace("match: {ble: [{name: TEST-1}]}", f"match: {match}").replace(
        "id: test-device", f"id: {profile_id}"
    )


def test_firmware_ranges_choose(tmp_path: Path):
    catalog = catalog_with(
        tmp_path,
        with_match('{ble: [{name: T}], firmware: "<4.6"}', "old"),
        with_match('{ble: [{name: T}], firmware: ">=4.6 <5"}', "new"),
    )
    chosen = {
        fw: catalog.match(ble(name="T", firmware=fw)).id for fw in ("4.5.9", "V4.6.0", "4.10 (b3)", "0")
    }
    assert chosen == {"4.5.9": "old", "V4.6.0": "new", "4.10 (b3)": "new", "0": "old"}
    for firmware in ("5.0", "unknown", None):
        with pytest.raises(UnsupportedDevice):
            catalog.match(ble(name="T", firmware=firmware))


def test_priority_chooses(tmp_path: Path):
    catalog = catalog_with(tmp_path, with_match('{ble: [{services: ["180d"]}], priority: 1}'))
    assert catalog.match(ble(services=frozenset({"180d"}))).id == "test-device"


@pytest.mark.parametrize(
    "criteria",
    ["{company_id: 0x0077}", "{manufacturer: ACME, model: 'X[0-9]+'}", '{services: ["fff0", "fff1"]}'],
)
def test_all_criteria_must_hold(tmp_path: Path, criteria: str):
    catalog = catalog_with(tmp_path, with_match(f"{{ble: [{criteria}]}}"))
    whole = {
        "company_id": 0x77, "manufacturer": "acme", "model": "X12", "services": frozenset({"fff0", "fff1"}),
    }  # fmt: skip
    assert catalog.match(ble(**whole)).id == "test-device"
    for key, wrong in (("company_id", 1), ("model", "X12b"), ("services", frozenset({"fff1"}))):
        key_in = {
            "company_id": "company_id" in criteria,
            "model": "model" in criteria,
            "services": "fff0" in criteria,
        }
        if key_in[key]:
            with pytest.raises(UnsupportedDevice):
                catalog.match(ble(**{**whole, key: wrong}))


def serial_text(criteria: str, profile_id: str = "test-device") -> str:
    line = (
        "transport: {kind: serial, baudrate: 9600}\n"
        "framing: {kind: delimiter, source: fff1, delimiter: ';', max_length: 9}"
    )
    text = with_match(criteria, profile_id).replace("transport: {kind: ble}", line)
    return text.replace('session:\n  - {subscribe: "fff1", mode: notify}\n', "")


def test_a_usb_id(tmp_path: Path):
    catalog = catalog_with(tmp_path, serial_text('{serial: [{usb: "1234:abcd"}]}'))
    assert catalog.match(DeviceFacts("serial", usb="1234:ABCD")).id == "test-device"
    with pytest.raises(UnsupportedDevice):
        catalog.match(DeviceFacts("serial"))


def test_frames_that_are_heard_tell_the_firmware_too(tmp_path: Path):
    catalog = catalog_with(tmp_path, serial_text('{serial: [{hears: fff1}], firmware: "<=4.5"}'))
    assert catalog.match(DeviceFacts("serial", hears=frozenset({"fff1"}))).id == "test-device"
    for facts in (DeviceFacts("serial"), DeviceFacts("ble", hears=frozenset({"fff1"}))):
        with pytest.raises(UnsupportedDevice):
            catalog.match(facts)
    with pytest.raises(UnsupportedDevice, match=r"the serial device \(sends fff2\)"):
        catalog.match(DeviceFacts("serial", hears=frozenset({"fff2"})))


@pytest.mark.parametrize(
    ("criteria", "why"),
    [
        ("{serial: [{}]}", "needs usb or hears"),
        ("{serial: [{hears: fff2}]}", "is the framing's source: fff1"),
    ],
)
def test_a_criterion_of_a_port_says_something_true(tmp_path: Path, criteria: str, why: str):
    with pytest.raises(ProfileError, match=why):
        catalog_with(tmp_path, serial_text(criteria))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{serial: [{usb: "1234:abcd"}]}', '{serial: [{hears: fff1}, {usb: "1234:abcd"}]}'),
        ("{serial: [{hears: fff1}]}", "{serial: [{hears: fff1}]}"),
    ],
)
def test_two_profiles_for_one_port_are_refused(tmp_path: Path, first: str, second: str):
    with pytest.raises(ProfileError, match="two and one both match the same devices"):
        catalog_with(tmp_path, serial_text(first, "one"), serial_text(second, "two"))


def test_a_usb_id_and_frames_that_are_heard_are_no_conflict(tmp_path: Path):
    texts = (
        serial_text('{serial: [{usb: "1234:abcd"}]}', "one"),
        serial_text("{serial: [{hears: fff1}]}", "two"),
    )
    assert {"one", "two"} <= {profile.id for profile in catalog_with(tmp_path, *texts)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{ble: [{name: T}]}", "{ble: [{name: T}]}"),
        ("{ble: [{name: T}]}", "{ble: [{model: M}, {name: T}]}"),
        ("{ble: [{name: 'T.*'}]}", "{ble: [{name: T12}]}"),
        ("{ble: [{name: 'BM8.*'}]}", "{ble: [{name: 'BM85.+'}]}"),
        ("{ble: [{name: '(Acme )?T[0-9]+'}]}", "{ble: [{name: 'T\\d+|U'}]}"),
        ("{ble: [{name: 'A|B'}]}", "{ble: [{name: 'B|C'}]}"),
        (
            '{ble: [{services: ["fff0"]}]}',
            '{ble: [{services: ["0000fff0-0000-1000-8000-00805f9b34fb"], name: T}]}',
        ),
        ('{ble: [{name: T}], firmware: "<5"}', '{ble: [{name: T}], firmware: ">=4"}'),
        ('{ble: [{name: T}], firmware: "<5"}', "{ble: [{name: T}]}"),
        ("{ble: [{company_id: 1}]}", "{ble: [{company_id: 1, name: T}]}"),
    ],
)
def test_two_profiles_for_one_device_are_refused(tmp_path: Path, first: str, second: str):
    texts = with_match(first, "one"), with_match(second, "two")
    with pytest.raises(ProfileError, match="two and one both match the same devices at priority 0") as caught:
        catalog_with(tmp_path, *texts)
    assert caught.value.file == str(tmp_path / "test1.yaml")
    assert caught.value.line == 6


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{ble: [{name: T}]}", "{ble: [{name: U}]}"),
        ("{ble: [{name: 'T[0-4]'}]}", "{ble: [{name: 'T[5-9]'}]}"),
        ("{ble: [{name: 'A.*'}]}", "{ble: [{name: 'B.*'}]}"),
        ("{ble: [{name: T}]}", '{ble: [{services: ["fff0"]}]}'),
        ("{ble: [{name: T}]}", "{ble: [{name: T}], priority: 1}"),
        ('{ble: [{name: T}], firmware: "<4.6"}', '{ble: [{name: T}], firmware: ">=4.6"}'),
        ("{ble: [{company_id: 1}]}", "{ble: [{company_id: 2}]}"),
        ("{}", "{}"),
    ],
)
def test_profiles_that_can_stand_together(tmp_path: Path, first: str, second: str):
    assert (
        len(catalog_with(tmp_path, with_match(first, "one"), with_match(second, "two"))) == len(CATALOG) + 2
    )


def test_a_copy_of_a_shipped_profile_rivals_it(tmp_path: Path):
    text = Path(CATALOG.get("sig-heart-rate").file).read_text(encoding="utf-8")
    with pytest.raises(ProfileError, match="mine and sig-heart-rate both match"):
        catalog_with(tmp_path, text.replace("id: sig-heart-rate", "id: mine"))
    with pytest.raises(ProfileError, match="is already in"):
        catalog_with(tmp_path, text)


def test_short_uuids():
    assert short_uuid("0000180D-0000-1000-8000-00805F9B34FB") == "180d"
    vendor = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
    assert short_uuid(vendor.upper()) == vendor


def test_versions():
    assert parse_version("V4.6.0-rc1") == (4, 6)
    assert parse_version("fw 10.2 build 7") == (10, 2)
    assert parse_version("none") is None


@pytest.mark.parametrize("text", [">=4.6 <5", ">4", "==4.6", "<=1.2.3", ""])
def test_ranges_parse(text: str):
    assert not FirmwareRange.parse(text).empty


@pytest.mark.parametrize("text", [">=5 <4", "4.6", "=> 4", "~4", ">4 <4", ">=x", "<4 >=4"])
def test_other_ranges_do_not(text: str):
    with pytest.raises(ValueError, match="firmware"):
        FirmwareRange.parse(text)


versions = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
bounds = st.tuples(st.sampled_from([">=", ">", "<=", "<", "=="]), versions).map("".join)


@given(a=st.lists(bounds, max_size=2), b=st.lists(bounds, max_size=2), at=versions)
def test_a_meeting_of_ranges_holds_what_both_hold(a: list[str], b: list[str], at: str):
    try:
        first, second = FirmwareRange.parse(" ".join(a)), FirmwareRange.parse(" ".join(b))
    except ValueError:
        return
    version = parse_version(at)
    assert version is not None
    met = first.meet(second)
    assert (version in met) == (version in first and version in second)
    if met.empty:
        assert version not in met
