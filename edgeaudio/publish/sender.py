"""The one sender: keeps a connection to the broker for ever and puts the outbox and the latest state through it.

Owns: the order of things on a connection (subscribe, birth, state, detections, farewell), back-off, the state that is
told of the broker.
Does not know: MQTT's details (mqtt.py), what the messages mean, threads (agent.py runs `run` in one of its own).

On a connection at most `window` messages (or what the broker allows) are in flight, detections and state together.
State goes first, so that after an outage the world is right before the backlog begins. A detection leaves the
outbox only when the broker acknowledged it without a reason code of refusal. An acknowledgement that does not come
within the time limit ends the connection, and everything unacknowledged is sent again on the next.

A broker that turned out to know only MQTT 3.1.1 is spoken to in that for an hour, and then, when there is a
reconnection, is tried with 5 again: it may have been updated, or the finding been wrong. One that spoke 5 is for an
hour after that not taken for an older one because it hangs up or is silent: denied messages would be lost unseen.

Reconnection: 1 s doubling to 30 s, each shortened at random by up to half, reset by 10 s of connection.
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

from edgeaudio.publish import messages
from edgeaudio.publish.broker import BrokerError, BrokerReason, BrokerState, BrokerStatus, MqttConfig
from edgeaudio.publish.drain import Drain
from edgeaudio.publish.latest import Latest
from edgeaudio.publish.mqtt import Acknowledged, Connection, Denied, Received
from edgeaudio.publish.outbox import Outbox
from edgeaudio.publish.topics import Topics
from edgeaudio.publish.waker import Waker
from edgeaudio.recognise.types import Message

log = logging.getLogger(__name__)

_STEP_S = 0.25
_STEADY_S = 10.0
_TONGUE_S = 3600.0  # for how long what is known of the broker's protocol holds without a new sign of it
_BURST = 32  # messages handed to the network before it is looked at again
_FAREWELL_S = 1.0
# when to say again what is not retained: Home Assistant needs a moment from discovery until it listens, and after the
# broker's restart tries every 10 s to connect
_AGAIN_S = (5.0, 15.0)
_REPORT_S = 600.0


class Sender:
    """See the head of this module. All methods but `run` may be called from any thread at any time.

    `on_message(topic, payload)` is called on the sender's thread for each command and each message of the
    other topics listened to, never for a retained one; `on_status` for each change of the connection's state.
    Both must be quick and not raise.
    """

    def __init__(
        self,
        config: MqttConfig,
        outbox: Outbox,
        topics: Topics,
        *,
        stop: threading.Event,
        listen_to: Iterable[str] = (),
        on_message: Callable[[str, bytes], None] | None = None,
        on_status: Callable[[BrokerStatus], None] | None = None,
        expiry_s: float | None = None,
    ) -> None:
        """Make a sender; nothing is connected before `run`.

        `listen_to`: topic filters besides the commands'; `expiry_s`: after this a detection need not be passed on.
        """
        self._config = config
        self._outbox = outbox
        self._topics = topics
        self._stop = stop
        self._filters = (*topics.command_filters, *listen_to)
        self._on_message = on_message or (lambda _topic, _payload: None)
        self._on_status = on_status or (lambda _status: None)
        self._expiry_s = expiry_s
        self._latest = Latest()
        self._latest.put(messages.availability(topics, online=True))  # the first of the state: the birth
        self._drain = Drain(outbox, rate_per_s=config.rate_per_s, burst=config.window)
        self._waker = Waker()
        self._status = BrokerStatus(BrokerState.CONNECTING, datetime.now(UTC))
        self._last_progress = time.monotonic()
        self._again_from = -math.inf  # since when those who listen may have missed what is not retained
        self._again_looked_at = -math.inf
        self._steady_at: float | None = None  # when the present connection will have proved itself
        self._protocol: str | None = None
        self._older_until = 0.0  # when to try MQTT 5 again
        self._newer_until = 0.0  # when to doubt MQTT 5 again
        self._denied = ""  # what the broker says of our subscriptions
        self._refusal = ""  # and of the last message that it refused
        self._failures = 0
        self._last_reason: BrokerReason | None = None
        self._report_at = self._refusals_at = 0.0
        outbox.listen(self.wake)

    @property
    def status(self) -> BrokerStatus:
        return self._status

    @property
    def last_progress(self) -> float:
        """Monotonic time at which `run` last went round, for a watchdog.

        It goes round at least every second, but for the time limits of connecting (see mqtt.py).
        """
        return self._last_progress

    def wake(self) -> None:
        """Have the sender look around at once, after `stop` was set for instance."""
        self._waker.wake()

    def put(self, message: Message) -> None:
        """Send state: the newest of each topic, now if connected, and again after each reconnection."""
        self._latest.put(message)
        self.wake()

    def pass_on(self, message: Message) -> None:
        """Send what is only worth sending now (a level): dropped where there is no connection."""
        self._latest.pass_on(message)
        self.wake()

    def forget(self, topic: str) -> None:
        """No longer send this topic's state. To clear it on the broker, `put` a `messages.cleared`."""
        self._latest.forget(topic)

    def resend(self) -> None:
        """Send all state again, and a little later what is not retained: for Home Assistant's birth."""
        self._latest.resend()
        self.say_again()
        self.wake()

    def say_again(self) -> None:
        """Send what is not retained again in a little while: after an announcement, when others begin to listen."""
        self._again_from = time.monotonic()

    def run(self) -> None:
        """Connect, send and reconnect until `stop` is set; then say goodbye and return, within about a second.

        Only a connection attempt in progress can take longer to end: up to its time limit.
        """
        delay_s = self._config.retry_min_s
        try:
            while not self._stop.is_set():
                self._last_progress = time.monotonic()
                self._tell(BrokerState.CONNECTING)
                try:
                    self._connected()
                except BrokerError as error:
                    if self._steady_at is not None and time.monotonic() >= self._steady_at:
                        delay_s = self._config.retry_min_s
                    self._steady_at = self._protocol = None
                    wait_s = delay_s * random.uniform(0.5, 1.0)
                    delay_s = min(self._config.retry_max_s, delay_s * 2)
                    self._failed(error, wait_s)
                    self._wait(wait_s)
        finally:
            self._tell(BrokerState.STOPPED)
            self._waker.close()

    def _connected(self) -> None:
        """Live through one connection. Returns when stopped; raises BrokerError when it ends otherwise."""
        will = messages.availability(self._topics, online=False)
        now = time.monotonic()
        older, knows_5 = now < self._older_until, now < self._newer_until
        connection = Connection(self._config, will=will, stop=self._stop, older=older, knows_5=knows_5)
        if connection.protocol != "5" and not older:
            self._older_until = time.monotonic() + _TONGUE_S
        try:
            self._begin(connection)
            while not self._stop.is_set():
                self._last_progress = time.monotonic()
                self._handle(connection.poll(self._send(connection), self._waker))
                self._look_after()
            self._say_goodbye(connection)
        finally:
            self._drain.settle()
            if connection.protocol == "5":
                self._newer_until = time.monotonic() + _TONGUE_S
            connection.abort()

    def _begin(self, connection: Connection) -> None:
        log.info(
            "broker %s: connected, MQTT %s%s",
            self._config.where,
            connection.protocol,
            f", after {self._failures} failed attempts" if self._failures else "",
        )
        self._failures = 0
        self._last_reason = None
        self._denied = self._refusal = ""
        self._steady_at = time.monotonic() + _STEADY_S
        self._protocol = connection.protocol
        self._drain.begin()
        self._latest.begin()
        self.say_again()  # after a restart of the broker the others may come back later than we do
        self._tell(BrokerState.CONNECTED)
        connection.subscribe(self._filters)

    def _send(self, connection: Connection) -> float:
        """Hand messages to the network while the window has room and the network takes them.

        Gives how long to wait for news before there may be more to send.
        """
        for _ in range(_BURST):
            now = time.monotonic()
            room = connection.in_flight_max - self._drain.in_flight - self._latest.in_flight
            if room <= 0 or connection.congested:
                return _STEP_S
            if (message := self._latest.next(now)) is not None:
                if connection.fits(message):
                    self._latest.sent(connection.publish(message), message, now)
                else:
                    log.error("broker %s takes no message as long as that for %s", self._config.where, message.topic)
            elif (stored := self._drain.next(now)) is not None:
                if connection.fits(stored.message):
                    expiry_s = self._expiry_s and max(1.0, stored.added_at + self._expiry_s - time.time())
                    self._drain.sent(connection.publish(stored.message, expiry_s=expiry_s), stored, now)
                else:
                    self._refusal = "too long"
                    self._drain.hold(stored, now)
            else:
                return self._drain.wait_s or _STEP_S
        return 0.0

    def _handle(self, happenings: Iterable[Acknowledged | Received | Denied]) -> None:
        now = time.monotonic()
        for happening in happenings:
            match happening:
                case Acknowledged(mid, None):
                    self._drain.acknowledged(mid)
                    self._latest.acknowledged(mid)
                case Acknowledged(mid, str(refusal)):
                    self._refusal = refusal
                    self._drain.refused(mid, now)
                    self._latest.refused(mid, now)
                case Received(topic, payload):
                    self._on_message(topic, payload)
                case Denied(detail):
                    self._denied = f"commands: {detail}"
                    log.error("broker %s will not let us listen to commands: %s", self._config.where, detail)
        self._drain.settle()

    def _look_after(self) -> None:
        """See to what is due: acknowledgements that do not come, state to be sent again, the status."""
        now = time.monotonic()
        limit_s = self._config.timeout_s
        if self._drain.overdue(now, limit_s) or self._latest.overdue(now, limit_s):
            raise BrokerError(
                self._config.where, BrokerReason.TIMEOUT, f"no acknowledgement of a message within {limit_s:g} s"
            )
        if any(self._again_looked_at < self._again_from + after_s <= now for after_s in _AGAIN_S):
            self._latest.resend(retained=False)
        self._again_looked_at = now
        refused = self._refused_topics
        if refused and now >= self._refusals_at:
            self._refusals_at = now + _REPORT_S
            log.error(
                "broker %s refuses messages of %d topics, %s among them (%s); detections are kept and tried again",
                self._config.where,
                len(refused),
                refused[0],
                self._refusal,
            )
        self._tell(BrokerState.CONNECTED)

    def _say_goodbye(self, connection: Connection) -> None:
        """Wait briefly for what is in flight, say `offline`, and part in order, so that the will is not sent."""
        deadline = time.monotonic() + _FAREWELL_S
        try:
            while (self._drain.in_flight or self._latest.in_flight) and time.monotonic() < deadline - _FAREWELL_S / 2:
                self._handle(connection.poll(0.05))
            offline = messages.availability(self._topics, online=False)
            self._latest.sent(connection.publish(offline), offline, time.monotonic())
            while (self._drain.in_flight or self._latest.in_flight) and time.monotonic() < deadline:
                self._handle(connection.poll(0.05))
        except BrokerError as error:
            log.warning("%s (while saying goodbye)", error)
        else:
            connection.close()

    def _failed(self, error: BrokerError, wait_s: float) -> None:
        """Tell of a failure: in the log when it is new and then every ten minutes, in the status always."""
        now = time.monotonic()
        self._failures += 1
        if error.reason is not self._last_reason or now >= self._report_at:
            self._report_at = now + _REPORT_S
            log.error("%s%s", error, f" ({self._failures} attempts)" if self._failures > 1 else "")
        self._last_reason = error.reason
        self._tell(BrokerState.WAITING, error, datetime.now(UTC) + timedelta(seconds=wait_s))

    def _wait(self, wait_s: float) -> None:
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0 and not self._stop.wait(min(left, _STEP_S)):
            self._last_progress = time.monotonic()

    @property
    def _refused_topics(self) -> tuple[str, ...]:
        return self._drain.refused_topics + self._latest.refused_topics

    def _tell(self, state: BrokerState, error: BrokerError | None = None, next_try: datetime | None = None) -> None:
        """Replace the status where it has changed; `since` stays while state and reason do."""
        old = self._status
        refused = self._refused_topics if state is BrokerState.CONNECTED else ()
        reason, detail = (error.reason, error.detail) if error else (None, "")
        if state is BrokerState.CONNECTED and (refused or self._denied):
            reason = BrokerReason.NOT_AUTHORIZED_TOPIC
            detail = self._refusal if refused else self._denied
        new = BrokerStatus(
            state=state,
            since=old.since if (old.state, old.reason) == (state, reason) else datetime.now(UTC),
            reason=reason,
            detail=detail,
            next_try=next_try,
            protocol=self._protocol,
            refused_topics=refused,
        )
        if new != old:
            self._status = new
            self._on_status(new)


def check_broker(config: MqttConfig, *, stop: threading.Event) -> str:
    """Connect, log in and part again, for `edgeaudio check`; tell in a few words how that went, or raise BrokerError.

    Under an id of its own, so that an agent that is connected stays so; and without a will.
    """
    connection = Connection(replace(config, client_id=f"{config.client_id}-check"), will=None, stop=stop)
    connection.close()
    return f"connected, MQTT {connection.protocol}"
