"""The sender and brokers that refuse: a login, a topic, a subscription, a length, a certificate of tomorrow."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from support.brokers import Certificates, MosquittoFactory, Subscriber, config_for
from support.certificates import authority, issue, names
from support.delivery import DETECTION, TOPICS, RunningSender, detections
from support.mqtt_client import config
from support.strict_broker import Rules, StrictBroker
from support.waiting import wait_until

from edgeaudio.health.broker import BrokerReason, BrokerState
from edgeaudio.sinks.mqtt.events import Capabilities
from edgeaudio.types import Message

Run = Callable[..., RunningSender]


def test_a_refused_login_is_logged_once_and_retried(
    mosquitto: MosquittoFactory, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto(users={"porch": "right"}).start()
    running = run_sender(config_for(broker, username="porch", password="wr0ng-secret"))
    running.outbox.add(detections(0, 1))
    wait_until(lambda: running.sender.status.reason is BrokerReason.UNAUTHORIZED)
    wait_until(lambda: running.sender._report.failures >= 3)
    assert running.outbox.stats().depth == 1
    refusals = [line for line in caplog.messages if "refused the connection" in line]
    assert len(refusals) == 1  # a burst is one line
    assert "wr0ng-secret" not in caplog.text + repr(running.statuses)


ACL = "user edge\ntopic readwrite edgeaudio/dock/#\n"


ACL_WITHOUT_PORCH = """user edge
topic deny edgeaudio/dock/porch/detection
topic readwrite edgeaudio/dock/#

user owner
topic readwrite #
"""


def test_a_denied_topic_does_not_hold_up_others(
    mosquitto: MosquittoFactory, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    users = {"edge": "e", "owner": "o"}
    broker = mosquitto(users=users, acl=ACL_WITHOUT_PORCH).start()
    running = run_sender(config_for(broker, username="edge", password="e"))
    yard = TOPICS.detection("yard")
    running.outbox.add([m for n in range(30) for m in (*detections(n, 1), *detections(n, 1, yard))])
    with Subscriber(broker.port, username="owner", password="o") as subscriber:
        wait_until(lambda: running.outbox.stats().depth == 30)
        wait_until(lambda: running.sender.status.refused_topics == (DETECTION,))
        assert running.sender.status.reason is BrokerReason.NOT_AUTHORIZED_TOPIC
        assert running.sender.status.detail == (
            f"{DETECTION} refused: Not authorized; what is refused is kept and tried again"
        )
        assert running.sender.status.state is BrokerState.CONNECTED
        acl = next(broker._log.parent.glob("acl"))
        acl.write_text(ACL + "\nuser owner\ntopic readwrite #\n")
        broker.reload()
        running.wait_empty()
        wait_until(lambda: running.sender.status.reason is None)
        subscriber.wait_for(lambda _: len(subscriber.of(DETECTION)) == 30)
        assert [int(payload) for payload in subscriber.of(DETECTION)] == list(range(30))
        assert int(subscriber.of(yard)[-1]) == 29
    assert len([record for record in caplog.records if f"{DETECTION} refused" in record.getMessage()]) == 1


def test_over_311_a_message_denied_by_access_rules_is_acknowledged_and_lost(
    mosquitto: MosquittoFactory, tmp_path: Path
) -> None:
    """Why MQTT 5 is tried first: over 3.1.1 such a loss looks like a success."""
    broker = mosquitto(users={"edge": "e"}, acl=ACL_WITHOUT_PORCH).start()
    running = RunningSender(config_for(broker, username="edge", password="e"), tmp_path)
    running.sender._known.learn(Capabilities(protocol="3.1.1"), time.monotonic())
    with running:
        running.outbox.add(detections(0, 1))
        running.wait_empty()
        assert running.sender.status.protocol == "3.1.1"
        assert running.sender.status.refused_topics == ()


def test_a_message_longer_than_the_broker_takes_holds_up_no_other(
    mosquitto: MosquittoFactory, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mosquitto("max_packet_size 400").start()
    running = run_sender(config_for(broker))
    running.sender.put(Message(TOPICS.health, b"x" * 1000, 1, retain=True))
    running.outbox.add([Message(DETECTION, b"x" * 1000, 1), *detections(0, 5)])
    wait_until(lambda: running.outbox.stats().depth == 1)
    wait_until(lambda: running.sender.status.quarantined == ((DETECTION, 1),))
    length = len(DETECTION) + 1000
    assert f"{DETECTION} quarantined: {length} bytes, where the broker takes packets of 400" in caplog.text
    wait_until(lambda: f"{TOPICS.health} not sent: " in caplog.text, what="nothing was said of the health")
    assert {status.state for status in running.statuses} == {BrokerState.CONNECTED}  # the broker did not disconnect


def test_a_clock_that_is_behind_shortens_the_back_off(
    mosquitto: MosquittoFactory, run_sender: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeaudio.tls_errors.why_behind", lambda: "was not synchronised since its start")
    ca = authority()
    soon = issue("server", ca, extensions=[names("localhost")], first_day=timedelta(seconds=2)).write(
        tmp_path, "server"
    )
    files = Certificates(ca.write(tmp_path, "ca")[0], *soon, *soon)
    broker = mosquitto(tls=files).start()
    config = config_for(broker, host="localhost", tls=True, ca_file=files.ca, retry_min_s=60.0, retry_max_s=600.0)
    monkeypatch.setattr("edgeaudio.sinks.mqtt.sender._CLOCK_S", 0.2)
    running = run_sender(config)
    wait_until(lambda: running.sender.status.reason is BrokerReason.CLOCK)
    running.wait_connected()


def test_a_denied_subscription_is_reported(tmp_path: Path) -> None:
    rules = Rules(denied_filters=lambda topic_filter: "threshold" in topic_filter, manner="refuse")
    with StrictBroker(rules) as broker, RunningSender(config(broker.port), tmp_path) as running:
        running.wait_told()
        wait_until(lambda: running.sender.status.reason is BrokerReason.NOT_AUTHORIZED_TOPIC)
        assert running.sender.status.detail == (
            "edgeaudio/dock/+/threshold/+/set refused as a subscription: Not authorized"
        )
        assert running.sender.status.state is BrokerState.CONNECTED
