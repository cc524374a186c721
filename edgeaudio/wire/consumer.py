"""A lasting subscription: connects, hands on what comes, and reconnects for ever.

Owns: what is subscribed to, and when a message is acknowledged.
Does not know: when to try again (connection_thread.py), what the messages mean (dashboard/, collect/), nor MQTT's
packets (sinks/mqtt/).

A batch is acknowledged after it was handled: what the process had not stored when it died comes again. This holds where
the broker has a session for it (`keeps_session`).
A filter that the broker refuses is asked for again; what the others bring is handled meanwhile.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from edgeaudio.backoff import Backoff
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.events import Acknowledged, Capabilities, MqttEvent, Received
from edgeaudio.sinks.mqtt.reason_codes import ReasonCode
from edgeaudio.wire.connection_thread import IDLE_S, ConnectionThread

log = logging.getLogger(__name__)

ASK_MIN_S, ASK_MAX_S = 10.0, 300.0  # between two tries of a subscription that was refused
_NO_SHARING: Final = 0x9E
BATCH_BYTES: Final = 4_000_000  # of payloads that are handled at once, which as values take many times more

Handler = Callable[[Sequence[Received]], None]


class PostponedError(Exception):
    """Raised by a handler that cannot take a batch now.

    The connection is kept alive meanwhile, the same batch is handed over again, and nothing is acknowledged before:
    what waits at the broker is its affair, and what waits here is bounded by `MqttConfig.receive_max`; of messages
    of QoS 0, for which a broker waits for nobody, the newest of one batch are kept.
    """

    def __init__(self, retry_s: float) -> None:
        super().__init__(retry_s)
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True)
class Subscription:
    """What is received."""

    filters: tuple[str, ...]
    qos: Literal[0, 1]
    retained: bool  # also what the broker has retained
    batch: int = 500  # the most messages that are handled at once


class Consumer(ConnectionThread):
    """A thread that keeps one subscription alive. `handle` is called in it, with at least one batch a second."""

    def __init__(
        self, name: str, config: MqttConfig, subscription: Subscription, handle: Handler, *, stop: threading.Event
    ) -> None:
        super().__init__(name, config, stop=stop)
        self.is_up = False  # connected, and every filter is granted
        self._subscription = subscription
        self._handle = handle
        self._known: Capabilities | None = None
        self._refused: dict[str, str] = {}  # filters that the present connection was not granted: why
        self._ask_again = Backoff(ASK_MIN_S, ASK_MAX_S)
        self._ask_at_s = math.inf  # monotonic: when those are asked for again
        self._early: list[Received] = []  # came before the last batch was handled

    @property
    def refusals(self) -> list[str]:
        """A line for each subscription that the broker refuses."""
        return [f"no subscription to {topic}: {why}" for topic, why in list(self._refused.items())]

    def _connect(self) -> MqttConnection:
        config = self._config
        return MqttConnection(config, will=None, stop=self._stop, known=self._known, resume=config.keeps_session)

    def _serve(self, connection: MqttConnection) -> None:
        wanted = self._subscription
        self._known = connection.capabilities
        self._early = []
        self._refused = {}
        self._ask_again.reset()
        self._ask_at_s = math.inf
        awaited: dict[int, str] = {}
        self._subscribe(connection, wanted.filters, awaited)
        while not self._stop.is_set():
            if time.monotonic() >= self._ask_at_s:
                self._ask_at_s = math.inf
                self._subscribe(connection, tuple(self._refused), awaited)
            batch = self._next_batch(connection, awaited)
            if self._is_handled(batch, connection, awaited):
                for message in batch:
                    if message.packet_id is not None:
                        connection.acknowledge(message.packet_id)

    def _subscribe(self, connection: MqttConnection, topics: Iterable[str], awaited: dict[int, str]) -> None:
        wanted = self._subscription
        for topic in topics:
            awaited[connection.subscribe(topic, retained=wanted.retained, qos=wanted.qos)] = topic

    def _is_handled(self, batch: Sequence[Received], connection: MqttConnection, awaited: dict[int, str]) -> bool:
        """Hand a batch over until it is taken; False: the process stops before."""
        while True:
            try:
                self._handle(batch)
            except PostponedError as postponed:
                until_s = time.monotonic() + postponed.retry_s
                while (left_s := until_s - time.monotonic()) > 0 and not self._stop.is_set():
                    self._take(connection.poll(min(IDLE_S, left_s)), self._early, awaited)
                    self._bound_early()
                if self._stop.is_set():
                    return False
            else:
                return True

    def _bound_early(self) -> None:
        unheld = sum(message.packet_id is None for message in self._early)
        if (too_many := unheld - self._subscription.batch) <= 0:
            return
        kept = []
        for message in self._early:
            if message.packet_id is None and too_many > 0:
                too_many -= 1
            else:
                kept.append(message)
        self._early = kept
        if self._throttle.is_due("early", time.monotonic()):
            log.warning("%s: messages of QoS 0 came faster than they can be taken; the oldest are lost", self.name)

    def _disconnected(self, _: BrokerError) -> None:
        self.is_up = False
        self._refused = {}

    def _wait(self, duration_s: float) -> None:
        until_s = time.monotonic() + duration_s
        while (left_s := until_s - time.monotonic()) > 0 and not self._stop.wait(min(IDLE_S, left_s)):
            with suppress(PostponedError):
                self._handle(())

    def _ended(self) -> None:
        self.is_up = False

    def _next_batch(self, connection: MqttConnection, awaited: dict[int, str]) -> list[Received]:
        """Return what has come: waits for the first message, and takes what is there with it."""
        batch, self._early = self._early, []
        timeout_s = 0.0 if batch else IDLE_S
        while len(batch) < self._subscription.batch:
            events = connection.poll(timeout_s)
            if not events and not (timeout_s and not batch):
                break
            self._take(events, batch, awaited)
            if not batch:
                break
            timeout_s = 0.0
        return self._cut(batch)

    def _cut(self, batch: list[Received]) -> list[Received]:
        """Return the first messages of at most BATCH_BYTES, at least one; the others are for the next batch."""
        size = 0
        for number, message in enumerate(batch):
            size += len(message.payload)
            if number and size > BATCH_BYTES:
                self._early = batch[number:]
                return batch[:number]
        return batch

    def _take(self, events: Sequence[MqttEvent], batch: list[Received], awaited: dict[int, str]) -> None:
        for event in events:
            if isinstance(event, Received):
                batch.append(event)
            else:
                self._granted(event, awaited)

    def _granted(self, answer: Acknowledged, awaited: dict[int, str]) -> None:
        topic = awaited.pop(answer.packet_id, None)
        if topic is None:
            return
        if answer.refusal is not None:
            self._refuse(topic, answer.refusal)
            return
        self._refused.pop(topic, None)
        if not awaited and not self._refused:  # with a part of its topics a subscription is not up
            self.is_up = True
            self._throttle.keep_only(())
            log.info("%s: subscribed at %s", self.name, self._config.where)

    def _refuse(self, topic: str, refusal: ReasonCode) -> None:
        """Note a refused subscription, which is asked for again: whoever mends the broker need not start this anew."""
        now_s = time.monotonic()
        if self._ask_at_s == math.inf:
            self._ask_at_s = now_s + self._ask_again.next_s()
        self._refused[topic] = refusal.name
        hint = "allow it in the broker's access rules (docs/mqtt.md)"
        if refusal.value == _NO_SHARING:
            hint = "switch shared subscriptions on in the broker, or do without (collect --no-sharing)"
        if self._throttle.is_due(f"subscription {topic}", now_s):
            log.error(
                "broker %s: no subscription to %s: %s; %s; it is asked for again",
                *(self._config.where, topic, refusal.name, hint),
            )
