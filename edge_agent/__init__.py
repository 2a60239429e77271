"""The gateway: accepts readings into the outbox, decides on them, sends them until they are receipted."""

from edge_agent.agent import EdgeAgent, Fleet, device_configs
from edge_agent.config_store import ConfigStore, check_document
from edge_agent.deciding import EdgeDecider
from edge_agent.decision_store import DecisionStore
from edge_agent.edge_config import Knowledge, knowledge_of
from edge_agent.fake import FakeFleet, FakeOutbox, FakeStateStore
from edge_agent.outbox import Outbox
from edge_agent.trust_store import CloudTrust
from edge_agent.uplink import BrokerAddress, Uplink, UplinkState

__all__ = [
    "BrokerAddress",
    "CloudTrust",
    "ConfigStore",
    "DecisionStore",
    "EdgeAgent",
    "EdgeDecider",
    "FakeFleet",
    "FakeOutbox",
    "FakeStateStore",
    "Fleet",
    "Knowledge",
    "Outbox",
    "Uplink",
    "UplinkState",
    "check_document",
    "device_configs",
    "knowledge_of",
]
