"""What to send next, against a made-up outbox and clock: nothing lost, nothing reordered."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.sinks.mqtt.detection_queue import DetectionQueue, detection_item
from edgeaudio.sinks.mqtt.in_flight import InFlightTable, Outgoing
from edgeaudio.sinks.mqtt.quarantine import Item, MessageQuarantine
from edgeaudio.types import Message, StoredMessage


class MadeUpOutbox:
    def __init__(self, topics: Sequence[str]) -> None:
        self.rows = [StoredMessage(n, Message(topic, b"%d" % n, 1), 0.0) for n, topic in enumerate(topics, 1)]

    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[StoredMessage]:
        rows = [row for row in self.rows if row.seq > after and row.message.topic not in without_topics]
        return rows[:limit]

    def delete(self, seqs: Iterable[int]) -> None:
        gone = set(seqs)
        assert gone <= {row.seq for row in self.rows}
        self.rows = [row for row in self.rows if row.seq not in gone]


class Connection:
    """A detection queue and what it has in flight; the packet identifiers are the messages' numbers."""

    def __init__(self, outbox: MadeUpOutbox, quarantine: MessageQuarantine | None = None) -> None:
        self._table = InFlightTable()
        self.queue = DetectionQueue(outbox, quarantine or MessageQuarantine(), self._table)
        self.reconnect()

    def reconnect(self) -> None:
        self._table.begin()
        self.queue.begin()

    @property
    def in_flight(self) -> list[StoredMessage]:
        return self._table.detections

    def send_next(self, now: float) -> StoredMessage | None:
        stored = self.queue.peek(now)
        if stored is not None:
            self.queue.take(stored)
            self._table.add(Outgoing(detection_item(stored), stored.message, stored), now, stored.seq)
        return stored

    def fill(self, window: int, now: float) -> None:
        """Send until so many are in flight."""
        while len(self._table) < window and self.send_next(now) is not None:
            pass

    def acknowledge(self, stored: StoredMessage, now: float) -> list[Item]:
        self._table.pop(stored.seq, now)
        return self.queue.acknowledged(stored, now)

    def refuse(self, stored: StoredMessage, now: float) -> None:
        self._table.pop(stored.seq, now)
        self.queue.refused(stored, now)


@given(
    st.lists(st.sampled_from("abc"), max_size=150),
    st.integers(1, 20),
    st.lists(st.sampled_from(["answer"] * 9 + ["cut"]), max_size=400),
    st.lists(st.booleans(), max_size=100),
    st.sets(st.sampled_from("abc")),
)
def test_whatever_the_broker_does_all_arrives_and_each_topic_in_order(
    topics: list[str], window: int, answers: list[str], moods: list[bool], moody: set[str]
) -> None:
    """Topics in `moody` are refused as a whole while the mood is so, as by access rules; cuts come at any time."""
    outbox = MadeUpOutbox(topics)
    expected = [row.seq for row in outbox.rows]
    connection = Connection(outbox)
    now, script, mood = 0.0, iter(answers), iter(moods)
    arrived: list[StoredMessage] = []
    # refused just before the mood changed, and so taken for messages that are refused for their own sake
    overtaken = set[int | str]()
    refusing = False
    for _ in range(20_000):
        now += 0.01
        # the mood changes only when nothing of the moody topics is in flight, or else the broker itself reorders
        if not any(stored.message.topic in moody for stored in connection.in_flight):
            refusing = next(mood, False)
        connection.fill(window, now)
        if not connection.in_flight:
            if not outbox.rows:
                break
            now += 1.0
            continue
        if next(script, "answer") == "cut":
            # one arrived, and its acknowledgement is lost
            arrived += [stored for stored in connection.in_flight if stored.message.topic not in moody][:1]
            connection.reconnect()
            continue
        stored = connection.in_flight[0]
        if refusing and stored.message.topic in moody:
            connection.refuse(stored, now)
        else:
            arrived.append(stored)
            overtaken |= {item.key for item in connection.acknowledge(stored, now)}
        connection.queue.delete_acknowledged()
    assert not outbox.rows
    assert {stored.seq for stored in arrived} == set(expected)
    for topic in set(topics):
        seqs = [stored.seq for stored in arrived if stored.message.topic == topic and stored.seq not in overtaken]
        first_time = list(dict.fromkeys(seqs))
        assert first_time == sorted(first_time)


