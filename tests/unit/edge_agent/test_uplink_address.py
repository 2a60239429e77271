from __future__ import annotations

import pytest

import edge_agent
from edge_agent import BrokerAddress
from edge_agent.uplink.connection import MAX_WAITING, Connection
from hearthward.core.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", BrokerAddress("h", 1883)),
        ("mqtts://h", BrokerAddress("h", 8883, tls=True)),
        ("mqtt://127.0.0.1:7", BrokerAddress("127.0.0.1", 7)),
        ("mqtt://[::1]:7/", BrokerAddress("::1", 7)),
        ("mqtt://u%40x:p%3A@h", BrokerAddress("h", 1883, username="u@x", password="p:")),  # noqa: S106
    ],
)
def test_addresses(url: str, expected: BrokerAddress):
    assert BrokerAddress.parse(url) == expected


def test_arguments_win_and_no_password_is_shown():
    address = BrokerAddress.parse("mqtt://u:p@h", "me", "secret")
    assert (address.username, address.password) == ("me", "secret")
    assert str(address) == "mqtt://h:1883"


@pytest.mark.parametrize("url", ["h", "http://h", "mqtt://", "mqtt://h:x", "mqtt://h:99999", "mqtt://h/path"])
def test_wrong_addresses_are_named(url: str):
    with pytest.raises(ConfigError, match="broker address"):
        BrokerAddress.parse(url)


async def test_what_a_broker_pours_in_is_not_remembered_without_end():
    connection = Connection(BrokerAddress("127.0.0.1", 7), identifier="edge", will=None, pending=4)
    assert connection._queue.maxsize == MAX_WAITING


def test_everything_public_exists():
    assert all(hasattr(edge_agent, name) for name in edge_agent.__all__)
