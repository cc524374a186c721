"""The consumer of MQTT 5, in this process."""

from __future__ import annotations

import socket
import threading

import pytest
from support.brokers import MosquittoFactory, config_for
from support.scripted_broker import ScriptedBroker, wait_for_end
from support.waiting import wait_until

from edgeaudio.collect.shared_consumer import Mqtt5Consumer, Patience
from edgeaudio.fleet_database.database import DatabaseError
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.wire.consumer import PostponedError, Subscription


def test_a_session_that_the_broker_has_lost_is_told(
    mosquitto: MosquittoFactory, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto().start()  # which keeps nothing on the disk
    config = config_for(broker, keeps_session=True, manual_ack=True, session_expiry_s=600)
    stop = threading.Event()
    wanted = Subscription(("$share/g/edgeaudio/#",), qos=1, retained=False)
    consumer = Mqtt5Consumer("consumer 1", config, wanted, lambda _: None, stop=stop)
    consumer.start()
    wait_until(lambda: consumer.is_up)
    assert "no session any more" not in caplog.text
    broker.stop()
    wait_until(lambda: not consumer.is_up)
    broker.start()
    wait_until(lambda: consumer.is_up)
    assert "consumer 1: the broker has no session any more: what it held for this consumer is lost" in caplog.text
    stop.set()
    consumer.join(10)


def test_a_database_that_is_away_is_told_once_and_the_waits_grow(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    patience = Patience("consumer 1")

    def fail() -> None:
        raise DatabaseError("database x: is away")

    waits = []
    for _ in range(8):
        with pytest.raises(PostponedError) as postponed:
            patience.attempt(fail)
        waits.append(postponed.value.retry_s)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    is_failing = [patience.failing_since_s is not None]
    patience.attempt(lambda: None)
    is_failing.append(patience.failing_since_s is not None)
    assert is_failing == [True, False]
    assert caplog.text.count("database x: is away; it is tried again, and messages wait at the broker") == 1
    assert caplog.text.count("the database works again") == 1


def test_a_database_that_does_not_answer_is_waited_for() -> None:
    patience = Patience("consumer 1")
    seen = []
    patience.attempt(lambda: seen.append(patience.waiting_since_s))
    assert seen[0] is not None
    assert patience.waiting_since_s is None


def test_a_database_that_can_never_be_used_is_not_waited_for() -> None:
    def fail() -> None:
        raise DatabaseError("database x: is of a newer edgeaudio", passing=False)

    with pytest.raises(DatabaseError, match="newer"):
        Patience("consumer 1").attempt(fail)


def test_a_broker_that_keeps_less_than_it_is_asked_for_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def serve(connection: socket.socket) -> None:
        # CONNACK with a Session Expiry Interval of an hour, and a Maximum QoS of 0
        connection.sendall(b"\x20\x0a\x00\x00\x07\x11\x00\x00\x0e\x10\x24\x00")
        wait_for_end(connection)

    stop = threading.Event()
    with ScriptedBroker(serve) as broker:
        config = MqttConfig("127.0.0.1", broker.port, "x", keeps_session=True, session_expiry_s=86_400)
        consumer = Mqtt5Consumer(
            "consumer 1", config, Subscription(("a",), 1, retained=False), lambda _: None, stop=stop
        )
        consumer.start()
        wait_until(lambda: "QoS 0 only" in caplog.text)
        stop.set()
        consumer.join(10)
    assert "keeps a session for 3600 s, not for 86400 (--session-expiry): what waits longer is lost" in caplog.text
