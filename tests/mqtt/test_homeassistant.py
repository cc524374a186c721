"""Discovery against the rules of Home Assistant's own schema, and what is left after something is removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.sinks.mqtt.discovery import MAX_BYTES, former_topic, place
from edgeaudio.sinks.mqtt.discovery_state import Announcement, announce
from edgeaudio.sinks.mqtt.entities import (
    OTHER_SOUND,
    AgentEntities,
    LabelEntity,
    SourceEntities,
    in_sentence_case,
)
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.slugs import MAX_SLUG_LENGTH, slugify
from edgeaudio.types import Message

PREFIX = "homeassistant"
TOPICS = Topics("edgeaudio", "dock")
AGENT_TOPIC = f"{PREFIX}/device/edgeaudio-dock/agent/config"
OF_A_SOURCE = {
    **dict.fromkeys(("last", "level", "status", "lost"), "sensor"),
    "event": "event",
    "enabled": "switch",
    "test": "button",
}

# what Home Assistant requires of, and allows to, each platform beyond what is common to all
REQUIRED = {
    "binary_sensor": {"state_topic"},
    "sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "number": {"state_topic", "command_topic", "min", "max"},
    "switch": {"state_topic", "command_topic"},
    "button": {"command_topic", "payload_press"},
}
COMMON = {
    "p",
    "name",
    "unique_id",
    "default_entity_id",
    "qos",
    "availability",
    "availability_mode",
    "entity_category",
    "enabled_by_default",
    "icon",
}
ALLOWED = {
    "binary_sensor": {"value_template", "device_class"},
    "sensor": {
        *("value_template", "device_class", "unit_of_measurement", "state_class", "options", "json_attributes_topic"),
    },
    "event": {"value_template"},
    "number": {"step", "mode", "value_template"},
    "switch": set[str](),
    "button": {"device_class"},
}


def entities(name: str, *labels: str) -> SourceEntities:
    return SourceEntities(name, labels, tuple(LabelEntity(label) for label in labels))


AGENT = AgentEntities(
    TOPICS,
    "0.1.0",
    (entities("front-door", "Dog bark, yip", "smoke_alarm"), entities("dock", "siren")),
    has_temperature=True,
    has_throttling=True,
)


def names() -> st.SearchStrategy[str]:
    return st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=MAX_SLUG_LENGTH)


@st.composite
def agents(draw: st.DrawFn) -> AgentEntities:
    labels = st.lists(st.text(min_size=1, max_size=20), max_size=4, unique_by=slugify)
    sources = draw(st.lists(names(), max_size=3, unique=True))
    return AgentEntities(
        Topics("edgeaudio", draw(names())),
        "1.0",
        tuple(entities(name, *draw(labels)) for name in sources),
        has_temperature=draw(st.booleans()),
        has_throttling=draw(st.booleans()),
    )


def many(count: int, announced: int = 0) -> AgentEntities:
    labels = tuple(f"sound number {number}, of a kind" for number in range(count))
    source = SourceEntities("porch", labels, tuple(LabelEntity(label) for label in labels[:announced]))
    return replace(AGENT, sources=(source,))


def payloads(messages: Iterable[Message]) -> dict[str, dict[str, Any]]:
    """The messages of discovery by topic, without cleared ones."""
    found = {}
    for message in messages:
        assert message.retain
        assert message.qos == 1
        if message.payload:
            found[message.topic] = json.loads(message.payload)
    return found


def components(messages: Iterable[Message]) -> dict[str, Any]:
    """All entities, by their keys."""
    found: dict[str, Any] = {}
    for payload in payloads(messages).values():
        for key, component in payload["cmps"].items():
            assert key not in found or set(found[key]) == {"p"} or set(component) == {"p"}, f"{key} is there twice"
            if set(found.get(key, {"p": ""})) == {"p"}:
                found[key] = component
    return found


def check(agent: AgentEntities, messages: Iterable[Message]) -> None:
    parents = set[str]()
    unique_ids = list[str]()
    for topic, payload in payloads(messages).items():
        assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
        assert set(payload) == {"dev", "o", "cmps"}  # the root is closed, and nothing in it is inherited
        assert payload["o"]["name"]
        about = payload["dev"]
        if "via_device" in about:
            assert about["via_device"] in parents, "a device before the one that it refers to"
        parents |= set(about["identifiers"])
        for key, component in payload["cmps"].items():
            assert re.fullmatch(r"[a-zA-Z0-9_-]+", key)
            platform = component["p"]
            unique_ids.append(component["unique_id"])
            assert set(component) >= REQUIRED[platform] | {"name", "availability"}, key
            assert set(component) <= COMMON | REQUIRED[platform] | ALLOWED[platform], key
            assert re.fullmatch(rf"{platform}\.(?!.*__)[a-z0-9][a-z0-9_]*(?<!_)", component["default_entity_id"])
            assert component["availability_mode"] == "all"
            assert component["availability"][0] == {"topic": agent.topics.availability}
            for used in (value for name, value in component.items() if name.endswith("_topic")):
                assert not set("#+\0") & set(used)
                assert used.startswith(agent.topics.root + "/")
    assert len(unique_ids) == len(set(unique_ids))


def announced(agent: AgentEntities | None, memory: str | None = None) -> Announcement:
    sources = agent.sources if agent else AGENT.sources
    topics = agent.topics if agent else TOPICS
    retained = [topics.health, *(topics.status(source.name) for source in sources)]
    return announce(memory, prefix=PREFIX, agent=agent, retained=retained)


@given(agents())
def test_every_discovery_keeps_to_the_rules(agent: AgentEntities) -> None:
    check(agent, announced(agent).messages)


def test_what_each_source_has() -> None:
    found = payloads(announced(AGENT).messages)
    assert list(found) == [
        AGENT_TOPIC,
        "homeassistant/device/edgeaudio-dock/source_front-door/config",
        "homeassistant/device/edgeaudio-dock/source_dock/config",
    ]
    agent, door, _ = found.values()
    assert agent["dev"]["identifiers"] == ["edgeaudio-dock"]
    assert set(agent["cmps"]) == {"restarts", "outbox", "restart", "temperature", "throttled"}
    assert (door["dev"]["name"], door["dev"]["via_device"]) == ("Front door audio", "edgeaudio-dock")
    assert {key: component["p"] for key, component in door["cmps"].items()} == {
        **{f"front-door_{key}": platform for key, platform in OF_A_SOURCE.items()},
        "front-door_label_dog-bark-yip": "binary_sensor",
        "front-door_label_smoke-alarm": "binary_sensor",
        "front-door_threshold_dog-bark-yip": "number",
        "front-door_threshold_smoke-alarm": "number",
    }
    assert door["cmps"]["front-door_label_smoke-alarm"]["name"] == "Smoke alarm"
    assert "device_class" not in door["cmps"]["front-door_level"]  # there is none for dBFS
    assert door["cmps"]["front-door_event"]["event_types"] == ["Dog bark, yip", "smoke_alarm"]


def test_what_is_enabled_by_default() -> None:
    found = components(announced(AGENT).messages)
    enabled = {key for key, component in found.items() if component.get("enabled_by_default", True)}
    assert {key.removeprefix("front-door_") for key in enabled if key.startswith("front-door_")} == {
        *("event", "last", "status", "enabled", "label_dog-bark-yip", "label_smoke-alarm")
    }


def test_a_label_is_shown_with_the_name_of_its_model() -> None:
    label = LabelEntity("co_alarm", "Carbon monoxide alarm", "carbon_monoxide", "mdi:molecule-co")
    found = components(announced(replace(AGENT, sources=(SourceEntities("hall", ("co_alarm",), (label,)),))).messages)
    sensor = found["hall_label_co-alarm"]
    assert (sensor["name"], sensor["device_class"], sensor["icon"]) == (label.name, label.device_class, label.icon)
    assert found["hall_threshold_co-alarm"]["name"] == "Carbon monoxide alarm threshold"
    assert found["hall_test"]["payload_press"] == "co_alarm"


@pytest.mark.parametrize(
    ("text", "shown"), [("smoke_alarm", "Smoke alarm"), ("front-door", "Front door"), ("Dog", "Dog"), ("__", "__")]
)
def test_names_are_in_sentence_case(text: str, shown: str) -> None:
    assert in_sentence_case(text) == shown


def test_no_source_can_blank_another() -> None:
    agent_topics = {TOPICS.availability, TOPICS.health}
    found = components(announced(AGENT).messages)
    for name, other in (("front-door", "dock"), ("dock", "front-door")):
        for key, component in found.items():
            if key.startswith(f"{name}_"):
                used = {value for field, value in component.items() if field.endswith("_topic")}
                used |= {condition["topic"] for condition in component["availability"]}
                assert all(topic in agent_topics or topic.startswith(f"{TOPICS.root}/{name}/") for topic in used)
                assert not any(topic.startswith(f"{TOPICS.root}/{other}/") for topic in used)


def test_what_the_board_does_not_measure_is_not_announced() -> None:
    bare = replace(AGENT, has_temperature=False, has_throttling=False)
    assert not {"temperature", "throttled"} & set(components(announced(bare).messages))


@pytest.mark.integration  # it takes seconds
@pytest.mark.parametrize("count", [1, 20, 521, 10_000])
@pytest.mark.parametrize("share", [0, 0.1, 1])
def test_no_message_is_long_whatever_the_model(count: int, share: float) -> None:
    agent = many(count, min(600, round(count * share)))
    found = announced(agent).messages
    check(agent, found)
    assert max(len(message.payload) for message in found) <= MAX_BYTES
    event = components(found)["porch_event"]
    everything = list(agent.sources[0].labels)
    assert event["event_types"] == everything or event["event_types"][-1] == OTHER_SOUND


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5))
def test_an_entity_stays_with_its_message_while_others_come_and_go(counts: list[int]) -> None:
    memory: str | None = None
    homes: dict[str, str] = {}
    for count in counts:
        step = announced(many(60, count), memory)
        memory = step.memory
        placed = {key: topic for topic, payload in payloads(step.messages).items() for key in payload["cmps"]
                  if set(payload["cmps"][key]) != {"p"}}  # fmt: skip
        assert all(topic == placed[key] for key, topic in homes.items() if key in placed)
        homes = placed


@given(st.tuples(names(), names()), st.tuples(names(), names()))
def test_no_two_agents_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (one == other) == (Topics(*one).unique_name == Topics(*other).unique_name)


def test_the_names_of_plain_bases_are_what_they_were() -> None:
    assert Topics("edgeaudio", "dock-2").unique_name == "edgeaudio-dock-2"
    likely = ("a-b", "c"), ("a", "b-c"), ("a/b", "c"), ("a.b", "c"), ("A-b", "c"), ("a_b", "c")
    assert len({Topics(*names).unique_name for names in likely}) == len(likely)


# --- what was removed ---


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
