"""What a serial twin puts on the line is what the profile's framer hands on, whatever is between."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.twins.encoder import Content, ProfileEncoder
from devices.twins.streams import on_the_wire
from devices.twins.waveforms import pulse_samples
from firmware_profiles import Catalog, Profile, load_catalog
from firmware_profiles.framing import FramedBytes
from firmware_profiles.schema_transport import Framing


@functools.cache
def catalog() -> Catalog:
    return load_catalog()


SERIAL = sorted(profile.id for profile in load_catalog() if profile.transport == "serial")


def framing_of(profile: Profile) -> Framing:
    framing = profile.document.framing
    assert framing is not None
    return framing


def two_of(profile: Profile) -> tuple[str, str]:
    """Two of the metrics that it carries."""
    own = profile.id == "generic-instrument"
    return ("device_sensor_1", "device_cycles") if own else ("spo2", "pulse_rate")


def payload_of(profile: Profile, value: float) -> bytes:
    encoder = ProfileEncoder(profile).frames[framing_of(profile).source]
    waves = {
        spec.wave.metric: pulse_samples(spec, 0, spec.wave.count or 1, 60)
        for spec in encoder.frame.fields
        if spec.wave
    }
    one, other = two_of(profile)
    given = encoder.typical() if one == "device_sensor_1" else {}
    return encoder.encode(Content({**given, one: value, other: 61}, waves=waves))


def cut(profile: Profile, stream: bytes, pieces: list[int]) -> list[bytes]:
    """The payloads that come of a stream in pieces of these sizes."""
    framer, out, at = profile.framer(), [], 0
    for size in [*pieces, len(stream)]:
        out += framer.feed(stream[at : at + size])
        at += size
    return [item.payload for item in out if isinstance(item, FramedBytes)]


@pytest.mark.parametrize("profile_id", SERIAL)
@settings(max_examples=10)
@given(st.lists(st.integers(90, 99), min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=20))
def test_payloads_survive_the_line(profile_id: str, values: list[int], pieces: list[int]):
    profile = catalog().get(profile_id)
    framing = framing_of(profile)
    values = values * framing.lock  # a framer that needs several in a row to believe the first
    stream = b"".join(on_the_wire(framing, payload_of(profile, value)) for value in values)
    got = cut(profile, stream, pieces)
    assert len(got) == len(values)
    for payload, value in zip(got, values, strict=True):
        decoded = {r.metric: r.value for r in profile.decode(framing.source, payload)}
        one, other = two_of(profile)
        assert (decoded[one], decoded[other]) == (value, 61)


@pytest.mark.parametrize("profile_id", SERIAL)
def test_half_a_frame_and_noise_cost_no_more_than_their_neighbour(profile_id: str):
    profile = catalog().get(profile_id)
    framing = framing_of(profile)
    whole = on_the_wire(framing, payload_of(profile, 95))
    stream = whole[: len(whole) // 2] + b"\xfe\x00\x7f" * 5 + (framing.delimiter or "").encode() + whole * 12
    got = cut(profile, stream, [])
    assert len(got) >= 10
    assert profile.decode(framing.source, got[-1])


def test_a_payload_of_another_size_is_refused():
    profile = catalog().get("nonin-df2")
    with pytest.raises(ValueError, match="124 bytes are not 25 frames of 5"):
        on_the_wire(framing_of(profile), bytes(124))


def test_a_fixed_frame_begins_as_it_must():
    framing = Framing(kind="fixed", source="f", length=4, start="7E 03")
    assert on_the_wire(framing, b"\0\0\x10\x20") == b"\x7e\x03\x10\x20"


def test_a_pulse_repeats_with_the_heart():
    encoder = ProfileEncoder(catalog().get("nonin-df2")).frames["df2"]
    (spec,) = [spec for spec in encoder.frame.fields if spec.wave]
    samples = pulse_samples(spec, 0, 150, 60)
    assert samples[:75] == samples[75:]
    assert samples == (*pulse_samples(spec, 0, 40, 60), *pulse_samples(spec, 40, 110, 60))
    assert 0 <= min(samples) < max(samples) <= 255
