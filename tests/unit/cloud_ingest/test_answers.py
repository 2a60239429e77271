"""Tokens of callback addresses: they name one notification and cannot be made by anybody else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.answers import FILE, Answers
from hearthward.core.errors import ConfigError
from hearthward.core.ids import stable_id

ANSWERS = Answers(b"s" * 32)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_a_token_leads_back_to_its_notification(ident: str):
    token = ANSWERS.token_of(ident)
    assert ANSWERS.notification_of(token) == ident
    assert token == ANSWERS.token_of(ident)
    assert Answers(b"t" * 32).notification_of(token) is None


@given(st.text(max_size=120))
def test_any_other_text_is_nobodys_token(text: str):
    assert ANSWERS.notification_of(text) is None


@given(st.integers(0, 47), st.sampled_from("Ab0_-."))
def test_a_changed_token_is_refused(place: int, character: str):
    token = ANSWERS.token_of(stable_id("ntf", "x"))
    changed = token[:place] + character + token[place + 1 :]
    assert (ANSWERS.notification_of(changed) is None) == (changed != token)


def test_the_secret_is_made_once_and_kept_from_others(tmp_path: Path):
    token = Answers.open(tmp_path / "cloud").token_of("ntf_1")
    assert Answers.open(tmp_path / "cloud").notification_of(token) == "ntf_1"
    assert stat.S_IMODE((tmp_path / "cloud" / FILE).stat().st_mode) == 0o600
    assert Answers.open(tmp_path / "other").notification_of(token) is None


def test_a_damaged_secret_is_told_with_its_file(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes") as caught:
        Answers.open(tmp_path)
    assert caught.value.file == str(tmp_path / FILE)
