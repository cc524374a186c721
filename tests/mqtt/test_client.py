"""One connection: what goes wrong is told apart, secrets stay secret, and every wait has its limit."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.brokers import BrokerProcess, MosquittoFactory, config_for, make_certificates
from support.delivery import DETECTION, RunningSender, detections
from support.ports import free_port
from support.programs import AS_ROOT, missing, require_program
from support.scripted_broker import WELCOME_5, WELCOME_311, ScriptedBroker, goodbye, read_packet, refusal_5
from support.strict_broker import Rules, StrictBroker
from support.waiting import wait_until
from support.web import tls_front

from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.broker import BrokerReason, BrokerState
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig, parse_broker_url
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Acknowledged, Received
from edgeaudio.sinks.mqtt.reason_codes import reason_code
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.types import Message

from .test_reason_codes import ROWS

STOP = threading.Event()
SECRET = "pa55-w0rd"


def config(port: int, **changes: object) -> MqttConfig:
    values: dict[str, object] = {"host": "127.0.0.1", "port": port, "client_id": "edgeaudio-dock", "timeout_s": 1.0}
    return MqttConfig(**{**values, **changes})  # type: ignore[arg-type]  # values of many types


def connect(config: MqttConfig, stop: threading.Event = STOP) -> str:
    """Connect and part again; gives the version of MQTT."""
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


def test_a_real_broker(any_broker: BrokerProcess, request: pytest.FixtureRequest) -> None:
    any_broker.start()
    version = "5" if "mosquitto" in request.node.callspec.id else "3.1.1"
    assert connect(config_for(any_broker)) == version


# --- why not ---


def test_nothing_listens() -> None:
    assert refused(config(free_port())).reason is BrokerReason.REFUSED


def test_a_name_that_does_not_resolve() -> None:
    assert refused(config(1883, host="broker.invalid")).reason is BrokerReason.NAME_NOT_FOUND


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "\udcff"])
def test_a_name_that_cannot_be_one(host: str) -> None:
    assert refused(config(1883, host=host)).reason is BrokerReason.NAME_NOT_FOUND


LONELY = """
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
    command = [require_program("unshare"), *AS_ROOT, "--net", sys.executable, "-c", LONELY]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        missing("the right to make network namespaces")
    assert done.stdout == "unreachable\n"


def test_a_login_that_is_refused(mosquitto: MosquittoFactory) -> None:
    broker = mosquitto(users={"edge": "right"}).start()
    error = refused(config_for(broker, username="edge", password=SECRET))
    assert error.reason is BrokerReason.UNAUTHORIZED
    assert refused(config_for(broker)).reason is BrokerReason.UNAUTHORIZED


