"""The devices that Home Assistant shows: one for the agent, and one for each source. Pure.

Owns: the devices, the unique ids of their entities, and Home Assistant's own topic.
Does not know: the entities' contents (entities.py), the messages that announce them (discovery.py).

- A source is a device of its own, so that it can have an area; `via_device` leads to the agent's.
- The agents of a centre's shards are one device, which each of them announces with entities of its own.
- A device's name ends in a word of its own, so that no entity's name can begin with it, which is not allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edgeaudio.sinks.mqtt.entities import (
    AgentEntities,
    Component,
    agent_components,
    in_sentence_case,
    source_components,
)
from edgeaudio.sinks.mqtt.messages import Json

ONLINE: Final = b"online"
_NOT_OF_AN_ID = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Device:
    """One device."""

    part: str  # of the topics of its messages
    about: dict[str, Json]
    components: dict[str, Component]  # its entities by their keys


def birth_topic(prefix: str) -> str:
    """Return the topic on which Home Assistant publishes `online`, when it has (re)started, and `offline`."""
    return f"{prefix}/status"


def devices(agent: AgentEntities) -> list[Device]:
    """Return all devices, the agent's first: the others refer to it.

    The keys of entities are unique within the agent, and stable: unique ids are made of them.
    """
    topics, own_id = agent.topics, agent.topics.unique_name
    maker: dict[str, Json] = {"manufacturer": "edgeaudio", "sw_version": agent.version}
    found = [
        Device(
            "agent" if topics.shard is None else f"shard_{topics.shard.index}",
            {"identifiers": [own_id], "name": f"{topics.device} (edgeaudio)", "model": "acoustic agent", **maker},
            agent_components(agent),
        )
    ]
    for source in agent.sources:
        about: dict[str, Json] = {
            "identifiers": [f"{own_id}_{source.name}"],
            "name": f"{in_sentence_case(source.name)} audio",
            "model": "audio source",
            "via_device": own_id,
            **maker,
        }
        found.append(Device(f"source_{source.name}", about, source_components(agent, source)))
    for device in found:
        for key, component in device.components.items():
            component["unique_id"] = f"{own_id}_{key}"
            component["default_entity_id"] = f"{component['p']}.{_entity_id(f'{topics.device}_{key}')}"
            component["qos"] = 1
    return found


def _entity_id(text: str) -> str:
    return _NOT_OF_AN_ID.sub("_", text).strip("_")
