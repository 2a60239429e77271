"""How people can be told, as the settings say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud_ingest.channels.base import Channel
from cloud_ingest.telling.wording import Wording
from rules.response.policy import Policy

__all__ = ["Reach"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How people can be told: channels by name, endpoints that the settings give them, policies, wording.

    ``public_url`` is where they reach the pages from outside.
    """

    channels: Mapping[str, Channel] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    wording: Wording | None = None
    public_url: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The channels in use; the pages always are."""
        return tuple(dict.fromkeys(("in_app", *self.channels)))
