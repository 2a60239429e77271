"""What tests need from outside Python: programs and recordings; skipped with a reason where they are absent.

In CI nothing is skipped for a missing program: there it is a failure.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

__all__ = ["program", "shared_data"]

ROOT = Path(__file__).parent.parent


def program(name: str) -> str:
    """The path of an installed program. Skips (in CI: fails) when it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path:
        return path
    reason = f"{name} is not installed; as root on Debian ./dev test installs it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def shared_data(name: str) -> Path:
    """A file of the real recordings, which are not part of the project. Skips when it is absent."""
    folder = Path(os.environ.get("HEARTHWARD_DATA", ROOT.parent / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"no recording {name} in {folder}; set HEARTHWARD_DATA")
    return path
