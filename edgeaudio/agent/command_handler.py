"""Handles `.../set` commands (thresholds, switches, tests, live views, restart), and announces their entities.

Owns: the execution of commands, their persistence over restarts, their results, the announcements.
Does not know: how commands arrive, how results and announcements are written, threads, the settings file.

A threshold or switch set by a command stays in force until the next command: moved in Home Assistant, it survives a
restart, whatever the settings file says.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.source_worker import SourceWorker
from edgeaudio.clock import Clock
from edgeaudio.health.machine import Machine
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.live.leases import MAX_SOURCES
from edgeaudio.sinks.mqtt.commands import (
    MAX_LIVE_S,
    Command,
    CommandError,
    Restart,
    SendTest,
    SetEnabled,
    SetLive,
    SetThreshold,
    parse_command,
    send_test,
)
from edgeaudio.sinks.mqtt.entities import LabelEntity, SourceEntities
from edgeaudio.sinks.mqtt.sink import MqttSink
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event, Message

log = logging.getLogger(__name__)

ANNOUNCED = "announced"
TEST_S = 2.0  # duration of a test's sound


class CommandHandler:
    """Commands of one agent. Used by the main thread alone."""

    def __init__(
        self,
        topics: Topics,
        recogniser: Recogniser,
        outbox: Outbox,
        sink: MqttSink,
        clock: Clock,
        *,
        announced: Callable[[str], tuple[LabelEntity, ...]],
        watch: Callable[[str, float], bool],
        restart: Callable[[], None],
    ) -> None:
        """`announced` returns the labels of a source that have entities of their own.

        `watch` leases a source's live view for some seconds, and returns False if too many are leased; `restart` ends
        the agent.
        """
        self._topics = topics
        self._recogniser = recogniser
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._watch = watch
        self._restart = restart
        self._announced = announced
        self._tests: deque[tuple[float, Event]] = deque()  # monotonic seconds, and the onset

    def restore(self, worker: SourceWorker) -> None:
        """Apply to a new worker what commands set for its source."""
        kept = self._outbox.settings()
        if (switch := kept.get(_enabled_key(worker.name))) is not None:
            worker.enabled = switch == "1"
        for label in labels_of(worker):
            if (value := kept.get(_threshold_key(worker.name, label))) is not None:
                with self._recogniser.lock:
                    worker.pipeline.set_threshold(label, float(value))

    def announce(self) -> None:
        """Publish every switch and threshold, and Home Assistant's discovery; clear what is gone."""
        machine = Machine()
        workers = self._recogniser.workers.values()
        states = [self._switch_state(worker) for worker in workers]
        states += [self._threshold_state(worker, label) for worker in workers for label in labels_of(worker)]
        memory = self._sink.announce(
            [SourceEntities(worker.name, labels_of(worker), self._announced(worker.name)) for worker in workers],
            states,
            has_temperature=machine.temperature_c() is not None,
            has_throttling=machine.throttled() is not None,
            memory=self._outbox.settings().get(ANNOUNCED),
        )
        self._outbox.set_setting(ANNOUNCED, memory)

    def handle(self, topic: str, payload: bytes) -> None:
        """Execute a command and publish its result."""
        error: str | None = None
        try:
            self._execute(parse_command(self._topics, topic, payload, self._labels()))
        except CommandError as refusal:
            error = str(refusal)
            log.warning("command refused: %s", error)
        self._sink.publish_command_result(topic, self._clock.utc(), error)

    def send_test(self, source: str, label: str) -> int:
        """Commit a test detection of a label, given by name or slug. Return its number in the outbox.

        Raises CommandError.
        """
        command = send_test(source, label, self._labels())
        log.info("command: %s", command)
        return self._begin_test(self._recogniser.workers[command.source], command.label)

    def end_tests(self, now_s: float) -> None:
        """Commit the offsets of tests that have lasted TEST_S; call it about once a second."""
        while self._tests and now_s - self._tests[0][0] >= TEST_S:
            _, onset = self._tests.popleft()
            at = onset.at + timedelta(seconds=TEST_S)
            self._recogniser.commit_test(replace(onset, kind="offset", at=at, duration_s=TEST_S))

    def _labels(self) -> dict[str, tuple[str, ...]]:
        return {name: labels_of(worker) for name, worker in self._recogniser.workers.items()}

    def _execute(self, command: Command) -> None:
        # whoever watches renews the lease again and again
        log.log(logging.DEBUG if isinstance(command, SetLive) else logging.INFO, "command: %s", command)
        match command:
            case SetThreshold(source, label, value):
                worker = self._recogniser.workers[source]
                with self._recogniser.lock:
                    worker.pipeline.set_threshold(label, value)
                self._outbox.set_setting(_threshold_key(source, label), repr(value))
                self._sink.publish(self._threshold_state(worker, label))
            case SetEnabled(source, on):
                worker = self._recogniser.workers[source]
                worker.enabled = on
                self._outbox.set_setting(_enabled_key(source), "1" if on else "0")
                self._sink.publish(self._switch_state(worker))
            case SendTest(source, label):
                self._begin_test(self._recogniser.workers[source], label)
            case SetLive(source, duration_s):
                if not self._watch(source, duration_s):
                    raise CommandError(
                        f"{MAX_SOURCES} other sources are watched live, and no more may be: wait up to {MAX_LIVE_S} s, "
                        "or end one with 0"
                    )
            case Restart():
                self._restart()

    def _begin_test(self, worker: SourceWorker, label: str) -> int:
        model = next(model for model, table in worker.pipeline.thresholds().items() if label in table)
        onset = Event(str(uuid4()), "onset", worker.name, model, label, 1.0, self._clock.utc(), 0.0, test=True)
        number = self._recogniser.commit_test(onset)
        self._tests.append((self._clock.monotonic(), onset))
        return number

    def _switch_state(self, worker: SourceWorker) -> Message:
        return self._sink.switch_state(worker.name, on=worker.enabled)

    def _threshold_state(self, worker: SourceWorker, label: str) -> Message:
        on = min(table[label].on for table in worker.pipeline.thresholds().values() if label in table)
        return self._sink.threshold_state(worker.name, label, on)


def labels_of(worker: SourceWorker) -> tuple[str, ...]:
    """Return the labels and groups that a source's models report, each once."""
    return tuple(dict.fromkeys(label for table in worker.pipeline.thresholds().values() for label in table))


def _enabled_key(source: str) -> str:
    return f"enabled/{source}"


def _threshold_key(source: str, label: str) -> str:
    return f"threshold/{source}/{label}"
