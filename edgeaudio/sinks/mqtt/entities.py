"""The entities that Home Assistant shows of the agent, a source and a label. Pure.

Owns: which entities there are, their names, and how each reads the wire contract.
Does not know: devices and unique ids (homeassistant.py), the messages that announce them (discovery.py), how payloads
are made (messages.py).

Choices, made from Home Assistant's own code and rules:
- A label has entities of its own where it is announced; all labels come as types of the source's event. Thresholds and
  diagnostics are announced, and disabled until a user enables them.
- What is measured at a source (labels, level) is available while the agent *and* the source are; what describes the
  source or commands it (status, seconds lost, thresholds, switch), and what happened (event, last label), while the
  agent is. Each entity has topics of its source only, so that no source can blank another's.
- The event entity reads the detection topic itself, by a template that lets onsets through: the label is the type.
  Those that waited in the outbox come late; their attribute `at` has the time of the sound.
- Levels in dBFS have no device class, since there is none for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from edgeaudio.sinks.mqtt import commands
from edgeaudio.sinks.mqtt.messages import Json
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.slugs import slugify
from edgeaudio.types import SourceState

OTHER_SOUND: Final = "other_sound"
MAX_TYPES_BYTES = 8_000  # of an event's types: a message of discovery has to hold them, and more
MAX_STATE: Final = 255  # characters that Home Assistant takes for a state
_HEARING = [state.value for state in (SourceState.LISTENING, SourceState.SILENT, SourceState.CLIPPING, SourceState.HUM)]
_TYPE = "value_json.label"
_KNOWN_TYPE = f"(value_json.label if value_json.label in this.attributes.event_types else '{OTHER_SOUND}')"
_LAST_LABEL = "{{ value_json.label if value_json.kind == 'onset' else this.state }}"

Component = dict[str, Json]


@dataclass(frozen=True, slots=True)
class LabelEntity:
    """A label that has entities of its own."""

    label: str  # as the models have it
    name: str = ""  # as people read it; empty: the label
    device_class: str = "sound"
    icon: str = ""

    @property
    def shown(self) -> str:
        return self.name or in_sentence_case(self.label)


@dataclass(frozen=True, slots=True)
class SourceEntities:
    """One source, as far as Home Assistant shows it."""

    name: str  # a slug
    labels: tuple[str, ...]  # all that are reported, as the models have them; their slugs differ
    announced: tuple[LabelEntity, ...]  # those with entities of their own
    transcribes: bool = False
    has_members: bool = False  # whether one of its models is fused, whose detections have the members' scores


@dataclass(frozen=True, slots=True)
class AgentEntities:
    """The agent and its sources, as far as Home Assistant shows them."""

    topics: Topics
    version: str
    sources: tuple[SourceEntities, ...]
    has_temperature: bool  # whether the board measures it
    has_throttling: bool  # likewise
    image_type: str | None = None  # content type of the pictures that are published; None: none are
    has_links: bool = False  # whether detections have the address of their view on the dashboard


def in_sentence_case(text: str) -> str:
    """Return a label or a slug as people read it: spaces between words, and the first letter a capital."""
    words = re.sub(r"[_\-\s]+", " ", text).strip() or text
    return words[:1].upper() + words[1:]


def agent_components(agent: AgentEntities) -> dict[str, Component]:
    """Return the agent's entities by their keys."""
    topics = agent.topics
    health: Component = {
        "state_topic": topics.health,
        "entity_category": "diagnostic",
        "enabled_by_default": False,
        **_available(topics),
    }
    found: dict[str, Component] = {
        "restarts": {
            "p": "sensor",
            "name": "Restarts",
            "value_template": "{{ value_json.restarts }}",
            "state_class": "total_increasing",
            "icon": "mdi:restart",
            **health,
        },
        "outbox": {
            "p": "sensor",
            "name": "Detections waiting",
            "value_template": "{{ value_json.outbox.depth }}",
            "state_class": "measurement",
            "icon": "mdi:tray-full",
            **health,
        },
        "restart": {
            "p": "button",
            "name": "Restart",
            "command_topic": topics.restart_set,
            "payload_press": commands.PRESS.decode(),
            "device_class": "restart",
            "entity_category": "config",
            **_available(topics),
        },
    }
    if agent.has_temperature:
        found["temperature"] = {
            "p": "sensor",
            "name": "Temperature",
            "value_template": "{{ value_json.temperature_c }}",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            **health,
        }
    if agent.has_throttling:
        found["throttled"] = {
            "p": "binary_sensor",
            "name": "Throttled",
            "value_template": "{{ 'ON' if value_json.throttled else 'OFF' }}",
            "device_class": "problem",
            **health,
        }
    if topics.shard is None:
        return found
    # the agents of all shards are one device
    index = topics.shard.index
    return {
        f"shard_{index}_{key}": {**component, "name": f"Shard {index}: {component['name']}"}
        for key, component in found.items()
    }


