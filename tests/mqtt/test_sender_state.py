"""What the sender sends besides detections, and the commands that it receives, with real brokers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.brokers import BrokerProcess, Subscriber, config_for
from support.delivery import TOPICS, RunningSender
from support.waiting import wait_until

from edgeaudio.health.broker import BrokerState
from edgeaudio.sinks.mqtt import messages
from edgeaudio.types import Message

Run = Callable[..., RunningSender]


def test_what_comes_first_is_all_sent_in_order(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    with Subscriber(any_broker.port, "a/#") as subscriber:
        running.sender.put_first([Message("a/b", payload, 1) for payload in (b"1", b"2", b"3")])
        running.sender.put(Message("a/c", b"4", 1))
        subscriber.wait_for(lambda _: len(subscriber.heard) == 4)
        assert [message.payload for message in subscriber.heard] == [b"1", b"2", b"3", b"4"]


def test_forgotten_state_is_not_sent_again(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=True))
    running.wait_told()
    running.sender.forget(TOPICS.label("porch", "dog"))
    with Subscriber(broker.port) as subscriber:
        running.sender.put(messages.label_state(TOPICS, "porch", "cat", on=True))
        running.sender.resend()
        subscriber.wait_for(lambda _: len(subscriber.of(TOPICS.availability)) == 2)
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "cat")))
        assert not subscriber.of(TOPICS.label("porch", "dog"))


def test_a_new_broker_gets_the_newest_state_and_no_old_levels(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    running.sender.put(messages.enabled(TOPICS, "porch", on=True))
    running.wait_connected()
    any_broker.kill()
    wait_until(lambda: running.sender.status.state is BrokerState.WAITING)
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=True))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=False))
    running.sender.put_transient(Message(TOPICS.level("porch"), b"old"))
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running.wait_connected()
        running.sender.resend()  # the sender may have been quicker than the subscriber
        running.sender.put_transient(Message(TOPICS.level("porch"), b"new"))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.level("porch")))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")))
        assert set(subscriber.of(TOPICS.label("porch", "dog"))) == {b"OFF"}
        assert subscriber.of(TOPICS.level("porch")) == [b"new"]
        assert set(subscriber.of(TOPICS.enabled("porch"))) == {b"ON"}


def test_a_cleared_topic_is_gone_from_the_broker(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    running.sender.put(messages.enabled(TOPICS, "porch", on=True))
    with Subscriber(any_broker.port) as subscriber:
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")) == [b"ON"])
        running.sender.put(messages.cleared(TOPICS.enabled("porch")))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")) == [b"ON", b""])
    wait_until(lambda: TOPICS.enabled("porch") not in running.sender._state_cache._messages)
    with Subscriber(any_broker.port, TOPICS.enabled("porch"), TOPICS.availability) as later:
        later.wait_for(lambda heard: heard)
        assert not later.of(TOPICS.enabled("porch"))


def test_commands_are_received_and_retained_ones_are_ignored(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as other:
        other.publish(TOPICS.enabled_set("porch"), "OFF", retain=True)
        running = run_sender(config_for(any_broker), listen_to=["homeassistant/status"])
        running.wait_connected()
        other.wait_for(lambda _: other.of(TOPICS.availability) == [b"online"])
        other.publish(TOPICS.enabled_set("porch"), b"x" * 5000)
        other.publish(TOPICS.threshold_set("porch", "dog"), "0.7")
        other.publish("homeassistant/status", "online")
        other.publish(TOPICS.restart_set, "PRESS")
        wait_until(lambda: len(running.commands) >= 3)
    assert running.commands == [
        (TOPICS.threshold_set("porch", "dog"), b"0.7"),
        ("homeassistant/status", b"online"),
        (TOPICS.restart_set, b"PRESS"),
    ]


def test_a_resend_includes_what_is_not_retained(
    broker: BrokerProcess, run_sender: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeaudio.sinks.mqtt.sender._RESEND_AFTER_S", (0.2,))
    broker.start()
    running = run_sender(config_for(broker))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=True))
    running.sender.put(messages.enabled(TOPICS, "porch", on=True))
    running.wait_told()
    with Subscriber(broker.port) as subscriber:  # like Home Assistant, which did not run when the states were sent
        assert not subscriber.of(TOPICS.label("porch", "dog"))
        running.sender.resend()
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")) == [b"ON", b"ON"])
        # retained state: once on subscribing, once again
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.enabled("porch")) == [b"ON", b"ON"])


def test_what_is_not_retained_is_resent_for_subscribers_that_reconnect_later(
    broker: BrokerProcess, run_sender: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeaudio.sinks.mqtt.sender._RESEND_AFTER_S", (0.5, 1.0))
    monkeypatch.setattr("edgeaudio.sinks.mqtt.exchange._IDLE_S", 0.1)
    broker.start()
    running = run_sender(config_for(broker))
    running.sender.put(messages.label_state(TOPICS, "porch", "dog", on=False))
    running.wait_told()
    with Subscriber(broker.port) as subscriber:
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")) == [b"OFF", b"OFF"])
        running.sender.schedule_resend_unretained()
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.label("porch", "dog")) == [b"OFF"] * 4)
