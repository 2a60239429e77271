"""What the fake's changes have in common with the cloud's: everybody who watches is told of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from dashboards.backend import DutyChanged, LiveEvent
from hearthward.trust.access import Scope

__all__ = ["tells"]


class _Publishes(Protocol):
    def _publish(self, event: LiveEvent) -> None: ...


P = ParamSpec("P")
S = TypeVar("S", bound=_Publishes)
T = TypeVar("T")


def tells(
    act: Callable[Concatenate[S, Scope, P], Awaitable[T]],
) -> Callable[Concatenate[S, Scope, P], Coroutine[Any, Any, T]]:
    """A change of who is on duty or looks after whom, unless it came to nothing (None)."""

    @wraps(act)
    async def told(self: S, scope: Scope, /, *args: P.args, **kwargs: P.kwargs) -> T:
        done = await act(self, scope, *args, **kwargs)
        if done is not None:
            self._publish(DutyChanged(scope.tenant))
        return done

    return told
