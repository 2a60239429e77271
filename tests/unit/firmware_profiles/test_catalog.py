"""What every profile in the catalogue must do; a new YAML file needs no test of its own."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_profiles import Profile, load_catalog
from firmware_profiles.report import check, check_profile, describe
from hearthward.core.codes import METRICS
from hearthward.core.errors import ConfigError, DecodeError

CATALOG = load_catalog()
SOURCES = list(
    {
        id(frame): (profile.id, source)
        for profile in CATALOG
        for source, frame in profile.document.frames.items()
    }.values()
)
"""Every frame once, though many profiles include it."""
TEXTS = {"2a29", "2a24", "2a25", "2a26", "2a27", "2a28", "2a23", "2a2a", "2a50"}
"""The Device Information Service: each is a text, or bytes, as long as it happens to be."""
REASONS = {"truncated", "oversized", "malformed", "out_of_range", "integrity"}


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.id)
def test_vectors(profile: Profile):
    assert check_profile(profile) == []
    own = {vector.source for vector in profile.document.vectors}
    assert own, "at least one vector"
    refused = [vector for vector in profile.document.vectors if vector.refused]
    assert refused, "and one that is refused"


def test_check_runs_all_of_them():
    report = check()
    assert report.problems == ()
    assert report.profiles == len(CATALOG)
    assert report.vectors == sum(len(profile.document.vectors) for profile in CATALOG)


def test_the_catalogue_holds_what_the_readme_says():
    assert {profile.id for profile in CATALOG} >= {
        "beurer-bm85",
        "masimo-ascii1",
        "sig-battery",
        "sig-blood-pressure",
        "sig-body-composition",
        "sig-cgm",
        "sig-current-time",
        "sig-device-information",
        "sig-environmental-sensing",
        "sig-glucose",
        "sig-health-thermometer",
        "sig-heart-rate",
        "sig-pulse-oximeter",
        "sig-pulse-oximeter-spot",
        "sig-weight-scale",
        "xiaomi-mibfs",
    }


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.id)
def test_every_source_is_asked_for(profile: Profile):
    asked = {step.characteristic for step in profile.session if step.kind in {"subscribe", "read"}}
    asked |= {step.racp.records for step in profile.session if step.racp is not None}
    assert asked <= set(profile.sources)
    if profile.transport == "ble":
        assert asked == set(profile.sources)
    elif profile.transport == "serial":
        assert profile.serial is not None
        assert profile.framer().source in profile.sources


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.id)
def test_it_is_described(profile: Profile):
    text = describe(profile)
    assert profile.hash in text
    assert all(source in text for source in profile.sources)


def test_one_device_has_all_its_services():
    assert CATALOG.get("sig-heart-rate").sources == (
        "2a37", "2a19", "2bf0", "2bea",
        "2a29", "2a24", "2a25", "2a27", "2a26", "2a28", "2a23", "2a2a", "2a50",
    )  # fmt: skip
    optional = {step.characteristic for step in CATALOG.get("beurer-bm85").session if step.optional}
    assert optional == set(CATALOG.get("beurer-bm85").sources) - {"2a35"} | {"2a2b"}


@pytest.mark.parametrize(("profile_id", "source"), SOURCES)
@given(payload=st.binary(max_size=40) | st.text(max_size=80).map(str.encode))
@example(payload=b"")
def test_any_bytes_give_plausible_readings_or_a_refusal(profile_id: str, source: str, payload: bytes):
    try:
        readings = CATALOG.get(profile_id).decode(source, payload)
    except DecodeError as e:
        assert e.reason in REASONS  # noqa: PT017 - either outcome is right, a third is not
        assert str(e)  # noqa: PT017
        return
    for reading in readings:
        row = METRICS[reading.metric]
        assert reading.unit == row.unit
        assert (reading.value is None) == (row.kind == "coded")
        assert (reading.code is None) == (row.kind == "numeric")
        assert reading.value is None or row.low <= reading.value <= row.high
        assert reading.device_time is None or -(2**63) <= reading.device_time < 2**63


WAVES = sorted((p.id, source) for p in CATALOG for source in p.wave_decoders)


@pytest.mark.parametrize(("profile_id", "source"), WAVES)
@given(data=st.data())
def test_samples_of_any_bytes_are_whole_or_refused(profile_id: str, source: str, data: st.DataObject):
    profile = CATALOG.get(profile_id)
    frame = profile.document.frames[source]
    size = data.draw(st.sampled_from([frame.length or 20, 20, 0]))
    payload = data.draw(st.binary(min_size=size, max_size=size) | st.binary(max_size=20))
    try:
        waves = profile.wave_decoders[source](payload)
    except DecodeError as e:
        assert e.reason in REASONS  # noqa: PT017 - either outcome is right, a third is not
        return
    for wave in waves:
        assert METRICS[wave.metric].kind == "wave"
        assert wave.unit == METRICS[wave.metric].unit
        assert wave.scale > 0
        assert all(isinstance(sample, int) for sample in wave.samples)


def test_every_vector_with_readings_has_samples_too():
    """What ``decode`` takes, the waves' decoder takes: the session calls it only then."""
    for profile_id, source in WAVES:
        profile = CATALOG.get(profile_id)
        taken = [v for v in profile.document.vectors if v.source == source and v.readings is not None]
        assert taken
        for vector in taken:
            assert all(wave.samples for wave in profile.wave_decoders[source](vector.payload))


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.id)
@given(data=st.data())
def test_bent_vectors_give_readings_or_a_refusal(profile: Profile, data: st.DataObject):
    vector = data.draw(st.sampled_from(profile.document.vectors))
    payload = bytearray(vector.payload)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload)))
        payload[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        profile.decode(vector.source, bytes(payload))
    except DecodeError as e:
        assert e.reason in REASONS  # noqa: PT017 - either outcome is right, a third is not


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.id)
def test_a_cut_frame_never_gives_other_values(profile: Profile):
    """Whatever is cut from the end: refused, or (texts, lists) the beginning of the same readings.

    What may end earlier: lists, rows of records, frames whose check may be missing, and messages of a kind
    of which nothing is read.
    """
    for vector in profile.document.vectors:
        if vector.refused or vector.source in TEXTS:
            continue
        whole = profile.decode(vector.source, vector.payload)
        for end in range(len(vector.payload)):
            try:
                part = profile.decode(vector.source, vector.payload[:end])
            except DecodeError as e:
                assert e.reason in REASONS  # noqa: PT017
            else:
                assert part == whole[: len(part)]
                others = profile.document.frames[vector.source].begins is not None and not whole
                assert others or vector.source in {"2a37", "ascii1", "2aa7", "2aa9", "2aaa", "2aab"}


