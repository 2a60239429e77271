from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from firmware_profiles import DeviceFacts, Profile, ProfileError, load_catalog
from firmware_profiles.joining import clash, join, joined_id, parts_of
from firmware_profiles.report import check, check_profile, describe
from hearthward.core.errors import ConfigError, DecodeError, UnsupportedDevice
from tests.unit.firmware_profiles.samples import SMALL, catalog_with

CATALOG = load_catalog()
COMPOSING = sorted((p for p in CATALOG if p.document.composes), key=lambda p: p.id)
PAIRS = [(a.id, b.id) for a, b in combinations(COMPOSING, 2) if not clash(a, b)]
NONIN = "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"


def ble(*services: str, name: str | None = None) -> DeviceFacts:
    return DeviceFacts("ble", name=name, services=frozenset(services))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ble("181b", "181d", "180f"), "sig-body-composition+sig-weight-scale"),
        (ble("1822", "180d"), "sig-heart-rate+sig-pulse-oximeter"),
        (ble("1809", "180d"), "sig-health-thermometer+sig-heart-rate"),
        (ble("1810", "180d"), "sig-blood-pressure+sig-heart-rate"),
        (ble("1808", "181f"), "sig-cgm+sig-glucose"),
        (ble("180d", "1810", "181a", "181d"), None),
        # the quirk reads the cuff's service, the rest is the standard's
        (ble("1810", "180d", name="BM85"), "beurer-bm85+sig-heart-rate"),
        # a whole device of its own: nothing is joined with it
        (ble("1822", "180d", NONIN), "nonin-3230"),
        (ble("181d", "181b", name="MI_SCALE"), "xiaomi-miscale"),
    ],
)
def test_what_a_device_of_several_services_is(facts: DeviceFacts, expected: str | None):
    found = CATALOG.match(facts)
    assert found.id == (
        expected or "sig-blood-pressure+sig-environmental-sensing+sig-heart-rate+sig-weight-scale"
    )
    assert CATALOG.get(found.id) is found
    assert found.id in CATALOG
    assert found.id in CATALOG.names


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_is_joined_reads_all_that_its_parts_read(one: str, other: str):
    parts = CATALOG.get(one), CATALOG.get(other)
    whole = CATALOG.get(f"{other}+{one}")
    assert whole.id == joined_id((other, one))
    assert parts_of(whole.id) == tuple(sorted((one, other)))
    assert check_profile(whole) == []
    assert len(whole.document.vectors) == sum(len(p.document.vectors) for p in parts)
    for part in parts:
        asked = {(step.kind, step.characteristic, step.racp) for step in part.session}
        assert asked <= {(step.kind, step.characteristic, step.racp) for step in whole.session}
        for source in part.own:
            assert whole.part_of(source) is part
            assert whole.decoders[source] is part.decoders[source]
            assert whole.record_field(source) == part.record_field(source)
            assert whole.interval_s(source) == part.expected_interval_s
    with pytest.raises(DecodeError, match="has no source"):
        whole.decode("ffff", b"")


def kinds(profile: Profile) -> list[str]:
    return [step.kind for step in profile.session]


def test_the_steps_stand_in_their_order_and_once():
    whole = CATALOG.get("sig-cgm+sig-glucose+sig-pulse-oximeter+sig-heart-rate")
    steps = [(s.kind, s.characteristic) for s in whole.session]
    stores = [i for i, kind in enumerate(kinds(whole)) if kind == "racp"]
    assert kinds(whole)[0] == "pair"
    assert kinds(whole).count("set_time") == 1
    assert kinds(whole).count("pair") == 1
    assert kinds(whole).index("set_time") < stores[0]
    assert [whole.session[i].racp.records for i in stores] == ["2aa7", "2a18", "2a5e"]  # type: ignore[union-attr]
    subscribed = [i for i, (kind, what) in enumerate(steps) if kind == "subscribe" and what != "2a19"]
    assert max(subscribed) < stores[0] < steps.index(("read", "2a19")), "measurements, stores, the rest"
    assert len([step for step in steps if step[0] != "racp"]) == len({s for s in steps if s[0] != "racp"})
    needed = {s.characteristic for s in whole.session if not s.optional}
    assert needed == {"", "2aaa", "2aa7", "2a18", "2a37", "2a52"}
    assert whole.document.transport is not None
    assert whole.document.transport.pairing == "bond"


def test_the_link_of_what_may_be_silent_may_be_silent():
    strap, cuff = CATALOG.get("sig-heart-rate"), CATALOG.get("sig-blood-pressure")
    assert strap.timings.idle_s == 30
    assert join([strap, cuff]).timings.idle_s is None
    assert CATALOG.get("sig-heart-rate+sig-pulse-oximeter").timings.idle_s == 30
    assert CATALOG.get("sig-heart-rate+sig-pulse-oximeter").expected_interval_s == 1
    warm = CATALOG.get("sig-health-thermometer+sig-heart-rate")
    assert (warm.expected_interval_s, warm.interval_s("2a37"), warm.interval_s("2a1c")) == (None, 1, 14_400)
    assert warm.interval_s("2a19") == warm.part_of("2a19").expected_interval_s
    assert CATALOG.get("sig-cgm+sig-glucose").clock_resolution_s == 60, "the coarser of the two"


