"""The newest state of each topic: what is sent, when, and what the broker has."""

from __future__ import annotations

from edgeaudio.sinks.mqtt.in_flight import InFlightTable, Outgoing
from edgeaudio.sinks.mqtt.quarantine import Family, Item
from edgeaudio.sinks.mqtt.state_cache import StateCache
from edgeaudio.types import Message


class Connection:
    """A state cache and what it has in flight."""

    def __init__(self) -> None:
        self._table = InFlightTable()
        self._packet_ids: dict[str, int] = {}  # by topic
        self.cache = StateCache(self._table)

    def reconnect(self, *, remembered: bool = False) -> None:
        self._table.begin()
        self.cache.begin(remembered=remembered)

    def send_next(self, now: float = 0.0, *, not_to: str = "") -> Message | None:
        """Send the next message whose topic is none of the letters of `not_to`."""
        message = self.cache.peek(now, lambda topic: topic not in not_to)
        if message is not None:
            self.cache.take(message)
            topic = message.topic
            packet_id = self._packet_ids.setdefault(topic, len(self._packet_ids)) if message.qos else None
            self._table.add(Outgoing(Item(Family("state", topic), topic, topic), message), now, packet_id)
        return message

    def acknowledge(self, topic: str) -> None:
        self.cache.acknowledged(self._pop(topic))

    def refuse(self, topic: str, now: float) -> None:
        self.cache.refused(self._pop(topic), now)

    def _pop(self, topic: str) -> Message:
        outgoing = self._table.pop(self._packet_ids[topic], 0.0)
        assert outgoing is not None
        assert outgoing.message is not None
        return outgoing.message


def test_the_newest_state_replaces_the_older_and_keeps_its_place() -> None:
    connection = Connection()
    connection.cache.put(Message("a", b"1", 1))
    connection.cache.put(Message("b", b"1", 1))
    connection.cache.put(Message("a", b"2", 1))
    assert [connection.send_next(), connection.send_next(), connection.send_next()] == [
        Message("a", b"2", 1),
        Message("b", b"1", 1),
        None,
    ]
    connection.reconnect()
    assert connection.send_next() == Message("a", b"2", 1)


def test_what_is_put_ahead_goes_before_the_rest_on_each_connection() -> None:
    connection = Connection()
    for topic in "abc":
        connection.cache.put(Message(topic, b"1", 1))
    connection.cache.put(Message("d", b"1", 1), ahead=True)
    for _ in range(2):
        connection.reconnect()
        assert [getattr(connection.send_next(), "topic", None) for _ in range(5)] == ["d", "a", "b", "c", None]
    connection.acknowledge("d")
    connection.cache.put(Message("b", b"2", 1))
    connection.cache.put(Message("d", b"2", 1), ahead=True)
    connection.acknowledge("b")
    assert [getattr(connection.send_next(), "topic", None) for _ in range(3)] == ["d", "b", None]


def test_refused_state_is_tried_again_in_a_minute_and_a_newer_value_at_once() -> None:
    connection = Connection()
    message = Message("a", b"1", 1)
    connection.cache.put(message)
    assert connection.send_next() is message
    connection.refuse("a", 0.0)
    assert connection.cache.refused_topics == ("a",)
    assert connection.send_next(59.0) is None
    assert connection.send_next(60.0) is message
    connection.refuse("a", 60.0)
    connection.cache.put(Message("a", b"2", 1))
    assert connection.send_next(60.0) == Message("a", b"2", 1)


def test_a_value_put_while_the_older_is_in_flight_is_not_forgotten() -> None:
    connection = Connection()
    cleared = Message("a", b"", 1, retain=True)
    connection.cache.put(cleared)
    assert connection.send_next() is cleared
    connection.cache.put(Message("a", b"new", 1, retain=True))
    connection.acknowledge("a")
    assert connection.send_next() == Message("a", b"new", 1, retain=True)


def test_a_denied_clearing_is_not_retried() -> None:
    connection = Connection()
    cleared = Message("a", b"", 1, retain=True)
    connection.cache.put(cleared)
    assert connection.send_next() is cleared
    connection.refuse("a", 0.0)
    connection.reconnect()
    assert connection.send_next() is None


