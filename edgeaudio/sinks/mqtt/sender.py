"""The one sender: stays connected to the broker, and sends the outbox and the newest state.

Owns: the life of connections, and back-off.
Does not know: MQTT's details (client.py), how messages are exchanged (exchange.py) and in which order (dispatcher.py),
what is logged and published about the connection (connection_report.py), what the messages mean, threads (agent.py runs
`run` in one of its own).

On a connection at most `window` messages (or what the broker allows) are in flight, all at one pace, detections first.
A detection leaves the outbox only when the broker acknowledged it without a reason code of refusal. An acknowledgement
that does not come within the time limit ends the connection, and everything unacknowledged is sent again on the next;
the rest of the state too, unless the broker still has the session.

Reconnection: 1 s doubling to 30 s, each shortened at random by up to half, reset by 10 s of connection, or by having
found the message that ends connections; while this machine's clock is to blame, 5 s is the most.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from edgeaudio.backoff import Backoff
from edgeaudio.health.broker import BrokerReason, BrokerStatus
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import BrokerError, Complaint, MqttConfig
from edgeaudio.sinks.mqtt.broker_faults import naming_suspects
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.connection_report import ConnectionReport
from edgeaudio.sinks.mqtt.detection_queue import StoredDetections
from edgeaudio.sinks.mqtt.dispatcher import Dispatcher
from edgeaudio.sinks.mqtt.duplicate_clients import DuplicateClients
from edgeaudio.sinks.mqtt.events import Received
from edgeaudio.sinks.mqtt.exchange import Exchange
from edgeaudio.sinks.mqtt.known_capabilities import KnownCapabilities
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.sinks.mqtt.shard_peers import ShardPeers
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Message

log = logging.getLogger(__name__)

_STEP_S = 0.25
_STEADY_S = 10.0
_CLOCK_S = 5.0  # the longest wait for a clock to be set
# when to resend what is not retained: Home Assistant needs a moment from discovery until it subscribes, and after the
# broker's restart tries every 10 s to connect
_RESEND_AFTER_S = (5.0, 15.0)
_LOGGED_TOPIC = 100  # characters
_NO_RETAIN = 0x9A
_NO_QOS_1 = 0x9B


class WatchedDetections(StoredDetections, Protocol):
    """The outbox, which also calls a listener after each message that was added."""

    def listen(self, listener: Callable[[], None]) -> None: ...


class Sender:
    """The connection to the broker. All methods but `run` may be called from any thread at any time.

    `on_message(topic, payload)` is called on the sender's thread for each command and each message on `listen_to`,
    never for a retained one; `on_status` for each change of the status. Both must be quick and not raise.
    """

    def __init__(  # noqa: PLR0913 (each is a part of the agent, named where it is made)
        self,
        config: MqttConfig,
        outbox: WatchedDetections,
        topics: Topics,
        *,
        stop: threading.Event,
        listen_to: Iterable[str] = (),
        on_message: Callable[[str, bytes], None] | None = None,
        on_status: Callable[[BrokerStatus], None] | None = None,
        expiry_s: float | None = None,
        is_device: bool = True,
        duplicate_of: Callable[[bytes], str | None] | None = None,
        discovery_prefix: str | None = None,
    ) -> None:
        """Make a sender; nothing is connected before `run`.

        `listen_to`: topic filters besides the commands'. `expiry_s`: after this the broker need not pass a detection
        on. `is_device`: False for a visitor beside the agent itself, which has no birth message, will and farewell.
        `duplicate_of`: from a health report on this device's topic, the host of another agent of this name, or None.
        `discovery_prefix`: of Home Assistant's discovery, where a shard clears what one that is no more has left.
        """
        self._config = config
        self._topics = topics
        self._stop = stop
        self._on_message = on_message or (lambda _topic, _payload: None)
        self._expiry_s = expiry_s
        self._peers = ShardPeers(topics, discovery_prefix) if is_device and topics.shard is not None else None
        self._peers_log = LogThrottle()
        peers = topics.shard_filters if self._peers is not None else ()
        self._retained_filters = frozenset((topics.health, *peers))
        filters = (*topics.command_filters, *listen_to, *peers)
        self._dispatcher = Dispatcher(outbox, topics, filters, rate_max_per_s=config.rate_per_s, window=config.window)
        self._state_cache = self._dispatcher.state_cache
        self._birth = messages.availability(topics, online=True) if is_device else None
        self._will = messages.availability(topics, online=False) if is_device else None
        self._put_birth()  # the first of the state
        self._self_pipe = SelfPipe()
        self._last_progress = time.monotonic()
        self._resend_from = -math.inf  # since when subscribers may have missed what is not retained
        self._resend_checked_at = -math.inf
        self._steady_at: float | None = None  # when the present connection counts as a lasting one
        self._known = KnownCapabilities()
        self._resumable = False
        self._backoff = Backoff(config.retry_min_s, config.retry_max_s)
        self._duplicates = DuplicateClients(duplicate_of)
        self._report = ConnectionReport(
            config.where, self._dispatcher, self._duplicates, self._known, on_status or (lambda _status: None)
        )
        self._exchange: Exchange | None = None  # on the present connection
        self.connections = 0
        outbox.listen(self.wake)

    @property
    def status(self) -> BrokerStatus:
        return self._report.status

    @property
    def last_error(self) -> BrokerError | None:
        """Why the last connection ended, or failed; None: none did."""
        return self._report.last_error

    @property
    def last_progress(self) -> float:
        """Monotonic time of the last turn of `run`'s loop, for a watchdog.

        There is one about every second, but for the time limits of connecting (client.py).
        """
        return self._last_progress

    def wake(self) -> None:
        """End the sender's waiting, after `stop` was set for instance."""
        self._self_pipe.wake()

    def put(self, message: Message, *, ahead: bool = False) -> None:
        """Send state: the newest per topic, now if connected, and again after each reconnection.

        `ahead`: before what is put without it.
        """
        self._state_cache.put(message, ahead=ahead)
        self.wake()

    def put_first(self, state: Iterable[Message]) -> None:
        """Send these before all other state, each after the acknowledgement of the one before."""
        self._state_cache.put_first(state)
        self.wake()

    def put_transient(self, message: Message) -> None:
        """Send a message that is worth sending only while connected (a level)."""
        self._state_cache.put_transient(message)
        self.wake()

    def put_live(self, message: Message) -> None:
        """Send a message of QoS 0 when nothing else waits; drops the oldest when they come faster than they go."""
        self._state_cache.put_live(message)
        self.wake()

    def forget(self, topic: str) -> None:
        """Stop sending this topic's state. `put` a `messages.cleared` to clear it on the broker."""
        self._state_cache.forget(topic)

    def resend(self) -> None:
        """Resend all state, and a little later what is not retained: for Home Assistant's birth message."""
        self._state_cache.schedule_resend()
        self.schedule_resend_unretained()
        self.wake()

    def schedule_resend_unretained(self) -> None:
        """Resend what is not retained a little later: after an announcement, when others begin to subscribe."""
        self._resend_from = time.monotonic()

    @property
    def settled(self) -> bool:
        """True if the broker has answered everything that can be sent now."""
        exchange = self._exchange
        return exchange is not None and exchange.is_settled

    @property
    def has_unsent_state(self) -> bool:
        """True if some state has not been sent, except what the broker refused."""
        return self._state_cache.has_unsent

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        """What is wrong with the broker though it is connected, or was on the last connection."""
        return self._report.complaints

    def run(self) -> None:
        """Connect, send and reconnect until `stop` is set; then disconnect and return within about a second.

        Only a connection attempt in progress can take longer to end: up to its time limit.
        """
        try:
            while not self._stop.is_set():
                self._last_progress = time.monotonic()
                self._report.connecting()
                try:
                    self._run_connection()
                except BrokerError as error:
                    self._exchange = None
                    if self._steady_at is not None and time.monotonic() >= self._steady_at:
                        self._backoff.reset()
                    self._steady_at = None
                    # a clock is set from one moment to the next
                    longest_s = _CLOCK_S if error.reason is BrokerReason.CLOCK else math.inf
                    wait_s = self._backoff.next_s(longest_s) * random.uniform(0.5, 1.0)
                    now = time.monotonic()
                    if self._duplicates.suspected_after(error.reason, now):
                        self._dispatcher.listen_to(self._topics.health)
                    self._report.failed(error, wait_s, now)
                    self._wait(wait_s)
        finally:
            self._report.stopped()
            self._self_pipe.close()

    def close(self) -> None:
        """Close the sockets of a sender that is never run."""
        self._self_pipe.close()

    def _run_connection(self) -> None:
        """Connect, and send until the connection ends. Return when stopped; raise BrokerError on any other end."""
        try:
            connection = MqttConnection(
                self._config,
                will=self._will,
                stop=self._stop,
                known=self._known.current(time.monotonic()),
                resume=self._resumable,
                report_topic=self._topics.health,
            )
        except BrokerError as error:
            if error.reason is BrokerReason.REFUSED:  # no broker listens: the next one may have other rules
                self._dispatcher.quarantine.retry_soon(time.monotonic())
            raise
        self._known.learn(connection.capabilities, time.monotonic())
        self._resumable = True
        self.connections += 1
        self._exchange = exchange = Exchange(
            connection,
            self._dispatcher,
            self._config,
            on_received=self._received,
            expiry_s=self._expiry_s,
            retained_filters=self._retained_filters,
        )
        try:
            self._begin(connection)
            while not self._stop.is_set():
                self._last_progress = time.monotonic()
                exchange.step(self._self_pipe)
                self._look_after(connection)
            exchange.end(self._will)
        except BrokerError as error:
            raise self._explain(error, connection) from None
        finally:
            self._dispatcher.delete_acknowledged()
            self._known.confirm(time.monotonic())
            connection.abort()

    def _begin(self, connection: MqttConnection) -> None:
        now = time.monotonic()
        self._steady_at = now + _STEADY_S
        self._put_birth()  # the will may have been sent
        # without acknowledgements it is not known what the broker has
        remembered = connection.session_present and bool(connection.capabilities.max_qos)
        self._dispatcher.begin(remembered=remembered)
        self.schedule_resend_unretained()  # after a restart of the broker others may reconnect later
        self._report.connected(now)

    def _put_birth(self) -> None:
        if self._birth is None:
            return
        if (shard := self._topics.shard) is not None:
            # before anything else of this process, so that the others never take its sources for those of another count
            self._state_cache.put(messages.shard_count(self._topics, shard.count), ahead=True)
        self._state_cache.put(self._birth, ahead=True)

    def _received(self, message: Received) -> None:
        if message.topic == self._topics.health:
            self._duplicates.read(message.payload, time.monotonic())
        elif self._peers is not None and (news := self._peers.read(message.topic, message.payload)) is not None:
            if news.resend is not None:
                self._state_cache.schedule_resend_of(news.resend)
            if self._config.retains:  # unretained it would clear nothing, and yet Home Assistant would remove entities
                for topic in news.clear:
                    self._state_cache.put(messages.cleared(topic))
            if news.is_foreign and self._peers_log.is_due("foreign", time.monotonic()):
                text = "%r is no message of a shard, but of another client that may publish there: ignored"
                log.warning(text, message.topic[:_LOGGED_TOPIC])
        elif message.retained:
            log.debug("a retained message on %s is no command", message.topic)
        else:
            self._on_message(message.topic, message.payload)

    def _look_after(self, connection: MqttConnection) -> None:
        """Do what is due: resend state, log, and bring the status up to date."""
        now = time.monotonic()
        if any(self._resend_checked_at < self._resend_from + after_s <= now for after_s in _RESEND_AFTER_S):
            self._state_cache.schedule_resend(unretained_only=connection.capabilities.retain)
        self._resend_checked_at = now
        if self._steady_at is not None and now >= self._steady_at:
            self._report.steady()
        self._report.look_after(now)
        complaint = None if self._peers is None else self._peers.complaint(now)
        if complaint is not None and self._peers_log.is_due("count", now):
            log.warning("%s", complaint)

    def _explain(self, error: BrokerError, connection: MqttConnection) -> BrokerError:
        """Blame what the connection may have ended over; return the error, with the topics that it may be about."""
        now = time.monotonic()
        if connection.goodbye == _NO_RETAIN:
            self._known.learn(replace(connection.capabilities, retain=False), now)
        elif connection.goodbye == _NO_QOS_1:
            self._known.learn(replace(connection.capabilities, max_qos=0), now)
        suspects, is_certain = self._dispatcher.blame(connection.goodbye, error, now)
        if is_certain:
            self._backoff.reset()
        return naming_suspects(error, self._config.where, suspects)

    def _wait(self, wait_s: float) -> None:
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0 and not self._stop.wait(min(left, _STEP_S)):
            self._last_progress = time.monotonic()
