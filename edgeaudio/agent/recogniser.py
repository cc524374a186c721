"""The recogniser's thread: takes Blocks, has them recognised, commits the events, tells the states.

Owns: the loop, the order "commit, then tell", which labels are said to be sounding, and that an exception in
one source's recognition ends its connection alone. What a model raises concerns all of them, and passes through.
Does not know: connections, commands, how long anything may take.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from edgeaudio.agent.backlog import Backlog, Ended
from edgeaudio.agent.source_worker import SourceWorker
from edgeaudio.health.timings import ModelFailedError
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.recognise.pipeline import Result
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.sender import Sender
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Block, Event, Level, SourceStatus

log = logging.getLogger(__name__)

TAKE_S = 0.5
FINAL_DRAIN_S = 0.3


class Recogniser:
    """All sources' recognition, in one thread. Others hold `lock` while they change `workers` or a pipeline."""

    def __init__(
        self,
        backlog: Backlog,
        outbox: Outbox,
        sender: Sender,
        topics: Topics,
        on_status: Callable[[SourceStatus], None],
    ) -> None:
        self.lock = threading.RLock()
        self.workers: dict[str, SourceWorker] = {}
        self.last_moved_s = time.monotonic()
        self._backlog = backlog
        self._outbox = outbox
        self._sender = sender
        self._topics = topics
        self._on_status = on_status
        self._failed: set[str] = set()  # sources whose blocks no longer count, until their connection has ended

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            self.last_moved_s = time.monotonic()
            items = self._backlog.take(TAKE_S)
            with self.lock:
                events: list[Event] = []
                for item in items:
                    # a source that was removed may still have something under way
                    if worker := self.workers.get(item.source):
                        self._recognise(item, worker, events)
                self._commit(events)

    def close_stale_events(self) -> None:
        """End the events that an earlier process left open."""
        ended = []
        for event_id, text in self._outbox.open_events().items():
            try:
                ended.append(messages.interrupted(messages.restore_event(text)))
            except (ValueError, KeyError, TypeError):
                log.exception("the outbox holds an open event that cannot be read; it is forgotten")
                self._outbox.add([], closed=[event_id])
        if ended:
            log.info("%d events that were sounding at the last stop are ended", len(ended))
        with self.lock:
            self._commit(ended)

    def end_all(self) -> None:
        """End what still sounds: the agent stops. If the recogniser is stuck, that is left to the next start."""
        if not self.lock.acquire(timeout=FINAL_DRAIN_S):
            log.error("the recogniser does not let go: what sounds now is ended at the next start")
            return
        try:
            for worker in self.workers.values():
                self.end(worker)
        finally:
            self.lock.release()

    def end(self, worker: SourceWorker) -> None:
        """End what still sounds of one source."""
        with self.lock:
            events: list[Event] = []
            self._recognise(Ended(worker.name), worker, events)
            self._commit(events)

    def commit_test(self, event: Event) -> int:
        """Commit an event of a test, as if it had been heard. Return its number in the outbox."""
        with self.lock:
            return self._commit([event])

    def publish_label_states(self, worker: SourceWorker) -> None:
        """Say of each label of a source whether it sounds now."""
        sounding = {event.label for event in worker.pipeline.active()}
        for thresholds in worker.pipeline.thresholds().values():
            for label in thresholds:
                self._sender.put(messages.label_state(self._topics, worker.name, label, on=label in sounding))

    def _recognise(self, item: Block | Ended, worker: SourceWorker, events: list[Event]) -> None:
        """Have one source's pipeline take one thing; its events are added to `events`, to be committed."""
        if isinstance(item, Ended):
            self._failed.discard(worker.name)
        elif worker.name in self._failed:
            self._backlog.count_dropped(item)
            return
        outcomes = _outcomes(item, worker)
        failure: Exception | None = None
        while failure is None:
            try:
                outcome = next(outcomes, None)
            except ModelFailedError:
                raise
            except Exception as error:  # noqa: BLE001 (logged, and told as this source's state)
                failure = error
            else:
                if outcome is None:
                    return
                self._pass_on(outcome, worker, events)
        self._commit(events)
        events[:] = self._abort(worker, failure)
        if not isinstance(item, Ended):
            self._failed.add(worker.name)
            self._backlog.count_dropped(item)

    def _pass_on(self, outcome: Event | Level | SourceStatus, worker: SourceWorker, events: list[Event]) -> None:
        match outcome:
            case Event():
                events.append(outcome)
                worker.events += outcome.kind == "onset"
            case SourceStatus():
                self._on_status(outcome)
            case Level():
                self._sender.put_transient(messages.level(self._topics, outcome))

    def _abort(self, worker: SourceWorker, failure: Exception) -> list[Event]:
        """End a source's connection, and begin its recognition anew; returns the ends of what sounded."""
        try:
            ended = {event.id: event for event in worker.pipeline.end()}
        except Exception:
            log.debug("source %s: its recognition cannot be ended in good order either", worker.name, exc_info=True)
            ended = {}
        worker.renew_pipeline()
        worker.fail(failure)
        # what is on the disk is what has been told of: of a pipeline in disorder, nothing else counts
        return [
            ended.get(event_id) or messages.interrupted(onset)
            for event_id, text in self._outbox.open_events().items()
            if (onset := messages.restore_event(text)).source == worker.name
        ]

    def _commit(self, events: list[Event]) -> int:
        """Put events into the outbox. Return the number of the last one there, 0 for none."""
        if not events:
            return 0
        epoch, first = self._outbox.number(len(events))
        last = self._outbox.add(
            [
                messages.detection(self._topics, event, seq_epoch=epoch, seq=seq)
                for seq, event in enumerate(events, first)
            ],
            # the sound of a test ends with the process; and earlier versions cannot read one that is open
            opened={
                event.id: messages.store_event(event) for event in events if event.kind == "onset" and not event.test
            },
            closed=[event.id for event in events if event.kind == "offset"],
        )
        for event in events:
            # what is on the disk is promised: the proofs in tests/chaos hold the broker to these lines
            log.debug("committed %s %s", event.kind, event.id)
            worker = self.workers.get(event.source)
            sounding = worker.pipeline.active() if worker else []
            on = any(other.label == event.label for other in sounding) or (event.test and event.kind == "onset")
            self._sender.put(messages.label_state(self._topics, event.source, event.label, on=on))
            test = ", a test" if event.test else ""
            log.info("%s: %s %s, score %.2f%s", event.source, event.label, event.kind, event.score, test)
        return last


def _outcomes(item: Block | Ended, worker: SourceWorker) -> Iterator[Event | Level | SourceStatus]:
    """What one thing brings: events, and the levels and changes of state that are to be told."""
    results: Iterator[Result]
    if isinstance(item, Block):
        results = worker.pipeline.feed(item)
    else:
        results = worker.pipeline.flush() if item.complete else worker.pipeline.end()
    for result in results:
        if isinstance(result, Event):
            yield result
        elif isinstance(result, Level):
            if news := worker.health.level(result):
                yield news
            if level := worker.digest.add(result):
                yield level
