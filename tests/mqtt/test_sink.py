"""The MQTT sink: items of the hub become messages; label states follow the ids of open events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.delivery import TOPICS

from edgeaudio.sinks.mqtt.sink import MqttSink
from edgeaudio.types import Event, Level, LiveColumns, LiveScores, Message, SourceState, SourceStatus

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LABEL = TOPICS.label("porch", "dog")


class Sent:
    """A publisher that keeps what is put."""

    def __init__(self) -> None:
        self.states: list[Message] = []
        self.transient: list[Message] = []
        self.live: list[Message] = []
        self.forgotten: list[str] = []

    def put(self, message: Message, *, ahead: bool = False) -> None:
        self.states.append(message)

    def put_transient(self, message: Message) -> None:
        self.transient.append(message)

    def put_live(self, message: Message) -> None:
        self.live.append(message)

    def forget(self, topic: str) -> None:
        self.forgotten.append(topic)

    def put_first(self, state: Iterable[Message]) -> None:
        self.states.extend(state)

    def schedule_resend_unretained(self) -> None:
        pass

    def of(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.states if message.topic == topic]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def sink(sent: Sent) -> MqttSink:
    sink = MqttSink(TOPICS, sent, discovery_prefix=None)
    sink.add_source("porch", ["dog", "siren"], level_interval_s=2.0)
    return sink


def onset(event_id: str, label: str = "dog", source: str = "porch") -> Event:
    return Event(event_id, "onset", source, "home", label, 0.9, NOW, 1.0)


def offset(event: Event) -> Event:
    return replace(event, kind="offset")


def test_a_new_source_has_every_label_off(sink: MqttSink, sent: Sent):
    assert sent.of(LABEL) == sent.of(TOPICS.label("porch", "siren")) == [b"OFF"]


def test_a_label_is_on_until_the_last_of_its_events_has_ended(sink: MqttSink, sent: Sent):
    first, second = onset("1"), onset("2")  # of two models, for instance
    for event in (first, second, offset(first), offset(second)):
        sink.handle(event)
    assert sent.of(LABEL) == [b"OFF", b"ON", b"ON", b"ON", b"OFF"]


def test_an_offset_without_its_onset_is_off(sink: MqttSink, sent: Sent):
    sink.handle(offset(onset("of an earlier process")))
    assert sent.of(LABEL)[-1] == b"OFF"


def test_labels_of_other_sources_are_their_own(sink: MqttSink, sent: Sent):
    sink.add_source("garden", ["dog"], level_interval_s=1.0)
    sink.handle(onset("1", source="garden"))
    assert sent.of(LABEL) == [b"OFF"]
    assert sent.of(TOPICS.label("garden", "dog")) == [b"OFF", b"ON"]


def test_a_removed_source_that_is_added_again_has_every_label_off(sink: MqttSink, sent: Sent):
    sink.handle(onset("1"))
    sink.remove_source("porch", ["dog", "siren"])
    assert set(sent.forgotten) == {TOPICS.status("porch"), LABEL, TOPICS.label("porch", "siren")}
    sink.add_source("porch", ["dog"], level_interval_s=1.0)
    assert sent.of(LABEL)[-1] == b"OFF"


def test_late_items_of_a_removed_source_are_ignored(sink: MqttSink, sent: Sent):
    sink.remove_source("porch", ["dog", "siren"])
    before = list(sent.states)
    for item in (
        onset("1"),
        SourceStatus("porch", SourceState.LISTENING, NOW),
        Level("porch", NOW, 9.0, -30, -20, 0, 0),
    ):
        sink.handle(item)
    assert (sent.states, sent.transient) == (before, [])


def test_levels_are_gathered_over_the_sources_interval(sink: MqttSink, sent: Sent):
    level = Level("porch", NOW, 1.0, -30.0, -20.0, 0.0, 0.0)
    for _ in range(4):
        sink.handle(level)
    assert len(sent.transient) == 2
    sink.set_level_interval("porch", 1.0)
    sink.handle(level)
    assert len(sent.transient) == 3
    sink.handle(replace(level, source="unknown"))
    assert len(sent.transient) == 3


def test_a_status_is_published_retained(sink: MqttSink, sent: Sent):
    sink.handle(SourceStatus("porch", SourceState.LISTENING, NOW))
    assert sent.states[-1].topic == TOPICS.status("porch")
    assert sent.states[-1].retain


def test_live_items_are_published_apart_from_state_and_of_known_sources_alone(sink: MqttSink, sent: Sent) -> None:
    for source in ("porch", "gone"):
        levels = np.zeros((10, 256), np.uint8)
        sink.handle(LiveColumns(source, 1, 0, NOW, 0.02, 0.0, 4000.0, -127.5, 0.5, follows_gap=False, levels=levels))
        sink.handle(LiveScores(source, "home", NOW, 1.0, {"dog": 0.5}))
    assert [message.topic for message in sent.live] == [TOPICS.live("porch"), TOPICS.scores("porch")]
    assert sent.transient == []
    assert not {TOPICS.live("porch"), TOPICS.scores("porch")} & {message.topic for message in sent.states}
    assert {(message.qos, message.retain) for message in sent.live} == {(0, False)}
