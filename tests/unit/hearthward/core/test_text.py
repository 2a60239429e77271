"""Sorting as people expect."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.text import natural


def test_numbers_sort_by_value_and_letters_without_case():
    labels = ["10", "2", "B10", "b2", "1", "", "Bay 3", "bay 12"]
    assert sorted(labels, key=natural) == ["", "1", "2", "10", "b2", "B10", "Bay 3", "bay 12"]


@given(st.lists(st.text(max_size=8)))
def test_any_texts_can_be_compared(texts: list[str]):
    assert sorted(sorted(texts), key=natural) == sorted(sorted(texts), key=natural)
