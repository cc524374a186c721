"""Properties of messages that are received: handed on, and bounded before paho reads them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support.brokers import BrokerProcess, MosquittoFactory, config_for

from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import MAX_PROPERTY_BYTES, MAX_USER_PROPERTIES, Received


@contextmanager
def receiving(broker: BrokerProcess) -> Iterator[MqttConnection]:
    config = config_for(broker, max_payload=3_000_000, max_packet=3_000_000)
    connection = MqttConnection(config, will=None, stop=threading.Event())
    connection.subscribe("a/+")
    yield connection
    connection.close()


def publish(broker: BrokerProcess, *messages: tuple[str, int, list[tuple[str, str]]]) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for payload, qos, user in messages:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "audio/ogg"
        if user:
            properties.UserProperty = user
        client.publish("a/b", payload, qos, properties=properties).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def received(connection: MqttConnection, count: int) -> list[Received]:
    found: list[Received] = []
    deadline_s = time.monotonic() + 10
    while len(found) < count and time.monotonic() < deadline_s:
        found += [event for event in connection.poll(0.5) if isinstance(event, Received)]
    return found


def test_content_type_and_user_properties_arrive(mosquitto: MosquittoFactory) -> None:
    broker = mosquitto().start()
    user = [("id", "e1"), ("label", "Großer Hund"), ("id", "e2")]
    with receiving(broker) as connection:
        publish(broker, ("x", 0, user), ("y", 1, []), ("z", 0, [(str(number), "") for number in range(100)]))
        first, second, third = received(connection, 3)
    assert (first.payload, first.content_type, first.user_properties) == (b"x", "audio/ogg", tuple(user))
    assert (second.payload, second.content_type, second.user_properties) == (b"y", "audio/ogg", ())
    assert [name for name, _ in third.user_properties] == [str(number) for number in range(MAX_USER_PROPERTIES)]


def test_a_message_of_many_properties_is_one_without_any(mosquitto: MosquittoFactory) -> None:
    broker = mosquitto("max_packet_size 2000000").start()
    many = [("k" * 5, "v" * 5)] * 15_000
    fitting = [("k", "v" * (MAX_PROPERTY_BYTES - 19))]  # with the content type
    for qos in (0, 1):
        with receiving(broker) as connection:
            publish(broker, ("many", qos, many), ("fitting", qos, fitting))
            began_s = time.monotonic()
            first, second = received(connection, 2)
            assert time.monotonic() - began_s < 2
        assert (first.payload, first.content_type, first.user_properties) == (b"many", "", ())
        assert (second.payload, second.content_type, second.user_properties) == (
            b"fitting",
            "audio/ogg",
            tuple(fitting),
        )
