"""The part of the wire contract that commands change: switches, thresholds, snoozes and cooldowns, read.

Owns: their topics, and the bounds of their values.
Does not know: other topics (wire/payloads.py), which commands there are (commands.py). Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from edgeaudio.slugs import is_slug
from edgeaudio.wire.payload_fields import WireError, parse_time

MAX_VALUE: Final = 32  # bytes
_NUMBER: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,17})?([eE]-?[0-9]{1,2})?")
_MOST: Final = 1e9


@dataclass(frozen=True, slots=True)
class Enabled:
    """Whether a source is switched on; None: that is no longer published."""

    device: str
    source: str
    on: bool | None


@dataclass(frozen=True, slots=True)
class LabelSetting:
    """What is in force for a label of a source; None: nothing is retained of it."""

    device: str
    source: str
    label: str  # a slug
    kind: Literal["threshold", "snooze", "cooldown"]
    value: float | datetime | None  # a time for a snooze, else a number


Setting: TypeAlias = Enabled | LabelSetting


def setting_filters(base: str, device: str, source: str) -> tuple[str, ...]:
    """Return the topic filters of what commands may change at a source."""
    at = f"{base}/{device}/{source}"
    return f"{at}/enabled", f"{at}/threshold/+", f"{at}/snooze/+", f"{at}/cooldown/+"


def answer_topic(base: str, device: str) -> str:
    """Return the topic of a device's answers to commands."""
    return f"{base}/{device}/command"


def parse_setting(base: str, topic: str, payload: bytes) -> Setting | None:
    """Return what a message says; None: it is of another topic. Raises WireError."""
    levels = topic.removeprefix(f"{base}/").split("/")
    if not topic.startswith(f"{base}/") or not all(map(is_slug, levels)):
        return None
    match levels:
        case [device, source, "enabled"]:
            if payload not in {b"ON", b"OFF", b""}:
                raise WireError("is neither ON nor OFF")
            return Enabled(device, source, payload == b"ON" if payload else None)
        case [device, source, "threshold" | "cooldown" as kind, label]:
            return LabelSetting(device, source, label, kind, _number(_text(payload), kind) if payload else None)
        case [device, source, "snooze", label]:
            return LabelSetting(
                device, source, label, "snooze", parse_time(_text(payload), "snooze") if payload else None
            )
        case _:
            return None


def _text(payload: bytes) -> str:
    if len(payload) > MAX_VALUE or not payload.isascii():
        raise WireError("is no short text")
    return payload.decode()


def _number(text: str, kind: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else _MOST
    if value >= _MOST:
        raise WireError(f"{kind}: is no number from 0 on")
    return value
