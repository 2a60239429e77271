from __future__ import annotations

import inspect

import pytest

from hearthward.core import errors
from hearthward.core.errors import (
    AccessError,
    ConfigError,
    DecodeError,
    DeliveryTemporary,
    HearthwardError,
    LinkError,
    StoreRejected,
    StoreUnavailable,
    UplinkError,
)

ALL = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception)]


def test_there_is_one_root_and_every_error_is_public_and_drawn():
    assert {c.__name__ for c in ALL} == set(errors.__all__)
    assert all(issubclass(c, HearthwardError) for c in ALL)
    assert all(c.__name__ in (errors.__doc__ or "") for c in ALL)


def test_only_what_may_pass_by_itself_says_retry():
    assert {c for c in ALL if c.retry} == {LinkError, UplinkError, StoreUnavailable, DeliveryTemporary}


def test_errors_carry_data_and_speak_plainly():
    error = StoreRejected("no such column", table="readings", row=5)
    assert str(error) == error.message == "no such column"
    assert error.details == {"table": "readings", "row": 5}


@pytest.mark.parametrize(
    ("place", "text"),
    [({}, "is wrong"), ({"file": "a.yaml"}, "a.yaml: is wrong"), ({"file": "a", "line": 3}, "a:3: is wrong")],
)
def test_a_configuration_error_says_where(place: dict[str, object], text: str):
    error = ConfigError("is wrong", **place)  # type: ignore[arg-type]
    assert str(error) == text
    assert (error.file, error.line) == (place.get("file"), place.get("line"))


def test_a_decode_error_has_a_countable_reason_and_a_place():
    error = DecodeError("too short", reason="truncated", offset=4, need=6)
    assert (error.reason, error.offset) == ("truncated", 4)
    assert error.details == {"reason": "truncated", "offset": 4, "need": 6}


def test_an_access_error_tells_who_is_unknown_from_what_is_forbidden():
    assert AccessError("no").authenticated
    assert not AccessError("no", authenticated=False).authenticated
