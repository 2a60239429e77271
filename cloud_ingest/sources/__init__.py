"""Where the gateways' messages come from: the port, its fake and MQTT."""

from cloud_ingest.sources.base import FrameSource, Message
from cloud_ingest.sources.fake import MemorySource
from cloud_ingest.sources.mqtt import Broker, MqttSource

__all__ = ["Broker", "FrameSource", "MemorySource", "Message", "MqttSource"]
