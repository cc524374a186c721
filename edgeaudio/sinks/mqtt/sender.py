"""The one sender: keeps a connection to the broker for ever and puts the outbox and the latest state through it.

Owns: the life of connections, back-off, and what is told of the broker.
Does not know: MQTT's details (client.py), what goes out in which order (dispatcher.py), what the messages mean, threads
(agent.py runs `run` in one of its own).

On a connection at most `window` messages (or what the broker allows) are in flight, all at one pace, detections first.
A detection leaves the outbox only when the broker acknowledged it without a reason code of refusal. An acknowledgement
that does not come within the time limit ends the connection, and everything unacknowledged is sent again on the next;
the rest of the state too, unless the broker still has the session.

What a broker turned out to lack (MQTT 5, retained messages, QoS 1) is not asked of it for an hour, and then, when there
is a reconnection, again: it may have been updated, or the finding been wrong. One that spoke 5 is for an hour after
that not taken for an older one because it hangs up or is silent: denied messages would be lost unseen.

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
from datetime import UTC, datetime, timedelta
from typing import Protocol

from edgeaudio.backoff import Backoff
from edgeaudio.health.broker import BrokerReason, BrokerState, BrokerStatus
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.broker import BrokerError, Complaint, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.detection_queue import StoredDetections
from edgeaudio.sinks.mqtt.dispatcher import TOO_FAST, Dispatcher
from edgeaudio.sinks.mqtt.duplicate_clients import DuplicateClients
from edgeaudio.sinks.mqtt.events import Acknowledged, Capabilities, MqttEvent, Received
from edgeaudio.sinks.mqtt.in_flight import Outgoing
from edgeaudio.sinks.mqtt.quarantine import Item
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Message

log = logging.getLogger(__name__)

_STEP_S = 0.25
_STEADY_S = 10.0
_CLOCK_S = 5.0  # the longest wait for a clock to be set
_KNOWN_S = 3600.0  # for how long what is known of the broker holds without a new sign of it
_BURST = 32  # messages handed to the network before it is looked at again
_FAREWELL_S = 1.0
# when to say again what is not retained: Home Assistant needs a moment from discovery until it listens, and after the
# broker's restart tries every 10 s to connect
_AGAIN_S = (5.0, 15.0)
_NAMED = 2  # topics in one line
# reason codes of DISCONNECT by which a broker says that what it received was at fault
_BLAMES = {0x80, 0x81, 0x82, 0x83, 0x87, 0x90, 0x91, 0x94, 0x95, 0x99}
_NO_RETAIN = 0x9A
_NO_QOS_1 = 0x9B


class WatchedDetections(StoredDetections, Protocol):
    """The outbox, which also tells when there is more."""

    def listen(self, listener: Callable[[], None]) -> None: ...


class Sender:
    """The connection to the broker, kept for ever. All methods but `run` may be called from any thread at any time.

    `on_message(topic, payload)` is called on the sender's thread for each command and each message of the
    other topics listened to, never for a retained one; `on_status` for each change of the connection's state.
    Both must be quick and not raise.
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
    ) -> None:
        """Make a sender; nothing is connected before `run`.

        `listen_to`: topic filters besides the commands'; `expiry_s`: after this a detection need not be passed on;
        `is_device`: False for a visitor beside the real one, which has no birth, no will and no farewell.
        `duplicate_of`: by a health report on this device's topic, who else reports as this device; None: nobody.
        """
        self._config = config
        self._topics = topics
        self._stop = stop
        self._on_message = on_message or (lambda _topic, _payload: None)
        self._on_status = on_status or (lambda _status: None)
        self._expiry_s = expiry_s
        filters = (*topics.command_filters, *listen_to)
        self._dispatcher = Dispatcher(outbox, topics, filters, rate_max_per_s=config.rate_per_s, window=config.window)
        self._state_cache = self._dispatcher.state_cache
        self._birth = messages.availability(topics, online=True) if is_device else None
        self._will = messages.availability(topics, online=False) if is_device else None
        if self._birth is not None:
            self._state_cache.put(self._birth)  # the first of the state
        self._self_pipe = SelfPipe()
        self._status = BrokerStatus(BrokerState.CONNECTING, datetime.now(UTC))
        self._last_progress = time.monotonic()
        self._again_from = -math.inf  # since when those who listen may have missed what is not retained
        self._again_looked_at = -math.inf
        self._steady_at: float | None = None  # when the present connection will have proved itself
        self._known: Capabilities | None = None  # what the broker offered
        self._known_until = 0.0
        self._resumable = False
        self._throttle = LogThrottle()
        self._backoff = Backoff(config.retry_min_s, config.retry_max_s)
        self._failures = 0
        self._duplicates = DuplicateClients(duplicate_of)
        self._settled = False
        self.connections = 0
        self.last_error: BrokerError | None = None
        outbox.listen(self.wake)

    @property
    def status(self) -> BrokerStatus:
        return self._status

    @property
    def last_progress(self) -> float:
        """Monotonic time at which `run` last went round, for a watchdog.

        It goes round at least every second, but for the time limits of connecting (see client.py).
        """
        return self._last_progress

    def wake(self) -> None:
        """Have the sender look around at once, after `stop` was set for instance."""
        self._self_pipe.wake()

    def put(self, message: Message) -> None:
        """Send state: the newest of each topic, now if connected, and again after each reconnection."""
        self._state_cache.put(message)
        self.wake()

    def put_first(self, state: Iterable[Message]) -> None:
        """Send these before all other state, one after the other."""
        self._state_cache.put_first(state)
        self.wake()

    def put_transient(self, message: Message) -> None:
        """Send what is worth sending only while connected (a level)."""
        self._state_cache.put_transient(message)
        self.wake()

    def forget(self, topic: str) -> None:
        """No longer send this topic's state. To clear it on the broker, `put` a `messages.cleared`."""
        self._state_cache.forget(topic)

    def resend(self) -> None:
        """Send all state again, and a little later what is not retained: for Home Assistant's birth."""
        self._state_cache.schedule_resend()
        self.schedule_resend_unretained()
        self.wake()

    def schedule_resend_unretained(self) -> None:
        """Send what is not retained again in a little while: after an announcement, when others begin to listen."""
        self._again_from = time.monotonic()

    @property
    def settled(self) -> bool:
        """True if the broker has answered everything that can be sent now."""
        return self._settled

    @property
    def has_unsent_state(self) -> bool:
        """True if some state has not been handed to the network, but for what the broker refused."""
        return self._state_cache.has_unsent

    @property
    def complaints(self) -> tuple[Complaint, ...]:
        """What is wrong with the broker though it is connected, or was at last."""
        return tuple(self._dispatcher.faults.complaints(self._known))

    def run(self) -> None:
        """Connect, send and reconnect until `stop` is set; then say goodbye and return, within about a second.

        Only a connection attempt in progress can take longer to end: up to its time limit.
        """
        try:
            while not self._stop.is_set():
                self._last_progress = time.monotonic()
                self._tell(BrokerState.CONNECTING)
                try:
                    self._connected()
                except BrokerError as error:
                    self._settled = False
                    if self._steady_at is not None and time.monotonic() >= self._steady_at:
                        self._backoff.reset()
                    self._steady_at = None
                    # a clock will be right from one moment to the next
                    longest_s = _CLOCK_S if error.reason is BrokerReason.CLOCK else math.inf
                    wait_s = self._backoff.next_s(longest_s) * random.uniform(0.5, 1.0)
                    self._failed(error, wait_s)
                    self._wait(wait_s)
        finally:
            self._tell(BrokerState.STOPPED)
            self._self_pipe.close()

    def close(self) -> None:
        """Free what a sender holds that is never run."""
        self._self_pipe.close()

    def _connected(self) -> None:
        """Live through one connection. Returns when stopped; raises BrokerError when it ends otherwise."""
        known = self._known if time.monotonic() < self._known_until else None
        try:
            connection = MqttConnection(
                self._config,
                will=self._will,
                stop=self._stop,
                known=known,
                resume=self._resumable,
                report_topic=self._topics.health,
            )
        except BrokerError as error:
            if error.reason is BrokerReason.REFUSED:  # nobody listens: it may be another broker that begins to
                self._dispatcher.quarantine.retry_soon(time.monotonic())
            raise
        if connection.capabilities != known:
            self._known_until = time.monotonic() + _KNOWN_S
        self._known = connection.capabilities
        self._resumable = True
        self.connections += 1
        try:
            self._begin(connection)
            while not self._stop.is_set():
                self._last_progress = time.monotonic()
                self._handle(connection.poll(self._send(connection), self._self_pipe), connection)
                self._look_after(connection)
            self._say_goodbye(connection)
        except BrokerError as error:
            raise self._learnt_from(error, connection) from None
        finally:
            self._dispatcher.settle()
            if self._known == Capabilities():
                self._known_until = time.monotonic() + _KNOWN_S
            connection.abort()

    def _begin(self, connection: MqttConnection) -> None:
        now = time.monotonic()
        self._steady_at = now + _STEADY_S
        if not self._throttle.has_logged:
            self._log_connected(connection)
        if self._birth is not None:
            self._state_cache.put(self._birth)  # the will may have been sent
        # without acknowledgements nobody knows what the broker has
        remembered = connection.session_present and bool(connection.capabilities.max_qos)
        self._dispatcher.begin(remembered=remembered)
        self.schedule_resend_unretained()  # after a restart of the broker the others may come back later than we do
        self._tell(BrokerState.CONNECTED)

    def _log_connected(self, connection: MqttConnection) -> None:
        failures = f", after {self._failures} failed attempts" if self._failures else ""
        older = " (it will not tell of messages that it denies)" if connection.protocol != "5" else ""
        log.info("broker %s: connected, MQTT %s%s%s", self._config.where, connection.protocol, older, failures)

    def _send(self, connection: MqttConnection) -> float:
        """Hand messages to the network while the window has room and the network takes them.

        Gives how long to wait for news before there may be more to send.
        """
        self._settled = False
        for _ in range(_BURST):
            now = time.monotonic()
            full = self._dispatcher.in_flight >= connection.in_flight_max
            if full or connection.congested or self._dispatcher.is_blocked(now):
                return _STEP_S
            if (wait_s := self._dispatcher.wait_s(now)) > 0:
                return min(wait_s, _STEP_S)
            outgoing = self._dispatcher.next(now)
            if outgoing is None:
                self._settled = self._dispatcher.is_settled(now)
                return _STEP_S
            if outgoing.message is None or connection.fits(outgoing.message):
                self._put_through(self._dispatcher.take(outgoing), connection, now)
            else:
                length = len(outgoing.message.topic.encode()) + len(outgoing.message.payload)
                why = f"{length} bytes, where the broker takes packets of {connection.packet_max}"
                self._dispatcher.too_long(outgoing, why, now)
        return 0.0

    def _put_through(self, outgoing: Outgoing, connection: MqttConnection, now: float) -> None:
        if outgoing.message is None:
            topic_filter = outgoing.item.topic
            packet_id = connection.subscribe(topic_filter, retained=topic_filter == self._topics.health)
        else:
            expiry_s = None
            if outgoing.stored is not None and self._expiry_s is not None:
                expiry_s = max(1.0, outgoing.stored.added_at + self._expiry_s - time.time())
            packet_id = connection.publish(outgoing.message, expiry_s=expiry_s)
        self._dispatcher.sent(outgoing, packet_id, now)

    def _handle(self, events: Iterable[MqttEvent], connection: MqttConnection) -> None:
        now = time.monotonic()
        for event in events:
            match event:
                case Acknowledged(packet_id, refusal):
                    confirmed = bool(connection.capabilities.max_qos)
                    self._dispatcher.answered(packet_id, refusal, now, by_broker=confirmed)
                case Received(self._topics.health, payload):
                    self._duplicates.read(payload, now)
                case Received(topic, payload, False):
                    self._on_message(topic, payload)
                case Received(topic):
                    log.debug("a retained message on %s is no command", topic)
        self._dispatcher.settle()

    def _look_after(self, connection: MqttConnection) -> None:
        """See to what is due: acknowledgements that do not come, state to be sent again, the status."""
        now = time.monotonic()
        limit_s = self._config.timeout_s
        if self._dispatcher.overdue(now, limit_s):
            raise BrokerError(
                self._config.where, BrokerReason.TIMEOUT, f"no acknowledgement of a message within {limit_s:g} s"
            )
        if (sign := self._dispatcher.look_after(now, limit_s)) is not None:
            self._put_through(sign, connection, now)
        if any(self._again_looked_at < self._again_from + after_s <= now for after_s in _AGAIN_S):
            self._state_cache.schedule_resend(unretained_only=connection.capabilities.retain)
        self._again_looked_at = now
        if self._steady_at is not None and now >= self._steady_at and (self._failures or self._throttle.has_logged):
            self._is_steady(connection)
        for complaint in self.complaints:
            self._report(complaint.key, complaint.text(self._config.where), now)
        if (rivalry := self._duplicates.told(now)) is not None:
            reason = BrokerReason.TAKEN_OVER
            self._report(reason, str(BrokerError(self._config.where, reason, rivalry)), now)
        self._tell(BrokerState.CONNECTED)

    def _is_steady(self, connection: MqttConnection) -> None:
        """Take the connection for a lasting one: from here on, every failure is news again."""
        if self._failures:
            self._log_connected(connection)
        self._failures = 0
        self._throttle.keep_only(complaint.key for complaint in self.complaints)

    def _learnt_from(self, error: BrokerError, connection: MqttConnection) -> BrokerError:
        """Find out what the connection may have ended over; gives the error, with the topics that it may be about."""
        now = time.monotonic()
        code = connection.goodbye
        why = f"connections end while it is in flight ({error.detail})"
        suspects: list[Item] = []
        is_certain = False
        if code == _NO_RETAIN:
            self._known, self._known_until = replace(connection.capabilities, retain=False), now + _KNOWN_S
        elif code == _NO_QOS_1:
            self._known, self._known_until = replace(connection.capabilities, max_qos=0), now + _KNOWN_S
        elif code in TOO_FAST:
            self._dispatcher.slow_down(now)
        elif code in _BLAMES or (code is None and error.reason in {BrokerReason.CLOSED, BrokerReason.NOT_MQTT}):
            suspects, is_certain = self._dispatcher.blame_all(now, why)
        elif error.reason is BrokerReason.TIMEOUT:
            suspects, is_certain = self._dispatcher.blame_skipped(now, "it is never acknowledged, where others are")
        if is_certain:
            self._backoff.reset()
        return self._naming(error, suspects)

    def _naming(self, error: BrokerError, suspects: list[Item]) -> BrokerError:
        if not suspects:
            return error
        topics = list(dict.fromkeys(item.topic for item in suspects))
        named = " and ".join(topics[:_NAMED]) + (f" and {len(topics) - _NAMED} topics more" if topics[_NAMED:] else "")
        hint = error.hint
        if error.reason is BrokerReason.CLOSED:
            hint = (
                "look at the broker's log: it may deny a topic, take no message as long, or have another client of the "
                "same id"
            )
        return BrokerError(self._config.where, error.reason, f"{error.detail}, with {named} in flight", hint)

    def _say_goodbye(self, connection: MqttConnection) -> None:
        """Wait briefly for what is in flight, say `offline`, and part in order, so that the will is not sent."""
        deadline = time.monotonic() + _FAREWELL_S
        try:
            while self._dispatcher.in_flight and time.monotonic() < deadline - _FAREWELL_S / 2:
                self._handle(connection.poll(0.05), connection)
            if self._will is not None:
                farewell = self._dispatcher.state(self._will)
                self._dispatcher.sent(farewell, connection.publish(self._will), time.monotonic())
            while self._dispatcher.in_flight and time.monotonic() < deadline:
                self._handle(connection.poll(0.05), connection)
        except BrokerError as error:
            log.warning("%s (while saying goodbye)", error)
        else:
            connection.close()

    def _failed(self, error: BrokerError, wait_s: float) -> None:
        """Tell of a failure: in the log when it is new and then every ten minutes, in the status always."""
        self._failures += 1
        self.last_error = error
        if self._duplicates.suspected_after(error.reason, time.monotonic()):
            self._dispatcher.listen_to(self._topics.health)
        attempts = f" ({self._failures} attempts)" if self._failures > 1 else ""
        self._report(error.reason, f"{error}{attempts}", time.monotonic())
        self._tell(BrokerState.WAITING, error, datetime.now(UTC) + timedelta(seconds=wait_s))

    def _report(self, fault: str, text: str, now: float) -> None:
        """Log a fault when it is new, and every ten minutes while it lasts.

        It is new again after a connection that lasted, not after one that was merely made: a connection that flaps
        would fill the log.
        """
        if self._throttle.is_due(fault, now):
            log.error(text)

    def _wait(self, wait_s: float) -> None:
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0 and not self._stop.wait(min(left, _STEP_S)):
            self._last_progress = time.monotonic()

    def _tell(self, state: BrokerState, error: BrokerError | None = None, next_try: datetime | None = None) -> None:
        """Replace the status where it has changed; `since` stays while state and reason do."""
        old = self._status
        connected = state is BrokerState.CONNECTED
        reason, detail = (error.reason, error.detail) if error else (None, "")
        if connected and (first := next(iter(self.complaints), None)) is not None:
            reason, detail = first.reason, f"{first.about} {first.detail}"
        elif connected and (rivalry := self._duplicates.told(time.monotonic())) is not None:
            reason, detail = BrokerReason.TAKEN_OVER, rivalry
        known = self._known if connected else None
        new = BrokerStatus(
            state=state,
            since=old.since if (old.state, old.reason) == (state, reason) else datetime.now(UTC),
            reason=reason,
            detail=detail,
            next_try=next_try,
            protocol=known.protocol if known else None,
            delivery=None if known is None else "confirmed" if known.max_qos else "unconfirmed",
            refused_topics=self._dispatcher.faults.refused_topics if connected else (),
            quarantined=tuple(self._dispatcher.quarantined.items()),
        )
        if new != old:
            self._status = new
            self._on_status(new)
