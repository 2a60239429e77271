"""Every frame of every profile: what the generated encoder says is what the compiled decoder reads.

Parametrised from the catalogue itself, so that a new profile is tested without another line here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from devices.twins.encoder import Content, Exclusive, FrameEncoder, Missing, ProfileEncoder
from devices.twins.placing import crc16_mcrf4xx
from firmware_profiles import Catalog, load_catalog
from firmware_profiles.profile import DecodedReading, Profile
from firmware_profiles.schema_fields import FieldSpec
from firmware_profiles.types import CLOCKS
from hearthward.core.codes import METRICS
from hearthward.core.model import Quality


@functools.cache
def catalog() -> Catalog:
    return load_catalog()


@functools.cache
def encoder(profile_id: str, source: str) -> FrameEncoder:
    return ProfileEncoder(catalog().get(profile_id)).frames[source]


def every_frame() -> list[tuple[str, str]]:
    """Each frame once: a profile that only includes or inherits one is left out."""
    seen: dict[object, tuple[str, str]] = {}
    for profile in load_catalog():
        for source, frame in profile.document.frames.items():
            seen.setdefault((source, frame.model_dump_json()), (profile.id, source))
    return sorted(seen.values())


def specs_of(one: FrameEncoder, metric: str) -> list[FieldSpec]:
    return [spec for spec in one.frame.fields if spec.metric == metric]


def plausible(one: FrameEncoder, metric: str) -> st.SearchStrategy[float]:
    """Values that all of the metric's fields take, and that the frame can carry at all."""
    row, specs = METRICS[metric], specs_of(one, metric)
    low = max((spec.range or (row.low, row.high))[0] for spec in specs)
    high = min((spec.range or (row.low, row.high))[1] for spec in specs)

    def fits(value: float) -> bool:
        try:
            for flags in every_unit(one):
                one.express(metric, value, flags)
        except ValueError:
            return False
        return True

    middle = next(v for v in (low + (high - low) * n / 64 for n in range(65)) if fits(v))
    return st.floats(low, high).map(lambda value: value if fits(value) else middle)


def code_of(one: FrameEncoder, metric: str) -> st.SearchStrategy[str]:
    specs = specs_of(one, metric)
    spec = specs[0]
    if spec.enum is not None:
        return st.sampled_from(sorted({text for each in specs for text in (each.enum or {}).values()}))
    if spec.type == "bytes":
        return st.binary(min_size=1, max_size=16).map(bytes.hex)
    if spec.type in CLOCKS:
        zones = st.none() | st.integers(-48, 56).map(lambda n: timezone(timedelta(minutes=15 * n)))
        moments = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=zones)  # noqa: DTZ001
        return moments.map(lambda at: at.replace(microsecond=0).isoformat())
    return st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, categories=["L", "N"]), min_size=1)


def units(one: FrameEncoder) -> list[tuple[str, int]]:
    return sorted({(f.unit_if.field, f.unit_if.bit) for f in one.frame.fields if f.unit_if})


def every_unit(one: FrameEncoder) -> list[dict[str, int]]:
    """Each unit's flags by themselves, and none."""
    return [{}, *({name: 1 << bit} for name, bit in units(one))]


def earliest(one: FrameEncoder) -> datetime:
    """A clock that counts seconds says nothing before it began."""
    began = [datetime.fromisoformat(f.epoch) for f in one.frame.fields if f.epoch]
    return max([datetime(2000, 1, 1), *(at + timedelta(seconds=1) for at in began)])  # noqa: DTZ001


