"""What was learned of instruments' lives as a small file: JSON with a version, no code in it.

The trees of boosting are written as ``rules.models.trees`` has them and evaluated in pure Python, to the same
numbers; who judges by a file needs no learning library.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

from cloud_ingest.device_health.remaining_life import Band, Boosted, Learned
from cloud_ingest.device_health.run_to_failure import SENSORS, SETTINGS
from cloud_ingest.device_health.wear import Conditions, Wear
from hearthward.core.errors import ConfigError
from rules.models.trees import Node, Trees

__all__ = ["Forest", "is_model", "load", "load_all", "to_bytes"]

FORMAT: Final = "hearthward-life"
FORMAT_VERSION: Final = 1
MOST_BYTES: Final = 64 << 20
MOST_BAGS: Final = 32
_LEAF: Final = -1
_FAR: Final = 1e300
"""Above whatever comes: a split that only unknown values go another way at."""
_GZIP: Final = b"\x1f\x8b"


class Forest:
    """One bag of trees (a ``Model``) in pure Python."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees

    def predict(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """Of each row."""
        return [self.trees.score(row) for row in rows]


def to_bytes(learned: Learned) -> bytes:
    """The file's content, packed by gzip; the same model always gives the same.

    Raises ConfigError: it was learned without its interval, without which nothing is found by it.
    """
    if learned.band is None:
        msg = "a model is kept with its interval only: learn it with band"
        raise ConfigError(msg)
    conditions, band = learned.conditions, learned.band
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "units": learned.units,
        "horizon": learned.horizon,
        "weights": list(learned.weights),
        "conditions": {
            "sensors": list(conditions.sensors),
            "centres": [list(centre) for centre in conditions.centres],
            "usual": [[list(pair) for pair in row] for row in conditions.usual],
            "scales": list(conditions.scales),
        },
        "band": {"edges": list(band.edges), "low": list(band.low), "high": list(band.high)},
        "bags": [json.loads(_trees_of(model).to_json()) for model in learned.models],
    }
    return gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)


def is_model(path: Path) -> bool:
    """Whether a file looks like a model, not like units' histories. Raises ConfigError: it cannot be read."""
    return _unpacked(path, 1)[:1] == b"{"


def load(path: Path) -> Learned:
    """The model of a file. Raises ConfigError that names the file and what is wrong with it."""
    try:
        return _learned(json.loads(_unpacked(path, MOST_BYTES)), str(path))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        fault = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        msg = f"is no usable model of lives: {fault}; make it again with `hearthward rul TRAIN --save FILE`"
        raise ConfigError(msg, file=str(path)) from error


def load_all(files: Mapping[str, Path], known: Callable[[str], object]) -> dict[str, Learned]:
    """Device model -> what was learned of it. ``known`` raises ConfigError for one that there is not."""
    found = {}
    for profile, path in files.items():
        known(profile)
        found[profile] = load(path)
    return found


def _unpacked(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES)
        return zlib.decompressobj(wbits=31).decompress(raw, most) if raw[:2] == _GZIP else raw[:most]
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error
    except zlib.error as error:
        msg = "is a gzip file that is damaged"
        raise ConfigError(msg, file=str(path)) from error


def _trees_of(model: Any) -> Trees:
    if isinstance(model, Forest):
        return model.trees
    assert isinstance(model, Boosted)  # noqa: S101 - there is no third
    fitted = model.fitted
    parts = [parts[0].nodes for parts in fitted._predictors]  # noqa: SLF001 - there is no other way
    base = float(fitted._baseline_prediction.ravel()[0])  # noqa: SLF001 - as above
    names = tuple(f"f{n}" for n in range(fitted.n_features_in_))
    return Trees("life", 1, names, base, tuple(tuple(map(_node, nodes)) for nodes in parts))


def _node(node: Any) -> Node:
    value = float(node["value"])
    if node["is_leaf"]:
        return value, _LEAF, 0.0, 0, 0, 0
    left, right = int(node["left"]), int(node["right"])
    lost = left if node["missing_go_to_left"] else right
    threshold = float(node["num_threshold"])
    return value, int(node["feature_idx"]), threshold if isfinite(threshold) else _FAR, left, right, lost


def _learned(content: dict[str, Any], where: str) -> Learned:
    if (content["format"], content["format_version"]) != (FORMAT, FORMAT_VERSION):
        msg = f"format {content['format']!r} {content['format_version']!r}, not {FORMAT!r} {FORMAT_VERSION}"
        raise ValueError(msg)
    conditions, weights = _conditions(content["conditions"]), _numbers(content["weights"])
    edges, low, high = (_numbers(content["band"][name]) for name in ("edges", "low", "high"))
    if not edges or not len(edges) == len(low) == len(high) or list(edges) != sorted(edges):
        msg = "the band's edges, low and high are not of one length, or out of order"
        raise ValueError(msg)
    bags = [Forest(Trees.from_json(json.dumps(bag), where)) for bag in content["bags"][:MOST_BAGS]]
    learned = Learned(
        conditions,
        weights,
        int(content["horizon"]),
        bags,
        band=Band(edges, low, high),
        units=int(content["units"]),
    )
    width = len(Wear(conditions, weights).push((0.0,) * SETTINGS, (0.0,) * SENSORS))
    if not bags or learned.horizon < 1 or any(len(bag.trees.features) != width for bag in bags):
        msg = f"its trees do not ask the {width} features that its sensors have"
        raise ValueError(msg)
    return learned


def _conditions(raw: dict[str, Any]) -> Conditions:
    sensors = tuple(map(int, raw["sensors"]))
    centres = tuple(_numbers(row) for row in raw["centres"])
    usual = tuple(tuple((float(mean), float(spread)) for mean, spread in row) for row in raw["usual"])
    scales = _numbers(raw["scales"])
    good = sensors and all(0 <= s < SENSORS for s in sensors) and len(scales) == SETTINGS
    good = good and len(centres) == len(usual) > 0
    if not good or any(len(c) != SETTINGS for c in centres) or any(len(u) != SENSORS for u in usual):
        msg = f"its conditions are not of {SETTINGS} settings and {SENSORS} sensors"
        raise ValueError(msg)
    return Conditions(sensors, centres, usual, scales)


def _numbers(raw: Sequence[Any]) -> tuple[float, ...]:
    numbers = tuple(map(float, raw))
    if not all(map(isfinite, numbers)):
        msg = "a number that is not finite"
        raise ValueError(msg)
    return numbers
