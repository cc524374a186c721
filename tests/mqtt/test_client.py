"""One connection: why it fails, what it receives, and that every wait has its limit."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.brokers import BrokerProcess, MosquittoFactory, config_for, make_certificates
from support.delivery import RunningSender
from support.mqtt_client import SECRET, STOP, config, connect, refused
from support.ports import free_port
from support.programs import AS_ROOT, missing, require_program
from support.scripted_broker import (
    WELCOME_5,
    WELCOME_311,
    ScriptedBroker,
    answer_with,
    read_packet,
    refusal_5,
    wait_for_end,
)
from support.waiting import wait_until

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.types import Message


def test_a_real_broker(any_broker: BrokerProcess, request: pytest.FixtureRequest) -> None:
    any_broker.start()
    version = "5" if "mosquitto" in request.node.callspec.id else "3.1.1"
    assert connect(config_for(any_broker)) == version


def test_nothing_listens() -> None:
    assert refused(config(free_port())).reason is BrokerReason.REFUSED


def test_a_name_that_does_not_resolve() -> None:
    assert refused(config(1883, host="broker.invalid")).reason is BrokerReason.NAME_NOT_FOUND


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "\udcff"])
def test_a_name_that_is_not_valid(host: str) -> None:
    assert refused(config(1883, host=host)).reason is BrokerReason.NAME_NOT_FOUND


WITHOUT_NETWORK = """
import threading
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
try:
    MqttConnection(MqttConfig("10.1.2.3", 1883, "x"), will=None, stop=threading.Event())
except BrokerError as error:
    print(error.reason)