def source_components(agent: AgentEntities, source: SourceEntities) -> dict[str, Component]:
    """Return a source's entities by their keys, those of its labels included."""
    topics, image_type, name = agent.topics, agent.image_type, source.name
    link = ", 'link': value_json.link | default('')" if agent.has_links else ""
    members = ", 'members': value_json.members | default({})" if source.has_members else ""
    types, one_type = _event_types(source)
    found: dict[str, Component] = {
        f"{name}_event": {
            "p": "event",
            "name": "Sound",
            "state_topic": topics.detection(name),
            "event_types": types,
            "value_template": (
                "{% if value_json.kind == 'onset' %}{{ {'event_type': " + one_type + ", 'label': value_json.label, "
                "'id': value_json.id, 'score': value_json.score, 'at': value_json.at, 'model': value_json.model, "
                "'test': value_json.test | default(false)" + members + link + "} | to_json }}{% endif %}"
            ),
            "icon": "mdi:ear-hearing",
            **_available(topics),
        },
        f"{name}_last": {
            "p": "sensor",
            "name": "Last sound",
            "state_topic": topics.detection(name),
            "value_template": _LAST_LABEL,
            "icon": "mdi:history",
            **_available(topics),
        },
        f"{name}_level": {
            "p": "sensor",
            "name": "Level",
            "state_topic": topics.level(name),
            "value_template": "{{ value_json.rms_dbfs }}",
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "icon": "mdi:volume-medium",
            "enabled_by_default": False,
            **_available(topics, name),
        },
        f"{name}_status": {
            "p": "sensor",
            "name": "Status",
            "state_topic": topics.status(name),
            "value_template": "{{ value_json.state }}",
            "device_class": "enum",
            "options": [state.value for state in SourceState],
            "json_attributes_topic": topics.status(name),
            "entity_category": "diagnostic",
            "icon": "mdi:microphone-question",
            **_available(topics),
        },
        f"{name}_lost": {
            "p": "sensor",
            "name": "Time lost",
            "state_topic": topics.health,
            "value_template": "{{ value_json.sources[" + json.dumps(name) + "].lost_s }}",
            "device_class": "duration",
            "unit_of_measurement": "s",
            "state_class": "total_increasing",
            "entity_category": "diagnostic",
            "enabled_by_default": False,
            **_available(topics),
        },
        f"{name}_enabled": {
            "p": "switch",
            "name": "Listening",
            "state_topic": topics.enabled(name),
            "command_topic": topics.enabled_set(name),
            "entity_category": "config",
            "icon": "mdi:microphone",
            **_available(topics),
        },
    }
    if tested := next(iter(source.announced), None):
        found[f"{name}_test"] = {
            "p": "button",
            "name": f"Test: {tested.shown}",
            "command_topic": topics.test_set(name),
            "payload_press": tested.label,
            "entity_category": "diagnostic",
            "icon": "mdi:bell-ring-outline",
            "enabled_by_default": False,
            **_available(topics),
        }
    if image_type is not None:
        found[f"{name}_image"] = {
            "p": "image",
            "name": "Spectrogram",
            "image_topic": topics.image(name),
            "content_type": image_type,
            "json_attributes_topic": topics.image_info(name),
            "icon": "mdi:waveform",
            **_available(topics),
        }
    if source.transcribes:
        found[f"{name}_transcript"] = {
            "p": "sensor",
            "name": "Last sentence",
            "state_topic": topics.transcript(name),
            "value_template": f"{{{{ value_json.text | truncate({MAX_STATE}, true, '…', 0) }}}}",
            "json_attributes_topic": topics.transcript(name),  # with the whole text
            "icon": "mdi:comment-text-outline",
            **_available(topics),
        }
    for label in source.announced:
        found |= _label_components(topics, source.name, label)
    return found


def _label_components(topics: Topics, source: str, label: LabelEntity) -> dict[str, Component]:
    slug = slugify(label.label)
    icon: Component = {"icon": label.icon} if label.icon else {}
    return {
        f"{source}_label_{slug}": {
            "p": "binary_sensor",
            "name": label.shown,
            "state_topic": topics.label(source, label.label),
            "device_class": label.device_class,
            **icon,
            **_available(topics, source),
        },
        f"{source}_threshold_{slug}": {
            "p": "number",
            "name": f"{label.shown} threshold",
            "state_topic": topics.threshold(source, label.label),
            "command_topic": topics.threshold_set(source, label.label),
            # models and settings may have less than a command may set, which would be an error in Home Assistant's log
            "value_template": f"{{{{ [value_json, {commands.MIN_THRESHOLD}] | max }}}}",
            "min": commands.MIN_THRESHOLD,
            "max": commands.MAX_THRESHOLD,
            "step": 0.01,
            "mode": "box",
            "entity_category": "config",
            "icon": "mdi:tune-vertical",
            "enabled_by_default": False,
            **_available(topics),
        },
    }


def _event_types(source: SourceEntities) -> tuple[list[str], str]:
    """Return an event's types (where all are too many, the announced), and the template expression of one."""
    if len(json.dumps(source.labels, ensure_ascii=False).encode()) <= MAX_TYPES_BYTES:
        return list(source.labels), _TYPE
    return [*_bounded(label.label for label in source.announced), OTHER_SOUND], _KNOWN_TYPE


def _bounded(labels: Iterable[str]) -> list[str]:
    found, size = list[str](), 0
    for label in labels:
        size += len(json.dumps(label, ensure_ascii=False).encode()) + 2
        if size > MAX_TYPES_BYTES:
            break
        found.append(label)
    return found


def _available(topics: Topics, source: str | None = None) -> dict[str, Any]:
    conditions = [{"topic": topics.availability}]
    if source is not None:
        template = "{{ 'online' if value_json.state in " + json.dumps(_HEARING) + " else 'offline' }}"
        conditions.append({"topic": topics.status(source), "value_template": template})
    return {"availability": conditions, "availability_mode": "all"}
