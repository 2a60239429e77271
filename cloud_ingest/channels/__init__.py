"""Ways to tell people of an alarm: one module each, behind one port."""

from __future__ import annotations

from cloud_ingest.channels.apprise_urls import AppriseChannel
from cloud_ingest.channels.base import Channel, Handover, Message
from cloud_ingest.channels.email import EmailChannel
from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.channels.in_app import InAppChannel
from cloud_ingest.channels.push import PushChannel
from cloud_ingest.channels.sms import SmsChannel
from cloud_ingest.channels.voice import VoiceChannel
from cloud_ingest.channels.webhook import WebhookChannel

__all__ = [
    "AppriseChannel",
    "Channel",
    "EmailChannel",
    "FakeChannel",
    "Handover",
    "InAppChannel",
    "Message",
    "PushChannel",
    "SmsChannel",
    "VoiceChannel",
    "WebhookChannel",
]
