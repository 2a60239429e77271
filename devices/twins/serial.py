"""A virtual Masimo pulse oximeter that sends ASCII1 lines over a pty, written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from devices.time import zone
from devices.twins.encode import rounded
from devices.twins.pty import PtyTwin
from hearthward.core.clock import SECOND, Clock
from hearthward.core.codes import METRICS
from hearthward.core.ids import digest63

__all__ = ["MasimoTwin", "masimo_line"]

_METRICS: Final[dict[str, int]] = {"spo2": 0, "pulse_rate": 0, "perfusion_index": 2}
"""What it carries, with how many decimals."""
_HIGHEST: Final[dict[str, float]] = {"perfusion_index": 99.99}
"""Where the field is narrower than what is plausible."""


def masimo_line(at: datetime, values: Mapping[str, float], serial_number: str = "0000000001") -> bytes:
    """One ASCII1 line with CRLF; what is not in ``values`` (as expressed) is dashes.

    Source: output of a Rad-8; its keys differ by firmware, so readers look at pairs, never at columns.
    """
    spo2, pulse, index = (values.get(metric) for metric in _METRICS)
    fields = [
        at.strftime("%m/%d/%y %H:%M:%S"),
        f"SN={serial_number}",
        "SPO2=---%" if spo2 is None else f"SPO2={spo2:03.0f}%",
        "BPM=---" if pulse is None else f"BPM={pulse:03.0f}",
        "PI=--.--%" if index is None else f"PI={index:05.2f}%",
        "SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+-- ALARM=0000 EXC=000000",
    ]
    return (" ".join(fields) + "\r\n").encode("ascii")


class MasimoTwin(PtyTwin):
    """A twin on a serial port. ``timezone`` is the zone its clock shows, UTC by default."""

    profile = "masimo-ascii1"
    metrics = frozenset(_METRICS)

    def __init__(
        self,
        id: str,  # noqa: A002
        *,
        clock: Clock | None = None,
        link_path: Path | None = None,
        timezone: str | None = None,
    ) -> None:
        super().__init__(id, clock=clock, link_path=link_path)
        self._zone = zone(timezone) or UTC
        self._serial_number = f"{digest63(id.encode()) % 10**10:010d}"

    def express(self, metric: str, value: float) -> float:
        """SpO2 and pulse rate as integers, perfusion index with two decimals. Raises ValueError."""
        self._known(metric)
        decimals = _METRICS[metric]
        expressed = rounded(value, decimals) / 10.0**decimals
        low, high = METRICS[metric].low, _HIGHEST.get(metric, METRICS[metric].high)
        if not low <= expressed <= high:
            msg = f"{self.id}: {metric} {value!r} is outside {low:g}..{high:g}"
            raise ValueError(msg)
        return expressed

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Send one line. Raises ValueError, and LinkError when nobody reads (nothing was sent then)."""
        expressed = self._expressed(values)
        at = device_time
        if at is None:
            at = datetime.fromtimestamp(self._clock.now_ns() // SECOND, self._zone)
        await self.send_raw(masimo_line(at, expressed, self._serial_number))
        return expressed