def wait_for_end(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


def say(answer: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        read_packet(connection)
        connection.sendall(answer)
        wait_for_end(connection)

    return script


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
def test_answers_that_are_no_welcome(answer: bytes, reason: BrokerReason) -> None:
    with ScriptedBroker(say(answer)) as broker:
        assert refused(config(broker.port)).reason is reason


def test_a_broker_that_hangs_up_is_asked_again_in_an_older_tongue() -> None:
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
    """A broker that restarts hangs up, one that was frozen answers late; over 3.1.1 it would not tell of denials."""
    spoken: list[int] = []

    def script(connection: socket.socket) -> None:
        _, packet = read_packet(connection)
        spoken.append(packet[6])
        if len(spoken) == 3:
            time.sleep(0.8)  # longer than a broker that is not known may be silent
        if len(spoken) != 2:
            connection.sendall(WELCOME_5)
        if len(spoken) > 2:
            wait_for_end(connection)

    with ScriptedBroker(script) as broker, RunningSender(config(broker.port), tmp_path) as running:
        wait_until(lambda: len(spoken) == 3)
        running.wait_connected()
        assert running.sender.status.protocol == "5"
    assert spoken == [5, 5, 5]


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
        # one more or less is the listener's, just then
        assert len(list(open_files.iterdir())) <= before + 1


def test_stop_ends_the_waiting() -> None:
    stop = threading.Event()
    with ScriptedBroker(say(b"")) as broker:
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(BrokerError):
            connect(config(broker.port, timeout_s=30.0), stop)
        assert time.monotonic() - began < 3


def poll_for_ever(connection: MqttConnection) -> None:
    while True:
        connection.poll(0.1)


@pytest.mark.parametrize(
    ("code", "reason"),
    [(0x8E, BrokerReason.TAKEN_OVER), (0x8B, BrokerReason.BUSY), (0x87, BrokerReason.NOT_AUTHORIZED_TOPIC)],
)
def test_a_broker_that_says_why_it_ends_the_connection(code: int, reason: BrokerReason) -> None:
    with ScriptedBroker(say(WELCOME_5 + goodbye(code))) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        with pytest.raises(BrokerError) as caught:
            poll_for_ever(connection)
        assert caught.value.reason is reason


REFUSALS = [(value, name, packet) for value, name, packet in ROWS if value >= 0x80]


@pytest.mark.parametrize(("value", "name"), [(value, name) for value, name, packet in REFUSALS if packet == "CONNACK"])
def test_every_reason_to_refuse_a_connection_is_read(value: int, name: str) -> None:
    with ScriptedBroker(say(refusal_5(value))) as broker:
        error = refused(config(broker.port, timeout_s=0.3))
    if value == 0x99:  # paho takes a CONNACK of this code for no MQTT
        assert error.reason is BrokerReason.NOT_MQTT
    elif value not in {0x84, 0x9A, 0x9B}:  # asked again with less, by which this broker means something else
        assert error.detail.lower() == f"the broker refused the connection: {name}".lower()
        assert error.hint == reason_code(value, "CONNACK").hint


@pytest.mark.parametrize(
    ("value", "name"), [(value, name) for value, name, packet in REFUSALS if packet == "DISCONNECT"]
)
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "with a reason string"])
def test_every_reason_to_end_a_connection_is_read(value: int, name: str, bare: bool) -> None:
    ending = bytes([0xE0, 0x01, value]) if bare else goodbye(value)
    with ScriptedBroker(say(WELCOME_5 + ending)) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        with pytest.raises(BrokerError) as caught:
            poll_for_ever(connection)
    said = f"the broker ended the connection: {name}{'' if bare else ' (x)'}"
    assert caught.value.detail.lower() == said.lower()
    assert caught.value.hint == reason_code(value, "DISCONNECT").hint
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
            happened: list[object] = []
            while not happened:  # ends by itself: the script's connection does after 5 s
                happened += connection.poll(0.1)
            assert happened == [Acknowledged(packet_id, reason_code(value, packet))]
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
        happened: list[object] = []
        while not happened:  # ends by itself: the script's connection does after 5 s
            happened += connection.poll(0.1)
        assert happened == [Acknowledged(mid, reason_code(0x97, "PUBACK"))]
        connection.close()


def test_an_acknowledgement_that_never_comes_ends_the_connection(tmp_path: Path) -> None:
    def script(connection: socket.socket) -> None:
        read_packet(connection)
        connection.sendall(WELCOME_5)
        wait_for_end(connection)

    with ScriptedBroker(script) as broker, RunningSender(config(broker.port, timeout_s=0.5), tmp_path) as running:
        running.outbox.add(detections(0, 1))
        wait_until(lambda: running.sender.status.reason is BrokerReason.TIMEOUT)
        assert running.sender.status.detail == "no acknowledgement of a message within 0.5 s"
        assert running.outbox.stats().depth == 1


def test_commands_that_the_broker_will_not_let_us_hear_are_told(tmp_path: Path) -> None:
    rules = Rules(denied_filters=lambda topic_filter: "threshold" in topic_filter, manner="refuse")
    with StrictBroker(rules) as broker, RunningSender(config(broker.port), tmp_path) as running:
        running.wait_told()
        wait_until(lambda: running.sender.status.reason is BrokerReason.NOT_AUTHORIZED_TOPIC)
        assert running.sender.status.detail == (
            "edgeaudio/dock/+/threshold/+/set refused as a subscription: Not authorized"
        )
        assert running.sender.status.state is BrokerState.CONNECTED


def test_a_topic_that_is_no_text_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    publish = b"\x30\x06\x00\x02\xff\xfe\x00x" + b"\x30\x05\x00\x01t\x00x"
    with ScriptedBroker(say(WELCOME_5 + publish)) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP)
        happened: list[object] = []
        while not happened:
            happened += connection.poll(0.1)
        assert happened == [Received("t", b"x")]
        connection.close()
    assert "1 messages that are no commands" in caplog.text


def test_a_report_may_be_longer_than_a_command(caplog: pytest.LogCaptureFixture) -> None:
    length = b"\xd3\x0f"  # 2003 bytes: topic, no properties, payload
    publish = b"".join(b"\x30" + length + b"\x00\x01" + topic + b"\x00" + 1999 * b"x" for topic in (b"t", b"r"))
    with ScriptedBroker(say(WELCOME_5 + publish)) as broker:
        connection = MqttConnection(config(broker.port), will=None, stop=STOP, report_topic="r")
        happened: list[object] = []
        while not happened:
            happened += connection.poll(0.1)
        assert happened == [Received("r", 1999 * b"x")]
        connection.close()
    assert "1 messages that are no commands" in caplog.text


