"""The parts of collect, joined: consumers of the shared subscription, and the thread of what is now.

Owns: the threads, client ids, sessions, and what is told of all of it.
Does not know: HTTP (status_server.py), SQL.

Consumers subscribe before the database answers: what comes meanwhile waits at the broker, at most RECEIVE_MAX of it
here, unacknowledged. Each has a client id that stays the same over restarts, and a session at the broker that outlives
it: what the broker has given to a consumer that was killed is given again to that consumer, and to no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgeaudio.collect.config import CollectConfig
from edgeaudio.collect.counts import Counts
from edgeaudio.collect.keeper import Keeper
from edgeaudio.collect.shared_consumer import Mqtt5Consumer, Patience, Reader
from edgeaudio.collect.state_thread import StateThread
from edgeaudio.collect.topics import history_filters, state_filters
from edgeaudio.collect.writer import Writer
from edgeaudio.fleet_database.database import Database, DatabaseError
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.wire.consumer import Consumer, Handler, Subscription
from edgeaudio.wire.payloads import Detection, Health, Status

log = logging.getLogger(__name__)

RECEIVE_MAX: Final = 500  # messages under way to one consumer, and in one transaction
_MAX_PAYLOAD: Final = 256 * 1024  # bytes: health of 700 sources, and RECEIVE_MAX of them fit into memory
_MAX_PACKET: Final = _MAX_PAYLOAD + 1024  # with topic and properties
_STOP_LIMIT_S: Final = 8.0
_WAITS_TOO_LONG_S: Final = 60.0
_TOLD_EVERY_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """What is told of the process."""

    counts: dict[str, int]
    consumers: int
    subscribed: int  # consumers whose subscription is granted
    waits_s: float  # how long the database has been away, for the consumer that has waited longest; 0: it works
    is_keeping: bool  # this process writes what is now
    refusals: tuple[str, ...] = ()  # a line for each subscription that the broker refuses

    @property
    def trouble(self) -> str:
        """One line that says what is wrong; empty: nothing."""
        if self.refusals:
            return self.refusals[0]
        if self.subscribed < self.consumers:
            return f"{self.consumers - self.subscribed} of {self.consumers} consumers are not subscribed"
        if self.waits_s > _WAITS_TOO_LONG_S:
            return f"messages have waited {self.waits_s:.0f} s for the database"
        return ""


class Collector:
    """All threads of one process."""

    def __init__(self, config: CollectConfig) -> None:
        self._config = config
        self._stop = threading.Event()
        self._started: list[Consumer | StateThread] = []
        self._counts = Counts()
        self._database = Database(config.database, connections=config.consumers + 2)
        self._writer = Writer(self._database, self._counts, keep_months=config.keep_months)
        self._reader = Reader(config.base_topic, self._counts)
        self._patience = [Patience(f"consumer {number}") for number in range(1, config.consumers + 1)]
        mqtt = replace(config.mqtt, max_payload=_MAX_PAYLOAD, max_packet=_MAX_PACKET)
        self._passing = replace(mqtt, client_id=f"{mqtt.client_id}_collect-state", session_expiry_s=0)
        subscription = Subscription(
            history_filters(config.base_topic, config.group), qos=1, retained=False, batch=RECEIVE_MAX
        )
        self._consumers = [
            Mqtt5Consumer(
                f"consumer {number}",
                replace(
                    mqtt,
                    client_id=f"{mqtt.client_id}_collect-{number}",  # no agent's: a device has no underscore
                    session_expiry_s=config.session_expiry_s,
                    receive_max=RECEIVE_MAX,
                    keeps_session=True,
                    manual_ack=True,
                ),
                subscription,
                self._handler(patience),
                stop=self._stop,
            )
            for number, patience in enumerate(self._patience, 1)
        ]
        keeper = Keeper(self._database, self._writer, keep_months=config.keep_months)
        uncounted = Reader(config.base_topic, Counts())  # a status comes over both subscriptions, and counts once
        self._state = StateThread(self._database, keeper, uncounted, self._state_consumer, stop=self._stop)

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread; None: all run."""
        failures = [*(consumer.failure for consumer in self._consumers), self._state.failure]
        return next((failure for failure in failures if failure is not None), None)

    @property
    def status(self) -> CollectorStatus:
        now_s = time.monotonic()
        since_s = [patience.waiting_since_s for patience in self._patience]
        return CollectorStatus(
            self._counts.all(),
            consumers=len(self._consumers),
            subscribed=sum(consumer.is_up for consumer in self._consumers),
            waits_s=max((now_s - at_s for at_s in since_s if at_s is not None), default=0.0),
            is_keeping=self._state.is_keeping,
            refusals=(*(line for each in self._consumers for line in each.refusals), *self._state.refusals),
        )

    def start(self) -> None:
        """Start all threads. Raises DatabaseError where the database can never be used as it is."""
        try:
            self._writer.prepare()
        except DatabaseError as error:
            if not error.passing:
                raise
            log.error("%s; it is tried again, and messages wait at the broker", error)  # noqa: TRY400 (one line)
        threads: list[Consumer | StateThread] = [*self._consumers, self._state]
        for thread in threads:
            thread.start()
            self._started.append(thread)

    def run(self, until: threading.Event) -> None:
        """Wait until the process is to stop, or a thread has died; log the counts now and then."""
        told, told_s = self._counts.all(), time.monotonic()
        while not until.wait(0.5) and self.failure is None:
            if time.monotonic() - told_s >= _TOLD_EVERY_S:
                counts, told_s = self._counts.all(), time.monotonic()
                if counts != told:
                    log.info("since the start: %s", ", ".join(f"{name} {number}" for name, number in counts.items()))
                told = counts

    def stop(self) -> None:
        """End all threads; what is not committed stays at the broker."""
        self._stop.set()
        deadline_s = time.monotonic() + _STOP_LIMIT_S
        for thread in self._started:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        self._database.close()

    def _handler(self, patience: Patience) -> Handler:
        def take(batch: Sequence[Received]) -> None:
            values = [value for value in self._reader.read(batch) if isinstance(value, Detection | Health | Status)]
            if values:
                patience.attempt(lambda: self._writer.write(values))

        return take

    def _state_consumer(self, handle: Handler, stop: threading.Event) -> Consumer:
        return Mqtt5Consumer(
            "state",
            self._passing,
            Subscription(state_filters(self._config.base_topic), qos=0, retained=True),
            handle,
            stop=stop,
        )
