"""Connections to a broker without a sender, and why one fails."""

from __future__ import annotations

import threading

import pytest

from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection

STOP = threading.Event()
SECRET = "pa55-w0rd"


def config(port: int, **changes: object) -> MqttConfig:
    values: dict[str, object] = {"host": "127.0.0.1", "port": port, "client_id": "edgeaudio-dock", "timeout_s": 1.0}
    return MqttConfig(**{**values, **changes})  # type: ignore[arg-type]  # values of many types


def connect(config: MqttConfig, stop: threading.Event = STOP) -> str:
    """Connect and disconnect; return the version of MQTT."""
    connection = MqttConnection(config, will=None, stop=stop)
    connection.close()
    return connection.protocol


def refused(config: MqttConfig) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        connect(config)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"broker {config.where}: ")
    assert str(caught.value).endswith(f"; {caught.value.hint}")
    assert SECRET not in str(caught.value) + repr(config)
    return caught.value


def poll_for_ever(connection: MqttConnection) -> None:
    while True:
        connection.poll(0.1)
