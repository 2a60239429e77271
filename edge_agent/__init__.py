"""The gateway: accepts readings into the outbox, sends them until they are receipted."""

from edge_agent.agent import EdgeAgent, Fleet, device_configs
from edge_agent.config_store import ConfigStore, check_document
from edge_agent.fake import FakeFleet
from edge_agent.outbox import Outbox
from edge_agent.trust_store import CloudTrust
from edge_agent.uplink import BrokerAddress, Uplink, UplinkState

__all__ = [
    "BrokerAddress",
    "CloudTrust",
    "ConfigStore",
    "EdgeAgent",
    "FakeFleet",
    "Fleet",
    "Outbox",
    "Uplink",
    "UplinkState",
    "check_document",
    "device_configs",
]
