"""What is loaded only where something learns (ADR 38)."""

import subprocess
import sys

import pytest

HEAVY = {"river", "sklearn", "scipy", "numpy", "pandas"}


@pytest.mark.parametrize(
    "modules",
    ["hearthward.app.edge, edge_agent, devices, rules, rules.engine", "hearthward.app.cloud, dashboards.app"],
    ids=["edge", "cloud"],
)
def test_neither_gateway_nor_cloud_loads_what_learns_at_its_start(modules: str):
    code = f"import sys, {modules}; print(*{{m.split('.')[0] for m in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "rules" in loaded.split()
    assert not HEAVY & set(loaded.split())
