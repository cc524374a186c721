"""Home Assistant's rules for discovery, and agents that are announced by them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from edgeaudio.sinks.mqtt.discovery_state import Announcement, announce
from edgeaudio.sinks.mqtt.entities import (
    AgentEntities,
    LabelEntity,
    SourceEntities,
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
    "image": {"image_topic"},
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
    "image": {"content_type", "json_attributes_topic"},
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
        image_type=draw(st.sampled_from([None, "image/jpeg"])),
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
