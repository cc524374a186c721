"""Commands that come from the broker, parsed and checked. Pure.

Owns: which commands there are, what their payloads may be, and the one line on why one is refused.
Does not know: what a command does (agent/command_handler.py), or how it arrived; retained messages never get here
(sender.py).

    <base>/<device>/<source>/threshold/<label>/set   a number from 0.01 to 1, which is never
    <base>/<device>/<source>/snooze/<label>/set      seconds without events of it, up to a week; 0: no longer
    <base>/<device>/<source>/cooldown/<label>/set    seconds without events after one, up to a day; 0: none
    <base>/<device>/<source>/enabled/set             ON or OFF
    <base>/<device>/<source>/test/set                a label, of which a test detection is to be sent
    <base>/<device>/<source>/live/set                seconds for which a source is watched, up to 60; 0: no longer
    <base>/<device>/<source>/live/audio/set          seconds for which a source is listened to, up to 60; 0: no longer
    <base>/<device>/restart/set                      PRESS; of a centre, all shards take it
    <base>/<device>/_shard/<index>/restart/set       PRESS, for one of them
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from edgeaudio.errors import EdgeaudioError
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.slugs import slugify

MIN_THRESHOLD: Final = 0.01
MAX_THRESHOLD: Final[float] = 1
MAX_LIVE_S: Final = 60
MAX_SNOOZE_S: Final = 604_800  # a week
MAX_COOLDOWN_S: Final = 86_400  # a day
PRESS: Final = b"PRESS"
_MAX_PAYLOAD = 32
_SHOWN = 80
_NUMBER = re.compile(rb"[0-9]{0,6}(\.[0-9]{1,17})?([eE]-?[0-9]{1,2})?")


class CommandError(EdgeaudioError):
    """A command that is refused; one line of bounded length that may be published."""


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """Set the score from which a sound of this label begins."""

    source: str
    label: str  # as the model has it, not as the topic
    value: float


@dataclass(frozen=True, slots=True)
class SetSnooze:
    """Publish no event of this label for so long; 0: publish them again."""

    source: str
    label: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class SetCooldown:
    """Publish no event of this label for so long after each; 0: publish all."""

    source: str
    label: str
    cooldown_s: float


@dataclass(frozen=True, slots=True)
class SetEnabled:
    """Switch a source on or off."""

    source: str
    on: bool


@dataclass(frozen=True, slots=True)
class SendTest:
    """Send a test detection of this label."""

    source: str
    label: str


@dataclass(frozen=True, slots=True)
class SetLive:
    """Publish a source's live columns and scores for this long from now; 0: end that."""

    source: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class SetAudio:
    """Publish a source's live sound for this long from now; 0: end that."""

    source: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Restart:
    """End the process in good order; the service manager starts it again."""


Command = SetThreshold | SetSnooze | SetCooldown | SetEnabled | SendTest | SetLive | SetAudio | Restart


def parse_command(topics: Topics, topic: str, payload: bytes, labels: Mapping[str, Iterable[str]]) -> Command:
    """Parse a command. `labels` maps each source to the labels that have a threshold. Raises CommandError."""
    if topic in {topics.restart_set, topics.restart_all_set}:
        if payload != PRESS:
            raise CommandError(f"restart takes {PRESS.decode()}, not {_shown(payload)}")
        return Restart()
    prefix = f"{topics.root}/"
    match topic.removeprefix(prefix).split("/") if topic.startswith(prefix) else []:
        case [source, "enabled", "set"]:
            _require_source(source, labels)
            if payload not in {b"ON", b"OFF"}:
                raise CommandError(f"enabled takes ON or OFF, not {_shown(payload)}")
            return SetEnabled(source, on=payload == b"ON")
        case [source, "threshold" | "snooze" | "cooldown" as kind, slug, "set"]:
            _require_source(source, labels)
            return _of_label(kind, source, _label(slug, source, labels), payload)
        case [source, "live", "set"]:
            _require_source(source, labels)
            return SetLive(source, _seconds("live", payload, MAX_LIVE_S))
        case [source, "live", "audio", "set"]:
            _require_source(source, labels)
            return SetAudio(source, _seconds("live", payload, MAX_LIVE_S))
        case [source, "test", "set"]:
            return send_test(source, payload.decode("utf-8", "replace"), labels)
    raise CommandError(f"{_shown(topic.encode())} is no command")


def send_test(source: str, label: str, labels: Mapping[str, Iterable[str]]) -> SendTest:
    """Return the command that sends a test detection; the label may be a slug. Raises CommandError."""
    _require_source(source, labels)
    return SendTest(source, label if label in labels[source] else _label(label, source, labels))


def _of_label(kind: str, source: str, label: str, payload: bytes) -> Command:
    if kind == "snooze":
        return SetSnooze(source, label, _seconds(kind, payload, MAX_SNOOZE_S))
    if kind == "cooldown":
        return SetCooldown(source, label, _seconds(kind, payload, MAX_COOLDOWN_S))
    return SetThreshold(source, label, _threshold(payload))


def _label(written: str, source: str, labels: Mapping[str, Iterable[str]]) -> str:
    known = {slugify(label): label for label in labels[source]}
    label = known.get(slugify(written))
    if label is None:
        raise CommandError(
            f"source {source} has no label {_shown(written.encode(errors='replace'))}{_near(slugify(written), known)}"
        )
    return label


def _require_source(source: str, labels: Mapping[str, Iterable[str]]) -> None:
    if source not in labels:
        raise CommandError(f"there is no source {_shown(source.encode(errors='replace'))}{_near(source, labels)}")


def _near(slug: str, known: Iterable[str]) -> str:
    near = get_close_matches(slug[:_SHOWN], known, 1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _threshold(payload: bytes) -> float:
    value = _number(payload)
    if value is None or not MIN_THRESHOLD <= value <= MAX_THRESHOLD:
        raise CommandError(f"a threshold is a number from {MIN_THRESHOLD} to {MAX_THRESHOLD}, not {_shown(payload)}")
    return value


def _seconds(command: str, payload: bytes, most_s: float) -> float:
    value = _number(payload)
    if value is None or value > most_s:
        raise CommandError(f"{command} takes seconds, a number from 0 to {most_s}, not {_shown(payload)}")
    return value


def _number(payload: bytes) -> float | None:
    """Return a number of 0 or more; None for anything else, and for one of too many digits."""
    # only plain numbers: float() itself would take "nan", "1_0", spaces, and digits of other scripts
    if not payload or len(payload) > _MAX_PAYLOAD or not _NUMBER.fullmatch(payload):
        return None
    try:
        return float(payload)
    except ValueError:  # only an exponent
        return None


def _shown(raw: bytes) -> str:
    """Return a text from outside, quoted, printable and of bounded length."""
    text = ascii(raw[:_SHOWN].decode("utf-8", "replace"))[: 2 * _SHOWN]
    return text + "..." if len(raw) > _SHOWN else text
