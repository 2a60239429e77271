"""What is known of patients, equipment and people on duty, read from the records and told to the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cloud_ingest.contexts import devices_heard, ended_stays, load_contexts, scored_by
from cloud_ingest.duty import load_duty
from cloud_ingest.feed import DirectoryChanged, Feed
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from cloud_ingest.walls import wards_with_walls
from cloud_ingest.watch import Watch
from firmware_profiles import Catalog
from hearthward.core.clock import Clock
from rules.conditions import HEARTBEAT
from rules.context import Context
from rules.grace import Grace
from rules.model import subject_key
from rules.response.duty import Duty

__all__ = ["Knowing"]


class Knowing:
    """Keeps the rules' knowledge of one tenant up to date; ``begin`` once the pipeline has started."""

    def __init__(
        self,
        tenant: str,
        records: Records,
        pipeline: Pipeline,
        *,
        watch: Watch,
        feed: Feed,
        catalog: Catalog,
        reach: Callable[[], Reach],
        clock: Clock,
    ) -> None:
        self._tenant, self._records, self._pipeline = tenant, records, pipeline
        self._watch, self._feed, self._catalog = watch, feed, catalog
        self._reach, self._clock = reach, clock
        self._grace = Grace(pipeline.state, 0)
        self._ended: set[str] = set()
        self._scoring: Mapping[str, tuple[object, ...]] = {}

    def begin(self) -> None:
        """Silence is counted from now on."""
        self._grace = Grace(self._pipeline.state, self._clock.now_ns())

    async def know(self) -> None:
        """Tell the rules what is known of patients and gateways now, as far as it has changed.

        A played recording's gateways are heard of in another time than the recording's, and nothing is
        expected of patients who have left.
        """
        now = self._clock.now_ns()
        found = await load_contexts(self._records, self._tenant, now, self._catalog)
        asked = sorted(found.keys() | self._pipeline.state.subjects.keys())
        ended = await self._records.read(lambda s: ended_stays(s, self._tenant, asked, now))
        equipment = subject_key("gateway", ""), subject_key("device", "")
        left_out = {n for n in found if self._clock.event_driven and n.startswith(equipment)} | ended
        known = {name: context for name, context in found.items() if name not in left_out}
        if not self._clock.event_driven:
            known |= {name: Context(expected={HEARTBEAT: 0}) for name in self._watch.parts()}
        duty = await self._load_duty(now)
        self._watch.expect_walls(await self._records.read(lambda s: wards_with_walls(s, self._tenant)))
        self._pipeline.heartbeats.expect(devices_heard(known))
        await self._pipeline.know(self._grace.give(known), duty)
        self._tell_scoring(known)
        await self._forget_components()
        if ended != self._ended:
            self._ended = ended
            await self.close_patients()

    async def close_patients(self) -> None:
        """Reset the alarms of patients whose stay has ended, and forget what was known of them."""
        if closed := frozenset(self._ended & self._pipeline.state.subjects.keys()):
            await self._pipeline.configure(None, closed)

    def _tell_scoring(self, known: Mapping[str, Context]) -> None:
        """An order that ends or a birthday changes nobody's record, but it does how walls score."""
        scoring = scored_by(known)
        if scoring != self._scoring:
            self._scoring = scoring
            self._feed.publish(DirectoryChanged(self._tenant))

    async def _load_duty(self, now: int) -> Duty:
        reach = self._reach()
        return await self._records.read(
            lambda s: load_duty(
                s,
                self._tenant,
                now,
                channels=reach.names,
                endpoints=reach.endpoints,
                shipped=list(reach.policies.values()),
            )
        )

    async def _forget_components(self) -> None:
        """End alarms about parts of ours that are not there any more: nothing else would."""
        watched = self._watch.subjects()
        known = {s for s in self._pipeline.state.subjects if s.startswith(subject_key("component", ""))}
        if gone := frozenset(known - watched):
            await self._pipeline.configure(None, gone)
