"""What is left on the broker and in Home Assistant after something is removed, or edgeaudio is upgraded."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.discovery_rules import (
    AGENT,
    AGENT_TOPIC,
    PREFIX,
    TOPICS,
    announced,
    check,
    components,
    entities,
    payloads,
)

from edgeaudio.sinks.mqtt.discovery import former_topic, place
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Message


def test_a_removed_source_and_label_vanish_and_nothing_else_does() -> None:
    first = announced(AGENT)
    smaller = replace(AGENT, sources=(entities("front-door", "smoke_alarm"),))
    second = announced(smaller, first.memory)
    found = components(second.messages)
    gone = {key: component for key, component in found.items() if set(component) == {"p"}}
    assert gone == {
        "front-door_label_dog-bark-yip": {"p": "binary_sensor"},
        "front-door_threshold_dog-bark-yip": {"p": "number"},
    }
    assert set(found) - set(gone) == set(components(announced(smaller).messages))
    # entities are removed before the topics that they read
    assert [message.topic for message in second.messages if not message.payload] == [
        "homeassistant/device/edgeaudio-dock/source_dock/config",
        TOPICS.status("dock"),
    ]


def test_a_removal_is_repeated_three_times_and_then_forgotten() -> None:
    memory = announced(AGENT).memory
    smaller = replace(AGENT, sources=(entities("front-door", "smoke_alarm"),))
    counts = []
    for _ in range(5):
        step = announced(smaller, memory)
        memory = step.memory
        removed = [key for key, value in components(step.messages).items() if set(value) == {"p"}]
        counts.append((len(removed), sum(not message.payload for message in step.messages)))
    assert counts == [(2, 2), (2, 2), (2, 2), (0, 0), (0, 0)]


def test_what_comes_back_is_announced_again() -> None:
    memory = announced(replace(AGENT, sources=AGENT.sources[:1]), announced(AGENT).memory).memory
    back = announced(AGENT, memory)
    assert all(message.payload for message in back.messages)
    check(AGENT, back.messages)


def test_discovery_switched_off_and_a_renamed_device_leave_nothing_behind() -> None:
    first = announced(AGENT)
    off = announced(None, first.memory)
    assert {message.topic for message in off.messages} == set(payloads(first.messages))
    assert not any(message.payload for message in off.messages)
    renamed = replace(AGENT, topics=Topics("edgeaudio", "pier"))
    new = announced(renamed, first.memory)
    assert next(iter(payloads(new.messages))) == "homeassistant/device/edgeaudio-pier/agent/config"
    assert {message.topic for message in new.messages if not message.payload} == {
        *(TOPICS.health, TOPICS.status("front-door"), TOPICS.status("dock")),
        *payloads(first.messages),
    }


# --- from the one long message of earlier versions, and back ---

FORMER = {
    "discovery_topic": "homeassistant/device/edgeaudio-dock/config",
    "components": {"restarts": "sensor", "dock_event": "event", "dock_label_thunder": "binary_sensor"},
    "topics": [TOPICS.health],
}


def test_what_earlier_versions_announced_is_migrated_first_and_in_order() -> None:
    step = announced(AGENT, json.dumps(FORMER))
    topic = former_topic(PREFIX, TOPICS)
    assert topic == FORMER["discovery_topic"]
    removal, migration, cleared = step.first
    assert json.loads(removal.payload)["cmps"] == {"dock_label_thunder": {"p": "binary_sensor"}}
    assert migration == Message(topic, b'{"migrate_discovery":true}', qos=1)
    assert cleared == Message(topic, b"", qos=1, retain=True)
    assert topic not in {message.topic for message in step.messages}
    assert announced(AGENT, step.memory).first == ()


def test_an_earlier_version_that_comes_back_knows_what_to_clear() -> None:
    remembered = json.loads(announced(AGENT).memory)
    assert set(payloads(announced(AGENT).messages)) <= set(remembered["topics"])
    assert "discovery_topic" not in remembered


def test_what_another_name_announced_before_is_cleared() -> None:
    step = announced(replace(AGENT, topics=Topics("edgeaudio", "pier")), json.dumps(FORMER))
    assert step.first == ()
    assert Message(str(FORMER["discovery_topic"]), b"", qos=1, retain=True) in step.messages


@given(
    st.none()
    | st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["components", "entities", "gone", "topics", "cleared", "discovery_topic", AGENT_TOPIC, "a"]
                ),
                inner,
            )
        ),
    ).map(json.dumps)
)
def test_a_memory_that_cannot_be_read_is_empty(memory: str | None) -> None:
    step = announced(AGENT, memory)
    found = components(step.messages)
    assert {key for key, value in found.items() if set(value) != {"p"}} == set(components(announced(AGENT).messages))
    announced(AGENT, step.memory)


def test_what_is_removed_takes_room_too() -> None:
    before = {AGENT_TOPIC: {f"gone_{number}": "sensor" for number in range(550)}}
    assert [part.topic for part in place(PREFIX, replace(AGENT, sources=()), before)] == [
        AGENT_TOPIC,
        AGENT_TOPIC.replace("agent", "agent_2"),
    ]
