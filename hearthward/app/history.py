"""The stored history as the rules take it: read beside a running cloud, or when none runs; never written."""

from __future__ import annotations

import difflib
import sqlite3
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from sys import intern
from typing import Final

from sqlalchemy import create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution, Span, load_attribution
from cloud_ingest.contexts import contexts
from cloud_ingest.entry import manual_device
from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.records.models import Patient
from cloud_ingest.stores.base import TimeSeriesStore
from firmware_profiles import load_catalog
from hearthward.app.stores import open_store
from hearthward.app.tracks import Gathered
from hearthward.core.clock import SECOND, iso
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from rules.context import Context
from rules.replay import Track

__all__ = ["History", "kept_records", "read_history"]

SLICE: Final = 6 * 3600 * SECOND
"""So much is read at once."""
BUSY_S: Final = 5.0


@dataclass(slots=True)
class History:
    """Readings of a period with their patients, and what is known of these at its end."""

    gathered: Gathered = field(default_factory=Gathered)
    contexts: dict[str, Context] = field(default_factory=dict)


async def read_history(settings: Settings, start: int, end: int, patients: Collection[str] = ()) -> History:
    """All readings measured from ``start`` until before ``end`` (UTC ns), of some patients or of all.

    They are in order of measurement, however late they came; ``received`` says when that was. Contexts
    (limits, orders, where somebody is) are those at the period's end. Raises ConfigError when there is no
    data folder, StoreUnavailable when it cannot be read now.
    """
    folder = settings.data / "cloud"
    tenant = settings.cloud.tenant
    out = History()
    with kept_records(folder / "records.db") as session:
        attribution = load_attribution(session, tenant)
        known_then = contexts(session, tenant, end, load_catalog())
        out.contexts = {subject: _from(context, start) for subject, context in known_then.items()}
        known = session.scalars(select(Patient.id).where(Patient.tenant == tenant).order_by(Patient.id)).all()
    names = _patients(known, patients, folder)
    store = await open_store(settings, read_only=True)
    try:
        for name in names:
            track = await _track(store, tenant, name, attribution, (start, end), out.gathered)
            if track.first is not None:
                out.gathered.tracks[name] = track
    finally:
        await store.close()
    if not out.gathered.readings:
        msg = f"holds no readings of {', '.join(patients) or 'any patient'} from {iso(start)} to {iso(end)}"
        raise ConfigError(msg, file=str(folder))
    return out


@contextmanager
def kept_records(path: Path) -> Iterator[Session]:
    """The records beside whoever writes them. Raises ConfigError when there are none."""
    if not path.is_file():
        msg = f"no stored history: {path} is not there; name the data folder with --data"
        raise ConfigError(msg, path=str(path))
    uri = f"{path.absolute().as_uri()}?mode=ro"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(uri, uri=True, timeout=BUSY_S, check_same_thread=False)
    )
    try:
        with Session(engine) as session:
            yield session
    except DBAPIError as error:
        msg = f"cannot be read: {error.orig}; if it is of an older release, start hearthward once"
        raise ConfigError(msg, file=str(path)) from error
    finally:
        engine.dispose()


def _from(context: Context, start: int) -> Context:
    """What was expected before the period is expected from its beginning: nothing is read of before."""
    if context.expected is None:
        return context
    return replace(context, expected={m: max(since, start) for m, since in context.expected.items()})


def _patients(known: Sequence[str], wanted: Collection[str], folder: Path) -> Sequence[str]:
    for patient in wanted:
        if patient not in known:
            near = difflib.get_close_matches(patient, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            msg = f"there is no patient {patient!r}{hint}"
            raise ConfigError(msg, file=str(folder))
    return list(dict.fromkeys(wanted)) or known


async def _track(
    store: TimeSeriesStore,
    tenant: str,
    patient: str,
    attribution: Attribution,
    period: tuple[int, int],
    out: Gathered,
) -> Track:
    track = Track(patient, received=array("q"), quality=array("q"))
    by_hand = Span(manual_device(patient), patient, 0)
    for span in (*attribution.spans(patient), by_hand):
        first, last = _overlap(span, period)
        for begin in range(first, last, SLICE):
            batch = await store.read(tenant, [span.device], None, begin, min(begin + SLICE, last))
            out.readings += len(batch)
            if len(batch):
                track.seen(batch.corrected[0])
                track.seen(batch.corrected[-1])
            rows = rows_to_judge(batch, [patient] * len(batch))
            track.device += map(intern, rows.device)
            track.metric += map(intern, rows.metric)
            track.value.extend(nan if v is None else v for v in rows.value)
            track.time.extend(rows.time)
            assert track.received is not None  # noqa: S101 - made above
            assert track.quality is not None  # noqa: S101 - made above
            track.received.extend(rows.received)
            track.quality.extend(rows.quality)
    track.sort()
    return track


def _overlap(span: Span, period: tuple[int, int]) -> tuple[int, int]:
    start, end = period
    return max(span.start, start), end if span.end is None else min(span.end, end)
