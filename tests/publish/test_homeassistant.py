"""Discovery against the rules of Home Assistant's own schema, and what is left after something is removed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.publish import homeassistant as ha
from edgeaudio.publish.announced import announce
from edgeaudio.publish.homeassistant import DeviceEntities, SourceEntities
from edgeaudio.publish.topics import MAX_SLUG_LENGTH, Topics, slugify
from edgeaudio.recognise.types import Message

TOPICS = Topics("edgeaudio", "dock")
DEVICE = DeviceEntities(
    TOPICS,
    "0.1.0",
    (SourceEntities("front-door", ("Dog bark, yip", "smoke_alarm")), SourceEntities("dock", ("siren",))),
    has_temperature=True,
    has_throttling=True,
)

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
    "icon",
}
ALLOWED = {
    "binary_sensor": {"value_template", "device_class"},
    "sensor": {
        *("value_template", "device_class", "unit_of_measurement", "state_class", "options", "json_attributes_topic"),
    },
    "event": {"value_template"},
    "number": {"step", "mode"},
    "switch": set[str](),
    "button": {"device_class"},
}


def payload_of(message: Message) -> dict[str, Any]:
    assert message.retain
    assert message.qos == 1
    value = json.loads(message.payload)
    assert isinstance(value, dict)
    return value


def names() -> st.SearchStrategy[str]:
    return st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=MAX_SLUG_LENGTH)


@st.composite
def devices(draw: st.DrawFn) -> DeviceEntities:
    labels = st.lists(st.text(min_size=1, max_size=20), max_size=4, unique_by=slugify)
    sources = draw(st.lists(names(), max_size=3, unique=True))
    return DeviceEntities(
        Topics("edgeaudio", draw(names())),
        "1.0",
        tuple(SourceEntities(name, tuple(draw(labels))) for name in sources),
        has_temperature=draw(st.booleans()),
        has_throttling=draw(st.booleans()),
    )


def check(device: DeviceEntities, message: Message) -> None:
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", message.topic)
    payload = payload_of(message)
    assert set(payload) == {"dev", "o", "cmps"}  # the root is closed, and nothing in it is inherited
    assert payload["dev"]["identifiers"]
    assert payload["o"]["name"]
    components = payload["cmps"]
    assert len({component["unique_id"] for component in components.values()}) == len(components)
    for key, component in components.items():
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", key)
        platform = component["p"]
        assert set(component) >= REQUIRED[platform] | {"unique_id", "name", "availability"}, key
        assert set(component) <= COMMON | REQUIRED[platform] | ALLOWED[platform], key
        assert re.fullmatch(rf"{platform}\.(?!.*__)[a-z0-9][a-z0-9_]*(?<!_)", component["default_entity_id"])
        assert not component["name"].casefold().startswith(payload["dev"]["name"].casefold())
        assert component["availability_mode"] == "all"
        assert component["availability"][0] == {"topic": device.topics.availability}
        for topic in (value for name, value in component.items() if name.endswith("_topic")):
            assert not set("#+\0") & set(topic)
            assert topic.startswith(device.topics.root + "/")


@given(devices())
def test_every_discovery_keeps_to_the_rules(device: DeviceEntities) -> None:
    check(device, ha.discovery("homeassistant", device, {}))


def test_what_each_source_has() -> None:
    components = payload_of(ha.discovery("homeassistant", DEVICE, {}))["cmps"]
    check(DEVICE, ha.discovery("homeassistant", DEVICE, {}))
    assert {key: component["p"] for key, component in components.items() if key.startswith("front-door_")} == {
        "front-door_event": "event",
        "front-door_last": "sensor",
        "front-door_level": "sensor",
        "front-door_status": "sensor",
        "front-door_lost": "sensor",
        "front-door_enabled": "switch",
        "front-door_label_dog-bark-yip": "binary_sensor",
        "front-door_label_smoke-alarm": "binary_sensor",
        "front-door_threshold_dog-bark-yip": "number",
        "front-door_threshold_smoke-alarm": "number",
    }
    assert {key for key in components if not key.startswith(("front-door_", "dock_"))} == {
        *("restarts", "outbox", "restart", "temperature", "throttled")
    }
    assert "device_class" not in components["front-door_level"]  # there is none for dBFS
    assert components["front-door_event"]["event_types"] == ["Dog bark, yip", "smoke_alarm"]


def test_no_source_can_blank_another() -> None:
    components = payload_of(ha.discovery("homeassistant", DEVICE, {}))["cmps"]
    agent_topics = {TOPICS.availability, TOPICS.health}
    for name, other in (("front-door", "dock"), ("dock", "front-door")):
        for key, component in components.items():
            if key.startswith(f"{name}_"):
                used = {value for field, value in component.items() if field.endswith("_topic")}
                used |= {condition["topic"] for condition in component["availability"]}
                assert all(topic in agent_topics or topic.startswith(f"{TOPICS.root}/{name}/") for topic in used)
                assert not any(topic.startswith(f"{TOPICS.root}/{other}/") for topic in used)


def test_what_the_board_does_not_tell_is_not_announced() -> None:
    bare = replace(DEVICE, has_temperature=False, has_throttling=False)
    assert not {"temperature", "throttled"} & set(ha.components(bare))


@pytest.mark.parametrize(
    ("topic", "payload", "birth"),
    [
        ("homeassistant/status", b"online", True),
        ("homeassistant/status", b"offline", False),
        ("edgeaudio/status", b"online", False),
    ],
)
def test_birth(topic: str, payload: bytes, birth: bool) -> None:
    assert ha.is_birth("homeassistant", topic, payload) is birth


# --- what is no more ---


def retained(device: DeviceEntities) -> list[str]:
    return [TOPICS.health, *(TOPICS.status(source.name) for source in device.sources)]


def test_a_removed_source_and_label_vanish_and_nothing_else_does() -> None:
    first = announce(None, prefix="homeassistant", device=DEVICE, retained=retained(DEVICE))
    assert len(first.messages) == 1
    smaller = replace(DEVICE, sources=(SourceEntities("front-door", ("smoke_alarm",)),))
    second = announce(first.memory, prefix="homeassistant", device=smaller, retained=retained(smaller))
    components = payload_of(second.messages[0])["cmps"]
    gone = {key: component for key, component in components.items() if set(component) == {"p"}}
    assert gone == {
        "front-door_label_dog-bark-yip": {"p": "binary_sensor"},
        "front-door_threshold_dog-bark-yip": {"p": "number"},
        "dock_event": {"p": "event"},
        "dock_last": {"p": "sensor"},
        "dock_level": {"p": "sensor"},
        "dock_status": {"p": "sensor"},
        "dock_lost": {"p": "sensor"},
        "dock_enabled": {"p": "switch"},
        "dock_label_siren": {"p": "binary_sensor"},
        "dock_threshold_siren": {"p": "number"},
    }
    assert set(components) - set(gone) == set(ha.components(smaller))
    assert second.messages[1:] == (Message(TOPICS.status("dock"), b"", qos=1, retain=True),)


def test_removal_is_said_three_times_and_then_forgotten() -> None:
    memory = announce(None, prefix="homeassistant", device=DEVICE, retained=retained(DEVICE)).memory
    smaller = replace(DEVICE, sources=DEVICE.sources[:1])
    counts = []
    for _ in range(5):
        step = announce(memory, prefix="homeassistant", device=smaller, retained=retained(smaller))
        memory = step.memory
        removed = [key for key, value in payload_of(step.messages[0])["cmps"].items() if set(value) == {"p"}]
        counts.append((len(removed), len(step.messages) - 1))
    assert counts == [(8, 1), (8, 1), (8, 1), (0, 0), (0, 0)]


def test_what_comes_back_is_announced_again() -> None:
    memory = announce(None, prefix="homeassistant", device=DEVICE, retained=retained(DEVICE)).memory
    smaller = replace(DEVICE, sources=DEVICE.sources[:1])
    memory = announce(memory, prefix="homeassistant", device=smaller, retained=retained(smaller)).memory
    back = announce(memory, prefix="homeassistant", device=DEVICE, retained=retained(DEVICE))
    assert len(back.messages) == 1
    check(DEVICE, back.messages[0])


def test_discovery_switched_off_and_a_renamed_device_leave_nothing_behind() -> None:
    memory = announce(None, prefix="homeassistant", device=DEVICE, retained=retained(DEVICE)).memory
    topic = ha.discovery_topic("homeassistant", TOPICS)
    off = announce(memory, prefix="homeassistant", device=None, retained=retained(DEVICE))
    assert off.messages == (Message(topic, b"", qos=1, retain=True),)
    renamed = replace(DEVICE, topics=Topics("edgeaudio", "pier"))
    new = announce(memory, prefix="homeassistant", device=renamed, retained=[renamed.topics.health])
    assert new.messages[0].topic == "homeassistant/device/edgeaudio-pier/config"
    assert {message.topic for message in new.messages[1:]} == {topic, *retained(DEVICE)}


@given(
    st.none()
    | st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["components", "removed", "topics", "cleared", "discovery_topic", "a"]), inner
            )
        ),
    ).map(json.dumps)
)
def test_a_memory_that_is_none_does_no_harm(memory: str | None) -> None:
    step = announce(memory, prefix="homeassistant", device=DEVICE, retained=retained(DEVICE))
    components = payload_of(step.messages[0])["cmps"]
    assert {key for key, value in components.items() if set(value) != {"p"}} == set(ha.components(DEVICE))
    announce(step.memory, prefix="homeassistant", device=DEVICE, retained=retained(DEVICE))