def test_bytearray_and_memoryview_are_bytes_too():
    for profile in CATALOG:
        for vector in profile.document.vectors:
            if vector.readings is not None:
                expected = profile.decode(vector.source, vector.payload)
                assert profile.decode(vector.source, bytearray(vector.payload)) == expected
                assert profile.decode(vector.source, memoryview(vector.payload)) == expected  # type: ignore[arg-type]


def test_an_unknown_source_is_refused_by_name():
    with pytest.raises(DecodeError, match="2a38") as caught:
        CATALOG.get("sig-heart-rate").decode("2a38", b"\0")
    assert caught.value.reason == "unknown_source"
    assert CATALOG.get("sig-heart-rate").decode("2A37", b"\0\x48")[0].value == 72


def test_an_unknown_profile_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="'sig-heart-rate'"):
        CATALOG.get("sig-heartrate")


def test_only_streams_have_a_framer():
    with pytest.raises(ConfigError, match="delivers whole payloads"):
        CATALOG.get("sig-heart-rate").framer()


def test_a_refused_value_is_named():
    with pytest.raises(
        DecodeError, match=r"systolic is 900 mm\[Hg\], outside the plausible 0 to 350"
    ) as caught:
        CATALOG.get("sig-blood-pressure").decode("2a35", bytes.fromhex("00840356006100"))
    assert caught.value.details["value"] == 900
    assert (caught.value.details["low"], caught.value.details["high"]) == (0, 350)
