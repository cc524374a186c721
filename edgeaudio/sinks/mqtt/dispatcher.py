"""What is sent next on the present connection, and what follows from the answers and from their absence. Pure.

Owns: the order of detections, subscriptions and state, the pace, and what is blamed when a connection ends.
Does not know: MQTT (packet identifiers and reason codes are numbers), connections, threads; times are monotonic
seconds, handed in.

Detections go first; while they wait, every eighth message is a subscription or state, so that after a long outage state
is seconds late and not minutes. What ended connections before goes last (a detection: in its place), and alone. Live
messages go when nothing else waits, and leave a token of the pace to a detection that may come next.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from edgeaudio.health.broker import BrokerReason
from edgeaudio.sinks.mqtt.broker import BrokerError
from edgeaudio.sinks.mqtt.broker_faults import BrokerFaults
from edgeaudio.sinks.mqtt.detection_queue import DetectionQueue, StoredDetections, detection_item
from edgeaudio.sinks.mqtt.in_flight import InFlightTable, Outgoing
from edgeaudio.sinks.mqtt.live_pause import LivePause
from edgeaudio.sinks.mqtt.pace import Pace
from edgeaudio.sinks.mqtt.quarantine import Family, Item, MessageQuarantine
from edgeaudio.sinks.mqtt.reason_codes import ReasonCode
from edgeaudio.sinks.mqtt.state_cache import StateCache
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Message, StoredMessage

_STATE_TURN = 8  # while detections wait, every eighth message is state
_PRUNE_S = 600.0
_SPARED = 2
_SLOW_S = 0.1
# reason codes of a broker that receives messages too fast
_TOO_FAST = frozenset({0x93, 0x96, 0x97})
# reason codes of DISCONNECT by which a broker blames what it received
_BLAMES = frozenset({0x80, 0x81, 0x82, 0x83, 0x87, 0x90, 0x91, 0x94, 0x95, 0x99})


class Dispatcher:
    """The next message, subscription or nothing. Any thread may put into `state_cache`; one thread uses the rest."""

    def __init__(
        self, outbox: StoredDetections, topics: Topics, filters: Iterable[str], *, rate_max_per_s: float, window: int
    ) -> None:
        """`filters`: the subscriptions; `rate_max_per_s`: messages a second; `window`: messages in flight."""
        self._in_flight = InFlightTable()
        self.state_cache = StateCache(self._in_flight)
        self.quarantine = MessageQuarantine()
        self._live_pause = LivePause()
        self._topics = topics
        self._filters = tuple(filters)
        self._detections = DetectionQueue(outbox, self.quarantine, self._in_flight)
        self._pace = Pace(rate_max_per_s=rate_max_per_s, burst_max=window)
        self.faults = BrokerFaults(self._detections, self.state_cache, self.quarantine)
        self._subscriptions: list[str] = []  # still to be sent
        self._since_state = 0  # messages sent since the last state
        self._refused_as = ""
        self._spared: Counter[Item] = Counter()  # how often an item was not blamed because it was too recent
        self._pruned_at = 0.0

    @property
    def in_flight(self) -> int:
        """How many acknowledgements are awaited."""
        return len(self._in_flight)

    @property
    def quarantined(self) -> dict[str, int]:
        """The number of quarantined messages by topic."""
        return dict(sorted(Counter(item.topic for item in self.quarantine.items).items()))

    def listen_to(self, topic_filter: str) -> None:
        """Subscribe to another filter, from the next connection on."""
        if topic_filter not in self._filters:
            self._filters = (*self._filters, topic_filter)

    def begin(self, *, remembered: bool) -> None:
        """Begin a new connection; `remembered`: the broker still has what it acknowledged."""
        self._in_flight.begin()
        self._pace.begin()
        self._subscriptions = list(self._filters)
        self._since_state = 0
        self._detections.begin()
        self.state_cache.begin(remembered=remembered)
        self.faults.begin()

    def wait_s(self, now: float) -> float:
        """Return the time until the next message may go."""
        return self._pace.wait_s(now)

    def is_blocked(self, now: float) -> bool:
        """True while something that has to be alone is in flight."""
        return self._in_flight.is_blocked(now)

    def is_settled(self, now: float) -> bool:
        """True if there was nothing to send, and all that was sent is answered."""
        return self._in_flight.is_empty(now) and not self.quarantine.has_untried(now)

    def next(self, now: float) -> Outgoing | None:
        """Return what to send; None: nothing, or something that must wait until nothing is in flight."""
        choices = [self._next_detection, self._next_state]
        if self._since_state >= _STATE_TURN - 1:
            choices.reverse()
        for choose in choices:
            if (outgoing := choose(now)) is not None:
                alone = self.quarantine.must_be_alone(outgoing.item)
                return None if alone and not self._in_flight.is_empty(now) else outgoing
        return None

    def waits_live(self, now: float) -> bool:
        """True if a live message is to be sent, now or as soon as the pace and the network have room for one."""
        return self.state_cache.has_live and self._live_pause.is_over(now)

    def take_live(self, now: float) -> Message | None:
        """Return a live message that is being sent where `next` returned None; None: none may go now.

        What becomes of it is not noted: it is never acknowledged, and of no use later.
        """
        if not self._live_pause.is_over(now) or not self._pace.has_spare(now) or self.quarantine.has_untried(now):
            return None
        message = self.state_cache.take_live()
        if message is not None:
            self._pace.take()
            self._live_pause.sent(now)
        return message

    def take(self, outgoing: Outgoing) -> Outgoing:
        """Note that this is being sent; return it as it is to be sent. `sent` must follow, or the connection's end."""
        self._pace.take()
        self._since_state = 0 if outgoing.stored is None else self._since_state + 1
        if outgoing.stored is not None:
            self._detections.take(outgoing.stored)
        elif outgoing.message is None:
            self._subscriptions.remove(outgoing.item.topic)
        else:
            self.state_cache.take(outgoing.message)
            self.faults.oversized.pop(outgoing.message.topic, None)
            # only what is acknowledged can be cleared of suspicion
            if not outgoing.message.qos and self.quarantine.must_be_alone(outgoing.item):
                return replace(outgoing, message=replace(outgoing.message, qos=1))
        return outgoing

    def state(self, message: Message) -> Outgoing:
        """Return a state message that is sent out of turn."""
        return Outgoing(self._state_item(message.topic), message)

    def sent(self, outgoing: Outgoing, packet_id: int, now: float) -> None:
        """Note under which packet identifier something was sent."""
        awaited = outgoing.message is None or outgoing.message.qos
        alone = self.quarantine.must_be_alone(outgoing.item)
        self._in_flight.add(outgoing, now, packet_id if awaited else None, alone=alone)

    def too_long(self, outgoing: Outgoing, why: str, now: float) -> None:
        """Hold back a message that is longer than the broker takes, so that it delays no other."""
        if outgoing.stored is not None:
            self.quarantine.hold(outgoing.item, now)
            self.faults.why[outgoing.item] = why
            self._detections.rewind()
        elif outgoing.message is not None:
            self.state_cache.skip(outgoing.message)
            self.faults.oversized[outgoing.message.topic] = why

    def answered(self, packet_id: int, refusal: ReasonCode | None, now: float, *, by_broker: bool) -> None:
        """Note an answer; `by_broker` False: it was only written to the network, by QoS 0."""
        outgoing = self._in_flight.pop(packet_id, now, by_broker=by_broker)
        if outgoing is None:
            return
        item = outgoing.item
        if by_broker and (refusal is None or item not in self.quarantine.items):
            self.clear(item)
        if outgoing.message is None:
            if refusal is not None:
                self.faults.denied[item.topic] = refusal
        elif refusal is None:
            self._acknowledged(outgoing.message, outgoing.stored, now)
        else:
            self._refused(outgoing.message, outgoing.stored, refusal, now)

    def _acknowledged(self, message: Message, stored: StoredMessage | None, now: float) -> None:
        if stored is None:
            self.state_cache.acknowledged(message)
        else:
            refused = self._detections.acknowledged(stored, now)
            self.faults.why |= dict.fromkeys(refused, self._refused_as)

    def _refused(self, message: Message, stored: StoredMessage | None, refusal: ReasonCode, now: float) -> None:
        self.faults.refusal = refusal
        self._refused_as = f"refused: {refusal.name}, where others of its topic are taken"
        if refusal.value in _TOO_FAST:
            self._pace.lost(now)
        if stored is None:
            self.state_cache.refused(message, now)
        else:
            self._detections.refused(stored, now)

    def delete_acknowledged(self) -> None:
        """Delete what the broker has from the outbox, in one transaction."""
        self._detections.delete_acknowledged()

    def clear(self, item: Item) -> None:
        """Note that the connection did not end over this item."""
        self._spared.pop(item, None)
        if self.quarantine.clear(item):
            self._detections.rewind()

    def is_overdue(self, now: float, limit_s: float) -> bool:
        """True if an answer has been awaited for longer than the limit."""
        return self._in_flight.is_overdue(now, limit_s)

    def look_after(self, now: float, limit_s: float) -> Outgoing | None:
        """Do what is due; return a subscription to be sent once more, as a sign of life of the broker.

        It is needed where one message, alone, is not answered: either the broker is silent, or it skips the message.
        """
        if (survivor := self._in_flight.pop_survivor(now)) is not None:
            self.clear(survivor)
        if now - self._pruned_at >= _PRUNE_S:
            self._pruned_at = now
            self._prune()
        if not self._in_flight.is_alone_overdue(now, limit_s / 2):
            return None
        items = (_subscription_item(topic_filter) for topic_filter in self._filters)
        return next((Outgoing(item, None) for item in items if not self.quarantine.must_be_alone(item)), None)

    def blame(self, code: int | None, error: BrokerError, now: float) -> tuple[list[Item], bool]:
        """Note why the connection ended; `code`: the reason code of the broker's DISCONNECT, None: there was none.

        Return what may have been at fault, and whether an item was found that ends connections.
        """
        if code in _TOO_FAST:
            self._pace.lost(now)
        elif code in _BLAMES or (code is None and error.reason in {BrokerReason.CLOSED, BrokerReason.NOT_MQTT}):
            self._live_pause.connection_ended(now)
            return self._blame(self._suspects(now), now, f"connections end while it is in flight ({error.detail})")
        elif error.reason is BrokerReason.TIMEOUT and (skipped := self._in_flight.skipped()):
            # where later messages were acknowledged, the broker discards messages
            self._pace.lost(now)
            return self._blame(skipped, now, "it is never acknowledged, where others are")
        return [], False

    def _suspects(self, now: float) -> list[Item]:
        """Return what a connection that the broker ended may have ended over.

        On a slow line, what was sent less than a round trip before cannot be the cause: a message that is sent alone
        would be blamed whenever the line breaks. It is spared twice only, as a broker may close sooner than it
        acknowledges.
        """
        items = self._in_flight.suspects(now)
        if _SLOW_S <= self._in_flight.round_trip_s < math.inf:
            spared = [item for item in self._in_flight.too_recent(now) if self._spared[item] < _SPARED]
            self._spared.update(spared)
            items = [item for item in items if item not in spared]
        return items

    def _blame(self, items: list[Item], now: float, why: str) -> tuple[list[Item], bool]:
        # without acknowledgements a detection has left the outbox already, and will not be sent again
        items = [item for item in items if not isinstance(item.key, int) or self._detections.has(item.key)]
        news = self.quarantine.blame(items, now)
        self.faults.why |= dict.fromkeys(news, why)
        return items, bool(news)

    def _next_detection(self, now: float) -> Outgoing | None:
        stored = self._detections.peek(now)
        return None if stored is None else Outgoing(detection_item(stored), stored.message, stored)

    def _next_state(self, now: float) -> Outgoing | None:
        """Return a subscription or state, suspects last."""
        for suspect in (False, True):

            def may_send(item: Item, suspect: bool = suspect) -> bool:
                return self.quarantine.must_be_alone(item) is suspect and not self.quarantine.holds(item, now)

            for item in map(_subscription_item, self._subscriptions):
                if may_send(item):
                    return Outgoing(item, None)

            def may_send_topic(topic: str, may_send: Callable[[Item], bool] = may_send) -> bool:
                return may_send(self._state_item(topic))

            if (message := self.state_cache.peek(now, may_send_topic)) is not None:
                return self.state(message)
        return None

    def _prune(self) -> None:
        """Forget detections that the outbox dropped."""
        self._spared.clear()
        for item in (*self.quarantine.items, *self.quarantine.suspects):
            if isinstance(item.key, int) and not self._detections.has(item.key):
                self.quarantine.forget(item)

    def _state_item(self, topic: str) -> Item:
        if self._topics.is_detection(topic):  # of `check`: it is denied where detections are
            return Item(Family("detection", topic), topic, topic)
        return Item(Family("state", self._topics.family(topic)), topic, topic)


def _subscription_item(topic_filter: str) -> Item:
    return Item(Family("subscription", topic_filter), topic_filter, topic_filter)
