"""Live messages on real connections: they go when nothing else waits, and delay nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from support.brokers import BrokerProcess, Subscriber, config_for
from support.delivery import DETECTION, TOPICS, RunningSender, detections
from support.serving import serving
from support.strict_broker import Rules, StrictBroker
from support.waiting import wait_until

from edgeaudio.health.broker import BrokerState
from edgeaudio.types import Message

Run = Callable[..., RunningSender]
LIVE = TOPICS.live("porch")
LINE_BYTES_PER_S = 64_000  # 512 kbit/s
LINE_BUFFER = 4096


def packet(number: int, size: int = 2604) -> Message:
    return Message(LIVE, b"%08d" % number + bytes(size - 8))


def numbers(payloads: list[bytes]) -> list[int]:
    return [int(payload[:8]) for payload in payloads]


@contextmanager
def slow_line(target: int) -> Iterator[int]:
    """Yield the port of a line to 127.0.0.1:`target` that is slow on the way there."""

    def back(far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65536):
                near.sendall(data)

    def forward(near: socket.socket, ended: threading.Event) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", target), 5) as far:
            near.settimeout(0.1)
            thread = threading.Thread(target=back, args=(far, near))
            thread.start()
            while not ended.is_set():
                with suppress(TimeoutError):
                    data = near.recv(1024)
                    if not data:
                        break
                    far.sendall(data)
                    time.sleep(len(data) / LINE_BYTES_PER_S)
            for end in (near, far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            thread.join()

    with serving(forward, receive_buffer=LINE_BUFFER) as port:
        yield port


def test_live_messages_arrive_in_order_and_are_gone_after_a_reconnection(
    any_broker: BrokerProcess, run_sender: Run
) -> None:
    any_broker.start()
    with Subscriber(any_broker.port) as subscriber:
        running = run_sender(config_for(any_broker))
        running.wait_connected()
        for number in range(100):
            running.sender.put_live(packet(number))
        subscriber.wait_for(lambda _: len(subscriber.of(LIVE)) == 100)
        assert numbers(subscriber.of(LIVE)) == list(range(100))
    any_broker.stop()
    wait_until(lambda: running.sender.status.state is not BrokerState.CONNECTED)
    running.sender.put_live(packet(100))
    any_broker.start()
    running.wait_connected()
    with Subscriber(any_broker.port) as subscriber:
        running.sender.put_live(packet(101))
        subscriber.wait_for(lambda _: subscriber.of(LIVE))
        assert numbers(subscriber.of(LIVE)) == [101]


def test_a_detection_and_state_pass_by_live_messages_on_a_slow_line(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    with Subscriber(broker.port) as subscriber, slow_line(broker.port) as port:
        running = run_sender(config_for(broker, port=port))
        running.wait_connected()
        stop = threading.Event()

        def watch() -> None:
            number = 0
            # more than the queue holds, and then four times what the line takes
            while number < 1000 or not stop.wait(0.01):
                running.sender.put_live(packet(number))
                number += 1

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            subscriber.wait_for(lambda _: len(subscriber.of(LIVE)) > 60)  # the queue and the line are full
            waits_s = []
            for number in range(5):
                before_s = time.time()
                running.outbox.add(detections(number, 1))
                running.sender.put(Message(TOPICS.enabled("porch"), b"%d" % number, 1))
                subscriber.wait_for(lambda _, n=number: len(subscriber.of(DETECTION)) > n)  # type: ignore[misc]
                waits_s.append(next(m.at_s for m in subscriber.heard if m.payload == b"%d" % number) - before_s)
                subscriber.wait_for(lambda _, n=number: b"%d" % n in subscriber.of(TOPICS.enabled("porch")))  # type: ignore[misc]
        finally:
            stop.set()
            thread.join()
        assert max(waits_s) < 1.0, waits_s
        assert len(running.sender._state_cache._live) <= 512
        found = numbers(subscriber.of(LIVE))
        assert found == sorted(found)
        assert len(found) < found[-1]  # the oldest were dropped


def test_no_live_message_goes_before_detections_that_wait(broker: BrokerProcess, run_sender: Run) -> None:
    broker.start()
    with Subscriber(broker.port) as subscriber:
        running = run_sender(config_for(broker))
        running.wait_connected()
        running.outbox.add(detections(0, 500))
        number = 0
        while len(subscriber.of(DETECTION)) < 500:
            running.sender.put_live(packet(number))
            number += 1
            time.sleep(0.01)
        subscriber.wait_for(lambda _: subscriber.of(LIVE))
        topics = [message.topic for message in subscriber.heard]
    # acknowledgements are awaited by the window: the end of the detections is in flight while the first live one goes
    assert topics[: topics.index(LIVE)].count(DETECTION) >= 480


@pytest.mark.parametrize("manner", ["close", "disconnect", "refuse", "ignore"])
def test_a_broker_that_denies_live_topics_gets_everything_else(manner: str, run_sender: Run) -> None:
    with StrictBroker(Rules(denied=lambda topic: topic == LIVE, manner=manner)) as strict:  # type: ignore[arg-type]
        config = config_for(strict, timeout_s=1.0)  # type: ignore[arg-type]
        running = run_sender(config)
        running.wait_connected()
        stop = threading.Event()

        def watch() -> None:
            number = 0
            while not stop.wait(0.05):
                running.sender.put_live(packet(number, 100))
                number += 1

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            for number in range(30):
                running.outbox.add(detections(number, 1))
                time.sleep(0.1)
            running.wait_empty()
        finally:
            stop.set()
            thread.join()
        assert list(dict.fromkeys(map(int, strict.of(DETECTION)))) == list(range(30))
        assert LIVE not in strict.topics()
        assert len(strict.connected) <= 3  # after the second end they pause
