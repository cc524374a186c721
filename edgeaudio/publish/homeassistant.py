"""Home Assistant's device discovery: one retained message that describes the agent and all its entities. Pure.

Owns: which entities there are, how each reads the wire contract, and the message that announces them.
Does not know: the payloads' making (messages.py), what was announced before (announced.py), or sending.

Choices, made from Home Assistant's own code and rules:
- What is measured at a source (labels, level) is available while the agent *and* the source are; what tells of the
  source or commands it (status, seconds lost, thresholds, switch), and what happened (event, last label), while the
  agent is. Each entity has topics of its source only, so that no source can blank another's.
- The event entity reads the detection topic itself, by a template that lets onsets through: the label is the type.
  Those that waited in the outbox come late; their attribute `at` has the time of the sound.
- The device's name ends in "(edgeaudio)", so that no entity's name can begin with it, which is not allowed.
- Levels in dBFS have no device class, since there is none for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgeaudio.publish import control
from edgeaudio.publish.messages import Json, encode
from edgeaudio.publish.topics import Topics, slugify
from edgeaudio.recognise.types import Message, SourceState

ONLINE: Final = b"online"
_HEARING = [state.value for state in (SourceState.LISTENING, SourceState.SILENT, SourceState.CLIPPING, SourceState.HUM)]
_ONSETS = (
    "{% if value_json.kind == 'onset' %}"
    "{{ {'event_type': value_json.label, 'id': value_json.id, 'score': value_json.score, 'at': value_json.at, "
    "'model': value_json.model} | to_json }}"
    "{% endif %}"
)
_LAST_LABEL = "{{ value_json.label if value_json.kind == 'onset' else this.state }}"
_NOT_OF_AN_ID = re.compile(r"[^a-z0-9]+")

Component = dict[str, Json]


@dataclass(frozen=True, slots=True)
class SourceEntities:
    """One source, as far as it shows in Home Assistant."""

    name: str  # a slug
    labels: tuple[str, ...]  # as the models have them; their slugs differ


@dataclass(frozen=True, slots=True)
class DeviceEntities:
    """The agent, as far as it shows in Home Assistant."""

    topics: Topics
    version: str
    sources: tuple[SourceEntities, ...]
    has_temperature: bool  # whether the board tells
    has_throttling: bool


def birth_topic(prefix: str) -> str:
    """Name the topic on which Home Assistant says that it has (re)started."""
    return f"{prefix}/status"


def is_birth(prefix: str, topic: str, payload: bytes) -> bool:
    """Tell whether a message is Home Assistant's birth: discovery and states are then to be sent again."""
    return topic == birth_topic(prefix) and payload == ONLINE


def device_id(topics: Topics) -> str:
    """Name the device in Home Assistant: made of base and device, so that it stays when anything else changes."""
    return slugify(topics.root)


def discovery_topic(prefix: str, topics: Topics) -> str:
    """Name the topic of the agent's discovery message."""
    return f"{prefix}/device/{device_id(topics)}/config"


def discovery(prefix: str, device: DeviceEntities, removed: Mapping[str, str]) -> Message:
    """Announce the device; `removed` maps the keys of components that are no more to their platforms."""
    gone: dict[str, Json] = {key: {"p": platform} for key, platform in removed.items()}
    payload: dict[str, Json] = {
        "dev": {
            "identifiers": [device_id(device.topics)],
            "name": f"{device.topics.device} (edgeaudio)",
            "manufacturer": "edgeaudio",
            "model": "acoustic agent",
            "sw_version": device.version,
        },
        "o": {"name": "edgeaudio", "sw_version": device.version},
        "cmps": {**gone, **components(device)},
    }
    return Message(discovery_topic(prefix, device.topics), encode(payload), qos=1, retain=True)


def components(device: DeviceEntities) -> dict[str, Component]:
    """Describe every entity, by a key that is stable and unique within the device."""
    found = _agent(device)
    for source in device.sources:
        found |= _source(device.topics, source)
        for label in source.labels:
            found |= _label(device.topics, source.name, label)
    for key, component in found.items():
        component["unique_id"] = f"{device_id(device.topics)}_{key}"
        component["default_entity_id"] = f"{component['p']}.{_entity_id(f'{device.topics.device}_{key}')}"
        component["qos"] = 1
    return found


