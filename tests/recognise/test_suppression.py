"""Which events are withheld: an example of each rule, and what holds for any events, snoozes and cooldowns."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.recognise.suppression import Suppression, Suppressor
from edgeaudio.types import Event

AT = datetime(2026, 1, 1, tzinfo=UTC)


def onset(number: int = 1, label: str = "dog") -> Event:
    return Event(f"e{number}", "onset", "porch", "home", label, 0.9, AT, 0.5)


def offset(number: int = 1, label: str = "dog") -> Event:
    return replace(onset(number, label), kind="offset")


def test_without_snooze_and_cooldown_everything_is_published():
    suppressor = Suppressor({"dog": 0.0})
    for number in range(3):
        assert suppressor.withhold(onset(number), 1.0) is None
        assert suppressor.withhold(offset(number), 1.0) is None
    assert suppressor.counts == {Suppression.SNOOZE: 0, Suppression.COOLDOWN: 0}
    assert suppressor.cooldowns_s == {}


def test_an_event_of_a_snoozed_label_is_withheld_as_a_whole():
    suppressor = Suppressor({})
    suppressor.snoozed = frozenset({"dog"})
    assert suppressor.withhold(onset(), 1.0) is Suppression.SNOOZE
    assert suppressor.withhold(onset(2, "cat"), 1.0) is None
    assert suppressor.released(2.0) == []
    assert suppressor.withhold(offset(), 3.0) is Suppression.SNOOZE
    suppressor.snoozed = frozenset()
    assert suppressor.released(4.0) == []  # it has ended
    assert suppressor.counts == {Suppression.SNOOZE: 1, Suppression.COOLDOWN: 0}


def test_a_published_event_gets_its_offset_though_its_label_is_snoozed_meanwhile():
    suppressor = Suppressor({})
    assert suppressor.withhold(onset(), 1.0) is None
    suppressor.snoozed = frozenset({"dog"})
    assert suppressor.withhold(offset(), 2.0) is None


def test_a_sound_that_outlasts_its_snooze_is_published_then_with_its_end():
    suppressor = Suppressor({})
    suppressor.snoozed = frozenset({"dog"})
    suppressor.withhold(onset(), 1.0)
    suppressor.snoozed = frozenset()
    assert suppressor.released(2.0) == [onset()]
    assert suppressor.released(2.0) == []
    assert suppressor.withhold(offset(), 3.0) is None


def test_a_cooldown_begins_with_the_end_of_an_event_and_is_not_extended_by_what_it_withholds():
    suppressor = Suppressor({"dog": 10.0})
    assert suppressor.withhold(onset(1), 0.0) is None
    assert suppressor.withhold(onset(2), 1.0) is None  # of another model: nothing has ended yet
    assert suppressor.withhold(offset(1), 2.0) is None
    assert suppressor.withhold(offset(2), 3.0) is None
    assert suppressor.withhold(onset(3), 12.9) is Suppression.COOLDOWN
    assert suppressor.withhold(onset(4, "cat"), 12.9) is None
    assert suppressor.withhold(offset(3), 12.95) is Suppression.COOLDOWN
    assert suppressor.withhold(onset(5), 13.0) is None
    assert suppressor.counts == {Suppression.SNOOZE: 0, Suppression.COOLDOWN: 1}


def test_a_sound_that_outlasts_its_cooldown_is_published_then():
    suppressor = Suppressor({"dog": 10.0})
    suppressor.withhold(onset(1), 0.0)
    suppressor.withhold(offset(1), 1.0)
    suppressor.withhold(onset(2), 5.0)
    assert suppressor.released(10.9) == []
    assert suppressor.released(11.0) == [onset(2)]


def test_a_changed_cooldown_holds_for_one_that_is_running():
    suppressor = Suppressor({"dog": 100.0, "cat": 100.0})
    for label, number in {"dog": 1, "cat": 2}.items():
        suppressor.withhold(onset(number, label), 0.0)
        suppressor.withhold(offset(number, label), 0.0)
    suppressor.set_cooldown("dog", 0.0)
    assert suppressor.withhold(onset(3), 1.0) is None
    suppressor.replace_cooldowns({"cat": 5.0})
    assert suppressor.cooldowns_s == {"cat": 5.0}
    assert suppressor.withhold(onset(4, "cat"), 4.0) is Suppression.COOLDOWN
    assert suppressor.withhold(onset(5, "cat"), 5.0) is None


def test_withheld_events_of_a_detector_that_was_reset_are_not_published():
    suppressor = Suppressor({})
    suppressor.snoozed = frozenset({"dog"})
    suppressor.withhold(onset(), 1.0)
    suppressor.forget_withheld()
    suppressor.snoozed = frozenset()
    assert suppressor.released(2.0) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.sampled_from(["dog", "cat"])),
        st.tuples(st.just("snooze"), st.frozensets(st.sampled_from(["dog", "cat"]))),
        st.tuples(st.just("cooldown"), st.sampled_from(["dog", "cat"]), st.sampled_from([0.0, 2.0, 5.0])),
        st.tuples(st.just("release")),
    ),
    max_size=40,
)


@given(STEPS)
def test_each_onset_comes_once_and_with_its_offset_and_none_of_a_snoozed_label(steps):
    suppressor = Suppressor({})
    begun: dict[str, Event] = {}  # by label
    published: list[Event] = []
    onsets = 0
    for now_s, step in enumerate(steps):
        match step:
            case ("event", label):
                if label in begun:
                    event = replace(begun.pop(label), kind="offset")
                else:
                    event = begun[label] = onset(now_s, label)
                    onsets += 1
                if suppressor.withhold(event, float(now_s)) is None:
                    assert event.kind == "offset" or label not in suppressor.snoozed
                    published.append(event)
            case ("snooze", labels):
                suppressor.snoozed = labels
            case ("cooldown", label, seconds):
                suppressor.set_cooldown(label, seconds)
            case _:
                released = suppressor.released(float(now_s))
                assert all(begun[event.label] == event and event.label not in suppressor.snoozed for event in released)
                published += released
    heard = [event.id for event in published if event.kind == "onset"]
    assert len(set(heard)) == len(heard)
    ended = [event.id for event in published if event.kind == "offset"]
    assert ended == [event_id for event_id in ended if event_id in heard]
    assert set(heard) - set(ended) <= {event.id for event in begun.values()}
    # whatever is not published was counted, and is still known if it lasts
    assert onsets - len(heard) <= sum(suppressor.counts.values())
    suppressor.snoozed = frozenset()
    last = suppressor.released(1e9)
    assert {event.id for event in last} == {event.id for event in begun.values()} - set(heard)
