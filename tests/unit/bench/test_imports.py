"""Measurements are started one by one and by hand: what they import of the product is there all the same."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = (
    "bench",
    "cloud_ingest",
    "dashboards",
    "devices",
    "edge_agent",
    "firmware_profiles",
    "hearthward",
    "rules",
)
FILES = sorted((ROOT / "bench").glob("*.py"))


def _there(module: str, name: str) -> bool:
    """Whether ``from module import name`` would work; without a name ``import module``."""
    found = importlib.import_module(module)
    if not name or hasattr(found, name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_measurement_imports_is_there(path: Path) -> None:
    """Inside functions, too, where a start alone would not show it."""
    asked = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            asked |= {(node.module, name.name) for name in node.names}
        elif isinstance(node, ast.Import):
            asked |= {(name.name, "") for name in node.names}
    ours = sorted(pair for pair in asked if pair[0].partition(".")[0] in OURS)
    missing = [f"{module}: {name}" for module, name in ours if not _there(module, name)]
    assert missing == []


def test_there_are_measurements() -> None:
    """A glob that finds nothing would prove nothing."""
    assert len(FILES) > 30
