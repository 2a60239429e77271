"""Fetching what a device stored, without loss or doubles; deleting there only what is committed here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from devices.consuming import Sleep
from devices.cursors import Cursors
from devices.delivery import Delivery
from devices.links.base import ControlPoint
from devices.racp import (
    ABORT,
    MAX_NUMBER,
    Answer,
    Code,
    Cursor,
    Fetching,
    Op,
    Record,
    answers,
    count_from,
    delete_up_to,
    parse_answer,
)
from devices.record_marks import Telling, identity, numbered, records_of
from firmware_profiles import RacpStep
from hearthward.core.device_states import Cause
from hearthward.core.errors import DecodeError, LinkError, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry

__all__ = ["REFETCH_S", "StoreFetch"]

logger = logging.getLogger(__name__)

REFETCH_S: Final = 300.0
"""A device that stays connected is asked for new records so often."""
SILENCE_S: Final = 30.0
"""A procedure in which so long nothing comes has failed (Glucose Service 1.0, 3.4.2)."""
LATE_S: Final = 1.0
"""So long after an answer without any records, they are waited for."""
ABORT_S: Final = 5.0
BUSY_PAUSE_S: Final = 0.2
TRIES: Final = 4
"""A busy control point is asked so often."""
KNOWN: Final = MAX_NUMBER + 1
"""Payloads remembered as queued already, for devices that tell everything each time: as many as numbers."""

_ALREADY_RUNNING: Final = frozenset({0x80, 0xFE})
_NOT_SUBSCRIBED: Final = frozenset({0x81, 0xFD})


class StoreFetch:
    """The stores of one device, over all its connections.

    The session tells of every payload (``repeated``, ``queued``, ``dropped``, ``refused``), the link asks
    to ``fetch`` and to ``tend``. Counted by device: ``store_fetches_total``, ``store_deletes_total``,
    ``store_records_repeated_total``, ``store_deletes_refused_total``, ``store_cursors_unsaved_total``,
    ``store_answers_rejected_total`` (by reason).
    """

    def __init__(
        self, device: str, cursors: Cursors, delivery: Delivery, telemetry: Telemetry, *, sleep: Sleep
    ) -> None:
        self._device = device
        self._cursors = cursors
        self._delivery = delivery
        self._telemetry = telemetry
        self._sleep = sleep
        self._stores: dict[str, _Store] = {}
        self._profile = ""
        self._known: dict[int, None] = {}
        self._told: dict[int, None] = {}
        self._hung_up = asyncio.Event()

    def connected(self, racps: Iterable[RacpStep], profile: str) -> None:
        """A new connection, by a profile (its hash) that has these stores."""
        self._profile = profile
        self._told.clear()
        for racp in racps:
            store = self._stores.setdefault(racp.records, _Store(racp))
            store.racp, store.asking, store.undeletable = racp, False, False
        for source in set(self._stores) - {racp.records for racp in racps}:
            del self._stores[source]

    # ------------------------------------------------------------------ told by the session

    def asking(self) -> bool:
        """Whether the device is telling what it has stored."""
        return any(store.asking for store in self._stores.values())

    def telling(self, source: str) -> bool:
        """Whether what comes of this source is an answer to being asked for what is stored."""
        store = self._stores.get(source)
        return store is not None and store.asking

    def repeated(self, source: str, batch: ReadingBatch) -> bool:
        """Whether a payload tells records again that are queued or committed: nothing is to be done then.

        What has a number and no time is known again as long as the connection stands: numbers start over
        with a new battery. What has neither is known by its place as long as all before it come as before.
        """
        store = self._stores.get(source)
        asking = self.asking()
        if store is None and not asking:
            return False
        again = identity(batch) in self._known or (asking and numbered(source, batch) in self._told)
        if store is None:  # what a device tells beside its records
            return again
        store.heard += 1
        records = records_of(batch)
        again = again or (
            store.fetching is not None and bool(records) and all(map(store.fetching.knows, records))
        )
        if store.asking and not records and identity(batch) is None:
            again = store.telling.again(source, batch) or again
        if again:
            self._telemetry.count("store_records_repeated_total", len(records), device=self._device)
            store.take(records, self._delivery.offered)
        return again

    def queued(self, source: str, batch: ReadingBatch) -> None:
        """A payload was queued; what has a time or a number of its own is known from now on."""
        store = self._stores.get(source)
        if store is None and not self.asking():
            return
        if (mark := identity(batch)) is not None:
            _remember(self._known, mark, KNOWN)
        elif (mark := numbered(source, batch)) is not None:
            _remember(self._told, mark, KNOWN)
        if store is None:
            return
        store.take(records_of(batch), self._delivery.offered)
        if store.fetching is not None:
            store.fetching.committed(self._delivery.left)

    def dropped(self) -> None:
        """A payload was lost for want of room: whatever is being fetched is to be fetched again."""
        for store in self._stores.values():
            store.telling.forget()
            if store.fetching is not None:
                store.fetching.lost()

    def refused(self, source: str) -> None:
        """A payload could not be decoded, or the sink refused it: the device's copy is the only one."""
        for name, store in self._stores.items():
            if store.fetching is not None and (store.asking or name == source):
                store.fetching.spoiled = self._profile

    # ------------------------------------------------------------------ asked by the link

    async def fetch(self, racp: RacpStep, control: ControlPoint) -> None:
        """Have the device tell what is not known yet; returns when it has no more.

        While too much waits for the sink nothing is asked, and what is being told is aborted.

        Raises:
            LinkError: lost, or the device does not follow the protocol.
        """
        store = self._stores[racp.records]
        while True:
            await self._delivery.relieved()
            fetching = store.fetching = self._begin(store)
            self._telemetry.count("store_fetches_total", device=self._device)
            while (request := fetching.request) is not None:
                store.heard = 0
                store.telling.begin()
                answer = await self._ask(store, control, request)
                if answer is None:
                    break
                fetching.answered(answer.code)
                if fetching.request == request:  # everything was asked for, and some of it was dropped
                    break
            if fetching.complete:
                return
            await self._note(store)

    def _begin(self, store: _Store) -> Fetching:
        """A fetch from the last committed record on."""
        former = store.fetching
        if store.racp.cursor is None:
            return Fetching(None)
        if former is None:
            cursor = self._cursors.get(self._device, store.racp.records)
        else:
            former.committed(self._delivery.left)
            cursor = former.finish() if not len(self._delivery) else former.cursor
        if cursor is not None and cursor.spoiled not in {"", self._profile}:
            return Fetching(None)  # this profile may be able to read what the former one could not
        return Fetching(cursor)

    async def tend(self, racp: RacpStep, control: ControlPoint) -> None:
        """Note and delete what is committed, and fetch anew now and then, until cancelled.

        Records without a number are asked for once a connection. Raises LinkError.
        """
        store = self._stores[racp.records]
        while True:
            if await self._note(store) and racp.delete:
                await self._delete(store, control)
            if racp.cursor is None:
                await asyncio.Event().wait()
            await self._sleep(REFETCH_S)
            await self.fetch(racp, control)

    def disconnected(self) -> None:
        """The connection has ended; many a meter hangs up before it could be noted what was committed."""
        self._hung_up.set()

    async def keep_noting(self) -> None:
        """Note after each connection what is committed of it, until cancelled."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            for store in tuple(self._stores.values()):
                await self._note(store)

    async def save(self) -> None:
        """Note what is committed by now."""
        for store in self._stores.values():
            if store.fetching is not None and not len(self._delivery):
                await self._note(store)

    async def _note(self, store: _Store) -> bool:
        """Wait until nothing of the device waits, then note the cursor; whether it is durable."""
        await self._delivery.settled()
        fetching = store.fetching
        if fetching is None:
            return False
        fetching.committed(self._delivery.left)
        cursor = fetching.finish()
        if cursor is None or store.racp.cursor is None:
            return True
        if cursor != store.noted:
            try:
                await self._cursors.put(self._device, store.racp.records, cursor)
            except StoreUnavailable as error:
                self._telemetry.count("store_cursors_unsaved_total", device=self._device)
                logger.warning("device %s: where its store was read to is not saved: %s", self._device, error)
                return False
            store.noted = cursor
        return True

    async def _delete(self, store: _Store, control: ControlPoint) -> None:
        """Delete what is committed from the device's store, if it lets us."""
        fetching = store.fetching
        if fetching is None or not fetching.deletable or store.undeletable:
            return
        try:
            code = await self._deleted(store, fetching, control)
        except LinkError as error:
            if "att" not in error.details and error.details.get("cause") != Cause.SILENT.value:
                raise
            code = Code.REFUSED
        if code is None or code in {Code.SUCCESS, Code.NO_RECORDS}:
            return
        store.undeletable = True
        self._telemetry.count("store_deletes_refused_total", device=self._device)
        logger.warning("device %s: it does not delete its records (%s)", self._device, code.name)

    async def _deleted(self, store: _Store, fetching: Fetching, control: ControlPoint) -> Code | None:
        """What the device answers to being told to delete; None when there was nothing, or no time for it.

        It is told only once it has counted no record beyond what is committed: one that ignores filters
        counts all it has, and would delete all, with what it measured since.
        """
        cursor = fetching.cursor
        if cursor is None or cursor == store.deleted:
            return Code.NO_RECORDS
        beyond = await self._ask(store, control, count_from(cursor.number + 1))
        if beyond is None:
            return None
        if beyond.count is None and beyond.code is not Code.NO_RECORDS:
            return beyond.code if beyond.code is not Code.SUCCESS else Code.REFUSED
        if beyond.count:
            return None
        answer = await self._ask(store, control, delete_up_to(cursor.number))
        if answer is None:
            return None
        if answer.code in {Code.SUCCESS, Code.NO_RECORDS}:
            store.deleted = cursor
            self._telemetry.count("store_deletes_total", device=self._device)
        return answer.code

    # ------------------------------------------------------------------ the conversation

    async def _ask(self, store: _Store, control: ControlPoint, request: bytes) -> Answer | None:
        """One procedure; None when it was aborted, for too much waits."""
        store.asking = True
        try:
            await self._request(control, request)
            strained = asyncio.ensure_future(self._delivery.strained())
            try:
                return await self._answer(store, control, request, strained)
            finally:
                strained.cancel()
        finally:
            store.asking = False

    async def _request(self, control: ControlPoint, request: bytes) -> None:
        """Write a request; a procedure that is running already may end by itself, then it is aborted.

        A device may take its last answer for told only a moment after we have it.
        """
        for attempt in range(TRIES):
            try:
                await control.write(request)
            except LinkError as error:
                att = error.details.get("att")
                if att not in _ALREADY_RUNNING | _NOT_SUBSCRIBED or attempt == TRIES - 1:
                    raise
                if att in _NOT_SUBSCRIBED:
                    await control.subscribe()
                elif attempt:
                    await self._abort(control)
                await self._sleep(BUSY_PAUSE_S)
            else:
                return

    async def _answer(
        self, store: _Store, control: ControlPoint, request: bytes, strained: asyncio.Future[None]
    ) -> Answer | None:
        limit = store.racp.within_s or SILENCE_S
        early: Answer | None = None
        while True:
            before = store.heard
            within = limit if early is None else min(limit, LATE_S)
            waiting: asyncio.Future[bytes] = asyncio.ensure_future(control.answer(within))
            try:
                await asyncio.wait((waiting, strained), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not waiting.done():
                    waiting.cancel()
                    await asyncio.wait({waiting})
            if waiting.cancelled():
                await self._abort(control)
                return None
            try:
                answer = parse_answer(waiting.result())
            except TimeoutError:
                if store.heard > before:
                    continue
                if early is not None:
                    return early
                msg = f"the device's store was asked, and nothing came for {limit:g} s"
                raise LinkError(msg, device=self._device, cause=Cause.SILENT.value) from None
            except DecodeError as error:
                logger.warning("device %s: %s", self._device, error)
                self._telemetry.count(
                    "store_answers_rejected_total", reason=error.reason, device=self._device
                )
                continue
            if not answers(request, answer):
                continue
            if early is not None or store.heard or not _hollow(request, answer):
                return answer
            early = answer  # it came before its records, or is the one to the last request told again

    async def _abort(self, control: ControlPoint) -> None:
        """Have the device stop telling; one that does not answer that has stopped, or will be found busy."""
        try:
            await control.write(ABORT)
            async with asyncio.timeout(ABORT_S):
                while not answers(ABORT, parse_answer(await control.answer(ABORT_S))):
                    pass
        except (TimeoutError, DecodeError):
            return
        except LinkError as error:
            if "att" not in error.details:
                raise


class _Store:
    """One store: its last fetch, and what was noted and deleted."""

    def __init__(self, racp: RacpStep) -> None:
        self.racp = racp
        self.fetching: Fetching | None = None
        self.noted: Cursor | None = None
        self.deleted: Cursor | None = None
        self.asking = False
        self.undeletable = False
        self.heard = 0
        """Payloads since the last request for records."""
        self.telling = Telling()

    def take(self, records: Iterable[Record], ticket: int) -> None:
        if self.fetching is not None:
            for record in records:
                self.fetching.taken(record, ticket)


def _hollow(request: bytes, answer: Answer) -> bool:
    """Whether it says that records were told; where there are none, that is said instead."""
    return request[0] == Op.REPORT and answer.code is Code.SUCCESS


def _remember(known: dict[int, None], identity: int, most: int) -> None:
    known[identity] = None
    if len(known) > most:
        del known[next(iter(known))]