"""


def test_a_network_without_a_route() -> None:
    # in a network namespace of its own, which has no network
    command = [require_program("unshare"), *AS_ROOT, "--net", sys.executable, "-c", WITHOUT_NETWORK]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        missing("the right to make network namespaces")
    assert done.stdout == "unreachable\n"


def test_a_login_that_is_refused(mosquitto: MosquittoFactory) -> None:
    broker = mosquitto(users={"edge": "right"}).start()
    error = refused(config_for(broker, username="edge", password=SECRET))
    assert error.reason is BrokerReason.UNAUTHORIZED
    assert refused(config_for(broker)).reason is BrokerReason.UNAUTHORIZED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refusal_5(0x86), BrokerReason.UNAUTHORIZED),
        (refusal_5(0x87), BrokerReason.UNAUTHORIZED),
        (refusal_5(0x88), BrokerReason.BUSY),
        (refusal_5(0x9F), BrokerReason.THROTTLED),
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\nContent-Length: 200\r\n\r\n" + b"<p>" * 70, BrokerReason.NOT_MQTT),
        (b"\xff" * 20, BrokerReason.NOT_MQTT),
        (b"", BrokerReason.TIMEOUT),
    ],
)
def test_answers_that_refuse_or_are_not_mqtt(answer: bytes, reason: BrokerReason) -> None:
    with ScriptedBroker(answer_with(answer)) as broker:
        assert refused(config(broker.port)).reason is reason


def test_a_broker_that_hangs_up_is_asked_again_with_mqtt_311() -> None:
    def script(connection: socket.socket) -> None:
        _, packet = read_packet(connection)
        if packet[6] == 4:
            connection.sendall(WELCOME_311)
            wait_for_end(connection)

    with ScriptedBroker(script) as broker:
        assert connect(config(broker.port)) == "3.1.1"
        assert broker.connections == 2


def test_a_broker_that_only_hangs_up() -> None:
    with ScriptedBroker(lambda connection: None) as broker:
        assert refused(config(broker.port)).reason is BrokerReason.CLOSED


def test_a_broker_that_spoke_5_is_not_taken_for_an_older_one(tmp_path: Path) -> None:
    """One that restarts hangs up, one that was frozen answers late; over 3.1.1 it would not report denials."""
    protocols: list[int] = []

    def script(connection: socket.socket) -> None:
        _, packet = read_packet(connection)
        protocols.append(packet[6])
        if len(protocols) == 3:
            time.sleep(0.8)  # longer than an unknown broker may be silent
        if len(protocols) != 2:
            connection.sendall(WELCOME_5)
        if len(protocols) > 2:
            wait_for_end(connection)

    with ScriptedBroker(script) as broker, RunningSender(config(broker.port), tmp_path) as running:
        wait_until(lambda: len(protocols) == 3)
        running.wait_connected()
        assert running.sender.status.protocol == "5"
    assert protocols == [5, 5, 5]


def test_failures_leave_no_sockets_behind(mosquitto: MosquittoFactory, tmp_path: Path) -> None:
    files = make_certificates(tmp_path / "pki")
    tls = mosquitto(tls=files).start()
    login = mosquitto(users={"edge": "right"}).start()
    open_files = Path("/proc/self/fd")
    with ScriptedBroker(lambda connection: None) as closing:
        configs = [
            config_for(tls, host="localhost", tls=True),
            config_for(login),
            config(closing.port),
            config(free_port()),
        ]
        before = 0
        for attempt in range(12):
            for one in configs:
                refused(one)
            if attempt == 1:
                before = len(list(open_files.iterdir()))
        # one more or less is the scripted broker's
        assert len(list(open_files.iterdir())) <= before + 1


def test_stop_ends_the_waiting() -> None:
    stop = threading.Event()
    with ScriptedBroker(answer_with(b"")) as broker:
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(BrokerError):
            connect(config(broker.port, timeout_s=30.0), stop)
        assert time.monotonic() - began < 3


def test_a_message_whose_topic_is_not_utf8_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    publish = b"\x30\x06\x00\x02\xff\xfe\x00x" + b"\x30\x05\x00\x01t\x00x"
    with ScriptedBroker(answer_with(WELCOME_5 + publish)) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        events: list[object] = []
        while not events:
            events += connection.poll(0.1)
        assert events == [Received("t", b"x")]
        connection.close()
    assert "1 messages that are too long or cannot be read" in caplog.text


def test_a_report_may_be_longer_than_a_command(caplog: pytest.LogCaptureFixture) -> None:
    length = b"\xd3\x0f"  # 2003 bytes: topic, no properties, payload
    publish = b"".join(b"\x30" + length + b"\x00\x01" + topic + b"\x00" + 1999 * b"x" for topic in (b"t", b"r"))
    with ScriptedBroker(answer_with(WELCOME_5 + publish)) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP, report_topic="r")
        events: list[object] = []
        while not events:
            events += connection.poll(0.1)
        assert events == [Received("r", 1999 * b"x")]
        connection.close()
    assert "1 messages that are too long or cannot be read" in caplog.text


def test_the_limits_that_the_broker_announces_are_kept() -> None:
    # receive maximum 3, no retained messages, packets of at most 100 bytes
    limits = b"\x21\x00\x03" + b"\x25\x00" + b"\x27\x00\x00\x00\x64"
    sent: list[int] = []

    def script(connection: socket.socket) -> None:
        read_packet(connection)
        connection.sendall(b"\x20" + bytes([3 + len(limits)]) + b"\x00\x00" + bytes([len(limits)]) + limits)
        sent.append(read_packet(connection)[0])

    with ScriptedBroker(script) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        assert connection.in_flight_max == 3
        assert connection.fits(Message("t", b"x" * 60, 1))
        assert not connection.fits(Message("t", b"x" * 100, 1))
        connection.publish(Message("t", b"x", 1, retain=True))
        wait_until(lambda: sent)
        assert sent[0] & 0x01 == 0
        connection.abort()


def test_another_thread_can_wake_the_waiting_one(broker: BrokerProcess) -> None:
    connection = MqttConnection(config_for(broker.start()), will=None, stop=STOP)
    self_pipe = SelfPipe()
    timer = threading.Timer(0.1, self_pipe.wake)
    timer.start()
    began = time.monotonic()
    connection.poll(20.0, self_pipe)
    assert time.monotonic() - began < 5
    connection.close()
    self_pipe.close()
    self_pipe.wake()  # of a thread that has not noticed: no harm