def _agent(device: DeviceEntities) -> dict[str, Component]:
    topics = device.topics
    health: Component = {"state_topic": topics.health, "entity_category": "diagnostic", **_available(topics)}
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
            "payload_press": control.PRESS.decode(),
            "device_class": "restart",
            "entity_category": "config",
            **_available(topics),
        },
    }
    if device.has_temperature:
        found["temperature"] = {
            "p": "sensor",
            "name": "Temperature",
            "value_template": "{{ value_json.temperature_c }}",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            **health,
        }
    if device.has_throttling:
        found["throttled"] = {
            "p": "binary_sensor",
            "name": "Throttled",
            "value_template": "{{ 'ON' if value_json.throttled else 'OFF' }}",
            "device_class": "problem",
            **health,
        }
    return found


def _source(topics: Topics, source: SourceEntities) -> dict[str, Component]:
    name, shown = source.name, _shown(source.name)
    return {
        f"{name}_event": {
            "p": "event",
            "name": f"{shown} sound",
            "state_topic": topics.detection(name),
            "event_types": list(source.labels),
            "value_template": _ONSETS,
            "icon": "mdi:ear-hearing",
            **_available(topics),
        },
        f"{name}_last": {
            "p": "sensor",
            "name": f"{shown} last sound",
            "state_topic": topics.detection(name),
            "value_template": _LAST_LABEL,
            "icon": "mdi:history",
            **_available(topics),
        },
        f"{name}_level": {
            "p": "sensor",
            "name": f"{shown} level",
            "state_topic": topics.level(name),
            "value_template": "{{ value_json.rms_dbfs }}",
            "unit_of_measurement": "dBFS",
            "state_class": "measurement",
            "icon": "mdi:volume-medium",
            **_available(topics, name),
        },
        f"{name}_status": {
            "p": "sensor",
            "name": f"{shown} status",
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
            "name": f"{shown} time lost",
            "state_topic": topics.health,
            "value_template": "{{ value_json.sources[" + json.dumps(name) + "].lost_s }}",
            "device_class": "duration",
            "unit_of_measurement": "s",
            "state_class": "total_increasing",
            "entity_category": "diagnostic",
            **_available(topics),
        },
        f"{name}_enabled": {
            "p": "switch",
            "name": f"{shown} listening",
            "state_topic": topics.enabled(name),
            "command_topic": topics.enabled_set(name),
            "entity_category": "config",
            "icon": "mdi:microphone",
            **_available(topics),
        },
    }


def _label(topics: Topics, source: str, label: str) -> dict[str, Component]:
    slug, shown = slugify(label), f"{_shown(source)} {label.replace('_', ' ')}"
    return {
        f"{source}_label_{slug}": {
            "p": "binary_sensor",
            "name": shown,
            "state_topic": topics.label(source, label),
            "device_class": "sound",
            **_available(topics, source),
        },
        f"{source}_threshold_{slug}": {
            "p": "number",
            "name": f"{shown} threshold",
            "state_topic": topics.threshold(source, label),
            "command_topic": topics.threshold_set(source, label),
            # as models and settings may have them, which is more than a command may set: what is out of bounds is an
            # error in Home Assistant's log, and then unknown
            "min": 0,
            "max": 1,
            "step": 0.01,
            "mode": "box",
            "entity_category": "config",
            "icon": "mdi:tune-vertical",
            **_available(topics),
        },
    }


def _available(topics: Topics, source: str | None = None) -> dict[str, Any]:
    conditions = [{"topic": topics.availability}]
    if source is not None:
        template = "{{ 'online' if value_json.state in " + json.dumps(_HEARING) + " else 'offline' }}"
        conditions.append({"topic": topics.status(source), "value_template": template})
    return {"availability": conditions, "availability_mode": "all"}


def _shown(slug: str) -> str:
    return slug.replace("-", " ").strip().capitalize() or slug


def _entity_id(text: str) -> str:
    return _NOT_OF_AN_ID.sub("_", text).strip("_")
