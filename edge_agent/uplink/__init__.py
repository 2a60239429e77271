"""The way from the outbox to the broker; the only place of the edge that knows an MQTT client."""

from edge_agent.uplink.connection import BrokerAddress
from edge_agent.uplink.uplink import Uplink, UplinkState
from edge_agent.uplink.window import Window

__all__ = ["BrokerAddress", "Uplink", "UplinkState", "Window"]
