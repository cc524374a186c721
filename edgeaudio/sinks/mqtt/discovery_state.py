"""The entities and retained messages that were announced before, so that what is gone can be removed. Pure.

Owns: the memory of them (a text for the outbox's settings), and which messages bring the broker up to date.
Does not know: which entities and topics there are (entities.py, topics.py), or how anything is sent.

What is retained cannot be read back from the broker, so it is remembered here. A removal is repeated at each of the
next three announcements, in case a broker or Home Assistant was not running.
An earlier version that is installed again announces its own entities, which Home Assistant refuses while the present
ones are there, then clears every topic in `topics`, of discovery too. So the entities are its own from its second
announcement on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.discovery import former_topic, leave_former, place
from edgeaudio.sinks.mqtt.entities import AgentEntities
from edgeaudio.types import Message

_TIMES = 3
_MAX_REMEMBERED = 10_000  # of each kind


@dataclass(slots=True)
class _Memory:
    entities: dict[str, dict[str, str]] = field(default_factory=dict)  # by topic of discovery: key to platform
    # the same, of what was removed, and how often the removal is still to be repeated
    removed: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)
    topics: set[str] = field(default_factory=set)  # retained
    cleared: dict[str, int] = field(default_factory=dict)  # topic to how often still to be repeated
    former_topic: str | None = None  # where an earlier version announced everything, and what that was
    former: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None) -> Self:
        """Parse what `write`, or that of an earlier version, returned; any other text is an empty memory."""
        try:
            values: Any = json.loads(text or "{}")
            former = values.get("discovery_topic")
            gone = values.get("gone", {})
            return cls(
                entities={str(topic): _platforms(keys) for topic, keys in values.get("entities", {}).items()},
                removed={
                    str(topic): {str(key): (str(platform), int(left)) for key, (platform, left) in keys.items()}
                    for topic, keys in gone.items()
                },
                topics={str(topic) for topic in values.get("topics", [])},
                cleared={str(topic): int(left) for topic, left in values.get("cleared", {}).items()},
                former_topic=None if former is None else str(former),
                former=_platforms(values.get("components", {})),
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def without(self, is_elsewhere: Callable[[str], bool]) -> Self:
        """Return the memory without some topics, which are then neither kept nor cleared."""
        return replace(
            self,
            entities={topic: keys for topic, keys in self.entities.items() if not is_elsewhere(topic)},
            removed={topic: keys for topic, keys in self.removed.items() if not is_elsewhere(topic)},
            topics={topic for topic in self.topics if not is_elsewhere(topic)},
            cleared={topic: left for topic, left in self.cleared.items() if not is_elsewhere(topic)},
        )

    def write(self) -> str:
        return json.dumps(
            {
                "entities": self.entities,
                "gone": self.removed,
                "topics": sorted(self.topics)[-_MAX_REMEMBERED:],
                "cleared": dict(list(self.cleared.items())[-_MAX_REMEMBERED:]),
            }
        )


def _platforms(keys: Any) -> dict[str, str]:  # noqa: ANN401 (as it was read)
    return {str(key): str(platform) for key, platform in keys.items()}


@dataclass(frozen=True, slots=True)
class Announcement:
    """The messages to be sent, in order, and the memory for the next announcement."""

    first: tuple[Message, ...]  # one after the other, each acknowledged before the next
    messages: tuple[Message, ...]
    memory: str


def with_topic(memory: str | None, topic: str) -> str:
    """Return the memory with one more retained topic, to be cleared by a later announcement that has it no longer."""
    known = _Memory.read(memory)
    known.topics.add(topic)
    known.cleared.pop(topic, None)
    return known.write()


def announce(
    memory: str | None,
    *,
    prefix: str,
    agent: AgentEntities | None,
    retained: Iterable[str],
    is_elsewhere: Callable[[str], bool] = lambda _topic: False,
) -> Announcement:
    """Return what to send so that exactly the present entities and retained topics are left on the broker.

    `memory`: of the last announcement, None at first; `agent`: None where Home Assistant's discovery is switched off;
    `retained`: every topic on which the agent keeps a retained message now, except those of discovery. `is_elsewhere`:
    whether a topic is about a source that another shard has, which publishes and clears it: it is left as it is.
    """
    old = _Memory.read(memory).without(is_elsewhere)
    new = _Memory(topics=set(retained))
    first: list[Message] = []
    found: list[Message] = []
    if agent is not None:
        before = {topic: dict(keys) for topic, keys in old.entities.items()}
        for topic, keys in old.removed.items():
            before.setdefault(topic, {}).update({key: platform for key, (platform, left) in keys.items() if left > 0})
        for part in place(prefix, agent, before):
            new.entities[part.topic] = {key: str(component["p"]) for key, component in part.components.items()}
            left = old.removed.get(part.topic, {})
            new.removed[part.topic] = {
                key: (before[part.topic][key], left.get(key, ("", _TIMES))[1] - 1) for key in part.gone
            }
            found.append(part.message())
        new.topics |= set(new.entities)
    gone = dict.fromkeys(old.topics | set(old.entities), _TIMES)
    if old.former_topic is not None:
        if agent is not None and old.former_topic == former_topic(prefix, agent.topics):
            here = {key for keys in new.entities.values() for key in keys}
            vanished = {key: platform for key, platform in old.former.items() if key not in here}
            first += leave_former(old.former_topic, agent, vanished)
        else:
            gone[old.former_topic] = _TIMES
    new.cleared = {
        topic: left - 1 for topic, left in (old.cleared | gone).items() if left > 0 and topic not in new.topics
    }
    # entities are removed before the topics that they read
    entities_first = sorted(new.cleared, key=lambda topic: (not topic.endswith("/config"), topic))
    found += [messages.cleared(topic) for topic in entities_first]
    return Announcement(tuple(first), tuple(found), new.write())
