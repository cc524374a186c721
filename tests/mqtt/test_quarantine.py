"""What is blamed for the end of a connection, and for how long: made-up items and times."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.sinks.mqtt.in_flight import InFlightTable, Outgoing
from edgeaudio.sinks.mqtt.quarantine import Family, Item, MessageQuarantine


def item(key: int, topic: str = "t") -> Item:
    return Item(Family("detection", topic), key, topic)


def test_the_first_end_makes_suspects_the_second_quarantines() -> None:
    quarantine = MessageQuarantine()
    assert quarantine.blame([item(1), item(2)], 0.0) == []
    assert quarantine.must_be_alone(item(1))
    assert not quarantine.holds(item(1), 0.0)
    assert quarantine.blame([item(1)], 1.0) == [item(1)]
    assert quarantine.holds(item(1), 60.0)
    assert not quarantine.holds(item(1), 61.5)  # tried again ...
    assert quarantine.must_be_alone(item(1))  # ... alone
    assert quarantine.blame([item(1)], 61.5) == []
    assert quarantine.holds(item(1), 61.5 + 119)
    assert quarantine.clear(item(2))
    assert not quarantine.must_be_alone(item(2))
    assert quarantine.clear(item(1))
    assert quarantine.items == ()


def test_it_is_tried_ever_more_rarely_up_to_six_hours() -> None:
    quarantine = MessageQuarantine()
    quarantine.blame([item(1)], 0.0)
    now, waits = 0.0, []
    for _ in range(15):
        quarantine.blame([item(1)], now)
        due = quarantine.next_due(now)
        waits.append(due - now)
        now = due
    assert waits[:4] == [60, 120, 240, 480]
    assert waits[-1] == 6 * 3600


def test_two_of_a_family_make_it_suspect_and_one_answer_clears_it() -> None:
    quarantine = MessageQuarantine()
    for key in (1, 2):
        quarantine.blame([item(key)], 0.0)
        quarantine.blame([item(key)], 0.0)
    assert quarantine.is_family_suspect(item(99))
    assert not quarantine.is_family_suspect(item(99, "other"))
    assert not quarantine.holds(item(99), 0.0)  # it decides, at once
    assert quarantine.blame([item(99)], 0.0) == [item(99)]
    assert quarantine.holds(item(100), 59.0)
    assert quarantine.held_families(59.0) == (Family("detection", "t"),)
    assert quarantine.clear(item(100))
    assert not quarantine.must_be_alone(item(101))
    assert quarantine.holds(item(1), 59.0)  # still fatal by itself


def test_an_answer_between_two_quarantined_items_clears_the_family() -> None:
    quarantine = MessageQuarantine()
    for key in range(10):
        quarantine.blame([item(key)], 0.0)
        quarantine.blame([item(key)], 0.0)
        quarantine.clear(item(1000 + key))
    assert not quarantine.is_family_suspect(item(99))
    assert len(quarantine.items) == 10


def test_after_the_broker_was_away_all_is_retried_but_what_may_have_crashed_it() -> None:
    quarantine = MessageQuarantine()
    for _ in range(2):
        quarantine.blame([item(1)], 0.0)
    for _ in range(5):
        quarantine.blame([item(1)], 1000.0)
    quarantine.retry_soon(1500.0)
    assert quarantine.holds(item(1), 1500.0)
    quarantine.retry_soon(1600.0)
    assert not quarantine.holds(item(1), 1600.0)
    assert quarantine.must_be_alone(item(1))


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 20), st.data())
def test_whatever_is_fatal_all_else_arrives(fatal: list[bool], in_flight_max: int, data: st.DataObject) -> None:
    """A broker that closes at each fatal item: all others are answered, and the fatal ones are quarantined."""
    topics = data.draw(st.lists(st.sampled_from("abc"), min_size=len(fatal), max_size=len(fatal)))
    items = [item(key, topic) for key, topic in enumerate(topics)]
    quarantine, waiting, now = MessageQuarantine(), list(items), 0.0
    for _ in range(20 * len(items) + 20):
        now += 30.0
        answered = one_connection(quarantine, waiting, in_flight_max, fatal, now)
        waiting = [each for each in waiting if each not in answered]
        if all(fatal[int(each.key)] for each in waiting):
            break
    assert all(fatal[int(each.key)] for each in waiting)


def one_connection(
    quarantine: MessageQuarantine, waiting: list[Item], in_flight_max: int, fatal: list[bool], now: float
) -> set[Item]:
    """Send batches, suspects alone, until the broker closes; return what it answered."""
    table, answered = InFlightTable(), set[Item]()
    while ready := [each for each in waiting if each not in answered and not quarantine.holds(each, now)]:
        free = list(takewhile(lambda each: not quarantine.must_be_alone(each), ready))
        batch = free[:in_flight_max] or ready[:1]
        for number, each in enumerate(batch):
            table.add(Outgoing(each, None), now, number, alone=not free)
        for number, each in enumerate(batch):
            if fatal[int(each.key)]:
                quarantine.blame(table.suspects(now), now)
                return answered
            table.pop(number, now)
            quarantine.clear(each)
            answered.add(each)
    return answered