def test_the_oldest_levels_are_dropped_and_all_without_a_connection() -> None:
    connection = Connection()
    for number in range(1000):
        connection.cache.put_transient(Message("level", b"%d" % number))
    assert connection.send_next() == Message("level", b"744")
    connection.reconnect()
    assert connection.send_next() is None


def test_the_oldest_live_messages_are_dropped_and_push_out_nothing_else() -> None:
    connection = Connection()
    connection.cache.put_transient(Message("level", b"1"))
    for number in range(1000):
        connection.cache.put_live(Message("live", b"%d" % number))
    assert connection.send_next() == Message("level", b"1")
    assert connection.send_next() is None
    assert connection.cache.take_live() == Message("live", b"488")
    assert connection.cache.take_live() == Message("live", b"489")
    connection.reconnect()
    assert connection.cache.take_live() is None


def due(connection: Connection) -> list[str]:
    """Send and acknowledge all that is due; return the topics."""
    found = []
    while (message := connection.send_next()) is not None:
        found.append(message.topic)
        connection.acknowledge(message.topic)
    return found


def test_what_the_broker_acknowledged_is_skipped_only_where_it_still_has_the_session() -> None:
    connection = Connection()
    for topic in ("a", "b", "c"):
        connection.cache.put(Message(topic, b"1", 1, retain=True))
    for topic in ("a", "b"):
        assert connection.send_next() is not None
        connection.acknowledge(topic)
    assert connection.send_next() is not None  # in flight when the connection ends
    connection.cache.put(Message("b", b"2", 1, retain=True))
    connection.reconnect(remembered=True)
    assert due(connection) == ["b", "c"]
    connection.reconnect()
    assert due(connection) == ["a", "b", "c"]


def test_an_older_value_in_flight_is_waited_for() -> None:
    connection = Connection()
    connection.cache.put(Message("a", b"1", 1))
    assert connection.send_next() == Message("a", b"1", 1)
    connection.cache.put(Message("a", b"2", 1))
    assert connection.send_next() is None
    connection.acknowledge("a")
    connection.reconnect(remembered=True)
    assert connection.send_next() == Message("a", b"2", 1)


def test_a_topic_that_may_not_be_sent_holds_up_no_other() -> None:
    connection = Connection()
    connection.cache.put(Message("a", b"1", 1))
    connection.cache.put(Message("b", b"1", 1))
    connection.cache.put_transient(Message("c", b"1"))
    connection.cache.put_transient(Message("d", b"1"))
    sent = []
    while (message := connection.send_next(not_to="ac")) is not None:
        sent.append(message.topic)
    assert sent == ["b", "d"]


def test_what_comes_first_is_sent_in_order_each_when_the_one_before_is_acknowledged() -> None:
    connection = Connection()
    connection.cache.put(Message("state", b"1", 1, retain=True))
    ordered = [Message("a", b"1", 1), Message("a", b"2", 1), Message("b", b"", 1, retain=True)]
    connection.cache.put_first(ordered)
    assert connection.cache.has_unsent
    assert connection.send_next() is ordered[0]
    assert connection.send_next() is None
    assert connection.cache.peek(0.0, lambda _: False) is None  # nothing may be sent
    connection.reconnect()  # it was not acknowledged
    assert connection.send_next() is ordered[0]
    connection.acknowledge("a")
    assert connection.send_next() is ordered[1]
    connection.refuse("a", 0.0)
    assert connection.send_next() is ordered[2]
    connection.acknowledge("b")
    assert connection.send_next() == Message("state", b"1", 1, retain=True)
    assert connection.send_next() is None
    assert not connection.cache.has_unsent


def test_what_comes_first_and_may_not_be_sent_holds_up_nothing() -> None:
    connection = Connection()
    state = Message("state", b"1", 1)
    connection.cache.put(state)
    connection.cache.put_first([Message("denied", b"1", 1)])
    assert connection.cache.peek(0.0, lambda topic: topic != "denied") is state
    connection.cache.take(state)
    denied = connection.cache.peek(0.0, lambda _: True)
    assert denied is not None
    assert denied.topic == "denied"  # it waits