def test_what_the_broker_limits_is_kept_to() -> None:
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
    waker = SelfPipe()
    timer = threading.Timer(0.1, waker.wake)
    timer.start()
    began = time.monotonic()
    connection.poll(20.0, waker)
    assert time.monotonic() - began < 5
    connection.close()
    waker.close()
    waker.wake()  # by whoever has not noticed: no harm


# --- TLS ---


def test_tls_with_a_client_certificate(mosquitto: MosquittoFactory, tmp_path: Path) -> None:
    files = make_certificates(tmp_path / "pki")
    broker = mosquitto(tls=files, client_certificate=True).start()
    good = {"host": "localhost", "tls": True, "ca_file": files.ca}
    ours = {"cert_file": files.client, "key_file": files.client_key}
    assert connect(config_for(broker, **good, **ours)) == "5"
    assert refused(config_for(broker, **good)).reason is BrokerReason.TLS_FAILED  # none shown
    untrusted = refused(config_for(broker, host="localhost", tls=True, **ours))
    assert untrusted.reason is BrokerReason.TLS_UNTRUSTED  # not signed by anyone the system trusts
    other_name = refused(config_for(broker, **{**good, **ours, "host": "127.0.0.1"}))
    assert other_name.reason is BrokerReason.TLS_UNTRUSTED
    assert "127.0.0.1" in other_name.detail
    plain = refused(config_for(broker, host="localhost", timeout_s=1.0))
    assert plain.reason in {BrokerReason.CLOSED, BrokerReason.NOT_MQTT}
    assert "port" in plain.hint


def test_tls_to_a_port_that_speaks_none() -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(WELCOME_5 * 10)

    with ScriptedBroker(script) as broker:
        assert refused(config(broker.port, tls=True)).reason is BrokerReason.TLS_FAILED


def test_tls_to_a_port_that_says_nothing() -> None:
    with ScriptedBroker(wait_for_end) as broker:
        # paho before 2.2 gives the handshake the time of the keep-alive
        error = refused(config(broker.port, tls=True, timeout_s=0.3, keepalive_s=1))
        assert error.reason is BrokerReason.TIMEOUT


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    for changes in ({"ca_file": tmp_path / "none.pem"}, {"ca_file": tmp_path / "bad.pem"}):
        error = refused(config(1, tls=True, **changes))
        assert error.reason is BrokerReason.TLS_FAILED
        assert str(changes["ca_file"]) in error.detail


def test_a_whole_sender_over_tls(broker: BrokerProcess, tmp_path: Path) -> None:
    files = make_certificates(tmp_path / "pki")
    with tls_front(broker.start().port, files.server_context()) as port:
        config = config_for(broker, host="localhost", port=port, tls=True, ca_file=files.ca)
        with RunningSender(config, tmp_path) as running:
            running.outbox.add(detections(0, 100))
            running.wait_empty()


# --- its address ---


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "username", "password"),
    [
        ("mqtt://broker", "broker", 1883, False, None, None),
        ("mqtts://broker/", "broker", 8883, True, None, None),
        ("mqtt://me:p%40ss@10.0.0.1:11883", "10.0.0.1", 11883, False, "me", "p@ss"),
        ("mqtts://me@[::1]", "::1", 8883, True, "me", None),
    ],
)
def test_broker_urls(url: str, host: str, port: int, tls: bool, username: str | None, password: str | None) -> None:
    address = parse_broker_url(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)
    assert (address.username, address.password) == (username, password)
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "broker",
            "http://broker",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://b:0",
            "mqtt://b:70000",
            "mqtt://b:x",
            "mqtt://b/t",
        ),
        *(
            "mqtt://b?a=b",
            "mqtt://[::1",
            f"mqtt://me:{SECRET}#@b",
            f"mqtt://me:{SECRET}/x@b:1",
            f"mqtt://me:{SECRET}[@b",
        ),
        *(f"me:{SECRET}@b", f"mqtt://me:{SECRET}@", f"mqtt://me:{SECRET}@b:port"),
    ],
)
def test_what_is_no_broker_url_is_told_without_the_secret(url: str) -> None:
    with pytest.raises(EdgeaudioError, match="MQTT URL") as caught:
        parse_broker_url(url)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_names_the_broker_without_the_login() -> None:
    assert config(1883, username="me", password=SECRET).where == "mqtt://127.0.0.1:1883"
    assert config(8883, host="::1", tls=True).where == "mqtts://[::1]:8883"
