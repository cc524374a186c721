"""Brokers stricter than Mosquitto: what one of them denies never keeps anything else from arriving."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.delivery import DETECTION, TOPICS, RunningSender, detections
from support.strict_broker import Manner, Rules, StrictBroker
from support.waiting import wait_until

from edgeaudio.health.broker import BrokerReason, BrokerState
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.types import Message

DISCOVERY = Message("homeassistant/device/edgeaudio-dock/config", b'{"a": 1}', 1, retain=True)
BIRTHS = "homeassistant/status"
Run = Callable[..., RunningSender]


def config(broker: StrictBroker, **changes: object) -> MqttConfig:
    values = {
        "host": "127.0.0.1",
        "port": broker.port,
        "client_id": "edgeaudio-dock",
        "timeout_s": 3.0,
        "retry_min_s": 0.05,
        "retry_max_s": 0.3,
    }
    return MqttConfig(**{**values, **changes})  # type: ignore[arg-type]  # values of many types


@pytest.fixture
def strict() -> Iterator[StrictBroker]:
    with StrictBroker() as broker:
        yield broker


def state(count: int = 14) -> list[Message]:
    """What an agent publishes of a source, discovery first."""
    labels = [f"label{number}" for number in range(count)]
    sent = [DISCOVERY, messages.enabled(TOPICS, "porch", on=True)]
    sent += [messages.threshold(TOPICS, "porch", label, 0.5) for label in labels]
    return sent + [messages.label_state(TOPICS, "porch", label, on=False) for label in labels]


def start(run_sender: Run, broker: StrictBroker, *, sent: list[Message], **changes: object) -> RunningSender:
    running = run_sender(config(broker, **changes), listen_to=[BIRTHS])
    for message in sent:
        running.sender.put(message)
    return running


MANNERS: list[Manner] = ["close", "disconnect", "refuse"]


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("manner", MANNERS)
def test_one_denied_topic_keeps_nothing_else_from_arriving(
    manner: Manner, version: int, strict: StrictBroker, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """As AWS IoT, aedes, VerneMQ and HiveMQ deny: `edgeaudio/#` is allowed, `homeassistant/#` is not."""
    strict.rules = Rules(versions=(version,), denied=lambda topic: topic.startswith("homeassistant/"), manner=manner)
    strict.rules.denied_filters = strict.rules.denied
    running = start(run_sender, strict, sent=state())
    running.outbox.add(detections(0, 64))
    running.wait_empty()
    running.wait_told()
    assert [int(payload) for payload in dict.fromkeys(strict.of(DETECTION))] == list(range(64))
    assert {message.topic for message in state()} - set(strict.topics()) == {DISCOVERY.topic}
    assert {topic_filter for _, topic_filter in strict.filters} == set(TOPICS.command_filters)
    assert running.sender.status.state is BrokerState.CONNECTED
    said = "\n".join(complaint.text("here") for complaint in running.sender.complaints)
    if (manner, version) != ("refuse", 4):  # the one manner that cannot be noticed
        assert DISCOVERY.topic in said
        assert DISCOVERY.topic in caplog.text
    assert BIRTHS in said
    if manner != "refuse":
        assert dict(running.sender.status.quarantined) == {DISCOVERY.topic: 1, BIRTHS: 1}
        assert running.sender.status.reason is BrokerReason.QUARANTINED
    assert "two devices of one name" not in caplog.text
    assert "password" not in caplog.text
    # two ends for each of the two, and one that both shared
    assert len(strict.connected) <= 5


@pytest.mark.parametrize("manner", ["close", "disconnect"])
def test_denied_kinds_of_state_are_found_by_three_of_each(
    manner: Manner, strict: StrictBroker, run_sender: Run
) -> None:
    strict.rules = Rules(denied=lambda topic: "/threshold/" in topic or "/label/" in topic, manner=manner)
    running = start(run_sender, strict, sent=state(50))
    running.outbox.add(detections(0, 10))
    running.wait_empty()
    running.wait_told()
    # the first end makes suspects; two of a kind each take two more, or one less, and a third decides for all
    assert len(strict.connected) <= 1 + 1 + 2 * 5
    assert {DISCOVERY.topic, TOPICS.enabled("porch"), TOPICS.availability} <= set(strict.topics())


@pytest.mark.parametrize("manner", ["close", "disconnect"])
def test_a_denied_detection_topic_holds_up_no_other(manner: Manner, strict: StrictBroker, run_sender: Run) -> None:
    strict.rules = Rules(denied=lambda topic: topic == DETECTION, manner=manner)
    running = start(run_sender, strict, sent=state())
    yard = TOPICS.detection("yard")
    running.outbox.add([m for n in range(100) for m in (*detections(n, 1), *detections(n, 1, yard))])
    wait_until(lambda: running.outbox.stats().depth == 100)
    running.wait_told()
    assert [int(payload) for payload in dict.fromkeys(strict.of(yard))] == list(range(100))
    assert len(strict.connected) <= 7
    strict.rules.denied = lambda _topic: False
    running.sender._dispatcher.quarantine.retry_soon(time.monotonic() + 3600)
    running.sender._dispatcher._detections.rewind()
    running.sender.wake()
    running.wait_empty()
    assert sorted(map(int, strict.of(DETECTION))) == list(range(100))
    assert running.sender.status.quarantined == ()
    assert not running.sender.complaints


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("manner", ["close", "disconnect"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_message_longer_than_the_broker_takes_holds_up_none_behind_it(
    manner: Manner, version: int, count: int, strict: StrictBroker, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the broker does not announce its limit, and ends the connection instead."""
    strict.rules = Rules(versions=(version,), packet_max=500, manner=manner)
    running = start(run_sender, strict, sent=state())
    long = [Message(DETECTION, b"x" * 1000, 1) for _ in range(count)]
    running.outbox.add([*long, *detections(0, 5)])
    wait_until(lambda: running.outbox.stats().depth == count)
    running.wait_told()
    assert [int(payload) for payload in dict.fromkeys(strict.of(DETECTION))] == list(range(5))
    assert dict(running.sender.status.quarantined) == {DETECTION: count}
    assert len(strict.connected) <= 2 * count + 2
    assert DETECTION in caplog.text


