"""The recogniser's thread: takes Blocks, runs their pipelines, commits the events, then publishes the results.

Owns: the loop, the order "withhold, commit, publish", and that an exception in one source's recognition ends its
connection alone. An exception of a model concerns all sources, and passes.
Does not know: connections, commands, subscribers, how anything looks on the wire.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from edgeaudio.agent.source_worker import SourceWorker
from edgeaudio.agent.timed_model import ModelFailedError
from edgeaudio.hub import Hub, Subscription
from edgeaudio.outbox.journal import Journal, interrupted
from edgeaudio.recognise.pipeline import Result
from edgeaudio.types import Block, EpochEnd, Event, Level, SourceStatus

log = logging.getLogger(__name__)

TAKE_S = 0.5
FINAL_LOCK_S = 0.3  # longest wait for a recogniser that may be stuck, at the end


class Recogniser:
    """Recognition of all sources, in one thread. Other threads hold `lock` to change `workers` or a pipeline."""

    def __init__(
        self, subscription: Subscription, journal: Journal, hub: Hub, on_status: Callable[[SourceStatus], None]
    ) -> None:
        """`subscription`: of Blocks and EpochEnds; `on_status` is called for each state that levels change."""
        self.lock = threading.RLock()
        self.workers: dict[str, SourceWorker] = {}
        self.last_moved_s = time.monotonic()
        self._subscription = subscription
        self._journal = journal
        self._hub = hub
        self._on_status = on_status
        self._commit_lock = threading.Lock()
        self._open: dict[str, Event] = {}  # onsets, committed or about to be, without an offset
        self._failed: set[str] = set()  # sources whose Blocks are dropped until their connection has ended

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""
        while not stop.is_set():
            self.last_moved_s = time.monotonic()
            items = self._subscription.take(TAKE_S)
            with self._batch() as results:
                for item in items:
                    # a removed source may still have items in the queue
                    if isinstance(item, (Block, EpochEnd)) and (worker := self.workers.get(item.source)):
                        results.extend(self._recognise(item, worker))
                now_s = time.monotonic()
                for worker in self.workers.values():
                    if released := worker.suppressor.released(now_s):
                        worker.events += len(released)
                        results.extend(released)

    def close_stale_events(self) -> None:
        """Commit the offsets of events that an earlier process left open."""
        stale = self._journal.open_events()
        if stale:
            log.info("%d events that were sounding at the last stop are ended", len(stale))
        with self._batch() as results:
            results.extend(map(interrupted, stale))

    def end_all(self) -> None:
        """End all open events, for the agent stops. If the recogniser is stuck, the next start does that."""
        if not self.lock.acquire(timeout=FINAL_LOCK_S):
            log.error("the recogniser does not let go: what sounds now is ended at the next start")
            return
        try:
            for worker in self.workers.values():
                self.end(worker)
        finally:
            self.lock.release()

    def end(self, worker: SourceWorker) -> None:
        """End the open events of one source."""
        with self._batch() as results:
            results.extend(self._recognise(EpochEnd(worker.name), worker))

    def commit_test(self, event: Event) -> int:
        """Commit and publish an event of a test, like a real one. Return its number in the outbox."""
        with self._commit_lock:
            return self._commit([event])

    @contextmanager
    def _batch(self) -> Iterator[list[Result]]:
        """Collect results under `lock`; then, without it, commit the events and publish all.

        So a slow disk delays no thread that waits for `lock`. Batches are committed in the order of their recognition:
        the commit lock is acquired before `lock` is released.
        """
        results: list[Result] = []
        with self.lock:
            yield results
            if not results:
                return
            for event in _events(results):
                if event.kind == "onset":
                    self._open[event.id] = event
                else:
                    self._open.pop(event.id, None)
            self._commit_lock.acquire()
        try:
            self._commit(results)
        finally:
            self._commit_lock.release()

    def _commit(self, results: Sequence[Result]) -> int:
        """Commit the events, then publish all. Return the number of the last event in the outbox, 0 for none."""
        events = list(_events(results))
        number = self._journal.commit(events) if events else 0
        for result in results:
            if isinstance(result, Event):
                said = (result.source, result.label, result.kind, result.score, ", a test" if result.test else "")
                log.info("%s: %s %s, score %.2f%s", *said, extra={"source": result.source})
            self._hub.publish(result)
        return number

    def _recognise(self, item: Block | EpochEnd, worker: SourceWorker) -> list[Result]:
        """Return the results of one source's pipeline for one item."""
        if isinstance(item, EpochEnd):
            self._failed.discard(worker.name)
        elif worker.name in self._failed:
            self._subscription.count_dropped(item)
            return []
        results: list[Result] = []
        now_s = time.monotonic()
        try:
            for result in _results(item, worker):
                if isinstance(result, Event) and _is_withheld(result, worker, now_s):
                    continue
                results.append(result)
                if isinstance(result, Level) and (news := worker.health.level(result)):
                    self._on_status(news)
        except ModelFailedError:
            raise
        except Exception as error:  # noqa: BLE001 (logged, and published as this source's state)
            results += self._fail(worker, error, results)
            if isinstance(item, Block):
                self._failed.add(worker.name)
                self._subscription.count_dropped(item)
        worker.events += sum(event.kind == "onset" for event in _events(results))
        return results

    def _fail(self, worker: SourceWorker, error: Exception, results: list[Result]) -> list[Event]:
        """End a source's connection, and reset its pipeline; return the offsets of its open events."""
        try:
            ended = {event.id: event for event in worker.pipeline.end()}
        except Exception:
            log.debug(
                "source %s: its recognition cannot be ended in good order either",
                worker.name,
                exc_info=True,
                extra={"source": worker.name},
            )
            ended = {}
        worker.renew_pipeline()
        worker.fail(error)
        # only published events count, not the state of the failed pipeline
        open_events = {event.id: event for event in self._open.values() if event.source == worker.name}
        for event in _events(results):
            if event.kind == "onset":
                open_events[event.id] = event
            else:
                open_events.pop(event.id, None)
        offsets = [ended.get(event_id) or interrupted(onset) for event_id, onset in open_events.items()]
        return [offset for offset in offsets if not _is_withheld(offset, worker, time.monotonic())]


def _events(results: Iterable[Result]) -> Iterator[Event]:
    return (result for result in results if isinstance(result, Event))


def _is_withheld(event: Event, worker: SourceWorker, now_s: float) -> bool:
    reason = worker.suppressor.withhold(event, now_s)
    if reason is not None and event.kind == "onset":
        what = event.source, event.label, event.score, reason
        log.info("%s: %s onset, score %.2f, withheld: %s", *what, extra={"source": event.source})
    return reason is not None


def _results(item: Block | EpochEnd, worker: SourceWorker) -> Iterator[Result]:
    if isinstance(item, Block):
        return worker.pipeline.feed(item)
    return worker.pipeline.flush() if item.complete else worker.pipeline.end()
