"""What was announced before, so that what is no more can be taken away: entities, and retained messages. Pure.

Owns: the memory of it (a text for the outbox's settings), and which messages bring the broker from then to now.
Does not know: which entities and topics there are (homeassistant.py, topics.py), or how anything is sent.

Nothing that is retained can be read back from the broker, so it has to be remembered here. What is to be taken away
is said anew at each of the next three announcements, in case a broker or Home Assistant was not there to hear it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from edgeaudio.publish import messages
from edgeaudio.publish.homeassistant import DeviceEntities, components, discovery, discovery_topic
from edgeaudio.recognise.types import Message

_TIMES = 3
_MAX_REMEMBERED = 10_000  # of each kind: a memory, not a leak


@dataclass(slots=True)
class _Memory:
    discovery_topic: str | None = None
    components: dict[str, str] = field(default_factory=dict)  # key to platform
    removed: dict[str, tuple[str, int]] = field(default_factory=dict)  # key to platform and how often still to be said
    topics: set[str] = field(default_factory=set)  # retained
    cleared: dict[str, int] = field(default_factory=dict)  # topic to how often still to be said

    @classmethod
    def read(cls, text: str | None) -> Self:
        """Read what `write` wrote; a text that is anything else is no memory."""
        try:
            values: Any = json.loads(text or "{}")
            return cls(
                discovery_topic=None if values.get("discovery_topic") is None else str(values["discovery_topic"]),
                components={str(key): str(platform) for key, platform in values.get("components", {}).items()},
                removed={str(key): (str(p), int(left)) for key, (p, left) in values.get("removed", {}).items()},
                topics={str(topic) for topic in values.get("topics", [])},
                cleared={str(topic): int(left) for topic, left in values.get("cleared", {}).items()},
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def write(self) -> str:
        return json.dumps(
            {
                "discovery_topic": self.discovery_topic,
                "components": dict(list(self.components.items())[-_MAX_REMEMBERED:]),
                "removed": dict(list(self.removed.items())[-_MAX_REMEMBERED:]),
                "topics": sorted(self.topics)[-_MAX_REMEMBERED:],
                "cleared": dict(list(self.cleared.items())[-_MAX_REMEMBERED:]),
            }
        )


@dataclass(frozen=True, slots=True)
class Announcement:
    """The messages to be sent, in order, and the text to be remembered for the next time."""

    messages: tuple[Message, ...]
    memory: str


def announce(
    memory: str | None, *, prefix: str, device: DeviceEntities | None, retained: Iterable[str]
) -> Announcement:
    """Work out what to send so that exactly the present entities and retained topics are left on the broker.

    `memory`: of the last announcement, None at first; `device`: None where Home Assistant's discovery is switched off;
    `retained`: every topic on which the agent keeps a retained message now, its own discovery aside.
    """
    old = _Memory.read(memory)
    new = _Memory(topics=set(retained))
    found: list[Message] = []
    if device is not None:
        new.discovery_topic = discovery_topic(prefix, device.topics)
        new.components = {key: str(component["p"]) for key, component in components(device).items()}
        if new.discovery_topic == old.discovery_topic:
            removed = old.removed | {key: (platform, _TIMES) for key, platform in old.components.items()}
            new.removed = {
                key: (platform, left - 1)
                for key, (platform, left) in removed.items()
                if left > 0 and key not in new.components
            }
        found.append(discovery(prefix, device, {key: platform for key, (platform, _) in new.removed.items()}))
    gone = dict.fromkeys(old.topics, _TIMES)
    if old.discovery_topic is not None:
        gone[old.discovery_topic] = _TIMES
    kept = new.topics | {new.discovery_topic}
    new.cleared = {topic: left - 1 for topic, left in (old.cleared | gone).items() if left > 0 and topic not in kept}
    found += [messages.cleared(topic) for topic in sorted(new.cleared)]
    return Announcement(tuple(found), new.write())
