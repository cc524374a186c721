"""Home Assistant's device discovery: the retained messages that announce devices, none of them long. Pure.

Owns: which entity is announced by which message, the messages, and the migration from the one long message of earlier
versions.
Does not know: which entities there are (entities.py), what is remembered between runs (discovery_state.py), or sending.

Brokers may bound packets, so a device with many entities is announced by several messages of the same device:

    <prefix>/device/<device id>/agent/config            the agent
    <prefix>/device/<device id>/shard_<index>/config    in its place, the agent of a centre's shard
    <prefix>/device/<device id>/source_<source>/config  a source; then source_<source>_2 and so on

An entity stays with the message that announced it first: one that moves is, until it is gone from the other, a second
one of the same unique id, which Home Assistant refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Final

from edgeaudio.sinks.mqtt.entities import AgentEntities, Component
from edgeaudio.sinks.mqtt.homeassistant import Device, devices
from edgeaudio.sinks.mqtt.messages import Json, encode
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Message

MAX_BYTES: Final = 16_000  # of a message, so that it fits with its topic into a packet of 16 KB
Keys = Mapping[str, str]  # entities' keys to their platforms


@dataclass(slots=True)
class DiscoveryPart:
    """One message of discovery: a device, and some of its entities."""

    topic: str
    device: Device
    version: str
    gone: dict[str, Json]  # entities that it announced, and that were removed
    components: dict[str, Component] = field(default_factory=dict)
    size: int = field(init=False)  # bytes, about

    def __post_init__(self) -> None:
        self.size = len(encode(self._payload()))

    def add(self, key: str, component: Component) -> bool:
        """Add an entity if the message stays short with it, or has none yet; return whether it was added."""
        size = self.size + len(encode({key: component}))
        if self.components and size > MAX_BYTES:
            return False
        self.components[key] = component
        self.size = size
        return True

    def message(self) -> Message:
        return Message(self.topic, encode(self._payload()), qos=1, retain=True)

    def _payload(self) -> dict[str, Json]:
        return {
            "dev": self.device.about,
            "o": {"name": "edgeaudio", "sw_version": self.version},
            "cmps": {**self.gone, **self.components},
        }


def place(prefix: str, agent: AgentEntities, before: Mapping[str, Keys]) -> list[DiscoveryPart]:
    """Distribute all entities over messages, the agent's first.

    `before`: what each topic announced, and has not removed often enough; of that, what is gone is removed.
    """
    found: list[DiscoveryPart] = []
    homes = {key: topic for topic, keys in before.items() for key in keys}
    for device in devices(agent):
        stem = f"{prefix}/device/{agent.topics.unique_name}/{device.part}"
        parts: dict[str, DiscoveryPart] = {}
        for key in sorted(device.components, key=lambda key: key not in homes):  # those that have a message keep it
            home = homes.get(key, "")
            numbered = (f"{stem}{'' if number == 1 else f'_{number}'}/config" for number in count(1))
            for topic in chain([home] if _is_of(home, stem) else [], numbered):
                if topic not in parts:
                    parts[topic] = DiscoveryPart(
                        topic, device, agent.version, _gone(before.get(topic, {}), device.components)
                    )
                if parts[topic].add(key, device.components[key]):
                    break
        for part in parts.values():
            part.gone = _gone(before.get(part.topic, {}), part.components)
        found += sorted(parts.values(), key=lambda part: (len(part.topic), part.topic))
    return found


def _is_of(topic: str, stem: str) -> bool:
    return re.fullmatch(rf"{re.escape(stem)}(_[0-9]+)?/config", topic) is not None


def _gone(before: Keys, components: Mapping[str, Component]) -> dict[str, Json]:
    return {key: {"p": platform} for key, platform in before.items() if key not in components}


def former_topic(prefix: str, topics: Topics) -> str:
    """Return the topic on which earlier versions announced the agent and all its sources as one device."""
    return f"{prefix}/device/{topics.unique_name}/config"


def leave_former(topic: str, agent: AgentEntities, gone: Keys) -> list[Message]:
    """Return the messages that remove what earlier versions announced, and keep users' changes of what stays.

    They are sent in this order, before the entities are announced anew.
    """
    removal = DiscoveryPart(
        topic, devices(agent)[0], agent.version, {key: {"p": platform} for key, platform in gone.items()}
    )
    return [
        *([removal.message()] if gone else []),
        Message(topic, encode({"migrate_discovery": True}), qos=1),
        Message(topic, b"", qos=1, retain=True),
    ]
