"""What the tests of the third room share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from support.brokers import any_broker, broker, mosquitto
from support.waiting import wait_until

from edgeaudio.publish.broker import BrokerState, BrokerStatus, MqttConfig
from edgeaudio.publish.outbox import Outbox
from edgeaudio.publish.sender import Sender
from edgeaudio.publish.topics import Topics
from edgeaudio.recognise.types import Message

__all__ = ["any_broker", "broker", "mosquitto"]

TOPICS = Topics("edgeaudio", "dock")
DETECTION = TOPICS.detection("porch")


def detections(first: int, count: int, topic: str = DETECTION) -> list[Message]:
    return [Message(topic, b"%d" % number, qos=1) for number in range(first, first + count)]


class RunningSender:
    """A sender on a thread of its own, and the outbox that it sends from."""

    def __init__(self, config: MqttConfig, path: Path, **options: Any) -> None:
        self.outbox = Outbox(path / "outbox.db")
        self.stop = threading.Event()
        self.statuses: list[BrokerStatus] = []
        self.commands: list[tuple[str, bytes]] = []
        self.sender = Sender(
            config,
            self.outbox,
            TOPICS,
            stop=self.stop,
            on_status=self.statuses.append,
            on_message=lambda topic, payload: self.commands.append((topic, payload)),
            **options,
        )
        self._thread = threading.Thread(target=self.sender.run)

    def wait_connected(self) -> None:
        wait_until(lambda: self.sender.status.state is BrokerState.CONNECTED, what="connected")

    def wait_told(self) -> None:
        """Wait until the broker has answered everything."""
        wait_until(lambda: self.sender.settled, what="all told")

    def wait_empty(self, timeout_s: float = 15.0) -> None:
        wait_until(lambda: self.outbox.stats().depth == 0, timeout_s, "the outbox is drained")

    def end(self) -> None:
        self.stop.set()
        self.sender.wake()
        if self._thread.ident is not None:
            self._thread.join(10)
            assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.outbox.close()


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask amqtt, which is silent upon MQTT 5, sooner than a broker across the ocean would have to be."""
    monkeypatch.setattr("edgeaudio.publish.mqtt._MUTE_S", 0.5)


@pytest.fixture
def run_sender(tmp_path: Path) -> Iterator[Callable[..., RunningSender]]:
    with ExitStack() as stack:
        yield lambda config, **options: stack.enter_context(RunningSender(config, tmp_path, **options))
