"""What may not be stored of readings: what no store can hold, and what cannot be true."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

from cloud_ingest.entry import manual_patient
from hearthward.core.clock import iso
from hearthward.core.codes import METRICS
from hearthward.core.errors import DecodeError
from hearthward.core.model import ReadingBatch

__all__ = ["FUTURE", "check_columns", "screen"]

FUTURE: Final = "future"
"""Why a reading is put aside that says it was measured later than now."""
_MAX_INT: Final = 2**63 - 1
_MAX_ORDINAL: Final = 2**31
_MAX_TEXT: Final = 512


def screen(batch: ReadingBatch, latest: int) -> dict[str, list[tuple[int, str]]]:
    """The rows that must not be stored: reason -> (row, what is wrong with it).

    ``latest`` is the last corrected time (UTC ns) that is not in the future.
    """
    out: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for i, (name, value, code, corrected) in enumerate(
        zip(batch.metric, batch.value, batch.code, batch.corrected, strict=True)
    ):
        metric = METRICS.get(name)
        if metric is None:
            out["unknown_metric"].append((i, f"no metric {name[:64]!r}"))
        elif metric.kind == "wave":
            out["unknown_metric"].append((i, f"{name} comes as a waveform, not as readings"))
        elif value is None and code is None:
            out["empty"].append((i, f"{name} without value or code"))
        elif value is not None and not (math.isfinite(value) and metric.low <= value <= metric.high):
            out["implausible"].append((i, f"{name} {value:g} is outside {metric.low:g}..{metric.high:g}"))
        elif corrected > latest:
            out[FUTURE].append((i, f"{name} measured {iso(corrected)}, after {iso(latest)}"))
    return dict(out)


def check_columns(batch: ReadingBatch) -> None:
    """What no store can hold makes the whole block malformed: its edge is broken, not one reading."""
    integers = {
        "received": batch.received,
        "corrected": batch.corrected,
        "digest": batch.digest,
        "group": batch.group,
        "quality": batch.quality,
        "source": batch.source,
        "device_time": [v for v in batch.device_time if v is not None],
        "record": [v for v in batch.record if v is not None],
        "error": [v for v in batch.error if v is not None],
    }
    for name, column in integers.items():
        if column and (min(column) < 0 or max(column) > _MAX_INT):
            msg = f"{name} outside 0..2^63-1"
            raise DecodeError(msg, reason="malformed")
    if any(manual_patient(device) is not None for device in set(batch.device)):
        msg = "readings of what only people enter by hand"
        raise DecodeError(msg, reason="reserved")
    if min(batch.ordinal) < 0 or max(batch.ordinal) > _MAX_ORDINAL:
        msg = "ordinal outside 0..2^31"
        raise DecodeError(msg, reason="malformed")
    texts = {*batch.device, *batch.metric, *batch.profile, *batch.code, *batch.author}
    if any(t is not None and len(t) > _MAX_TEXT for t in texts) or not all({*batch.device, *batch.metric}):
        msg = f"empty or overlong text (more than {_MAX_TEXT} characters)"
        raise DecodeError(msg, reason="malformed")
