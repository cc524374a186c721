"""One subscription with a real broker; what the whole does is in test_with_broker.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import pytest
from support.brokers import BrokerProcess, Subscriber, config_for
from support.ports import free_port
from support.scripted_broker import WELCOME_5, ScriptedBroker, read_packet, wait_for_end
from support.strict_broker import Rules, StrictBroker
from support.waiting import wait_until

from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.wire.consumer import Consumer, PostponedError, Subscription

PUBLISHED = b"\x30\x06\x00\x01a\x00on"  # MQTT 5: topic "a", no properties, payload "on"
ALL = Subscription(("edgeaudio/#",), qos=1, retained=True)


def fail(batch: Sequence[Received]) -> None:
    if batch:
        raise RuntimeError("a bug")


def test_a_bug_ends_the_thread_and_is_known(broker: BrokerProcess, caplog) -> None:
    stop = threading.Event()
    consumer = Consumer("detections", config_for(broker.start()), ALL, fail, stop=stop)
    consumer.start()
    wait_until(lambda: consumer.is_up)
    with Subscriber(broker.port, "nothing") as client:
        client.publish("edgeaudio/x", "y")
    wait_until(lambda: not consumer.is_alive)
    assert isinstance(consumer.failure, RuntimeError)
    assert not consumer.is_up
    assert "an exception ended the thread mqtt-detections" in caplog.text


def test_a_batch_that_was_not_handled_comes_again(broker: BrokerProcess) -> None:
    heard: list[bytes] = []
    config = config_for(broker.start(), client_id="x", keeps_session=True, manual_ack=True, session_expiry_s=60)
    stop = threading.Event()
    failing = Consumer("detections", config, ALL, fail, stop=stop)
    failing.start()
    wait_until(lambda: failing.is_up)
    with Subscriber(broker.port, "nothing") as client:
        client.publish("edgeaudio/x", "y")
    wait_until(lambda: failing.failure)
    again = Consumer("detections", config, ALL, lambda batch: heard.extend(m.payload for m in batch), stop=stop)
    again.start()
    wait_until(lambda: heard == [b"y"])
    stop.set()
    again.join(10)
    assert not again.is_alive


def test_a_postponed_batch_is_handed_over_again_before_it_is_acknowledged(broker: BrokerProcess) -> None:
    handled: list[list[bytes]] = []

    def refuse_twice(batch: Sequence[Received]) -> None:
        if batch:
            handled.append([message.payload for message in batch])
            if len(handled) < 3:
                raise PostponedError(0.05)

    config = config_for(
        broker.start(), client_id="x", keeps_session=True, manual_ack=True, session_expiry_s=60, receive_max=2
    )
    stop = threading.Event()
    consumer = Consumer("detections", config, ALL, refuse_twice, stop=stop)
    consumer.start()
    wait_until(lambda: consumer.is_up)
    with Subscriber(broker.port, "nothing") as client:
        for number in range(6):
            client.publish("edgeaudio/x", str(number))
    wait_until(lambda: [payload for batch in handled[2:] for payload in batch] == [b"0", b"1", b"2", b"3", b"4", b"5"])
    assert handled[0] == handled[1] == handled[2]
    stop.set()
    consumer.join(10)
    assert not consumer.is_alive


def test_what_the_broker_does_not_keep_does_not_pile_up_while_a_batch_is_postponed(
    broker: BrokerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    handled: list[bytes] = []
    free = threading.Event()

    def wait(batch: Sequence[Received]) -> None:
        if batch and not free.is_set():
            raise PostponedError(0.1)
        handled.extend(message.payload for message in batch)

    config = config_for(broker.start(), client_id="x", keeps_session=True, manual_ack=True, session_expiry_s=60)
    few = Subscription(("edgeaudio/#",), qos=1, retained=True, batch=5)
    stop = threading.Event()
    consumer = Consumer("detections", config, few, wait, stop=stop)
    consumer.start()
    wait_until(lambda: consumer.is_up)
    with Subscriber(broker.port, "nothing") as client:
        client.publish("edgeaudio/x", "first")
        for number in range(100):
            client.publish("edgeaudio/x", str(number), at_most_once=True)
        client.publish("edgeaudio/x", "last")
        wait_until(lambda: "the oldest are lost" in caplog.text)
        client.publish("edgeaudio/x", "end")
    free.set()
    wait_until(lambda: handled[-1:] == [b"end"])
    # QoS 1 is whole, and of QoS 0 the newest are there
    assert [payload for payload in handled if not payload.isdigit()] == [b"first", b"last", b"end"]
    assert b"99" in handled
    assert len(handled) < 20
    stop.set()
    consumer.join(10)


def test_long_messages_are_handled_a_few_at_a_time(broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.wire.consumer.BATCH_BYTES", 1000)
    batches: list[list[int]] = []
    free = threading.Event()

    def handle(batch: Sequence[Received]) -> None:
        if batch and not free.is_set():
            raise PostponedError(0.1)
        if batch:
            batches.append([len(message.payload) for message in batch])

    config = config_for(broker.start(), client_id="x", keeps_session=True, manual_ack=True, session_expiry_s=60)
    stop = threading.Event()
    consumer = Consumer("detections", config, ALL, handle, stop=stop)
    consumer.start()
    wait_until(lambda: consumer.is_up)
    sizes = [10, *[400] * 9, 900, 900, 10]
    with Subscriber(broker.port, "nothing") as client:
        for size in sizes:
            client.publish("edgeaudio/x", "x" * size)
    free.set()
    wait_until(lambda: [size for batch in batches for size in batch] == sizes)
    assert max(map(sum, batches)) <= 1000
    stop.set()
    consumer.join(10)


def test_a_process_stops_while_a_batch_is_postponed_and_the_batch_comes_again(broker: BrokerProcess) -> None:
    config = config_for(broker.start(), client_id="x", keeps_session=True, manual_ack=True, session_expiry_s=60)
    stop, again = threading.Event(), threading.Event()
    asked = threading.Event()

    def refuse(batch: Sequence[Received]) -> None:
        if batch:
            asked.set()
            raise PostponedError(60)

    consumer = Consumer("detections", config, ALL, refuse, stop=stop)
    consumer.start()
    wait_until(lambda: consumer.is_up)
    with Subscriber(broker.port, "nothing") as client:
        client.publish("edgeaudio/x", "y")
    assert asked.wait(10)
    stop.set()
    consumer.join(5)
    assert not consumer.is_alive
    heard: list[bytes] = []
    second = Consumer("detections", config, ALL, lambda batch: heard.extend(m.payload for m in batch), stop=again)
    second.start()
    wait_until(lambda: heard == [b"y"])
    again.set()
    second.join(10)


def test_denied_topics_are_named_and_the_subscription_is_not_up(caplog) -> None:
    def deny(connection: socket.socket) -> None:
        read_packet(connection)
        connection.sendall(WELCOME_5)
        _, body = read_packet(connection)
        connection.sendall(b"\x90\x04" + body[:2] + b"\x00\x87")
        wait_for_end(connection)

    stop = threading.Event()
    with ScriptedBroker(deny) as broker:
        consumer = Consumer("state", MqttConfig("127.0.0.1", broker.port, "x"), ALL, lambda _: None, stop=stop)
        consumer.start()
        wait_until(lambda: "no subscription to edgeaudio/#: Not authorized" in caplog.text)
        assert not consumer.is_up
        stop.set()
        consumer.join(10)
        assert not consumer.is_alive


def test_with_a_part_of_its_topics_a_subscription_is_not_up(caplog) -> None:
    def deny_the_first(connection: socket.socket) -> None:
        read_packet(connection)
        connection.sendall(WELCOME_5)
        for reason in (b"\x87", b"\x00"):
            _, body = read_packet(connection)
            connection.sendall(b"\x90\x04" + body[:2] + b"\x00" + reason)
        connection.sendall(PUBLISHED)
        wait_for_end(connection)

    stop = threading.Event()
    handled: list[bytes] = []
    two = Subscription(("edgeaudio/+/health", "edgeaudio/+/availability"), qos=0, retained=True)
    with ScriptedBroker(deny_the_first) as broker:
        config = MqttConfig("127.0.0.1", broker.port, "x")
        consumer = Consumer("state", config, two, lambda batch: handled.extend(m.payload for m in batch), stop=stop)
        consumer.start()
        wait_until(lambda: handled == [b"on"])
        assert "no subscription to edgeaudio/+/health: Not authorized" in caplog.text
        assert not consumer.is_up
        stop.set()
        consumer.join(10)


def test_an_absent_broker_is_one_line_with_what_to_do_and_stopping_is_prompt(caplog) -> None:
    stop = threading.Event()
    config = MqttConfig("127.0.0.1", free_port(), "x", retry_min_s=0.02, retry_max_s=0.02)
    consumer = Consumer("state", config, ALL, lambda _: None, stop=stop)
    consumer.start()
    wait_until(lambda: "connection refused; check the port, and that the broker runs" in caplog.text)
    stop.set()
    consumer.join(2)
    assert not consumer.is_alive
    assert caplog.text.count("connection refused") == 1


def test_a_refused_subscription_is_asked_for_again_and_holds_up_no_other(caplog, monkeypatch) -> None:
    monkeypatch.setattr("edgeaudio.wire.consumer.ASK_MIN_S", 0.05)
    wanted = Subscription(("edgeaudio/+/health", "edgeaudio/+/+/status"), qos=1, retained=False)
    stop = threading.Event()
    with StrictBroker(Rules(denied_filters=lambda topic: topic.endswith("/status"), manner="refuse")) as broker:
        config = MqttConfig("127.0.0.1", broker.port, "x")
        consumer = Consumer("consumer 1", config, wanted, lambda _: None, stop=stop)
        consumer.start()
        wait_until(lambda: consumer.refusals == ["no subscription to edgeaudio/+/+/status: Not authorized"])
        assert not consumer.is_up
        monkeypatch.setattr(broker, "rules", Rules())
        wait_until(lambda: consumer.is_up)
        assert consumer.refusals == []
        assert [topic for _, topic in broker.filters] == list(wanted.filters)
        assert len(broker.connected) == 1
        stop.set()
        consumer.join(10)
    assert caplog.text.count("no subscription to") == 1
    assert "allow it in the broker's access rules (docs/mqtt.md); it is asked for again" in caplog.text
