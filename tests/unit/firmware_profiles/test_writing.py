from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_profiles import load_catalog
from firmware_profiles.document import read_document
from firmware_profiles.report import check
from firmware_profiles.resolve import parse
from firmware_profiles.writing import (
    BleDraft,
    Captured,
    Draft,
    FieldDraft,
    SerialDraft,
    profile_text,
    vectors_text,
)

OWN = Draft(
    "acme-oxi",
    'The "Acme": oximeter # 2',
    "own frames",
    BleDraft("ACME.*", "2a5f", "notify"),
    (FieldDraft("flags", "u8"), FieldDraft("spo2", "sfloat", "spo2", "%")),
    interval_s=1,
)
SERIAL = Draft(
    "acme-line",
    "Acme on a line",
    "manual",
    SerialDraft(9600, 8, "N", 1, 3, "AA"),
    (FieldDraft("start", "u8"), FieldDraft("rate", "u16", "pulse_rate", "/min", big_endian=True)),
    interval_s=1,
)
LIKE = Draft(
    "acme-cuff", "Acme cuff", "manual", BleDraft("ACME.*", "2a35", "notify"), extends="sig-blood-pressure"
)


def loaded(tmp_path: Path, draft: Draft, frame: bytes):
    first = Captured(draft.frame, frame, "by hand")
    path = tmp_path / "draft.yaml"
    path.write_text(profile_text(draft, vectors_text(None, [first])))
    profile = load_catalog(path).get(draft.id)
    path.write_text(profile_text(draft, vectors_text(profile, [first])))
    return path, profile


@pytest.mark.parametrize(
    ("draft", "frame", "value"),
    [
        (OWN, "00 6200", 98),
        (SERIAL, "AA 0048", 72),
        (LIKE, "00 7C00 5600 6100", 124),
    ],
    ids=["own frames", "serial", "extends"],
)
def test_a_draft_is_a_profile_that_passes_its_own_check(
    tmp_path: Path, draft: Draft, frame: str, value: float
):
    path, profile = loaded(tmp_path, draft, bytes.fromhex(frame))
    assert profile.decode(draft.frame, bytes.fromhex(frame))[0].value == value
    report = check([path])
    assert (report.ok, report.profiles, report.vectors) == (True, 1, 1)
    assert bool(report.joined) == bool(draft.extends), "what extends a part of a device is one, too"


def test_a_wrong_decoding_is_noticed_by_the_check(tmp_path: Path):
    path, _ = loaded(tmp_path, OWN, bytes.fromhex("00 6200"))
    path.write_text(path.read_text().replace("value: 98", "value: 97"))
    assert not check([path]).ok


def test_what_is_refused_is_written_as_refused():
    profile = load_catalog().get("sig-blood-pressure")
    text = vectors_text(profile, [Captured("2a35", b"\x00", "cut")])
    assert "refused: truncated" in text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(str.strip))
def test_no_text_is_taken_for_syntax(tmp_path_factory: pytest.TempPathFactory, text: str):
    path = tmp_path_factory.mktemp("draft") / "draft.yaml"
    draft = Draft("acme-oxi", "An oximeter", text, OWN.line, OWN.fields)
    path.write_text(profile_text(draft, vectors_text(None, [Captured("2a5f", b"\x00", text)])))
    assert parse(read_document(path)).doc.provenance.source.strip() == text.strip()
