"""A subscriber that records the states of an agent's sources with their times of arrival, and the seconds in health."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from paho.mqtt.client import MQTTMessage
from support.agents import DEVICE
from support.brokers import Subscriber

T = TypeVar("T")
LIMIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Told:
    """One status of a source."""

    at_s: float  # monotonic, of its arrival
    what: str  # state, and reason where there is one
    position: int  # behind it, among the source's statuses
    status: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """Seconds of one source, by the latest health report."""

    heard_s: float
    lost_s: float
    error_s: float  # by how much they miss the age of the agent


class Watcher(Subscriber):
    """Subscriber, made before the agent starts. Safe for many threads. Waits raise AssertionError after a limit."""

    def __init__(self, port: int) -> None:
        self._changed = threading.Condition()
        self._told: dict[str, list[Told]] = defaultdict(list)
        self._health: dict[str, Any] = {}
        self._first_health: tuple[float, float] | None = None  # when it came, and the agent's age then
        super().__init__(port, f"edgeaudio/{DEVICE}/+/status", f"edgeaudio/{DEVICE}/health")
        self._client.on_message = lambda _client, _userdata, message: self._note(message)

    def position(self, source: str) -> int:
        """Return the position after the statuses so far."""
        with self._changed:
            return len(self._told[source])

    def since(self, source: str, position: int) -> list[Told]:
        with self._changed:
            return self._told[source][position:]

    def account(self, source: str) -> SourceAccount:
        with self._changed:
            numbers = self._health["sources"][source]
            heard_s, lost_s = numbers["heard_s"], numbers["lost_s"]
            return SourceAccount(heard_s, lost_s, abs(heard_s + lost_s - self._health["uptime_s"]))

    def boot_s(self, started_s: float) -> float:
        """Return how long the agent, started then, took until its uptime began, s."""
        with self._changed:
            assert self._first_health is not None
            came_s, age_s = self._first_health
            return came_s - age_s - started_s

    def wait_told(self, source: str, wanted: set[str], position: int) -> Told:
        """Wait for one of the wanted statuses from that position on, and return it."""

        def found() -> Told | None:
            return next((told for told in self._told[source][position:] if told.what in wanted), None)

        return self._wait(found, lambda: f"{source} never was {wanted}: {self._told[source][-4:]}")

    def wait_heard(self, source: str, seconds: float) -> None:
        """Wait until so many more seconds of a source were heard, and it is listening."""

        def heard_s() -> float:
            numbers = self._health.get("sources", {}).get(source)
            return float(numbers["heard_s"]) if numbers and numbers["state"] == "listening" else -1.0

        with self._changed:
            before_s = max(0.0, heard_s())
        self._wait(lambda: heard_s() >= before_s + seconds, lambda: f"{source} is not heard: {self._told[source][-4:]}")

    def _wait(self, found: Callable[[], T | None], otherwise: Callable[[], str]) -> T:
        deadline_s = time.monotonic() + LIMIT_S
        with self._changed:
            while not (result := found()):
                assert self._changed.wait(max(0.0, deadline_s - time.monotonic())), otherwise()
            return result

    def _note(self, message: MQTTMessage) -> None:
        now_s = time.monotonic()
        payload = json.loads(message.payload) if message.payload else {}
        with self._changed:
            if message.topic.endswith("/health"):
                self._health = payload
                self._first_health = self._first_health or (now_s, payload["uptime_s"])
            elif payload:
                told = self._told[message.topic.split("/")[-2]]
                what = " ".join(filter(None, (payload["state"], payload["reason"])))
                told.append(Told(now_s, what, len(told) + 1, payload))
            self._changed.notify_all()
