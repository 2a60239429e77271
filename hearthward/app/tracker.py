"""Follows payloads from a twin's bytes to acceptance, storage, alarm and screen, and sums up the delays.

The real monotonic clock is used throughout: a recording's own time says nothing of delay.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Final

from hearthward.app.ward import CARRIED
from hearthward.core.clock import Clock
from hearthward.core.model import ReadingBatch
from rules import Transition

__all__ = ["Acknowledgements", "Tracker", "measured", "percentiles"]

REMEMBERED: Final = 200_000
"""Payloads whose sending time is kept for a later stage."""
SAMPLES: Final = 200_000


def measured(batch: ReadingBatch) -> list[tuple[str, int]]:
    """The payloads (device, received) that hold measurements.

    What a device says of itself when it is connected (battery, maker, firmware) no player sent.
    """
    rows = zip(batch.device, batch.received, batch.metric, strict=True)
    return list(dict.fromkeys((d, r) for d, r, metric in rows if metric in CARRIED))


class Acknowledgements:
    """Counts, per device, the payloads that the edge has taken (accepted or refused)."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def sent(self, device: str) -> None:
        """A twin has put a payload on the air or the wire."""
        self._sent[device] += 1

    def unsend(self, device: str) -> None:
        """The payload did not leave after all."""
        self._sent[device] -= 1

    def taken(self, device: str, n: int = 1) -> None:
        """The edge has committed or refused ``n`` payloads of this device; one given up as lost was late."""
        self._taken[device] += n
        excess = self._taken[device] + self._lost[device] - self._sent[device]
        self._lost[device] -= min(self._lost[device], max(0, excess))
        self._changed.set()

    def lose_outstanding(self) -> None:
        """Whatever is under way was lost with its receiver: expect no acknowledgement of it."""
        for device, sent in self._sent.items():
            missing = sent - self._taken[device] - self._lost[device]
            if missing > 0:
                self._lost[device] += missing
        self._changed.set()

    @property
    def lost(self) -> int:
        """Payloads sent of which no acknowledgement is expected any more."""
        return sum(self._lost.values())

    def outstanding(self, devices: Iterable[str]) -> list[str]:
        """Those of the devices that still have a payload under way."""
        return [d for d in devices if self._sent[d] > self._taken[d] + self._lost[d]]

    async def settled(self, devices: Iterable[str], timeout_s: float) -> bool:
        """Wait until nothing of these devices is under way; False when that takes too long."""
        devices = list(devices)
        try:
            async with asyncio.timeout(timeout_s):
                while self.outstanding(devices):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Tracker:
    """Delays from the device's bytes, by stage: ``accepted``, ``stored``, ``alarm``, ``live``; in ms.

    Payloads of one device are accepted in the order in which they were sent (BLE and serial both keep it), so
    the first acceptance belongs to the first sending.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: defaultdict[str, deque[int]] = defaultdict(deque)
        self._steps: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._sent_at: dict[tuple[str, int], int] = {}
        self.samples: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=SAMPLES))

    def sending(self, device: str) -> None:
        """Bytes are about to leave a twin."""
        self._waiting[device].append(self._clock.monotonic_ns())

    def unsend(self, device: str) -> None:
        """They did not leave after all."""
        if self._waiting[device]:
            self._waiting[device].pop()

    def forget(self) -> None:
        """The receiver is gone: nothing that is under way will be accepted."""
        self._waiting.clear()

    def refused(self, device: str) -> None:
        """The edge refused a payload of this device: nothing follows from it."""
        if self._waiting[device]:
            self._waiting[device].popleft()

    def accepted(self, batch: ReadingBatch) -> Counter[str]:
        """The edge has committed these readings; returns the payloads by device."""
        payloads = measured(batch)
        now = self._clock.monotonic_ns()
        for device, received in payloads:
            if not self._waiting[device]:
                continue
            sent = self._waiting[device].popleft()
            self.samples["accepted"].append((now - sent) / 1e6)
            self._sent_at[device, received] = sent
        while len(self._sent_at) > REMEMBERED:
            self._sent_at.pop(next(iter(self._sent_at)))
        return Counter(device for device, _ in payloads)

    def reached(self, stage: str, keys: Iterable[tuple[str, int]]) -> None:
        """Payloads (device, received ns) have reached a stage."""
        now = self._clock.monotonic_ns()
        for key in dict.fromkeys(keys):
            sent = self._sent_at.get(key)
            if sent is not None:
                self.samples[stage].append((now - sent) / 1e6)

    def stepped(self, at_ns: int) -> None:
        """The player has stepped the event clock to ``at_ns`` and is about to send that row."""
        self._steps.append((at_ns, self._clock.monotonic_ns()))

    def decided(self, transition: Transition, *, played: bool) -> None:
        """An alarm's start has been committed: how late after the bytes (or the timer) that made it due?

        A played row makes due whatever its moment makes due. In real time a breach without delay counts
        from its bytes, and one with delay from the end of that delay.
        """
        if transition.kind != "start":
            return
        now = self._clock.monotonic_ns()
        if played:
            i = bisect_left(self._steps, (transition.at, 0))
            if i < len(self._steps):
                self.samples["alarm"].append((now - self._steps[i][1]) / 1e6)
            return
        newest = max(transition.inputs, key=lambda r: r["received"], default=None)
        if newest is None:
            return
        sent = self._sent_at.get((newest["device"], newest["received"]))
        if sent is not None:
            waited = max(0, transition.at - newest["received"])
            self.samples["alarm"].append((now - sent - waited) / 1e6)

    def summary(self, stages: Iterable[str]) -> dict[str, dict[str, float | None]]:
        """Stage -> {p50, p99} in milliseconds (None where nothing was measured)."""
        return {stage: percentiles(self.samples[stage]) for stage in stages}


def percentiles(samples: Iterable[float]) -> dict[str, float | None]:
    """The p50 and p99 (nearest rank) of samples."""
    ordered = sorted(samples)
    if not ordered:
        return {"p50": None, "p99": None}
    last = len(ordered) - 1
    return {
        "p50": round(ordered[round(last * 0.50)], 2),
        "p99": round(ordered[round(last * 0.99)], 2),
    }
