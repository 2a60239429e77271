from __future__ import annotations

import subprocess
import sys

import devices


def test_all_names_are_there_and_sorted():
    assert all(getattr(devices, name) is not None for name in devices.__all__)
    assert list(devices.__all__) == sorted(devices.__all__)


def test_importing_it_loads_no_vendors_client():
    code = "import sys, devices; print(*{m.split('.')[0] for m in sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"bleak", "bumble", "serial", "serialx"} & set(out.stdout.split())
