"""Connections by TLS, and why they fail."""

from __future__ import annotations

import socket
from pathlib import Path

from support.brokers import BrokerProcess, MosquittoFactory, config_for, make_certificates
from support.delivery import RunningSender, detections
from support.mqtt_client import config, connect, refused
from support.scripted_broker import WELCOME_5, ScriptedBroker, wait_for_end
from support.web import tls_front

from edgeaudio.health.broker import BrokerReason


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


def test_tls_to_a_port_without_tls() -> None:
    def script(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(WELCOME_5 * 10)

    with ScriptedBroker(script) as broker:
        assert refused(config(broker.port, tls=True)).reason is BrokerReason.TLS_FAILED


def test_tls_to_a_silent_port() -> None:
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
