"""Where the real recordings lie to measure detectors on: ``HEARTHWARD_DATA``, or ``../shared/data``."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["recordings"]


def recordings(name: str) -> Path | None:
    """The folder of one set of recordings; None when it is not on this machine."""
    given = os.environ.get("HEARTHWARD_DATA")
    root = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = root / name
    return folder if folder.is_dir() else None
