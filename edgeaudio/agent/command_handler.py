"""Handles `.../set` commands (thresholds, snoozes, switches, tests, ...), and announces their entities.

Owns: the execution of commands, their persistence over restarts, their results, the announcements.
Does not know: how commands arrive, how results and announcements are written, threads, the settings file.

A threshold, cooldown or switch set by a command stays in force until the next command: moved in Home Assistant, it
survives a restart, whatever the settings file says. A snooze survives a restart until its end.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.snooze import Snooze
from edgeaudio.agent.source_worker import SourceWorker
from edgeaudio.clock import Clock
from edgeaudio.health.machine import Machine
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.sinks.mqtt.commands import (
    Command,
    CommandError,
    Restart,
    SendTest,
    SetAudio,
    SetCooldown,
    SetEnabled,
    SetLive,
    SetSnooze,
    SetThreshold,
    parse_command,
    send_test,
)
from edgeaudio.sinks.mqtt.discovery_state import with_topic
from edgeaudio.sinks.mqtt.entities import LabelEntity, SourceEntities
from edgeaudio.sinks.mqtt.sink import MqttSink
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Event, Message

log = logging.getLogger(__name__)

ANNOUNCED = "announced"
TEST_S = 2.0  # duration of a test's sound


@dataclass(frozen=True, slots=True)
class AgentActions:
    """What commands need of the agent."""

    announced: Callable[[str], tuple[LabelEntity, ...]]  # the labels of a source that have entities of their own
    transcribes: Callable[[str], bool]  # True if a source is transcribed
    # lease a source's live view, and its sound, for some seconds; they return why that is refused, or nothing
    watch: Callable[[str, float], str]
    listen: Callable[[str, float], str]
    report: Callable[[], None]  # has the health report published soon
    restart: Callable[[], None]  # ends the agent
    elsewhere: Callable[[], Container[str]] = frozenset  # sources that other shards of the centre have


class CommandHandler:
    """Commands of one agent. Used by the main thread alone."""

    def __init__(
        self,
        topics: Topics,
        recogniser: Recogniser,
        outbox: Outbox,
        sink: MqttSink,
        clock: Clock,
        actions: AgentActions,
    ) -> None:
        self._topics = topics
        self._recogniser = recogniser
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._actions = actions
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
            if (value := kept.get(_cooldown_key(worker.name, label))) is not None:
                with self._recogniser.lock:
                    worker.suppressor.set_cooldown(label, float(value))
            if label not in worker.snoozes and (value := kept.get(_snooze_key(worker.name, label))) is not None:
                snooze = Snooze.restore(value, self._clock.utc(), self._clock.monotonic())
                self._set_snooze(worker, label, snooze)

    def forget(self, sources: Container[str]) -> None:
        """Forget what commands set for sources that another shard has now: it has its own."""
        for key in self._outbox.settings():
            kind, _, rest = key.partition("/")
            if kind in _KEPT_KINDS and rest.partition("/")[0] in sources:
                self._outbox.set_setting(key, None)

    def announce(self) -> None:
        """Publish all that commands may change, and Home Assistant's discovery; clear what is gone."""
        machine = Machine()
        workers = self._recogniser.workers.values()
        states = [self._switch_state(worker) for worker in workers]
        states += [self._threshold_state(worker, label) for worker in workers for label in labels_of(worker)]
        for worker in workers:
            states += [self._snooze_state(worker, label) for label in worker.snoozes]
            states += [self._cooldown_state(worker, label) for label in worker.suppressor.cooldowns_s]
        memory = self._sink.announce(
            [self._entities(worker) for worker in workers],
            states,
            has_temperature=machine.temperature_c() is not None,
            has_throttling=machine.throttled() is not None,
            memory=self._outbox.settings().get(ANNOUNCED),
            elsewhere=self._actions.elsewhere(),
        )
        self._outbox.set_setting(ANNOUNCED, memory)

    def handle(self, topic: str, payload: bytes) -> None:
        """Execute a command and publish its result. One for a source of another shard is left to that shard."""
        shard, source = self._topics.shard, self._topics.source_of(topic)
        is_for_all = topic in {self._topics.restart_set, self._topics.restart_all_set}
        if shard is not None and source is not None and not is_for_all and not shard.owns(source):
            return
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

    def end_snoozes(self) -> None:
        """End the snoozes that are over, and have the others follow the system clock; call it about once a second."""
        for worker in self._recogniser.workers.values():
            for label, snooze in list(worker.snoozes.items()):
                now_s = self._clock.monotonic()
                followed = snooze.followed(self._clock.utc(now_s), now_s)
                if followed.is_over(now_s):
                    self._change_snooze(worker, label, None)
                    log.info("%s: %s is no longer snoozed", worker.name, label, extra={"source": worker.name})
                elif followed.until != snooze.until:
                    self._change_snooze(worker, label, followed)
                elif followed is not snooze:
                    self._set_snooze(worker, label, followed)

    def _labels(self) -> dict[str, tuple[str, ...]]:
        return {name: labels_of(worker) for name, worker in self._recogniser.workers.items()}

    def _execute(self, command: Command) -> None:
        # whoever watches renews the lease again and again
        log.log(logging.DEBUG if isinstance(command, SetLive | SetAudio) else logging.INFO, "command: %s", command)
        match command:
            case SetThreshold(source, label, value):
                worker = self._recogniser.workers[source]
                with self._recogniser.lock:
                    worker.pipeline.set_threshold(label, value)
                    worker.pipeline.withdraw_raised(label)
                self._outbox.set_setting(_threshold_key(source, label), repr(value))
                self._sink.publish(self._threshold_state(worker, label))
            case SetSnooze(source, label, duration_s):
                now_s = self._clock.monotonic()
                begun = Snooze.begin(duration_s, self._clock.utc(now_s), now_s) if duration_s > 0 else None
                self._change_snooze(self._recogniser.workers[source], label, begun)
            case SetCooldown(source, label, cooldown_s):
                worker = self._recogniser.workers[source]
                with self._recogniser.lock:
                    worker.suppressor.set_cooldown(label, cooldown_s)
                self._outbox.set_setting(_cooldown_key(source, label), repr(cooldown_s))
                self._publish_optional(self._cooldown_state(worker, label))
            case SetEnabled(source, on):
                worker = self._recogniser.workers[source]
                worker.enabled = on
                self._outbox.set_setting(_enabled_key(source), "1" if on else "0")
                self._sink.publish(self._switch_state(worker))
            case SendTest(source, label):
                self._begin_test(self._recogniser.workers[source], label)
            case SetLive(source, duration_s) | SetAudio(source, duration_s):
                lease = self._actions.watch if isinstance(command, SetLive) else self._actions.listen
                if refusal := lease(source, duration_s):
                    raise CommandError(refusal)
            case Restart():
                self._actions.restart()

    def _change_snooze(self, worker: SourceWorker, label: str, snooze: Snooze | None) -> None:
        """Begin, change or end a snooze, and publish that."""
        self._set_snooze(worker, label, snooze)
        self._publish_optional(self._snooze_state(worker, label))
        self._actions.report()

    def _set_snooze(self, worker: SourceWorker, label: str, snooze: Snooze | None) -> None:
        if snooze is None:
            worker.snoozes.pop(label, None)
        else:
            worker.snoozes[label] = snooze
        with self._recogniser.lock:
            worker.suppressor.snoozed = frozenset(worker.snoozes)
        stored = None if snooze is None else snooze.stored()
        self._outbox.set_setting(_snooze_key(worker.name, label), stored)

    def _publish_optional(self, state: Message) -> None:
        """Publish a state of which nothing is retained by default."""
        if state.payload:
            self._outbox.set_setting(ANNOUNCED, with_topic(self._outbox.settings().get(ANNOUNCED), state.topic))
        self._sink.publish(state)

    def _begin_test(self, worker: SourceWorker, label: str) -> int:
        model = next(model for model, table in worker.pipeline.thresholds().items() if label in table)
        onset = Event(str(uuid4()), "onset", worker.name, model, label, 1.0, self._clock.utc(), 0.0, test=True)
        number = self._recogniser.commit_test(onset)
        self._tests.append((self._clock.monotonic(), onset))
        return number

    def _entities(self, worker: SourceWorker) -> SourceEntities:
        announced = self._actions.announced(worker.name)
        transcribes = self._actions.transcribes(worker.name)
        return SourceEntities(
            worker.name, labels_of(worker), announced, transcribes, has_members=worker.pipeline.has_members
        )

    def _switch_state(self, worker: SourceWorker) -> Message:
        return self._sink.switch_state(worker.name, on=worker.enabled)

    def _threshold_state(self, worker: SourceWorker, label: str) -> Message:
        on = min(table[label].on for table in worker.pipeline.thresholds().values() if label in table)
        return self._sink.threshold_state(worker.name, label, on)

    def _snooze_state(self, worker: SourceWorker, label: str) -> Message:
        snooze = worker.snoozes.get(label)
        return self._sink.snooze_state(worker.name, label, None if snooze is None else snooze.until)

    def _cooldown_state(self, worker: SourceWorker, label: str) -> Message:
        return self._sink.cooldown_state(worker.name, label, worker.suppressor.cooldowns_s.get(label, 0.0))


def labels_of(worker: SourceWorker) -> tuple[str, ...]:
    """Return the labels and groups that a source's models report, each once."""
    return tuple(dict.fromkeys(label for table in worker.pipeline.thresholds().values() for label in table))


_KEPT_KINDS = frozenset({"enabled", "threshold", "snooze", "cooldown"})


def _enabled_key(source: str) -> str:
    return f"enabled/{source}"


def _threshold_key(source: str, label: str) -> str:
    return f"threshold/{source}/{label}"


def _snooze_key(source: str, label: str) -> str:
    return f"snooze/{source}/{label}"


def _cooldown_key(source: str, label: str) -> str:
    return f"cooldown/{source}/{label}"
