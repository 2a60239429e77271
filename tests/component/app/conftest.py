"""What tests of the command line share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def clean_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory) -> Iterator[None]:
    """No settings but the test's own; and the command's logging ends with the test."""
    for name in os.environ:
        if name.startswith("HEARTHWARD_") and name != "HEARTHWARD_DATA":
            monkeypatch.delenv(name)
    monkeypatch.chdir(str(tmp_path))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
