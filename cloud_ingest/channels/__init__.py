"""Ways to tell people of an alarm: one module each, behind one port."""

from __future__ import annotations

from cloud_ingest.channels.base import Channel, Handover, Message
from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.channels.in_app import InAppChannel
from cloud_ingest.channels.sms import SmsChannel
from cloud_ingest.channels.voice import VoiceChannel

__all__ = ["Channel", "FakeChannel", "Handover", "InAppChannel", "Message", "SmsChannel", "VoiceChannel"]
