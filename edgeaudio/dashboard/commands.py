"""The commands that a page may send to a device, from what it asks for. Pure.

Owns: which commands there are, their topics and payloads.
Does not know: which values a device takes: it answers that itself. HTTP, MQTT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgeaudio.slugs import is_slug, slugify
from edgeaudio.wire.payloads import LABEL_KINDS, MAX_NAME, CommandAnswer

_MOST: Final = 1e9


class CommandRequestError(ValueError):
    """What is no command; the message says which key is wrong."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command to a device."""

    device: str
    topic: str  # without base and device
    payload: bytes

    def answers(self, answer: CommandAnswer) -> bool:
        """True if that is an answer to this command."""
        return (answer.device, answer.topic) == (self.device, self.topic)


def command_of(asked: Mapping[str, Any]) -> Command:
    """Return the command that a page asks for. Raises CommandRequestError.

    `device`, `source`, `command` and `value`: a number for `threshold`, `snooze` and `cooldown`, of which `label` names
    the label; a boolean for `enabled`. `test` has a label and no value.
    """
    device, source = _name(asked, "device"), _name(asked, "source")
    kind = asked.get("command")
    if kind == "enabled":
        value = asked.get("value")
        if not isinstance(value, bool):
            raise CommandRequestError("value: is neither true nor false")
        return Command(device, f"{source}/enabled/set", b"ON" if value else b"OFF")
    label = _label(asked)
    if kind == "test":
        return Command(device, f"{source}/test/set", label.encode())
    if isinstance(kind, str) and kind in LABEL_KINDS:
        return Command(device, f"{source}/{kind}/{label}/set", _number(asked))
    raise CommandRequestError("command: is none that there is")


def _name(asked: Mapping[str, Any], key: str) -> str:
    name = asked.get(key)
    if not isinstance(name, str) or not is_slug(name):
        raise CommandRequestError(f"{key}: is no name of one")
    return name


def _label(asked: Mapping[str, Any]) -> str:
    """Return the slug of a label, by which its topics name it."""
    label = asked.get("label")
    if not isinstance(label, str) or not label or len(label) > MAX_NAME:
        raise CommandRequestError("label: is no name of one")
    return slugify(label)


def _number(asked: Mapping[str, Any]) -> bytes:
    value = asked.get("value")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST:  # NaN is not within
        return format(value, ".12g").encode()
    raise CommandRequestError("value: is no number from 0 on")


def command_topics(base: str) -> tuple[str, ...]:
    """Return the topic filters of all commands, for access rules."""
    kinds = ("enabled", "threshold/+", "snooze/+", "cooldown/+", "test")
    return tuple(f"{base}/+/+/{kind}/set" for kind in kinds)
