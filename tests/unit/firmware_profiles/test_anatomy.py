"""What is shown of a frame's bytes is what was read of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles import Profile, load_catalog
from firmware_profiles.anatomy import FieldPart, dissect
from hearthward.core.errors import DecodeError

CATALOG = load_catalog()
CUFF = CATALOG.get("sig-blood-pressure")
GOOD = bytes.fromhex("167C00 5600 6100 E807060F11111B 3300 0000".replace(" ", ""))


def rows(parts: tuple[FieldPart, ...]) -> list[tuple[str, int, int, str]]:
    return [(part.name, part.offset, part.length, part.value) for part in parts]


def test_a_cuffs_frame_byte_by_byte():
    parts = dissect(CUFF, "2a35", GOOD)
    assert rows(parts)[:4] == [
        ("flags", 0, 1, "22"),
        ("systolic", 1, 2, "124"),
        ("diastolic", 3, 2, "86"),
        ("mean", 5, 2, "97"),
    ]
    by_name = {part.name: part for part in parts}
    assert (by_name["systolic"].unit, by_name["systolic"].metric) == ("mm[Hg]", "nibp_systolic")
    assert [p for p in rows(parts) if p[3] == "2024-06-15T17:17:27"] == [
        ("time", 7, 7, "2024-06-15T17:17:27")
    ]
    assert [p[1:] for p in rows(parts) if p[0] == "pulse"] == [(14, 2, "51")]


def test_of_a_refused_frame_it_tells_what_stood_before():
    wrong = GOOD[:1] + bytes.fromhex("FF07") + GOOD[3:9]
    with pytest.raises(DecodeError):
        CUFF.decode("2a35", wrong)
    assert [part.name for part in dissect(CUFF, "2a35", wrong)][:2] == ["flags", "systolic"]
    assert dissect(CUFF, "2a35", b"") == ()
    assert dissect(CUFF, "nothing", GOOD) == ()


@pytest.mark.parametrize("profile", CATALOG, ids=lambda profile: profile.id)
def test_every_vector_of_the_catalogue_shows_what_it_gives(profile: Profile):
    for vector in profile.document.vectors:
        payload = vector.payload
        parts = dissect(profile, vector.source, payload)
        assert all(p.offset >= 0 and p.length >= 0 and p.offset + p.length <= len(payload) for p in parts)
        if vector.refused:
            continue
        frame = profile.part_of(vector.source).document.frames[vector.source]
        decoded = profile.decode(vector.source, payload)
        numbers = [f"{r.value:.6g}" for r in decoded if r.value is not None]
        said = [word for p in parts if p.metric for word in p.value.split()]
        for number in numbers:
            assert number in said or "..." in said, (vector.origin, number, said)
        texts = [r.code for r in decoded if r.code is not None and r.metric != "device_clock"]
        assert all(any(text[:19] in p.value or p.value in text for p in parts) for text in texts)
        if frame.begins is None and frame.format == "binary" and frame.length is None and not frame.records:
            covered = {i for p in parts for i in range(p.offset, p.offset + p.length)}
            assert covered == set(range(len(payload))), (vector.origin, parts)


@given(payload=st.binary(max_size=64), profile=st.sampled_from(list(CATALOG)), data=st.data())
def test_any_bytes_are_told_of(payload: bytes, profile: Profile, data: st.DataObject):
    for part in dissect(profile, data.draw(st.sampled_from(profile.sources)), payload):
        assert 0 <= part.offset <= part.offset + part.length <= len(payload)
