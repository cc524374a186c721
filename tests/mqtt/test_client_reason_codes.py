"""Every reason code by which a broker refuses something or ends a connection, byte by byte."""

from __future__ import annotations

import socket

import pytest
from support.delivery import DETECTION, detections
from support.mqtt_client import STOP, config, poll_for_ever, refused
from support.scripted_broker import (
    WELCOME_5,
    ScriptedBroker,
    answer_with,
    goodbye,
    read_packet,
    refusal_5,
    wait_for_end,
)

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import ANY_CLIENT_ID, BrokerError
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Acknowledged
from edgeaudio.sinks.mqtt.reason_codes import reason_code
from edgeaudio.types import Message

from .test_reason_codes import ROWS


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0x8E, BrokerReason.TAKEN_OVER), (0x8B, BrokerReason.BUSY), (0x87, BrokerReason.NOT_AUTHORIZED_TOPIC)],
)
def test_a_broker_that_says_why_it_ends_the_connection(code: int, reason: BrokerReason) -> None:
    with ScriptedBroker(answer_with(WELCOME_5 + goodbye(code))) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        with pytest.raises(BrokerError) as caught:
            poll_for_ever(connection)
        assert caught.value.reason is reason


REFUSALS = [(value, name, packet) for value, name, packet in ROWS if value >= 0x80]


@pytest.mark.parametrize(("value", "name"), [(value, name) for value, name, packet in REFUSALS if packet == "CONNACK"])
def test_every_reason_to_refuse_a_connection_is_read(value: int, name: str) -> None:
    with ScriptedBroker(answer_with(refusal_5(value))) as broker:
        error = refused(config(broker.port, timeout_s=0.3))
    if value == 0x99:  # paho does not accept this code in CONNACK
        assert error.reason is BrokerReason.NOT_MQTT
    elif value not in {
        0x84,
        0x9A,
        0x9B,
    }:  # edgeaudio connects again and asks for less, which the script does not answer
        assert error.detail.lower() == f"the broker refused the connection: {name}".lower()
        assert error.hint == reason_code(value, "CONNACK").hint.replace(ANY_CLIENT_ID, "edgeaudio-dock")


@pytest.mark.parametrize(
    ("value", "name"), [(value, name) for value, name, packet in REFUSALS if packet == "DISCONNECT"]
)
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "with a reason string"])
def test_every_reason_to_end_a_connection_is_read(value: int, name: str, bare: bool) -> None:
    ending = bytes([0xE0, 0x01, value]) if bare else goodbye(value)
    with ScriptedBroker(answer_with(WELCOME_5 + ending)) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        with pytest.raises(BrokerError) as caught:
            poll_for_ever(connection)
    detail = f"the broker ended the connection: {name}{'' if bare else ' (x)'}"
    assert caught.value.detail.lower() == detail.lower()
    assert caught.value.hint == reason_code(value, "DISCONNECT").hint.replace(ANY_CLIENT_ID, "edgeaudio-dock")
    assert connection.goodbye == value


@pytest.mark.parametrize("packet", ["PUBACK", "SUBACK"])
def test_every_reason_to_refuse_a_message_or_a_subscription_is_read(packet: str) -> None:
    values = [value for value, _, found_in in REFUSALS if found_in == packet]
    left = list(values)

    def script(sock: socket.socket) -> None:
        read_packet(sock)
        sock.sendall(WELCOME_5)
        while left:
            first, body = read_packet(sock)
            if first == 0x82:
                sock.sendall(b"\x90\x04" + body[:2] + bytes([0, left.pop(0)]))
            else:
                at = 2 + int.from_bytes(body[:2], "big")
                sock.sendall(b"\x40\x04" + body[at : at + 2] + bytes([left.pop(0), 0]))
        wait_for_end(sock)

    with ScriptedBroker(script) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        for value in values:
            message = Message("t", b"x", 1)
            packet_id = connection.publish(message) if packet == "PUBACK" else connection.subscribe("t")
            events: list[object] = []
            while not events:  # ends by itself: the script's connection does after 5 s
                events += connection.poll(0.1)
            assert events == [Acknowledged(packet_id, reason_code(value, packet))]
        connection.close()


def test_a_refused_message_is_not_an_acknowledged_one() -> None:
    def script(connection: socket.socket) -> None:
        read_packet(connection)
        connection.sendall(WELCOME_5)
        first, packet = read_packet(connection)
        assert first == 0x32
        mid = packet[2 + len(DETECTION) : 4 + len(DETECTION)]
        connection.sendall(b"\x40\x04" + mid + b"\x97\x00")  # quota exceeded
        wait_for_end(connection)

    with ScriptedBroker(script) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        mid = connection.publish(detections(0, 1)[0])
        events: list[object] = []
        while not events:  # ends by itself: the script's connection does after 5 s
            events += connection.poll(0.1)
        assert events == [Acknowledged(mid, reason_code(0x97, "PUBACK"))]
        connection.close()
