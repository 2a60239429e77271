"""A small profile as text, to be bent by the tests, and a way to load it beside the shipped ones."""

from __future__ import annotations

from pathlib import Path

import yaml

from firmware_profiles import Catalog, Profile, load_catalog

__all__ = ["HEAD", "SMALL", "catalog_with", "frame_profile", "write"]

HEAD = """\
schema: 1
id: test-device
version: 1
title: A device of the tests
provenance: {source: the tests, licence: Apache-2.0, certainty: inferred}
match: {ble: [{name: TEST-1}]}
transport: {kind: ble}
"""

SMALL = (
    HEAD
    + """\
session:
  - {subscribe: "fff1", mode: notify}
frames:
  fff1:
    fields:
      - {name: flags, type: u8}
      - {name: rate, type: u8, metric: heart_rate, unit: /min}
vectors:
  - {origin: by hand, source: fff1, hex: "00 48", readings: [{metric: heart_rate, value: 72}]}
"""
)


def write(folder: Path, text: str, name: str = "test.yaml") -> Path:
    """The text as a file."""
    path = folder / name
    path.write_text(text)
    return path


def catalog_with(folder: Path, *texts: str) -> Catalog:
    """The shipped catalogue and profiles of these texts."""
    return load_catalog(*(write(folder, text, f"test{i}.yaml") for i, text in enumerate(texts)))


def frame_profile(folder: Path, frame: dict[str, object], **sections: object) -> Profile:
    """A Bluetooth profile with one frame ``fff1``."""
    data = {
        **yaml.safe_load(HEAD),
        "session": [{"subscribe": "fff1", "mode": "notify"}],
        "frames": {"fff1": frame},
        "vectors": [{"origin": "by hand", "source": "fff1", "hex": "", "refused": "truncated"}],
        **sections,
    }
    path = folder / "frame.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_catalog(path).get("test-device")