def test_a_refused_topic_is_tried_ever_less_often() -> None:
    outbox = MadeUpOutbox("a" * 50)
    connection = Connection(outbox)
    tries: list[tuple[float, int]] = []
    for step in range(30_000):
        now = step / 100
        if (stored := connection.send_next(now)) is not None:
            connection.refuse(stored, now)
            tries.append((now, stored.seq))
    # the first, and each time another, to find out whether it is the message or the topic
    assert [seq for _, seq in tries[:7]] == [1, 1, 2, 1, 3, 1, 4]
    times = [at for at, seq in tries if seq == 1]
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(times)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(outbox.rows) == 50
    assert connection.queue.refused_topics == ("a",)


@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("bad", [{1}, {3}, {10}, {2, 3, 7}])
def test_a_message_that_is_refused_for_its_own_sake_holds_up_no_other(bad: set[int], window: int) -> None:
    outbox = MadeUpOutbox("a" * 10)
    quarantine = MessageQuarantine()
    connection = Connection(outbox, quarantine)
    arrived: list[int] = []
    for step in range(6000):
        now = step / 100
        if step == 3000:  # another, to show that it is not the topic
            outbox.rows.append(StoredMessage(11, Message("a", b"", 1), 0.0))
        connection.fill(window, now)
        if connection.in_flight:
            stored = connection.in_flight[0]
            if stored.seq in bad:
                connection.refuse(stored, now)
            else:
                arrived.append(stored.seq)
                connection.acknowledge(stored, now)
        connection.queue.delete_acknowledged()
        if step == 4500:
            assert 11 in arrived
    assert sorted(arrived) == [number for number in range(1, 12) if number not in bad]
    assert {item.key for item in quarantine.items} <= bad
    assert quarantine.items


@pytest.mark.integration  # it takes seconds
@pytest.mark.parametrize("window", [1, 5, 20])
def test_a_topic_is_not_held_for_ever_by_a_message_that_was_refused_before(window: int) -> None:
    """Refused for its own sake at first, and then with all others of its topic, while new ones come."""
    outbox = MadeUpOutbox("")
    connection = Connection(outbox)
    for step in range(30_000):
        now = step / 100
        if step < 6000:
            outbox.rows.append(StoredMessage(step + 1, Message("a", b"", 1), 0.0))
        connection.fill(window, now)
        for stored in connection.in_flight:
            if 10 < now < 60 or (now < 10 and stored.seq % 50 == 0):
                connection.refuse(stored, now)
            else:
                connection.acknowledge(stored, now)
        connection.queue.delete_acknowledged()
    assert not outbox.rows


def test_what_is_quarantined_is_overtaken_and_sent_when_it_is_due() -> None:
    outbox = MadeUpOutbox("aaa")
    quarantine = MessageQuarantine()
    fatal = detection_item(outbox.rows[0])
    quarantine.hold(fatal, now=0.0)
    connection = Connection(outbox, quarantine)
    sent: list[int] = []
    while (stored := connection.send_next(1.0)) is not None:
        connection.acknowledge(stored, 1.0)
        sent.append(stored.seq)
    connection.queue.delete_acknowledged()
    assert sent == [2, 3]
    assert connection.queue.peek(59.0) is None
    due = connection.queue.peek(61.0)
    assert due is not None
    assert due.seq == 1
    assert quarantine.must_be_alone(fatal)


def test_a_suspect_topic_is_tried_by_its_shortest_message() -> None:
    outbox = MadeUpOutbox("aaaa")
    outbox.rows[2] = StoredMessage(3, Message("a", b"", 1), 0.0)
    quarantine = MessageQuarantine()
    for row in outbox.rows[:2]:
        quarantine.blame([detection_item(row)], 0.0)
        quarantine.blame([detection_item(row)], 0.0)
    connection = Connection(outbox, quarantine)
    stored = connection.queue.peek(1.0)
    assert stored is not None
    assert stored.seq == 3
    quarantine.blame([detection_item(stored)], 1.0)  # it is the topic: nothing of it for a while
    connection.reconnect()
    assert connection.send_next(1.0) is None
    assert connection.send_next(60.0) is None
    later = connection.send_next(62.0)
    assert later is not None
    assert later.seq == 4
    connection.acknowledge(later, 62.0)
    assert quarantine.clear(detection_item(later))
    connection.queue.rewind()
    assert connection.queue.peek(62.0) is not None  # each of the others, alone
