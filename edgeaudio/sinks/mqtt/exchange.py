"""The exchange of messages over one connection to the broker.

Owns: how much is sent before the network is polled again, the time limit of acknowledgements, and the orderly end.
Does not know: which message is next (dispatcher.py), what a received one means, how a connection is made (sender.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError, MqttConfig
from edgeaudio.sinks.mqtt.client import MqttConnection
from edgeaudio.sinks.mqtt.dispatcher import Dispatcher
from edgeaudio.sinks.mqtt.events import Acknowledged, Received
from edgeaudio.sinks.mqtt.in_flight import Outgoing
from edgeaudio.sinks.mqtt.self_pipe import SelfPipe
from edgeaudio.types import Message

log = logging.getLogger(__name__)

_STEP_S = 0.25
_IDLE_S = 1.0  # where nothing is to be sent and no answer awaited
_LIVE_STEP_S = 0.05  # where live messages wait for room
_BURST = 32  # messages sent before the network is polled again
_FAREWELL_S = 1.0
# bytes on the way beyond which no live message is added: a detection waits behind them, at 512 kbit/s for half a second
_LIVE_BACKLOG = 32 * 1024


class Exchange:
    """Sends what the dispatcher chooses, and hands it the answers. Every method may raise BrokerError."""

    def __init__(
        self,
        connection: MqttConnection,
        dispatcher: Dispatcher,
        config: MqttConfig,
        *,
        on_received: Callable[[Received], None],
        expiry_s: float | None,
        retained_filters: Collection[str],
    ) -> None:
        """`expiry_s`: after this the broker need not pass a detection on.

        `retained_filters`: subscriptions to them are for retained messages, too.
        """
        self.is_settled = False  # nothing is left to send, and all is answered
        self._connection = connection
        self._dispatcher = dispatcher
        self._config = config
        self._on_received = on_received
        self._expiry_s = expiry_s
        self._retained_filters = retained_filters

    def step(self, self_pipe: SelfPipe) -> None:
        """Send what may be sent, wait a moment for answers and for the self_pipe, and handle them."""
        self._poll(self._send(), self_pipe)
        now = time.monotonic()
        limit_s = self._config.timeout_s
        if self._dispatcher.is_overdue(now, limit_s):
            detail = f"no acknowledgement of a message within {limit_s:g} s"
            raise BrokerError(self._config.where, BrokerReason.TIMEOUT, detail)
        if (sign_of_life := self._dispatcher.look_after(now, limit_s)) is not None:
            self._send_one(sign_of_life, now)

    def end(self, farewell: Message | None) -> None:
        """Wait briefly for what is in flight, publish the farewell, and disconnect, so that the will is not sent."""
        deadline = time.monotonic() + _FAREWELL_S
        try:
            while self._dispatcher.in_flight and time.monotonic() < deadline - _FAREWELL_S / 2:
                self._poll(0.05)
            if farewell is not None:
                self._send_one(self._dispatcher.state(farewell), time.monotonic())
            while self._dispatcher.in_flight and time.monotonic() < deadline:
                self._poll(0.05)
        except BrokerError as error:
            log.warning("%s (while saying goodbye)", error)
        else:
            self._connection.close()

    def _send(self) -> float:
        """Send messages while fewer than `window` are in flight and the network takes them.

        Return for how many seconds to poll before there may be more to send.
        """
        self.is_settled = False
        connection, dispatcher = self._connection, self._dispatcher
        for _ in range(_BURST):
            now = time.monotonic()
            is_full = dispatcher.in_flight >= connection.in_flight_max
            if is_full or connection.congested or dispatcher.is_blocked(now):
                return _STEP_S
            if (wait_s := dispatcher.wait_s(now)) > 0:
                return min(wait_s, _STEP_S)
            outgoing = dispatcher.next(now)
            if outgoing is None:
                if dispatcher.waits_live(now):
                    if self._send_live(now):
                        continue
                    return _LIVE_STEP_S
                self.is_settled = dispatcher.is_settled(now)
                return _IDLE_S if self.is_settled else _STEP_S
            if outgoing.message is None or connection.fits(outgoing.message):
                self._send_one(dispatcher.take(outgoing), now)
            else:
                length = len(outgoing.message.topic.encode()) + len(outgoing.message.payload)
                why = f"{length} bytes, where the broker takes packets of {connection.packet_max}"
                dispatcher.too_long(outgoing, why, now)
        return 0.0

    def _send_live(self, now: float) -> bool:
        """Send a live message if that makes no other wait; return False if none was sent."""
        if self._connection.backlog > _LIVE_BACKLOG or (message := self._dispatcher.take_live(now)) is None:
            return False
        if self._connection.fits(message):
            self._connection.publish(message)
        return True

    def _send_one(self, outgoing: Outgoing, now: float) -> None:
        if outgoing.message is None:
            topic_filter = outgoing.item.topic
            packet_id = self._connection.subscribe(topic_filter, retained=topic_filter in self._retained_filters)
        else:
            expiry_s = None
            if outgoing.stored is not None and self._expiry_s is not None:
                expiry_s = max(1.0, outgoing.stored.added_at + self._expiry_s - time.time())
            packet_id = self._connection.publish(outgoing.message, expiry_s=expiry_s)
        self._dispatcher.sent(outgoing, packet_id, now)

    def _poll(self, timeout_s: float, self_pipe: SelfPipe | None = None) -> None:
        events = self._connection.poll(timeout_s, self_pipe)
        now = time.monotonic()
        has_acknowledgements = bool(self._connection.capabilities.max_qos)
        for event in events:
            match event:
                case Acknowledged(packet_id, refusal):
                    self._dispatcher.answered(packet_id, refusal, now, by_broker=has_acknowledgements)
                case Received():
                    self._on_received(event)
        self._dispatcher.delete_acknowledged()
