"""What to send next, against a made-up outbox, broker and clock: nothing lost, nothing reordered, no flood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.publish.drain import Drain
from edgeaudio.publish.latest import Latest
from edgeaudio.publish.outbox_file import Stored
from edgeaudio.recognise.types import Message


class MadeUpOutbox:
    def __init__(self, topics: Sequence[str]) -> None:
        self.rows = [Stored(n, Message(topic, b"%d" % n, 1), 0.0) for n, topic in enumerate(topics, 1)]

    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[Stored]:
        rows = [row for row in self.rows if row.seq > after and row.message.topic not in without_topics]
        return rows[:limit]

    def delete(self, seqs: Iterable[int]) -> None:
        gone = set(seqs)
        assert gone <= {row.seq for row in self.rows}
        self.rows = [row for row in self.rows if row.seq not in gone]


def drain_of(outbox: MadeUpOutbox, rate_per_s: float = 1e6) -> Drain:
    return Drain(outbox, rate_per_s=rate_per_s, burst=20)


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
    drain = drain_of(outbox)
    drain.begin()
    now, mid, script, mood = 0.0, 0, iter(answers), iter(moods)
    arrived: list[Stored] = []
    flying: list[tuple[int, Stored]] = []
    refusing = False
    for _ in range(20_000):
        now += 0.01
        # the mood changes only when nothing of the moody topics is in flight, or else the broker itself reorders
        if not any(stored.message.topic in moody for _, stored in flying):
            refusing = next(mood, False)
        while drain.in_flight < window and (stored := drain.next(now)) is not None:
            mid += 1
            drain.sent(mid, stored, now)
            flying.append((mid, stored))
        assert drain.in_flight == len(flying) <= window
        if not flying:
            if not outbox.rows:
                break
            now += 1.0
            continue
        if next(script, "answer") == "cut":
            arrived += [stored for _, stored in flying if stored.message.topic not in moody][:1]  # and the answer lost
            flying.clear()
            drain.begin()
            continue
        answered, stored = flying.pop(0)
        if refusing and stored.message.topic in moody:
            drain.refused(answered, now)
        else:
            arrived.append(stored)
            drain.acknowledged(answered)
        drain.settle()
    assert not outbox.rows
    assert {stored.seq for stored in arrived} == set(expected)
    for topic in set(topics):
        first_time = list(dict.fromkeys(stored.seq for stored in arrived if stored.message.topic == topic))
        assert first_time == sorted(first_time)


def test_a_refused_topic_is_tried_with_one_message_and_ever_less_often() -> None:
    outbox = MadeUpOutbox("a" * 50)
    drain = drain_of(outbox)
    drain.begin()
    tries: list[float] = []
    now = 0.0
    first = drain.next(now)
    assert first is not None
    drain.sent(0, first, now)
    drain.refused(0, now)
    for step in range(30_000):
        now = step / 100
        if (stored := drain.next(now)) is not None:
            assert stored.seq == 1
            drain.sent(step + 1, stored, now)
            assert drain.next(now) is None
            drain.refused(step + 1, now)
            tries.append(now)
    assert [round(later - earlier) for earlier, later in zip([0.0, *tries], tries, strict=False)] == [
        *(1, 2, 4, 8, 16, 32, 60, 60, 60)
    ]
    assert len(outbox.rows) == 50


def test_the_pace_is_kept_after_any_pause() -> None:
    drain = drain_of(MadeUpOutbox("a" * 1000), rate_per_s=100.0)
    drain.begin()
    assert [drain.next(1000.0) is not None for _ in range(25)].count(True) == 20
    sent = sum(drain.next(1000.0 + step / 1000) is not None for step in range(1, 1001))
    assert 99 <= sent <= 101


def test_overdue() -> None:
    drain = drain_of(MadeUpOutbox("a"))
    drain.begin()
    stored = drain.next(1.0)
    assert stored is not None
    drain.sent(7, stored, 1.0)
    assert not drain.overdue(5.9, 5.0)
    assert drain.overdue(6.1, 5.0)
    drain.acknowledged(8)  # of no one
    drain.acknowledged(7)
    assert not drain.overdue(100.0, 5.0)


def test_the_newest_state_replaces_the_older_and_keeps_its_place() -> None:
    latest = Latest()
    latest.put(Message("a", b"1", 1))
    latest.put(Message("b", b"1", 1))
    latest.put(Message("a", b"2", 1))
    assert [latest.next(0.0), latest.next(0.0), latest.next(0.0)] == [
        Message("a", b"2", 1),
        Message("b", b"1", 1),
        None,
    ]
    latest.begin()
    assert latest.next(0.0) == Message("a", b"2", 1)


def test_refused_state_is_tried_again_in_a_minute_and_a_newer_value_at_once() -> None:
    latest = Latest()
    message = Message("a", b"1", 1)
    latest.put(message)
    assert latest.next(0.0) is message
    latest.sent(1, message, 0.0)
    latest.refused(1, 0.0)
    assert latest.refused_topics == ("a",)
    assert latest.next(59.0) is None
    assert latest.next(60.0) is message
    latest.sent(2, message, 60.0)
    latest.refused(2, 60.0)
    latest.put(Message("a", b"2", 1))
    assert latest.next(60.0) == Message("a", b"2", 1)


def test_a_value_put_while_the_older_is_in_flight_is_not_forgotten() -> None:
    latest = Latest()
    cleared = Message("a", b"", 1, retain=True)
    latest.put(cleared)
    assert latest.next(0.0) is cleared
    latest.sent(1, cleared, 0.0)
    latest.put(Message("a", b"new", 1, retain=True))
    latest.acknowledged(1)
    assert latest.next(0.0) == Message("a", b"new", 1, retain=True)


def test_a_topic_that_is_not_ours_to_clear_is_let_be() -> None:
    latest = Latest()
    cleared = Message("a", b"", 1, retain=True)
    latest.put(cleared)
    assert latest.next(0.0) is cleared
    latest.sent(1, cleared, 0.0)
    latest.refused(1, 0.0)
    latest.begin()
    assert latest.next(0.0) is None


def test_levels_give_way_and_are_dropped_without_a_connection() -> None:
    latest = Latest()
    for number in range(1000):
        latest.pass_on(Message("level", b"%d" % number))
    assert latest.next(0.0) == Message("level", b"744")
    latest.begin()
    assert latest.next(0.0) is None