@st.composite
def contents(draw: st.DrawFn, one: FrameEncoder) -> Content:
    """Any subset of what the frame can say."""
    flags: dict[str, int] = {}
    for name, bit in units(one):
        flags[name] = flags.get(name, 0) | draw(st.integers(0, 1)) << bit
    values = draw(st.fixed_dictionaries({}, optional={m: plausible(one, m) for m in sorted(one.metrics)}))
    codes = draw(st.fixed_dictionaries({}, optional={m: code_of(one, m) for m in sorted(one.codes)}))
    at = draw(st.none() | st.datetimes(earliest(one), datetime(2099, 12, 31))) if one.clock else None  # noqa: DTZ001
    grades = [flag for flag in one.grades if draw(st.booleans())]
    waves = {}
    for spec in one.frame.fields:
        if spec.wave:
            count = spec.wave.count or draw(st.integers(1, 40))
            top = (1 << (spec.bits[1] - spec.bits[0] + 1 if spec.bits else 7)) - 1
            samples = draw(st.binary(min_size=count, max_size=count))
            waves[spec.wave.metric] = tuple(min(top, sample) for sample in samples)
    return Content(
        values=values,
        codes=codes,
        waves=waves,
        at=at and at.replace(microsecond=0),
        record=draw(st.integers(0, 65_535)) if one.records else None,
        elapsed_min=draw(st.integers(0, 20_000)) if one.elapsed else None,
        quality=functools.reduce(lambda a, b: a | b, grades, Quality(0)),
        fields=flags,
    )


def completed(data: st.DataObject, one: FrameEncoder, content: Content) -> tuple[Content, bytes]:
    """The content with what the frame cannot be without, and its bytes."""
    while True:
        try:
            return content, one.encode(content)
        except Exclusive:
            reject()
        except Missing as missing:
            metric = missing.metric
            if metric in one.codes:
                code = data.draw(code_of(one, metric))
                content = replace(content, codes={**content.codes, metric: code})
            else:
                value = data.draw(plausible(one, metric))
                content = replace(content, values={**content.values, metric: value})


def naive_ns(at: datetime) -> int:
    return round(at.replace(tzinfo=UTC).timestamp()) * 10**9


def same(decoded: tuple[DecodedReading, ...], expected: Mapping[str, float | str]) -> None:
    got = {one.metric: one.value if one.code is None else one.code for one in decoded}
    assert got.keys() == expected.keys()
    assert len(got) == len(decoded)
    for metric, value in expected.items():
        arrived = got[metric]
        if isinstance(value, str) or isinstance(arrived, str) or arrived is None:
            assert arrived == value
        else:
            assert math.isclose(arrived, value, rel_tol=1e-12, abs_tol=1e-12), metric


def told_apart_by_value(profile: Profile, one: FrameEncoder) -> bool:
    """Whether what stands for a record's number is a value, as the device sends it: in its unit, unscaled."""
    dedupe = profile.document.dedupe
    return any(dedupe is not None and spec.name == dedupe.record and spec.metric for spec in one.frame.fields)


@pytest.mark.parametrize(("profile_id", "source"), every_frame())
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_encoded_is_decoded(profile_id: str, source: str, data: st.DataObject):
    one, profile = encoder(profile_id, source), catalog().get(profile_id)
    content, payload = completed(data, one, data.draw(contents(one)))
    decoded = profile.decode(source, payload)
    expected: dict[str, float | str] = dict(content.codes)
    for metric, value in content.values.items():
        expected[metric] = one.express(metric, value, content.fields)
    clocks = {spec.metric: spec.role for spec in one.frame.fields if spec.metric and spec.type in CLOCKS}
    for metric, role in clocks.items():
        if role != "start" and content.at is not None:
            expected[metric] = content.at.isoformat()
    same(decoded, expected)
    for reading in decoded:
        told_time = naive_ns(content.at) if content.at else None
        if reading.metric not in clocks:
            assert reading.device_time == told_time
        assert told_apart_by_value(profile, one) or reading.record in {content.record, content.elapsed_min}
        assert reading.quality & (content.quality | one.always) == content.quality | one.always
        if not content.codes:  # a code may be something against the values as well
            assert not reading.quality & ~(content.quality | one.always | Quality.CLOCK_UNSET)
        assert content.at is None or not reading.quality & Quality.CLOCK_UNSET
        if content.elapsed_min is not None:
            assert reading.elapsed == content.elapsed_min * 60 * 10**9
    if content.waves:
        waves = profile.wave_decoders[source](payload)
        assert {wave.metric: wave.samples for wave in waves} == content.waves


def vectors() -> Iterator[tuple[str, int]]:
    for profile in load_catalog():
        for i, vector in enumerate(profile.document.vectors):
            if vector.readings:
                yield profile.id, i