@pytest.mark.parametrize("code", [0x42, 0x80, 0x83, 0x87, 0x91, 0x97, 0x99])
def test_one_refused_message_holds_up_none_behind_it(code: int, strict: StrictBroker, run_sender: Run) -> None:
    """Like a broker that checks payloads; 0x42 is no reason code at all."""
    strict.rules = Rules(refused=lambda topic, payload: topic == DETECTION and payload == b"5", refusal=code)
    running = start(run_sender, strict, sent=state())
    running.outbox.add(detections(0, 40))
    wait_until(lambda: running.outbox.stats().depth == 1, 30)
    running.outbox.add(detections(40, 1))
    wait_until(lambda: running.outbox.stats().depth == 1, 30)
    wait_until(lambda: dict(running.sender.status.quarantined) == {DETECTION: 1})
    assert set(map(int, strict.of(DETECTION))) == set(range(41)) - {5}
    assert DETECTION in "".join(complaint.text("here") for complaint in running.sender.complaints)


def test_a_message_that_the_broker_does_not_answer_holds_up_no_other(strict: StrictBroker, run_sender: Run) -> None:
    strict.rules = Rules(denied=lambda topic: topic == DETECTION, manner="ignore")
    running = start(run_sender, strict, sent=state(), timeout_s=0.3)
    yard = TOPICS.detection("yard")
    running.outbox.add([*detections(0, 1), *detections(0, 30, yard)])
    wait_until(lambda: running.outbox.stats().depth == 1)
    wait_until(lambda: dict(running.sender.status.quarantined) == {DETECTION: 1})


