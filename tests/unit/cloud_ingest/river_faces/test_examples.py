"""The examples in the docstrings of faces, detectors, models and their twins say what comes of them."""

from __future__ import annotations

import doctest
from importlib import import_module
from pkgutil import iter_modules

import pytest

PACKAGES = ("cloud_ingest.river_faces", "rules.detectors", "rules.models")
MODULES = [
    f"{package}.{found.name}"
    for package in PACKAGES
    for found in iter_modules(import_module(package).__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str):
    assert doctest.testmod(import_module(name)).failed == 0


def test_there_are_some():
    assert sum(doctest.testmod(import_module(name)).attempted for name in MODULES) > 30