@pytest.mark.parametrize(("profile_id", "i"), list(vectors()))
def test_what_a_vector_says_is_said_again(profile_id: str, i: int):
    """Published values through the encoder: the same readings, if not always the same bytes."""
    profile = catalog().get(profile_id)
    vector = profile.document.vectors[i]
    first = profile.decode(vector.source, vector.payload)
    one = encoder(profile_id, vector.source)
    first = tuple({reading.metric: reading for reading in first}.values())  # the last of several
    again = profile.decode(vector.source, one.encode(said(first)))
    assert [r.metric for r in again] == [r.metric for r in first]
    for made, published in zip(again, first, strict=True):
        assert (made.code, made.device_time) == (published.code, published.device_time)
        assert told_apart_by_value(profile, one) or made.record == published.record
        if published.value is not None and made.value is not None:
            assert math.isclose(made.value, published.value, rel_tol=0.006, abs_tol=0.051)


def said(decoded: tuple[DecodedReading, ...]) -> Content:
    first = decoded[0]
    at = None
    if first.device_time is not None:
        at = datetime.fromtimestamp(first.device_time // 10**9, UTC).replace(tzinfo=None)
    return Content(
        values={r.metric: r.value for r in decoded if r.value is not None},
        codes={r.metric: r.code for r in decoded if r.code is not None},
        at=at,
        record=first.record,
        elapsed_min=None if first.elapsed is None else first.elapsed // (60 * 10**9),
    )


def bp() -> FrameEncoder:
    return encoder("sig-blood-pressure", "2a35")


def decoded(profile: str, source: str, content: Content) -> tuple[DecodedReading, ...]:
    made: Profile = catalog().get(profile)
    return made.decode(source, encoder(profile, source).encode(content))


def test_the_published_cuff_frame_byte_by_byte():
    values = {"nibp_systolic": 124.0, "nibp_diastolic": 86.0, "nibp_mean": 97.0, "pulse_rate": 51.0}
    at = datetime(2024, 6, 15, 17, 17, 27)  # noqa: DTZ001 - a device's clock has no zone
    made = bp().encode(Content(values, at=at, fields={"status": 0}))
    assert made.hex() == "167c0056006100e807060f11111b33000000"


def test_a_second_unit_is_on_the_wire_and_the_same_pressure_arrives():
    content = Content({"nibp_systolic": 120.0, "nibp_diastolic": 80.0}, fields={"flags": 1})
    made = bp().encode(content)
    assert made[0] & 1
    systolic = decoded("sig-blood-pressure", "2a35", content)[0].value
    assert systolic == bp().express("nibp_systolic", 120.0, {"flags": 1})
    assert abs((systolic or 0) - 120) < 0.1


def test_a_wide_heart_rate_takes_the_wide_field():
    one = encoder("sig-heart-rate", "2a37")
    assert one.encode(Content({"heart_rate": 72.0})).hex() == "0048"
    assert one.encode(Content({"heart_rate": 300.0})).hex() == "012c01"


def test_what_cannot_be_missing_is_named():
    with pytest.raises(Missing, match="2a37 cannot be sent without heart_rate") as error:
        encoder("sig-heart-rate", "2a37").encode(Content({"rr_interval": 800.0}))
    assert error.value.metric == "heart_rate"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Content({"etco2": 40.0}), "not 'etco2'"),
        (Content({"nibp_systolic": 351.0}), "outside 0..350"),
        (Content({"nibp_systolic": 120.0}, fields={"nothing": 1}), "no field nothing"),
        (Content({"nibp_systolic": 120.0}, quality=Quality.DEMO), "cannot say DEMO"),
        (Content({"nibp_systolic": 120.0}, codes={"device_model": "x"}), "carries no 'device_model'"),
    ],
)
def test_what_the_frame_cannot_say_is_refused(content: Content, message: str):
    with pytest.raises(ValueError, match=message):
        bp().encode(content)


def test_one_payload_says_one_thing():
    with pytest.raises(ValueError, match="one thing, not 2"):
        bp().encode(Content(), Content())


def test_the_crc_is_the_one_of_published_bytes():
    assert crc16_mcrf4xx(bytes.fromhex("08000C100600")).to_bytes(2, "little").hex() == "596f"
