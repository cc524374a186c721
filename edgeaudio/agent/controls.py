"""What others may change in a running agent, and what Home Assistant is told of it.

Owns: carrying out commands, remembering them over restarts, their results, the announcements.
Does not know: how commands arrive, threads, the settings file.

What a command set stays in force until another command: a threshold or a switch moved in Home
Assistant is where it was after a restart, whatever the settings file says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeaudio.agent.listener import Listener
from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.capture.clock import Clock
from edgeaudio.health.machine import Machine
from edgeaudio.publish import messages
from edgeaudio.publish.announced import announce
from edgeaudio.publish.control import Command, CommandError, Restart, SetEnabled, SetThreshold, parse_command
from edgeaudio.publish.homeassistant import DeviceEntities, SourceEntities
from edgeaudio.publish.outbox import Outbox
from edgeaudio.publish.sender import Sender
from edgeaudio.publish.topics import Topics
from edgeaudio.recognise.types import Message
from edgeaudio.version import __version__

log = logging.getLogger(__name__)

ANNOUNCED = "announced"


class Controls:
    """Used by the main thread alone."""

    def __init__(
        self,
        topics: Topics,
        recogniser: Recogniser,
        outbox: Outbox,
        sender: Sender,
        clock: Clock,
        *,
        discovery_prefix: str | None,
        restart: Callable[[], None],
    ) -> None:
        """`discovery_prefix`: None where Home Assistant is not to be told; `restart` ends the agent in good order."""
        self._topics = topics
        self._recogniser = recogniser
        self._outbox = outbox
        self._sender = sender
        self._clock = clock
        self._discovery_prefix = discovery_prefix
        self._restart = restart

    def restore(self, listener: Listener) -> None:
        """Put a new listener where commands had put its source before."""
        kept = self._outbox.settings()
        if (switch := kept.get(_enabled_key(listener.name))) is not None:
            listener.enabled = switch == "1"
        for label in labels_of(listener):
            if (value := kept.get(_threshold_key(listener.name, label))) is not None:
                with self._recogniser.lock:
                    listener.pipeline.set_threshold(label, float(value))

    def announce(self) -> None:
        """Tell Home Assistant what there is, and the broker every switch and threshold; clear what is gone."""
        machine = Machine()
        listeners = self._recogniser.listeners.values()
        states = [self._enabled(listener) for listener in listeners]
        states += [self._threshold(listener, label) for listener in listeners for label in labels_of(listener)]
        device = DeviceEntities(
            topics=self._topics,
            version=__version__,
            sources=tuple(SourceEntities(listener.name, labels_of(listener)) for listener in listeners),
            has_temperature=machine.temperature_c() is not None,
            has_throttling=machine.throttled() is not None,
        )
        retained = [self._topics.availability, self._topics.health, *(state.topic for state in states)]
        retained += [self._topics.status(listener.name) for listener in listeners]
        announcement = announce(
            self._outbox.settings().get(ANNOUNCED),
            prefix=self._discovery_prefix or "",
            device=device if self._discovery_prefix is not None else None,
            retained=retained,
        )
        self._outbox.set_setting(ANNOUNCED, announcement.memory)
        for message in (*announcement.messages, *states):
            self._sender.put(message)
        self._sender.say_again()

    def handle(self, topic: str, payload: bytes) -> None:
        """Carry out a command and publish what became of it."""
        labels = {name: labels_of(listener) for name, listener in self._recogniser.listeners.items()}
        error: str | None = None
        try:
            self._carry_out(parse_command(self._topics, topic, payload, labels))
        except CommandError as refusal:
            error = str(refusal)
            log.warning("command refused: %s", error)
        self._sender.put_transient(messages.command_result(self._topics, topic, self._clock.utc(), error))

    def _carry_out(self, command: Command) -> None:
        log.info("command: %s", command)
        match command:
            case SetThreshold(source, label, value):
                listener = self._recogniser.listeners[source]
                with self._recogniser.lock:
                    listener.pipeline.set_threshold(label, value)
                self._outbox.set_setting(_threshold_key(source, label), repr(value))
                self._sender.put(self._threshold(listener, label))
            case SetEnabled(source, on):
                listener = self._recogniser.listeners[source]
                listener.enabled = on
                self._outbox.set_setting(_enabled_key(source), "1" if on else "0")
                self._sender.put(self._enabled(listener))
            case Restart():
                self._restart()

    def _enabled(self, listener: Listener) -> Message:
        return messages.enabled(self._topics, listener.name, on=listener.enabled)

    def _threshold(self, listener: Listener, label: str) -> Message:
        on = min(table[label].on for table in listener.pipeline.thresholds().values() if label in table)
        return messages.threshold(self._topics, listener.name, label, on)


def labels_of(listener: Listener) -> tuple[str, ...]:
    """Labels and groups that a source's models report, each once."""
    return tuple(dict.fromkeys(label for table in listener.pipeline.thresholds().values() for label in table))


def _enabled_key(source: str) -> str:
    return f"enabled/{source}"


def _threshold_key(source: str, label: str) -> str:
    return f"threshold/{source}/{label}"
