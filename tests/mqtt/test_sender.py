"""The sender against real brokers: everything arrives, in order, whatever happens to the broker."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.brokers import BrokerProcess, MosquittoFactory, Subscriber, config_for
from support.delivery import DETECTION, TOPICS, RunningSender, detections
from support.mqtt_client import config
from support.scripted_broker import WELCOME_5, ScriptedBroker, read_packet, wait_for_end
from support.waiting import wait_until

from edgeaudio.health.broker import BrokerReason, BrokerState

Run = Callable[..., RunningSender]


def numbers(payloads: list[bytes]) -> list[int]:
    return [int(payload) for payload in payloads]


def without_repeats(values: list[int]) -> list[int]:
    return list(dict.fromkeys(values))


def test_detections_arrive_in_order_and_leave_the_outbox(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running = run_sender(config_for(any_broker))
        running.outbox.add(detections(0, 200))
        subscriber.wait_for(lambda _: len(subscriber.of(DETECTION)) >= 200)
        running.wait_empty()
        assert numbers(subscriber.of(DETECTION)) == list(range(200))


def test_speaks_5_and_falls_back_to_311(
    any_broker: BrokerProcess, run_sender: Run, request: pytest.FixtureRequest
) -> None:
    any_broker.start()
    running = run_sender(config_for(any_broker))
    running.wait_connected()
    expected = "5" if "mosquitto" in request.node.callspec.id else "3.1.1"
    assert running.sender.status.protocol == expected
    assert {status.state for status in running.statuses} == {BrokerState.CONNECTED}  # without a failure


def test_a_broker_that_is_absent_at_boot(any_broker: BrokerProcess, run_sender: Run) -> None:
    running = run_sender(config_for(any_broker))
    running.outbox.add(detections(0, 3))
    wait_until(lambda: running.sender.status.reason is BrokerReason.REFUSED)
    assert running.sender.status.next_try is not None
    any_broker.start()
    running.wait_empty()


def test_birth_farewell_and_no_will_after_a_farewell(any_broker: BrokerProcess, run_sender: Run) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running = run_sender(config_for(any_broker))
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online"])
        running.end()
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online", b"offline"])
    with Subscriber(any_broker.port) as later:
        later.wait_for(lambda _: later.of(TOPICS.availability)[-1:] == [b"offline"])
        assert later.heard[0].retain


SENDER_PROGRAM = """
import sys, threading
from pathlib import Path
from edgeaudio.sinks.mqtt.broker import MqttConfig
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
config = MqttConfig("127.0.0.1", int(sys.argv[1]), "edgeaudio-dock")
Sender(config, Outbox(Path(sys.argv[2])), Topics("edgeaudio", "dock"), stop=threading.Event()).run()
"""


def test_the_will_is_sent_when_the_process_is_killed(any_broker: BrokerProcess, tmp_path: Path) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        command = [sys.executable, "-c", SENDER_PROGRAM, str(any_broker.port), str(tmp_path / "outbox.db")]
        process = subprocess.Popen(command)
        try:
            subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online"])
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(5)
        subscriber.wait_for(lambda _: subscriber.of(TOPICS.availability) == [b"online", b"offline"])


def test_a_broker_killed_while_the_outbox_is_emptied(any_broker: BrokerProcess, tmp_path: Path) -> None:
    """It starts again with an empty session: what it had not acknowledged is resent, in order."""
    total = 400
    received: list[bytes] = []
    any_broker.start()
    with (
        Subscriber(any_broker.port) as first,
        RunningSender(config_for(any_broker, rate_per_s=400.0), tmp_path) as running,
    ):
        running.outbox.add(detections(0, total))
        first.wait_for(lambda _: len(first.of(DETECTION)) > 50)
        any_broker.kill()
        # the new broker gets its subscriber before the sender connects to it
        running.end()
        running.outbox.close()
        received += first.of(DETECTION)
    left = total - len(set(received))
    any_broker.start()
    with Subscriber(any_broker.port) as second, RunningSender(config_for(any_broker), tmp_path) as running:
        assert 0 < running.outbox.stats().depth <= left + 20
        running.wait_empty()
        second.wait_for(lambda _: second.of(DETECTION)[-1:] == [b"%d" % (total - 1)])
        received += second.of(DETECTION)
    got = numbers(received)
    assert without_repeats(got) == sorted(set(got))
    # lost is only what the killed broker had acknowledged and not yet passed on
    assert len(set(range(total)) - set(got)) <= 20


def test_a_connection_to_a_frozen_broker_times_out_and_is_made_again(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker, timeout_s=0.6))
    running.wait_told()
    broker.freeze()
    running.outbox.add(detections(0, 1))
    wait_until(lambda: running.sender.status.reason is BrokerReason.TIMEOUT)
    broker.thaw()
    running.wait_empty()


def test_a_dead_line_is_noticed_though_nothing_is_sent(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker, keepalive_s=1))
    running.wait_told()
    broker.freeze()
    wait_until(lambda: running.sender.status.reason is BrokerReason.TIMEOUT)
    assert running.sender.status.detail == "the broker no longer answers"
    assert time.monotonic() - running.sender.last_progress < 8  # the loop turns, whatever the broker does
    broker.thaw()
    running.wait_connected()


def test_stopping_takes_about_a_second_at_most_though_the_broker_is_dead(
    broker: BrokerProcess, run_sender: Run
) -> None:
    broker.start()
    running = run_sender(config_for(broker))
    running.wait_told()
    broker.freeze()
    running.outbox.add(detections(0, 5))
    wait_until(lambda: running.sender._dispatcher.in_flight)
    began = time.monotonic()
    running.end()
    assert time.monotonic() - began < 1.9
    assert running.sender.status.state is BrokerState.STOPPED
    assert running.outbox.stats().depth == 5  # for the next start


def test_no_more_messages_are_in_flight_than_the_broker_allows(mosquitto: MosquittoFactory, run_sender: Run) -> None:
    broker = mosquitto("max_inflight_messages 7").start()
    running = run_sender(config_for(broker, timeout_s=30.0))
    running.wait_told()
    broker.freeze()
    running.outbox.add(detections(0, 100))
    wait_until(
        lambda: running.sender._dispatcher.in_flight == 7
    )  # what the broker announced, less than the default of 20
    time.sleep(0.3)  # and no more follow
    assert running.sender._dispatcher.in_flight == 7
    broker.thaw()
    running.wait_empty()


def test_the_outbox_is_emptied_at_the_configured_rate(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    running = run_sender(config_for(broker, rate_per_s=100.0))
    running.wait_connected()
    began = time.monotonic()
    running.outbox.add(detections(0, 120))
    running.wait_empty()
    assert 0.9 < time.monotonic() - began < 3  # 20 at once, 100 at 100 a second


def test_an_expiry_is_sent_to_the_broker(mosquitto: MosquittoFactory, run_sender: Run) -> None:
    broker = mosquitto().start()  # MQTT 3.1.1 has no expiry
    running = run_sender(config_for(broker), expiry_s=3600.0)
    running.outbox.add(detections(0, 1))
    running.wait_empty()
    assert "error" not in broker.log().lower()


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
