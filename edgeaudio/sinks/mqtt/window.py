"""What was sent on the present connection and is not acknowledged yet. Pure.

Owns: which items are in flight, and which of them may be why a connection ended.
Does not know: MQTT (packet identifiers are numbers here), what becomes of an item; times are monotonic seconds.

A broker handles packets in order. So an acknowledgement also proves that what was sent before it did no harm; what
was sent before it and is not acknowledged itself was skipped. Messages of QoS 0 are never acknowledged: they are
doubtful until a later acknowledgement, or for a while.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from edgeaudio.sinks.mqtt.quarantine import Item

_DOUBT_S = 2.0
_TOO_SOON = 0.9  # of a round trip


@dataclass(frozen=True, slots=True)
class _Sent:
    item: Item
    at: float
    place: int  # in the order of sending


class Window:
    """Items in flight on one connection."""

    def __init__(self) -> None:
        self._awaited: dict[int, _Sent] = {}  # by packet identifier
        self._doubtful: list[_Sent] = []  # never to be acknowledged
        self._places = count()
        self._round_trip_s = math.inf  # the shortest
        self._proven = -1  # place of the latest item that was acknowledged
        self._alone: _Sent | None = None

    def __len__(self) -> int:
        """Return how many acknowledgements are awaited."""
        return len(self._awaited)

    def is_empty(self, now: float) -> bool:
        """True if nothing is in flight, not even what cannot be acknowledged."""
        return not self._awaited and not any(now - sent.at < _DOUBT_S for sent in self._doubtful)

    def blocked(self, now: float) -> bool:
        """True while an item that has to be alone is in flight."""
        alone = self._alone
        return alone is not None and (alone in self._awaited.values() or now - alone.at < _DOUBT_S)

    def unanswered_alone(self, now: float, limit_s: float) -> bool:
        """True if the item that has to be alone has not been answered for that long."""
        alone = self._alone
        return alone is not None and now - alone.at > limit_s and list(self._awaited.values()) == [alone]

    def survived(self, now: float) -> Item | None:
        """Return, once, the item that had to be alone and cannot be acknowledged, when it did no harm for a while."""
        alone = self._alone
        if alone is None or self.blocked(now):
            return None
        self._alone = None
        return alone.item

    def sent(self, item: Item, now: float, packet_id: int | None, *, alone: bool = False) -> None:
        """Note an item as sent; `packet_id` None: it will not be acknowledged."""
        sent = _Sent(item, now, next(self._places))
        if packet_id is None:
            self._doubtful = [*(other for other in self._doubtful if now - other.at < _DOUBT_S), sent]
        else:
            self._awaited[packet_id] = sent
        if alone:
            self._alone = sent

    def answered(self, packet_id: int, now: float, *, by_broker: bool = True) -> Item | None:
        """Take out an item that was acknowledged or refused; `by_broker` False: it was only written to the network."""
        sent = self._awaited.pop(packet_id, None)
        if sent is None:
            return None
        if by_broker:
            self._round_trip_s = min(self._round_trip_s, now - sent.at)
            self._proven = max(self._proven, sent.place)
            self._doubtful = [other for other in self._doubtful if other.place > sent.place]
            if sent is self._alone:
                self._alone = None
        else:
            self._doubtful = [*(other for other in self._doubtful if now - other.at < _DOUBT_S), sent]
        return sent.item

    def overdue(self, now: float, limit_s: float) -> bool:
        """True if an acknowledgement has been awaited for longer than the limit."""
        return any(now - sent.at > limit_s for sent in self._awaited.values())

    def in_flight(self, now: float) -> list[Item]:
        """Return what a connection that ends now may have died of, in the order of sending."""
        doubtful = (sent for sent in self._doubtful if now - sent.at < _DOUBT_S)
        return _items([*self._awaited.values(), *doubtful])

    def too_soon(self, now: float, round_trip_s: float) -> list[Item]:
        """Return what was sent so lately that the broker cannot have answered yet, by ending the connection or else."""
        return _items(sent for sent in self._awaited.values() if now - sent.at < _TOO_SOON * round_trip_s)

    @property
    def round_trip_s(self) -> float:
        """The shortest time from sending to acknowledgement; infinity: nothing was acknowledged."""
        return self._round_trip_s

    def skipped(self) -> list[Item]:
        """Return what the broker did not acknowledge, though it did acknowledge what was sent later."""
        return _items(sent for sent in self._awaited.values() if sent.place < self._proven)


def _items(sent: Iterable[_Sent]) -> list[Item]:
    return [each.item for each in sorted(sent, key=lambda each: each.place)]
