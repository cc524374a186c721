"""What is in flight, and what a connection may have ended over."""

from __future__ import annotations

from edgeaudio.sinks.mqtt.quarantine import Family, Item
from edgeaudio.sinks.mqtt.window import Window


def item(key: int) -> Item:
    return Item(Family("state", "t"), key, "t")


def test_overdue() -> None:
    window = Window()
    window.sent(item(1), 1.0, 7)
    assert not window.overdue(5.9, 5.0)
    assert window.overdue(6.1, 5.0)
    assert window.answered(8, 6.1) is None  # of no one
    assert window.answered(7, 6.1) == item(1)
    assert not window.overdue(100.0, 5.0)


def test_what_was_passed_over_was_skipped() -> None:
    window = Window()
    for key in range(4):
        window.sent(item(key), 0.0, key)
    window.answered(2, 0.0)
    assert window.skipped() == [item(0), item(1)]
    assert window.in_flight(0.0) == [item(0), item(1), item(3)]


def test_what_cannot_be_acknowledged_is_doubtful_until_something_later_is() -> None:
    window = Window()
    window.sent(item(1), 0.0, None)
    window.sent(item(2), 0.1, 2)
    window.sent(item(3), 0.1, None)
    assert len(window) == 1
    assert window.in_flight(0.2) == [item(1), item(2), item(3)]
    window.answered(2, 0.2)
    assert window.in_flight(0.2) == [item(3)]
    assert not window.is_empty(1.0)
    assert window.in_flight(2.2) == []
    assert window.is_empty(2.2)


def test_an_item_that_is_alone_blocks_the_window_until_it_is_answered() -> None:
    window = Window()
    window.sent(item(1), 0.0, 1, alone=True)
    assert window.blocked(100.0)
    window.answered(1, 100.0)
    assert not window.blocked(100.0)
    assert window.survived(100.0) is None


def test_without_acknowledgements_an_item_that_is_alone_survives_when_nothing_happens() -> None:
    window = Window()
    window.sent(item(1), 0.0, 1, alone=True)
    window.answered(1, 0.0, by_broker=False)
    assert window.blocked(1.9)
    assert window.survived(1.9) is None
    assert window.survived(2.1) == item(1)
    assert window.survived(2.1) is None
