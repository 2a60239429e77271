"""The port of the web that is about the health of devices and the work on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloud_ingest.device_health.asking import AskedFleet, AskedOrders, AskedSpan
from dashboards.fleet_models import (
    AttentionPage,
    DeviceFile,
    FindingView,
    FleetPage,
    FrameView,
    OrderDraft,
    OrderPage,
    OrderRule,
    QualityPage,
    Utilisation,
    WorkOrder,
)
from dashboards.watch_models import DeviceWatch
from hearthward.trust.access import Principal, Scope

__all__ = ["FleetPort"]


class FleetPort(Protocol):
    """What the web needs of devices' health. Refusals are DirectoryError (field, code, value).

    A scope of some wards has the devices at their gateways and those on their patients; a patient's has none.
    """

    async def needs_attention(self, scope: Scope, asked: AskedFleet) -> AttentionPage:
        """Findings that hold: first those with the earliest proposed date, of one date the surest."""
        ...

    async def fleet(self, scope: Scope, asked: AskedFleet) -> FleetPage:
        """One page of devices in use."""
        ...

    async def fleet_device(self, scope: Scope, device: str, *, days: int = 90) -> DeviceFile | None:
        """One device with its last ``days``, findings and work orders; None when there is none in scope."""
        ...

    async def device_frames(
        self, scope: Scope, device: str, *, values: bool, limit: int = 20
    ) -> Sequence[FrameView] | None:
        """What was decoded of its newest frames, newest first; None as above.

        Without ``values`` what it measured of a patient is left out and marked as not shown.
        """
        ...

    async def watch_frames(self, who: Principal, device: str, seconds: int) -> DeviceWatch | None:
        """Have a device's gateway tell the bytes of its frames for 1..300 s; None: none is in scope.

        Refused: ``gateway`` state (it is offline), ``device`` full (too many are watched).
        """
        ...

    async def watched_frames(self, who: Principal, device: str) -> DeviceWatch | None:
        """What came of the caller's own watch; None when there is none, or it is long over."""
        ...

    async def utilisation(self, scope: Scope, asked: AskedSpan) -> tuple[Sequence[Utilisation], int]:
        """Hours of use by device or ward, the least used first, and how many rows there are."""
        ...

    async def data_quality(self, scope: Scope, asked: AskedSpan) -> QualityPage:
        """The data-quality board: by device or ward, the worst first; what cannot be judged last."""
        ...

    async def acknowledge_finding(self, who: Principal, finding: str) -> FindingView | None:
        """Note that somebody has seen it; again changes nothing. None when there is none in scope."""
        ...

    async def calibrate_device(
        self, who: Principal, device: str, calibrated: int, every_days: int, every_hours: int | None = None
    ) -> DeviceFile | None:
        """Note when a device was calibrated (UTC ns) and how often that is due; None as above.

        With ``every_hours`` by hours of use, too: whichever comes first. Refused: ``calibrated`` future,
        ``every_days`` bounds (1 to 3650), ``every_hours`` bounds (1 to 100000).
        """
        ...

    async def service_device(
        self, who: Principal, device: str, serviced: int | None, every_hours: int | None
    ) -> DeviceFile | None:
        """Note when a device was serviced (UTC ns, None: not known), and after how many hours it is due.

        They are hours of use; without ``every_hours`` its profile's interval holds. None and refusals as
        above (``serviced`` future).
        """
        ...

    async def work_orders(self, scope: Scope, asked: AskedOrders) -> OrderPage:
        """Work orders: not done before done, earliest due first; done ones newest first."""
        ...

    async def order_rules(self, scope: Scope) -> Sequence[OrderRule]:
        """When a rule opens a work order, one for each kind of finding."""
        ...

    async def work_order(self, scope: Scope, key: str) -> WorkOrder | None:
        """One work order; None when there is none in scope."""
        ...

    async def open_work_order(self, who: Principal, draft: OrderDraft) -> WorkOrder:
        """Open one, in the caller's name.

        Refused: ``device``, ``finding`` or ``assignee`` unknown, ``text`` required (unless for a finding) or
        invalid, ``finding`` taken (one that is not done stands for it).
        """
        ...

    async def assign_work_order(
        self, who: Principal, key: str, assignee: str, instead_of: str | None = None
    ) -> WorkOrder | None:
        """Give it to a user; to who has it already changes nothing.

        Refused: ``assignee`` unknown, ``assignee`` held (another has it than the caller and ``instead_of``),
        ``id`` state (it is done).
        """
        ...

    async def finish_work_order(
        self, who: Principal, key: str, text: str = "", *, serviced: bool = True
    ) -> WorkOrder | None:
        """Say that it is done, and how; refused: ``id`` state (it is done already), ``text`` invalid.

        With one for a service the hours of use count anew, unless the device was not ``serviced``.
        """
        ...

    async def comment_work_order(self, who: Principal, key: str, text: str) -> WorkOrder | None:
        """Write something about it, also when it is done; refused: ``text`` required or invalid."""
        ...