@pytest.mark.parametrize("sources", [1, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_a_broker_that_discards_what_comes_too_fast_gets_all(
    sources: int, strict: StrictBroker, run_sender: Run
) -> None:
    """AWS IoT takes 100 publishes a second from a connection, and discards the others without PUBACK."""
    strict.rules = Rules(publishes_per_s=100)
    sent = [
        Message(message.topic.replace("/porch/", f"/porch{number}/"), message.payload, 1, message.retain)
        for number in range(sources)
        for message in state(30)
    ]
    running = start(run_sender, strict, sent=sent, timeout_s=0.5)
    running.outbox.add(detections(0, 100))
    wait_until(lambda: running.sender.settled and not running.outbox.stats().depth, 60)
    assert {message.topic for message in sent} <= set(strict.topics())
    assert set(strict.of(DETECTION)) == {b"%d" % number for number in range(100)}
    assert running.sender.status.quarantined == ()


def test_detections_go_first_and_state_does_not_wait_for_all_of_them(
    strict: StrictBroker, run_sender: Run, tmp_path: Path
) -> None:
    running = RunningSender(config(strict), tmp_path)
    running.outbox.add(detections(0, 200))
    for message in state():
        running.sender.put(message)
    with running:
        running.wait_empty()
        running.wait_told()
    topics = strict.topics()
    assert topics[:5] == [DETECTION] * 5
    births = [number for number, topic in enumerate(topics) if topic == TOPICS.availability]
    # each denied subscription costs a connection, which begins with a few detections
    assert births[0] < 100
    assert topics.index(DISCOVERY.topic) < 110


def test_what_was_acknowledged_is_skipped_where_the_broker_still_has_the_session(
    strict: StrictBroker, run_sender: Run
) -> None:
    running = start(run_sender, strict, sent=state())
    running.wait_told()
    wait_until(lambda: len(strict.filters) == len(running.sender._dispatcher._filters))
    strict.drop_all()
    wait_until(lambda: len(strict.connected) == 2)
    running.wait_told()
    assert [present for _, present, _ in strict.connected] == [False, True]
    again = {taken.topic for taken in strict.taken if taken.connection == 1 and taken.retain}
    assert again == {TOPICS.availability}  # the will has replaced it
    strict.forget_sessions()
    strict.drop_all()
    wait_until(lambda: len(strict.connected) == 3)
    running.wait_told()
    again = {taken.topic for taken in strict.taken if taken.connection == 2}
    assert {message.topic for message in state()} <= again


def test_the_first_connection_of_a_process_begins_a_session_and_a_farewell_ends_it(
    strict: StrictBroker, tmp_path: Path
) -> None:
    for _ in range(2):
        with RunningSender(config(strict), tmp_path) as running:
            running.wait_told()
        wait_until(lambda: not strict._sessions, what="the farewell did not end the session")
    assert [present for _, present, _ in strict.connected] == [False, False]


def test_a_reason_string_never_repeats_the_login(strict: StrictBroker, run_sender: Run, caplog) -> None:
    strict.rules = Rules(connack=0x86, words="user me password Zq9Xk7Wv5 is wrong")
    login = {"username": "me", "password": "Zq9Xk7Wv5"}
    running = start(run_sender, strict, sent=[], **login)
    wait_until(lambda: running.sender.status.state is BrokerState.WAITING)
    assert "Bad user name or password" in caplog.text
    assert "Zq9Xk7Wv5" not in caplog.text + repr(running.statuses)
    strict.rules = Rules(connack=0x88, words="back at noon")
    wait_until(lambda: "back at noon" in caplog.text)


def test_a_broker_without_retained_messages_is_used_without(
    strict: StrictBroker, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    strict.rules = Rules(retain_available=False)
    running = start(run_sender, strict, sent=state())
    running.outbox.add(detections(0, 5))
    running.wait_empty()
    running.wait_told()
    assert strict.wills[-1] == (TOPICS.availability, 1, False)
    assert not any(taken.retain for taken in strict.taken)
    assert running.sender.status.state is BrokerState.CONNECTED
    assert running.sender.status.delivery == "confirmed"
    assert running.sender.status.reason is BrokerReason.NOT_SUPPORTED
    assert "retained messages are not offered" in caplog.text


def test_without_qos_1_delivery_is_reported_as_unconfirmed(
    strict: StrictBroker, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    strict.rules = Rules(retain_available=False, max_qos=0)
    running = start(run_sender, strict, sent=state())
    running.outbox.add(detections(0, 5))
    running.wait_empty()
    running.wait_told()
    assert strict.wills[-1] == (TOPICS.availability, 0, False)
    assert {taken.qos for taken in strict.taken} == {0}
    assert len(strict.of(DETECTION)) == 5
    assert running.sender.status.delivery == "unconfirmed"
    assert "QoS 1 is not offered" in caplog.text


def test_a_flapping_connection_does_not_fill_the_log(
    strict: StrictBroker, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edgeaudio")
    running = start(run_sender, strict, sent=[])
    for number in range(1, 13):
        wait_until(lambda number=number: len(strict.connected) == number)  # type: ignore[misc]  # mypy: no type
        running.wait_told()
        strict.drop_all()
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if "connected, MQTT" in line]) == 1
    assert len(lines) <= 4
    running.wait_told()


def test_after_a_lasting_connection_a_failure_is_logged_again(
    strict: StrictBroker, run_sender: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "edgeaudio")
    monkeypatch.setattr("edgeaudio.sinks.mqtt.sender._STEADY_S", 0.2)
    running = start(run_sender, strict, sent=[])
    for number in (1, 2, 3):
        wait_until(lambda number=number: len(strict.connected) == number)  # type: ignore[misc]  # mypy: no type
        wait_until(lambda: not running.sender._report.failures)
        strict.drop_all()
        wait_until(lambda number=number: len(strict.connected) == number + 1)  # type: ignore[misc]
    wait_until(lambda: len([r for r in caplog.records if "connected, MQTT" in r.getMessage()]) >= 3)
    assert len([r for r in caplog.records if "connection was closed" in r.getMessage()]) == 3


def test_a_reconnection_is_not_a_loop(strict: StrictBroker, run_sender: Run) -> None:
    """A broker that closes after any message: never more connections than the back-off allows."""
    strict.rules = Rules(denied=lambda _topic: True, denied_filters=lambda _filter: True)
    began = time.monotonic()
    running = start(run_sender, strict, sent=state(), retry_min_s=0.2, retry_max_s=0.8)
    running.outbox.add(detections(0, 5))
    wait_until(lambda: len(strict.connected) >= 8, 30)
    assert time.monotonic() - began > 7 * 0.1
    assert running.outbox.stats().depth == 5
