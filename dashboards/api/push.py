"""Notifications in a browser: the server's public key, and the caller's own browsers."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from dashboards.access import Context, Guard
from dashboards.channel_models import PushDevice
from dashboards.problems import ERROR_RESPONSES, MissingError
from hearthward.trust.access import Action

__all__ = ["forget_device", "router"]

router = APIRouter(prefix="/api/v1/push", tags=["channels"], responses=ERROR_RESPONSES)
KIND: Final = "push"
Own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, KIND))]
Base64Url = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,128}=*$")]


class PushKey(BaseModel):
    """This server's public key (base64url, uncompressed P-256), or null: push is not in use."""

    key: str | None


class PushKeys(BaseModel):
    """The browser's keys (RFC 8291)."""

    model_config = ConfigDict(extra="forbid")

    p256dh: Base64Url
    auth: Base64Url


class Subscription(BaseModel):
    """What ``PushSubscription.toJSON()`` of a browser gives."""

    model_config = ConfigDict(extra="ignore")

    endpoint: str = Field(max_length=2000, examples=["https://updates.push.services.mozilla.com/wpush/v2/x"])
    keys: PushKeys


class PushList(BaseModel):
    """The caller's browsers."""

    items: list[PushDevice]


@router.get("/key")
async def get_key(context: Own) -> PushKey:
    """What a browser needs to subscribe."""
    return PushKey(key=await context.backend.push_key())


@router.get("/subscriptions")
async def list_subscriptions(context: Own) -> PushList:
    """The browsers that take notifications for the caller."""
    return PushList(items=list(await context.backend.push_devices(context.who)))


@router.post("/subscriptions", status_code=201)
async def subscribe(context: Own, body: Subscription) -> PushDevice:
    """Have a browser take notifications for the caller; again it changes nothing but its keys."""
    keys = {"p256dh": body.keys.p256dh, "auth": body.keys.auth}
    made = await context.backend.subscribe_push(context.who, body.endpoint, keys)
    detail = {"do": "subscribe", "service": made.service}
    await context.audit(Action.VIEW_OWN_ACCOUNT, KIND, target=made.id, detail=detail)
    return made


@router.delete("/subscriptions/{subscription}", status_code=204)
async def unsubscribe(context: Own, subscription: str) -> None:
    """End it."""
    await forget_device(context, subscription)


async def forget_device(context: Context, key: str) -> None:
    """Take one of the caller's browsers away, audited. Raises MissingError."""
    gone = await context.backend.unsubscribe_push(context.who, key)
    if gone is None:
        raise MissingError(kind="subscription", key=key)
    await context.audit(Action.VIEW_OWN_ACCOUNT, KIND, target=key, detail={"do": "unsubscribe"})
