"""``README.md``: the settings and pages that it names are there, and so are its pictures."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from hearthward.core.settings import Settings
from tests.unit.docs.pages import ROOT, all_paths, table

PAGE = (ROOT / "README.md").read_text("utf-8")
KEYS = [
    key
    for row in table(PAGE, "key")
    for key in re.findall(r"`([a-z_.A-Z]+)`", row[0])
    if key.islower() or "." in key
]


def field_of(key: str) -> Any:
    """The annotation and default of a key such as ``webhooks.NAME.url``."""
    within: Any = Settings
    default: Any = None
    for name in key.split("."):
        if get_origin(within) is dict:
            assert name == "NAME"
            within, default = get_args(within)[1], None
            continue
        assert issubclass(within, BaseModel), key
        assert name in within.model_fields, f"no setting {key}"
        default = within.model_fields[name].default
        within = within.model_fields[name].annotation
    return default


@pytest.mark.parametrize("key", KEYS)
def test_each_setting_is_there(key: str):
    field_of(key)


def test_the_defaults_are_those_that_are_shown():
    for row in table(PAGE, "key"):
        keys = [k for k in re.findall(r"`([a-z_.A-Z]+)`", row[0]) if k.islower() or "." in k]
        for key, shown in zip(keys, row[1].split(", "), strict=False):
            if said := shown.strip(" ,`"):
                assert str(field_of(key)) in {said, f"{said}.0"}, key


def test_each_part_of_the_settings_is_in_the_table():
    parts = {key.split(".")[0] for key in KEYS}
    assert set(Settings.model_fields) - parts == {"log_level"}


def test_each_page_is_there():
    paths = {re.sub(r"\{\w+\}", "{}", path) for path in all_paths()}
    named = re.findall(r"^\| (`/.*?) \|", PAGE, re.MULTILINE)
    pages = [path for cell in named for path in re.findall(r"`(/[^`]*)`", cell)]
    assert len(pages) > 15
    assert {re.sub(r"\{\w+\}", "{}", path) for path in pages} <= paths


def test_each_picture_is_there():
    for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE):
        assert (ROOT / path).is_file(), path
