"""What is in flight, and what a connection may have ended over."""

from __future__ import annotations

import math

from edgeaudio.sinks.mqtt.in_flight import InFlightTable, Outgoing
from edgeaudio.sinks.mqtt.quarantine import Family, Item
from edgeaudio.types import Message, StoredMessage


def state(key: int) -> Outgoing:
    return Outgoing(item(key), Message(str(key), b"", 1))


def item(key: int) -> Item:
    return Item(Family("state", "+"), str(key), str(key))


def detection(seq: int) -> Outgoing:
    stored = StoredMessage(seq, Message("t", b"", 1), 0.0)
    return Outgoing(Item(Family("detection", "t"), seq, "t"), stored.message, stored)


def test_an_acknowledgement_that_does_not_come_is_overdue() -> None:
    table = InFlightTable()
    table.add(state(1), 1.0, 7)
    assert not table.is_overdue(5.9, 5.0)
    assert table.is_overdue(6.1, 5.0)
    assert table.pop(8, 6.1) is None  # an identifier that is not in use
    assert table.pop(7, 6.1) == state(1)
    assert not table.is_overdue(100.0, 5.0)


def test_the_table_knows_which_detections_and_topics_of_state_are_in_flight() -> None:
    table = InFlightTable()
    table.add(state(1), 0.0, 1)
    table.add(detection(8), 0.0, 2)
    table.add(detection(9), 0.0, 3)
    table.add(Outgoing(item(4), None), 0.0, 4)  # a subscription
    table.add(state(5), 0.0, None)  # never to be acknowledged
    table.pop(2, 0.0)
    assert [stored.seq for stored in table.detections] == [9]
    assert table.state_topics == {"1"}
    table.begin()
    assert (len(table), table.detections, table.state_topics) == (0, [], set())
    assert table.suspects(0.0) == []


def test_the_round_trip_of_an_earlier_connection_counts_until_a_later_one_has_a_shorter() -> None:
    table = InFlightTable()
    assert table.round_trip_s == math.inf
    table.add(state(1), 0.0, 1)
    table.pop(1, 0.5)
    for _ in range(2):  # the second connection has none
        table.begin()
        assert table.round_trip_s == 0.5
    table.add(state(1), 0.0, 1)
    assert table.too_recent(0.4) == [item(1)]
    assert table.too_recent(0.46) == []
    table.pop(1, 0.25)
    assert table.round_trip_s == 0.25
    table.add(state(1), 1.0, 1)
    table.pop(1, 2.0)
    assert table.round_trip_s == 0.25


def test_what_later_items_were_acknowledged_before_was_skipped() -> None:
    table = InFlightTable()
    for key in range(4):
        table.add(state(key), 0.0, key)
    table.pop(2, 0.0)
    assert table.skipped() == [item(0), item(1)]
    assert table.suspects(0.0) == [item(0), item(1), item(3)]


def test_what_cannot_be_acknowledged_is_suspect_until_something_later_is_acknowledged() -> None:
    table = InFlightTable()
    table.add(state(1), 0.0, None)
    table.add(state(2), 0.1, 2)
    table.add(state(3), 0.1, None)
    assert len(table) == 1
    assert table.suspects(0.2) == [item(1), item(2), item(3)]
    table.pop(2, 0.2)
    assert table.suspects(0.2) == [item(3)]
    assert not table.is_empty(1.0)
    assert table.suspects(2.2) == []
    assert table.is_empty(2.2)


def test_an_item_that_must_be_alone_blocks_others_until_it_is_answered() -> None:
    table = InFlightTable()
    table.add(state(1), 0.0, 1, alone=True)
    assert table.is_blocked(100.0)
    table.pop(1, 100.0)
    assert not table.is_blocked(100.0)
    assert table.pop_survivor(100.0) is None


def test_without_acknowledgements_an_item_that_must_be_alone_survives_when_nothing_happens() -> None:
    table = InFlightTable()
    table.add(state(1), 0.0, 1, alone=True)
    table.pop(1, 0.0, by_broker=False)
    assert table.is_blocked(1.9)
    assert table.pop_survivor(1.9) is None
    assert table.pop_survivor(2.1) == item(1)
    assert table.pop_survivor(2.1) is None
