"""The one table of what was sent on the present connection and is not acknowledged yet. Pure.

Owns: which messages and subscriptions are in flight, in which order, since when, and which of them the broker may have
ended the connection over.
Does not know: MQTT (packet identifiers are numbers here), what becomes of an item; times are monotonic seconds.

A broker handles packets in order. So an acknowledgement also proves that what was sent before it did no harm; what
was sent before it and is not acknowledged itself was skipped. Messages of QoS 0 are never acknowledged: they stay
unconfirmed until a later acknowledgement, or for 2 s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from edgeaudio.sinks.mqtt.quarantine import Item
from edgeaudio.types import Message, StoredMessage

_UNCONFIRMED_S = 2.0
_TOO_SOON = 0.9  # of a round trip


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Something to be sent: a detection, state, or a subscription."""

    item: Item
    message: Message | None  # None: a subscription, to `item.topic`
    stored: StoredMessage | None = None  # of a detection


@dataclass(frozen=True, slots=True)
class _Sent:
    outgoing: Outgoing
    at: float
    place: int  # in the order of sending


class InFlightTable:
    """What is in flight on one connection after the other."""

    def __init__(self) -> None:
        self._earlier_round_trip_s = math.inf  # the shortest on the last connection that had one
        self._round_trip_s = math.inf  # the shortest on this connection
        self._places = count()
        self.begin()

    def begin(self) -> None:
        """Begin a new connection: nothing is in flight."""
        if self._round_trip_s < math.inf:
            self._earlier_round_trip_s = self._round_trip_s
        self._round_trip_s = math.inf
        self._awaited: dict[int, _Sent] = {}  # by packet identifier
        self._unconfirmed: list[_Sent] = []  # never to be acknowledged
        self._proven = -1  # place of the latest item that was acknowledged
        self._alone: _Sent | None = None

    def __len__(self) -> int:
        """Return how many acknowledgements are awaited."""
        return len(self._awaited)

    @property
    def detections(self) -> list[StoredMessage]:
        """Detections whose acknowledgement is awaited, in the order of sending."""
        return [sent.outgoing.stored for sent in self._awaited.values() if sent.outgoing.stored is not None]

    @property
    def state_topics(self) -> set[str]:
        """Topics of state whose acknowledgement is awaited."""
        outgoing = (sent.outgoing for sent in self._awaited.values())
        return {each.item.topic for each in outgoing if each.message is not None and each.stored is None}

    @property
    def round_trip_s(self) -> float:
        """Shortest time from sending to acknowledgement, on this connection and on the last one that had any."""
        return min(self._round_trip_s, self._earlier_round_trip_s)

    def is_empty(self, now: float) -> bool:
        """True if nothing is in flight, not even what cannot be acknowledged."""
        return not self._awaited and not self._recently_unconfirmed(now)

    def is_blocked(self, now: float) -> bool:
        """True while an item that must be alone is in flight."""
        alone = self._alone
        return alone is not None and (alone in self._awaited.values() or now - alone.at < _UNCONFIRMED_S)

    def is_overdue(self, now: float, limit_s: float) -> bool:
        """True if an acknowledgement has been awaited for longer than the limit."""
        return any(now - sent.at > limit_s for sent in self._awaited.values())

    def is_alone_overdue(self, now: float, limit_s: float) -> bool:
        """True if the item that must be alone has been awaited for longer than the limit, and nothing else is."""
        alone = self._alone
        return alone is not None and now - alone.at > limit_s and list(self._awaited.values()) == [alone]

    def pop_survivor(self, now: float) -> Item | None:
        """Return, once, the item that had to be alone, cannot be acknowledged, and did no harm for a while."""
        alone = self._alone
        if alone is None or self.is_blocked(now):
            return None
        self._alone = None
        return alone.outgoing.item

    def add(self, outgoing: Outgoing, now: float, packet_id: int | None, *, alone: bool = False) -> None:
        """Note something as sent; `packet_id` None: it will not be acknowledged."""
        sent = _Sent(outgoing, now, next(self._places))
        if packet_id is None:
            self._unconfirmed = [*self._recently_unconfirmed(now), sent]
        else:
            self._awaited[packet_id] = sent
        if alone:
            self._alone = sent

    def pop(self, packet_id: int, now: float, *, by_broker: bool = True) -> Outgoing | None:
        """Take out what was acknowledged or refused; `by_broker` False: it was only written to the network.

        Return None where nothing of that identifier is awaited.
        """
        sent = self._awaited.pop(packet_id, None)
        if sent is None:
            return None
        if by_broker:
            self._round_trip_s = min(self._round_trip_s, now - sent.at)
            self._proven = max(self._proven, sent.place)
            self._unconfirmed = [other for other in self._unconfirmed if other.place > sent.place]
            if sent is self._alone:
                self._alone = None
        else:
            self._unconfirmed = [*self._recently_unconfirmed(now), sent]
        return sent.outgoing

    def suspects(self, now: float) -> list[Item]:
        """Return what a connection that ends now may have ended over, in the order of sending."""
        return _items([*self._awaited.values(), *self._recently_unconfirmed(now)])

    def too_recent(self, now: float) -> list[Item]:
        """Return what was sent too recently for an answer, and for the broker to have ended the connection over it."""
        return _items(sent for sent in self._awaited.values() if now - sent.at < _TOO_SOON * self.round_trip_s)

    def skipped(self) -> list[Item]:
        """Return what the broker did not acknowledge, though it did acknowledge what was sent later."""
        return _items(sent for sent in self._awaited.values() if sent.place < self._proven)

    def _recently_unconfirmed(self, now: float) -> list[_Sent]:
        return [sent for sent in self._unconfirmed if now - sent.at < _UNCONFIRMED_S]


def _items(sent: Iterable[_Sent]) -> list[Item]:
    return [each.outgoing.item for each in sorted(sent, key=lambda each: each.place)]