def test_its_hash_is_made_of_its_parts_and_is_always_the_same(tmp_path: Path):
    one, other = CATALOG.get("sig-heart-rate"), CATALOG.get("sig-blood-pressure")
    assert (
        join([one, other]).hash
        == join([other, one]).hash
        == load_catalog().get("sig-heart-rate+sig-blood-pressure").hash
    )
    assert len({p.hash for p in (one, other, join([one, other]))}) == 3
    assert join([one]) is one
    assert join([one, one]) is one
    changed = VENDOR.replace("metric: heart_rate", "metric: pulse_rate")
    first, second = (
        catalog_with(folder(tmp_path, name), text).get("sig-blood-pressure+test-device")
        for name, text in (("a", VENDOR), ("b", changed))
    )
    assert first.hash != second.hash
    moved = catalog_with(folder(tmp_path, "c"), VENDOR.replace("version: 1", "version: 3"))
    assert moved.get("sig-blood-pressure+test-device").version == 3


def folder(where: Path, name: str) -> Path:
    made = where / name
    made.mkdir()
    return made


VENDOR = SMALL.replace("match: {ble", "composes: true\nmatch: {ble")


def test_a_makers_own_service_is_joined_with_the_standards(tmp_path: Path):
    catalog = catalog_with(tmp_path, VENDOR)
    facts = ble("1810", name="TEST-1")
    assert catalog.match(facts).id == "sig-blood-pressure+test-device"
    assert catalog_with(folder(tmp_path, "whole"), SMALL).match(ble(name="TEST-1")).id == "test-device"
    with pytest.raises(UnsupportedDevice, match=r"sig-blood-pressure, test-device; name one"):
        catalog_with(folder(tmp_path, "again"), SMALL).match(facts)


def test_two_that_read_the_same_are_refused_and_one_of_higher_priority_is_right(tmp_path: Path):
    mine = """\
schema: 1
id: my-cuff
version: 1
title: A cuff that is off the standard
provenance: {source: the tests, licence: Apache-2.0, certainty: inferred}
match: {ble: [{services: ["1810"]}], priority: 1}
extends: sig-blood-pressure
quirks: [{frame: "2a35", field: mean, set: {nulls: [0]}}]
vectors: [{origin: by hand, source: "2a35", hex: "00 7800 5000 0000", refused: truncated}]
"""
    catalog = catalog_with(tmp_path, mine)
    assert catalog.match(ble("1810", "180d")).id == "my-cuff+sig-heart-rate"
    assert catalog.completed(catalog.get("sig-blood-pressure"), ble("1810", "180d")).id == (
        "sig-blood-pressure+sig-heart-rate"
    ), "what somebody named stays"
    equal = mine.replace(", priority: 1", "")
    with pytest.raises(ProfileError, match="my-cuff and sig-blood-pressure both match"):
        catalog_with(folder(tmp_path, "equal"), equal)
    named = equal.replace('services: ["1810"]', "name: CUFF")
    with pytest.raises(UnsupportedDevice, match=r"my-cuff, sig-blood-pressure; name one"):
        catalog_with(folder(tmp_path, "named"), named).match(ble("1810", name="CUFF"))
    alone = mine.replace("extends:", "composes: false\nextends:")
    assert catalog_with(folder(tmp_path, "alone"), alone).match(ble("1810", "180d")).id == "my-cuff"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sig-heart-rate+masimo-ascii1", "masimo-ascii1 is for a whole device"),
        ("sig-blood-pressure+beurer-bm85", "both read 2a35, 2a36"),
        ("sig-heart-rate+sig-glukose", "did you mean 'sig-glucose'"),
        ("sig-pulse-oximeter+sig-pulse-oximeter-spot", "both read 2a5e"),
        ("+", "unknown profile ''"),
    ],
)
def test_what_cannot_be_joined_says_why(name: str, said: str):
    with pytest.raises(ConfigError, match=said):
        CATALOG.get(name)
    assert name not in CATALOG
    assert name not in CATALOG.names


def test_a_named_profile_is_completed_when_the_device_is_connected():
    spot = CATALOG.get("sig-pulse-oximeter-spot")
    assert CATALOG.completed(spot, ble("1822", "180d")).id == "sig-heart-rate+sig-pulse-oximeter-spot"
    assert CATALOG.completed(spot, ble()) is spot
    scale = CATALOG.get("sig-weight-scale")
    both = CATALOG.completed(scale, ble("181d", "181b"))
    assert both.id == "sig-body-composition+sig-weight-scale"
    assert CATALOG.completed(both, ble("181d", "181b", "1805")) is both
    whole = CATALOG.get("nonin-3230")
    assert CATALOG.completed(whole, ble("1822", NONIN)) is whole


def test_joined_profiles_are_not_listed_but_told_of(tmp_path: Path):
    before = len(CATALOG)
    CATALOG.match(ble("181b", "181d"))
    assert len(CATALOG) == before == len(CATALOG.names)
    assert {p.id for p in CATALOG} == set(CATALOG.names)
    text = describe(CATALOG.get("sig-body-composition+sig-weight-scale"))
    assert "joined of  sig-body-composition v1" in text
    assert "matches    services 181b; " in text
    assert f"{len(PAIRS)} pairs of them joined" in check().lines[0]
    with pytest.raises(ProfileError, match="is for Bluetooth connections only"):
        catalog_with(tmp_path, VENDOR.replace("{kind: ble}", "{kind: advertisement}"))
