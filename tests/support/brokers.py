"""Real brokers for tests, each a process on a free loopback port, and a subscriber that records what it receives.

Fixtures (import them in a conftest): `broker` is a plain one, Mosquitto (MQTT 5), or the embedded amqtt (MQTT 3.1.1)
where that is not installed; `any_broker` runs its test on both; `mosquitto` makes Mosquitto brokers to order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from support.certificates import CLIENT, authority, issue, names
from support.ports import free_port
from support.programs import has_program, require_program
from support.waiting import wait_until

from edgeaudio.sinks.mqtt.broker import MqttConfig

AMQTT = [sys.executable, "-m", "edgeaudio.demo.broker"]
ROOT = Path(__file__).parents[2]  # where edgeaudio can be imported from without being installed


class BrokerProcess:
    """A broker that can be started, stopped, killed and frozen; it keeps its port and nothing else."""

    def __init__(self, command: Callable[[int], list[str]], log: Path) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> Self:
        for _ in range(5):
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._command(self.port), stdout=log, stderr=log, cwd=ROOT)
            if self._listens():
                return self
            self.stop()
            if "in use" in self._log.read_text():
                self.port = free_port()
        raise AssertionError(f"the broker does not start: {self._log.read_text()}")

    @property
    def running(self) -> bool:
        return self._process is not None

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
            self._process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def log(self) -> str:
        return self._log.read_text()

    def _listens(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, a server certificate for localhost, and a client certificate."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    def server_context(self, *, client_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        context.load_cert_chain(self.server, self.server_key)
        context.verify_mode = ssl.CERT_REQUIRED if client_certificate else ssl.CERT_NONE
        return context


def make_certificates(directory: Path, *, host: str = "localhost") -> Certificates:
    directory.mkdir(parents=True, exist_ok=True)
    ca = authority("test authority")
    server = issue("server", ca, extensions=[names(host)]).write(directory, "server")
    client = issue("client", ca, extensions=[CLIENT]).write(directory, "client")
    return Certificates(ca.write(directory, "ca")[0], *server, *client)


class MosquittoFactory:
    """Makes Mosquitto brokers; the fixture ends them with the test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program = require_program("mosquitto")
        self.brokers: list[BrokerProcess] = []

    def __call__(
        self,
        *options: str,
        users: dict[str, str] | None = None,
        acl: str | None = None,
        tls: Certificates | None = None,
        client_certificate: bool = False,
    ) -> BrokerProcess:
        """Prepare a broker, not started yet. `options` are further lines of its configuration."""
        home = self._directory / f"mosquitto-{len(self.brokers)}"
        home.mkdir()
        lines = ["allow_anonymous " + ("false" if users else "true"), *options]
        if os.geteuid() == 0:
            lines.append("user root")  # or else it becomes a user who may not read what is here
        if users:
            passwords = home / "passwords"
            passwords.touch(0o600)
            for user, password in users.items():
                command = [require_program("mosquitto_passwd"), "-b", str(passwords), user, password]
                subprocess.run(command, check=True, timeout=30)
            lines.append(f"password_file {passwords}")
        if acl is not None:
            (home / "acl").write_text(acl)
            (home / "acl").chmod(0o600)
            lines.append(f"acl_file {home / 'acl'}")
        if tls is not None:
            lines += [f"cafile {tls.ca}", f"certfile {tls.server}", f"keyfile {tls.server_key}"]
            lines += ["require_certificate true"] if client_certificate else []

        def command_for(port: int) -> list[str]:
            (home / "mosquitto.conf").write_text("\n".join([f"listener {port} 127.0.0.1", *lines, ""]))
            return [self._program, "-c", str(home / "mosquitto.conf")]

        broker = BrokerProcess(command_for, home / "log")
        self.brokers.append(broker)
        return broker


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoFactory]:
    factory = MosquittoFactory(tmp_path)
    yield factory
    for broker in factory.brokers:
        broker.stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
def any_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    """Yield a broker that is not started yet; the test runs on both."""
    with prepared(request.param, tmp_path) as broker:
        yield broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Yield a broker that is not started yet, for a test that needs no particular one."""
    with prepared(None, tmp_path) as broker:
        yield broker


@contextlib.contextmanager
def prepared(kind: str | None, directory: Path) -> Iterator[BrokerProcess]:
    """Yield a broker that is not started yet; None: of the kind that is there."""
    if kind == "mosquitto" or (kind is None and has_program("mosquitto")):
        broker = MosquittoFactory(directory)()
    else:
        pytest.importorskip("amqtt", reason="amqtt is not installed: the extra `demo` brings it")
        broker = BrokerProcess(lambda port: [*AMQTT, str(port)], directory / "amqtt.log")
    try:
        yield broker
    finally:
        broker.stop()


def config_for(broker: BrokerProcess, **changes: object) -> MqttConfig:
    """Return settings for a test: a broker on loopback, and short times."""
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": broker.port,
        "client_id": "edgeaudio-dock",
        "timeout_s": 5.0,
        "retry_min_s": 0.05,
        "retry_max_s": 0.2,
    }
    return MqttConfig(**{**values, **changes})  # type: ignore[arg-type]  # values of many types


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retain: bool
    at_s: float = field(default_factory=time.time, compare=False)  # of its arrival, seconds since 1970


class Subscriber:
    """A client that records what it receives, in order. It is connected when made, and reconnects to its broker."""

    def __init__(
        self,
        port: int,
        *filters: str,
        username: str | None = None,
        password: str | None = None,
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        session: str = "",
    ) -> None:
        """`session`: a name under which the broker queues missed messages; empty: it queues none."""
        self.heard: list[Heard] = []
        self._ready = threading.Event()
        clean = None if protocol == MQTTProtocolVersion.MQTTv5 else not session
        self._client = paho.Client(CallbackAPIVersion.VERSION2, session, clean, protocol=protocol)
        self._client.reconnect_delay_set(1, 1)
        self._client.username_pw_set(username, password)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in filters or ("#",)])
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _client, _userdata, m: self.heard.append(
            Heard(m.topic, bytes(m.payload), m.retain)
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10), "the subscriber is not connected"

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def of(self, topic: str) -> list[bytes]:
        return [message.payload for message in list(self.heard) if message.topic == topic]

    def publish(self, topic: str, payload: str | bytes, *, retain: bool = False, at_most_once: bool = False) -> None:
        self._client.publish(topic, payload, qos=0 if at_most_once else 1, retain=retain).wait_for_publish(10)

    def wait_for(self, predicate: Callable[[list[Heard]], object], timeout_s: float = 30.0) -> None:
        wait_until(lambda: predicate(list(self.heard)), timeout_s, f"heard only {self.heard[-10:]}")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
