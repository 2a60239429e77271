"""The port of the web that tries a changed rule on the stored history."""

from __future__ import annotations

from typing import Protocol

from cloud_ingest.trying import Progress, TryAsked
from hearthward.trust.access import Scope
from rules.whatif import Trial

__all__ = ["WhatIfPort"]


class WhatIfPort(Protocol):
    """What the web needs to try a change."""

    async def try_rule(self, scope: Scope, asked: TryAsked, progress: Progress) -> Trial:
        """What would have come of two versions of a rule; patients out of scope are not looked at.

        It takes a while, and may be cancelled. Raises StoreUnavailable and ConfigError.
        """
        ...
