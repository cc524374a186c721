"""The sender of a shard at real brokers, of MQTT 5 and 3.1.1: it clears what others left, and is deaf to forgeries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.brokers import BrokerProcess, Subscriber, config_for
from support.delivery import TOPICS, RunningSender

from edgeaudio.shards import Shard

Run = Callable[..., RunningSender]
FIRST = replace(TOPICS, shard=Shard(0, 2))
ROOT = f"{TOPICS.root}/_shard"


def test_the_first_shard_clears_what_one_that_is_no_more_retained_while_nobody_ran(
    any_broker: BrokerProcess, run_sender: Run
) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        left = {f"{ROOT}/5/{kind}": payload for kind, payload in (("count", b"6"), ("availability", b"offline"))}
        for topic, payload in left.items():
            subscriber.publish(topic, payload, retain=True)
        subscriber.wait_for(lambda _: all(subscriber.of(topic) for topic in left))
        run_sender(config_for(any_broker), topics=FIRST)
        subscriber.wait_for(lambda _: all(subscriber.of(topic)[-1] == b"" for topic in left))


def test_forged_messages_of_shards_are_no_commands_and_one_line(
    any_broker: BrokerProcess, run_sender: Run, caplog: pytest.LogCaptureFixture
) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running = run_sender(config_for(any_broker), topics=FIRST)
        running.wait_told()
        for topic, payload in {
            f"{ROOT}/{'9' * 300}/availability": b"offline",
            f"{ROOT}/1000/availability": b"offline",
            f"{ROOT}/x/count": b"2",
            f"{ROOT}/1/count": b"9" * 50_000,
            f"{ROOT}/1/availability": b"\xff" * 50_000,
            f"{ROOT}/0/availability": b"1",
        }.items():
            subscriber.publish(topic, payload)
        subscriber.publish(FIRST.restart_set, b"PRESS")  # what comes after them is taken
        subscriber.wait_for(lambda _: running.commands)
        assert running.commands == [(FIRST.restart_set, b"PRESS")]
        assert not subscriber.of(f"{ROOT}/1000/health")
    lines = [record.getMessage() for record in caplog.records if "no message of a shard" in record.getMessage()]
    assert len(lines) == 1
    assert len(lines[0]) < 250
