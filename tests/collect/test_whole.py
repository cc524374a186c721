"""The whole: a real broker, a real database, collectors in processes of their own."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dashboard.values import PAYLOAD
from paho.mqtt.enums import MQTTProtocolVersion
from support.brokers import ROOT, BrokerProcess, MosquittoFactory, Subscriber, make_certificates
from support.collectors import RunningCollector
from support.ports import free_port
from support.postgres import FAST, running_postgres
from support.waiting import wait_until

from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.types import Message

Sql = Callable[..., list[Any]]
COUNT = "SELECT count(*), count(DISTINCT (id, kind)) FROM edgeaudio.detections"


@pytest.fixture
def broker(mosquitto: MosquittoFactory) -> BrokerProcess:
    return mosquitto("max_queued_messages 0").start()


def detection(number: int, kind: str = "onset", **changes: Any) -> str:
    return json.dumps(PAYLOAD | {"id": str(uuid.UUID(int=number)), "kind": kind, "seq": number} | changes)


def publisher(broker: BrokerProcess) -> Subscriber:
    return Subscriber(broker.port, "nothing", protocol=MQTTProtocolVersion.MQTTv5)


def test_what_a_fleet_reports_is_in_the_database(
    broker: BrokerProcess, url: str, sql: Sql, run_collector: Callable[..., RunningCollector]
) -> None:
    status = {"schema_version": 1, "state": "listening", "reason": None, "since": PAYLOAD["at"], "codec": "aac"}
    health = {"schema_version": 1, "at": PAYLOAD["at"], "version": "9", "sources": {"porch": status}}
    with publisher(broker) as client:
        client.publish("edgeaudio/gone/availability", "online", retain=True)
        client.publish("edgeaudio/gone/old/status", json.dumps(status), retain=True)
        client.publish("edgeaudio/hall/_shard/2/availability", "online", retain=True)
        collector = run_collector(broker, url).start().wait_subscribed(keeps_state=True)
        wait_until(lambda: len(sql("SELECT 1 FROM edgeaudio.devices")) == 2)  # what is retained
        client.publish("edgeaudio/dock/availability", "online", retain=True)
        client.publish("edgeaudio/dock/porch/status", json.dumps(status), retain=True)
        client.publish("edgeaudio/dock/health", json.dumps(health), retain=True)
        client.publish("edgeaudio/hall/_shard/2/health", json.dumps(health | {"version": "10"}), retain=True)
        client.publish("edgeaudio/gone/availability", "", retain=True)
        client.publish("edgeaudio/gone/old/status", "", retain=True)
        client.publish("edgeaudio/dock/availability", "offline", retain=True)
        client.publish("edgeaudio/dock/porch/detection", detection(1))
        client.publish("edgeaudio/dock/porch/detection", detection(1, "offset", at="2026-11-20T20:51:18.000Z"))
        wait_until(lambda: collector.messages("stored") == 5, 20, lambda: collector.log)
        # its broker's order, and what is cleared is gone
        wait_until(
            lambda: (
                sql("SELECT device, shard, online FROM edgeaudio.devices ORDER BY device")
                == [("dock", "", False), ("hall", "2", True)]
            ),
            20,
        )
    assert sql("SELECT device, source, state, codec FROM edgeaudio.sources") == [("dock", "porch", "listening", "aac")]
    assert sql("SELECT state FROM edgeaudio.status_changes") == [("listening",)]
    changes = sql("SELECT online FROM edgeaudio.availability_changes WHERE device = 'dock' ORDER BY at")
    assert changes == [(True,), (False,)]
    assert sql("SELECT device, shard, version, sources->'porch'->>'state' FROM edgeaudio.health ORDER BY 1") == [
        ("dock", "", "9", "listening"), ("hall", "2", "10", "listening"),
    ]  # fmt: skip
    (event,) = sql(
        "SELECT label, ends_at - begins_at > interval '2 s', score > 0.89, onset FROM edgeaudio.events AS onset"
    )
    assert event[:3] == ("dog", True, True)


def test_consumers_share_the_messages_and_a_repeated_one_is_stored_once(
    broker: BrokerProcess, url: str, sql: Sql, run_collector: Callable[..., RunningCollector]
) -> None:
    first = run_collector(broker, url, "--consumers", "2").start()
    second = run_collector(broker, url, device="other").start()
    for collector in (first, second):
        collector.wait_subscribed()
    with publisher(broker) as client:
        for number in range(200):
            client.publish("edgeaudio/dock/porch/detection", detection(number % 100))
    wait_until(lambda: first.messages("stored") + second.messages("stored") == 100)
    wait_until(lambda: first.messages("repeated") + second.messages("repeated") == 100)
    assert sql(COUNT) == [(100, 100)]
    # which of two that have the same message is the first to store it is chance
    assert min(each.messages("stored") + each.messages("repeated") for each in (first, second)) > 0
    # one of them writes what is now
    wait_until(lambda: first.metric("keeps_state") + second.metric("keeps_state") == 1)


def test_a_killed_consumer_loses_nothing_and_its_share_comes_back_to_it(
    broker: BrokerProcess, url: str, sql: Sql, run_collector: Callable[..., RunningCollector]
) -> None:
    first = run_collector(broker, url).start().wait_subscribed()
    second = run_collector(broker, url, device="other").start().wait_subscribed()
    with publisher(broker) as client:
        for number in range(600):
            client.publish("edgeaudio/dock/porch/detection", detection(number))
            if number == 200:
                first.kill()
            if number == 400:
                first.start()
                second.kill()
    second.start()
    wait_until(lambda: sql(COUNT) == [(600, 600)], 30, lambda: f"{first.log}\n{second.log}")


def test_messages_wait_at_the_broker_while_the_database_is_away(
    broker: BrokerProcess, run_collector: Callable[..., RunningCollector]
) -> None:
    with running_postgres(*FAST) as server, publisher(broker) as client:
        server.kill()
        collector = run_collector(broker, server.url()).start()
        wait_until(lambda: "messages wait at the broker" in collector.log, 20)
        collector.wait_subscribed()
        for number in range(100):
            client.publish("edgeaudio/dock/porch/detection", detection(number))
        assert collector.messages("stored") == 0
        server.start()
        wait_until(lambda: collector.messages("stored") == 100, 40, lambda: collector.log)
        server.kill()
        client.publish("edgeaudio/dock/porch/detection", detection(100))
        wait_until(lambda: collector.metric("database_waits_seconds") > 0)
        server.start()
        wait_until(lambda: collector.messages("stored") == 101, 40, lambda: collector.log)
        assert "the database works again" in collector.log
        assert collector.stop() == 0


def test_hostile_messages_are_counted_and_harm_nothing_else(
    broker: BrokerProcess, url: str, sql: Sql, run_collector: Callable[..., RunningCollector]
) -> None:
    collector = run_collector(broker, url).start().wait_subscribed()
    bad = (b"\xff", b"[" * 10_000, b"x" * 2_000_000, b"{}", detection(1, label="").encode(), b"")
    with publisher(broker) as client:
        for payload in bad:
            for topic in ("dock/porch/detection", "dock/porch/status", "dock/health", "dock/availability"):
                client.publish(f"edgeaudio/{topic}", payload)
        client.publish("edgeaudio/<b>/porch/detection", detection(2))
        client.publish(
            "edgeaudio/dock/porch/detection", detection(3, label="a\x00b\ud800'; DROP TABLE x; --", seq=1 << 52)
        )
        client.publish("edgeaudio/dock/porch/detection", detection(4, at="1970-01-02T00:00:00.000Z"))
        client.publish("edgeaudio/dock/porch/detection", detection(5, at="2190-01-02T00:00:00.000Z"))
        wait_until(lambda: collector.messages("stored") == 4, 20, lambda: collector.log)
    assert sql("SELECT label FROM edgeaudio.detections") == [("a\ufffdb\ufffd'; DROP TABLE x; --",)]
    assert len(sql("SELECT 1 FROM edgeaudio.misdated_detections")) == collector.messages("misdated") == 2
    # what is longer than the broker was asked to send is not sent; a detection without a label is a report of health
    assert collector.messages("refused") == 3 * 3 + 2
    assert collector.log.count("\n") < 30


def test_a_database_that_a_newer_process_has_changed_ends_this_one(
    broker: BrokerProcess, url: str, sql: Sql, run_collector: Callable[..., RunningCollector]
) -> None:
    collector = run_collector(broker, url).start().wait_subscribed(keeps_state=True)
    sql("INSERT INTO edgeaudio.migrations (number) VALUES (99)")
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'edgeaudio collect'")
    with publisher(broker) as client:
        client.publish("edgeaudio/dock/porch/detection", detection(1))
    wait_until(lambda: not collector.runs, 20)
    assert collector.process is not None
    assert collector.process.returncode == 2
    assert "is of a newer edgeaudio (layout 99" in collector.log


def test_an_absent_broker_is_one_line_and_stopping_is_prompt(
    url: str, run_collector: Callable[..., RunningCollector], mosquitto: MosquittoFactory
) -> None:
    broker = mosquitto()
    broker.port = free_port()
    collector = run_collector(broker, url).start()
    wait_until(lambda: "connection refused; check the port, and that the broker runs" in collector.log, 20)
    wait_until(lambda: collector.get("/health")[0] == 503)
    assert collector.get("/health")[1] == "1 of 1 consumers are not subscribed\n"
    assert collector.get("/nothing")[0] == 404
    assert collector.stop() == 0


def test_a_broker_with_tls_client_certificates_logins_and_access_rules(
    url: str, run_collector: Callable[..., RunningCollector], mosquitto: MosquittoFactory, tmp_path: Path
) -> None:
    known = make_certificates(tmp_path / "known")
    users = {"collect": "secret-7", "dock": "d"}
    acl = (ROOT / "deploy" / "mosquitto" / "acl").read_text()
    broker = mosquitto(users=users, acl=acl, tls=known, client_certificate=True).start()
    broker_url = f"mqtts://localhost:{broker.port}"

    def collector_with(name: str, password: str, certificate: str) -> RunningCollector:
        login = f'[mqtt]\nurl = "{broker_url}"\nca_file = "{known.ca}"\nusername = "collect"\npassword = "{password}"\n'
        file = tmp_path / f"{name}.toml"
        file.write_text(login + certificate)
        file.chmod(0o600)
        return run_collector(broker, url, device=name, config=str(file)).start()

    certificate = f'cert_file = "{known.client}"\nkey_file = "{known.client_key}"\n'
    collector = collector_with("hall", "secret-7", certificate).wait_subscribed(keeps_state=True)
    stranger = collector_with("stranger", "secret-7", "")
    unknown = collector_with("unknown", "guessed-9", certificate)
    device = MqttConfig("localhost", broker.port, "edgeaudio-dock", tls=True, username="dock", password="d")
    ours = replace(device, ca_file=known.ca, cert_file=known.client, key_file=known.client_key)
    with closing(MqttConnection(ours, will=None, stop=threading.Event())) as connection:
        connection.publish(Message("edgeaudio/dock/porch/detection", detection(1).encode(), qos=1))
        while not connection.poll(1.0):
            pass
    wait_until(lambda: collector.messages("stored") == 1, 20, lambda: collector.log)
    wait_until(lambda: "the broker wants a certificate of this device: set `mqtt.cert_file`" in stranger.log, 20)
    wait_until(lambda: "the broker refused the connection: Not authorized" in unknown.log, 20, lambda: unknown.log)
    assert unknown.get("/health")[0] == 503
    assert not {"secret-7", "guessed-9"} & set(re.findall(r"[\w-]+", collector.log + stranger.log + unknown.log))


@pytest.mark.parametrize("any_broker", ["amqtt"], indirect=True)
def test_an_older_broker_is_one_line(
    any_broker: BrokerProcess, url: str, run_collector: Callable[..., RunningCollector]
) -> None:
    collector = run_collector(any_broker.start(), url).start()
    wait_until(lambda: "collect needs shared subscriptions: name a broker of MQTT 5" in collector.log, 30)
