"""The newest state of each topic: what is sent, when, and what the broker has."""

from __future__ import annotations

from edgeaudio.sinks.mqtt.state_cache import StateCache
from edgeaudio.types import Message


def send_next(latest: StateCache, now: float = 0.0) -> Message | None:
    message = latest.peek(now, lambda _topic: True)
    if message is not None:
        latest.take(message)
    return message


def test_the_newest_state_replaces_the_older_and_keeps_its_place() -> None:
    latest = StateCache()
    latest.put(Message("a", b"1", 1))
    latest.put(Message("b", b"1", 1))
    latest.put(Message("a", b"2", 1))
    assert [send_next(latest), send_next(latest), send_next(latest)] == [
        Message("a", b"2", 1),
        Message("b", b"1", 1),
        None,
    ]
    latest.begin(remembered=False)
    assert send_next(latest, 0.0) == Message("a", b"2", 1)


def test_refused_state_is_tried_again_in_a_minute_and_a_newer_value_at_once() -> None:
    latest = StateCache()
    message = Message("a", b"1", 1)
    latest.put(message)
    assert send_next(latest, 0.0) is message
    latest.refused("a", 0.0)
    assert latest.refused_topics == ("a",)
    assert send_next(latest, 59.0) is None
    assert send_next(latest, 60.0) is message
    latest.refused("a", 60.0)
    latest.put(Message("a", b"2", 1))
    assert send_next(latest, 60.0) == Message("a", b"2", 1)


def test_a_value_put_while_the_older_is_in_flight_is_not_forgotten() -> None:
    latest = StateCache()
    cleared = Message("a", b"", 1, retain=True)
    latest.put(cleared)
    assert send_next(latest, 0.0) is cleared
    latest.put(Message("a", b"new", 1, retain=True))
    latest.acknowledged("a")
    assert send_next(latest, 0.0) == Message("a", b"new", 1, retain=True)


def test_a_topic_that_is_not_ours_to_clear_is_let_be() -> None:
    latest = StateCache()
    cleared = Message("a", b"", 1, retain=True)
    latest.put(cleared)
    assert send_next(latest, 0.0) is cleared
    latest.refused("a", 0.0)
    latest.begin(remembered=False)
    assert send_next(latest, 0.0) is None


def test_levels_give_way_and_are_dropped_without_a_connection() -> None:
    latest = StateCache()
    for number in range(1000):
        latest.put_transient(Message("level", b"%d" % number))
    assert send_next(latest, 0.0) == Message("level", b"744")
    latest.begin(remembered=False)
    assert send_next(latest, 0.0) is None


def due(latest: StateCache) -> list[str]:
    """The topics that are to be sent now; they are taken."""
    found = []
    while (message := send_next(latest)) is not None:
        found.append(message.topic)
        latest.acknowledged(message.topic)
    return found


def test_what_the_broker_acknowledged_is_skipped_only_where_it_still_has_the_session() -> None:
    latest = StateCache()
    for topic in ("a", "b", "c"):
        latest.put(Message(topic, b"1", 1, retain=True))
    for topic in ("a", "b"):
        assert send_next(latest) is not None
        latest.acknowledged(topic)
    assert send_next(latest) is not None  # in flight when the connection ends
    latest.put(Message("b", b"2", 1, retain=True))
    latest.begin(remembered=True)
    assert due(latest) == ["b", "c"]
    latest.begin(remembered=False)
    assert due(latest) == ["a", "b", "c"]


def test_an_older_value_in_flight_is_waited_for() -> None:
    latest = StateCache()
    latest.put(Message("a", b"1", 1))
    assert send_next(latest) == Message("a", b"1", 1)
    latest.put(Message("a", b"2", 1))
    assert send_next(latest) is None
    latest.acknowledged("a")
    latest.begin(remembered=True)
    assert send_next(latest) == Message("a", b"2", 1)


def test_a_topic_that_may_not_be_sent_holds_up_no_other() -> None:
    latest = StateCache()
    latest.put(Message("a", b"1", 1))
    latest.put(Message("b", b"1", 1))
    latest.put_transient(Message("c", b"1"))
    latest.put_transient(Message("d", b"1"))
    sent = []
    while (message := latest.peek(0.0, lambda topic: topic not in "ac")) is not None:
        latest.take(message)
        sent.append(message.topic)
    assert sent == ["b", "d"]


def test_what_comes_first_is_sent_in_order_each_when_the_one_before_is_acknowledged() -> None:
    latest = StateCache()
    latest.put(Message("state", b"1", 1, retain=True))
    ordered = [Message("a", b"1", 1), Message("a", b"2", 1), Message("b", b"", 1, retain=True)]
    latest.put_first(ordered)
    assert latest.has_unsent
    assert send_next(latest) is ordered[0]
    assert send_next(latest) is None
    assert latest.peek(0.0, lambda _: False) is None  # as for what has to be sent alone
    latest.begin(remembered=False)  # it was not acknowledged
    assert send_next(latest) is ordered[0]
    latest.acknowledged("a")
    assert send_next(latest) is ordered[1]
    latest.refused("a", 0.0)
    assert send_next(latest) is ordered[2]
    latest.acknowledged("b")
    assert send_next(latest) == Message("state", b"1", 1, retain=True)
    assert send_next(latest) is None
    assert not latest.has_unsent


def test_what_comes_first_and_may_not_be_sent_holds_up_nothing() -> None:
    latest = StateCache()
    state = Message("state", b"1", 1)
    latest.put(state)
    latest.put_first([Message("denied", b"1", 1)])
    assert latest.peek(0.0, lambda topic: topic != "denied") is state
    latest.take(state)
    denied = latest.peek(0.0, lambda _: True)
    assert denied is not None
    assert denied.topic == "denied"  # which waits
