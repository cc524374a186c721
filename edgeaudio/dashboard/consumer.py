"""A lasting subscription: connects, hands on what comes, and reconnects for ever.

Owns: one thread with one connection after the other, and when to try again.
Does not know: what the messages mean (recorder.py, service.py), nor MQTT's packets (sinks/mqtt/).

A batch is acknowledged after it was handled: what the process had not stored when it died comes again. This holds where
the broker has a session for it (`keeps_session`).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edgeaudio.backoff import Backoff
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Acknowledged, Capabilities, Received
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)

_IDLE_S: Final = 0.5  # the longest time from one batch to the next, which is then empty
_STEADY_S: Final = 60.0  # a connection that lasted so long begins the back-off anew

Handler = Callable[[Sequence[Received]], None]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What is received."""

    filters: tuple[str, ...]
    qos: Literal[0, 1]
    retained: bool  # also what the broker has retained
    batch: int = 500  # the most messages that are handled at once


class Consumer:
    """A thread that keeps one subscription alive. `handle` is called in it, with at least one batch a second."""

    def __init__(
        self, name: str, config: MqttConfig, subscription: Subscription, handle: Handler, *, stop: threading.Event
    ) -> None:
        self.name = name
        self.is_up = False  # connected, and every filter is granted
        self.failure: BaseException | None = None  # what ended the thread
        self._config = config
        self._subscription = subscription
        self._handle = handle
        self._stop = stop
        self._throttle = LogThrottle()
        self._known: Capabilities | None = None
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            backoff = Backoff(self._config.retry_min_s, self._config.retry_max_s)
            while not self._stop.is_set():
                began_s = time.monotonic()
                try:
                    self._connection()
                except BrokerError as error:
                    if time.monotonic() - began_s > _STEADY_S:
                        backoff.reset()
                    self._report(error)
                self.is_up = False
                wait_until_s = time.monotonic() + backoff.next_s() * random.uniform(0.75, 1.25)
                while not self._stop.wait(min(_IDLE_S, max(0.0, wait_until_s - time.monotonic()))):
                    self._handle(())
                    if time.monotonic() >= wait_until_s:
                        break
        except Exception as error:
            log.exception("an exception ended the subscription to %s", self.name)
            self.failure = error
        finally:
            self.is_up = False

    def _connection(self) -> None:
        """Connect and receive until the connection is lost or the process stops. Raises BrokerError."""
        config, wanted = self._config, self._subscription
        connection = MqttConnection(config, will=None, stop=self._stop, known=self._known, resume=config.keeps_session)
        try:
            self._known = connection.capabilities
            awaited = {
                connection.subscribe(topic, retained=wanted.retained, qos=wanted.qos): topic for topic in wanted.filters
            }
            while not self._stop.is_set():
                batch = self._next_batch(connection, awaited)
                self._handle(batch)
                for message in batch:
                    if message.packet_id is not None:
                        connection.acknowledge(message.packet_id)
            connection.close()
        except BaseException:
            connection.abort()
            raise

    def _next_batch(self, connection: MqttConnection, awaited: dict[int, str]) -> list[Received]:
        """Return what has come: waits for the first message, and takes what is there with it."""
        batch: list[Received] = []
        timeout_s = _IDLE_S
        while len(batch) < self._subscription.batch:
            events = connection.poll(timeout_s)
            if not events and not (timeout_s and not batch):
                break
            for event in events:
                if isinstance(event, Received):
                    batch.append(event)
                else:
                    self._granted(event, awaited)
            if not batch:
                break
            timeout_s = 0.0
        return batch

    def _granted(self, answer: Acknowledged, awaited: dict[int, str]) -> None:
        topic = awaited.get(answer.packet_id)
        if topic is None:
            return
        if answer.refusal is not None:  # it stays in `awaited`: with a part of its topics a subscription is not up
            log.error(
                "broker %s: no subscription to %s: %s; allow it in the broker's access rules (docs/dashboard.md)",
                *(self._config.where, topic, answer.refusal.name),
            )
            return
        del awaited[answer.packet_id]
        if not awaited:
            self.is_up = True
            self._throttle.keep_only(())
            log.info("receives %s from %s", self.name, self._config.where)

    def _report(self, error: BrokerError) -> None:
        if self._stop.is_set():
            return
        if self._throttle.is_due(f"{error.reason}", time.monotonic()):
            log.warning("%s: %s; it is tried again", self.name, error)
