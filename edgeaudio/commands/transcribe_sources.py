"""Utterances of a recording, as fast as it is read, and of a live stream, for ever.

Owns: which of both a source is, the channel that is listened to, and the thread that reads a live stream.
Does not know: how a stream is retried (capture/reader.py), what an utterance is, what becomes of it.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.reader import Reader
from edgeaudio.clock import Clock
from edgeaudio.commands.progress import Progress
from edgeaudio.commands.waiting import SENDER_WAIT_S, WaitMonitor
from edgeaudio.recognise.channels import Mixer, power
from edgeaudio.recognise.utterances import UtterancePipeline
from edgeaudio.terminal import print_error
from edgeaudio.types import Block, Channel, SourceState, SourceStatus, Utterance

MOST_WAITING_S: Final = 600.0  # of utterances of a live stream, 38 MB; the oldest are dropped
END_S: Final = 5.0  # for the reading to end
_TURN_S: Final = 0.1
_HELD = frozenset({SourceState.LISTENING, SourceState.STALLED})  # the connection is kept, and its sound goes on


def is_live(config: SourceConfig, stop: threading.Event) -> bool:
    """True if the source has no end. An HTTP server may have either: it is asked. Raises SourceError."""
    if not config.address.is_http:
        return config.address.path is None
    with (
        WaitMonitor(config, stop) as monitor,
        open_source(config, monitor.end, media_start=Clock().utc(), sender_wait_s=SENDER_WAIT_S) as connection,
    ):
        return not connection.recorded


class Ears:
    """Utterances of the channel that is listened to. Feed all Blocks of a source in order."""

    def __init__(self, channel: Channel) -> None:
        self._mixer = Mixer(channel)
        self._pipeline = UtterancePipeline()
        self._second: list[Block] = []  # the present one, of several channels
        self._n_unheard = 0  # Blocks at its end: which channel is heard must be known first
        self._is_chosen = isinstance(channel, int)

    def feed(self, block: Block) -> Iterator[Utterance]:
        """Yield the utterances that a Block ends."""
        if self._second and not _goes_on(self._second[-1], block):
            yield from self._end_second()
        if block.samples.ndim == 1:
            yield from self._hear([block])
            return
        self._second.append(block)
        if self._is_chosen or self._mixer.judged:
            yield from self._hear([block])
        else:
            self._n_unheard += 1
        if sum(len(part.samples) for part in self._second) >= block.sample_rate:
            yield from self._end_second()

    def flush(self) -> Iterator[Utterance]:
        """Yield the utterance that goes on where the sound ends, if one does."""
        yield from self._end_second()
        yield from self._pipeline.flush()

    def _end_second(self) -> Iterator[Utterance]:
        """Judge a second, or what of it came; then hear what waits for that."""
        blocks, n_unheard = self._second, self._n_unheard
        self._second, self._n_unheard = [], 0
        is_whole = bool(blocks) and sum(len(block.samples) for block in blocks) >= blocks[0].sample_rate
        if is_whole or n_unheard:
            samples = np.concatenate([block.samples for block in blocks])
            self._mixer.judge(samples, [power(channel) for channel in samples.T])
            yield from self._hear(blocks[len(blocks) - n_unheard :])

    def _hear(self, blocks: list[Block]) -> Iterator[Utterance]:
        for block in blocks:
            yield from self._pipeline.feed(replace(block, samples=self._mixer.mix(block.samples)))


def _goes_on(last: Block, block: Block) -> bool:
    """True if a Block belongs to the sound of the last one."""
    return (last.epoch, last.sample_rate, last.samples.shape[1:]) == (
        block.epoch, block.sample_rate, block.samples.shape[1:],
    )  # fmt: skip


def recorded_utterances(
    config: SourceConfig, stop: threading.Event, start: datetime, opened: Callable[[], None], *, grows: bool
) -> Generator[Utterance, None, None]:
    """Yield the utterances of a recording, whose times count from `start`.

    opened: called once the recording is open. grows: standard output shows utterances as they come. Raises
    SourceError, after the utterances before the failure.
    """
    ears = Ears(config.channel)
    failure = None
    with (
        WaitMonitor(config, stop) as monitor,
        open_source(config, monitor.end, media_start=start, sender_wait_s=SENDER_WAIT_S) as connection,
        Progress(table_grows=grows) as progress,
    ):
        opened()
        try:
            for block in monitor.listen(connection):
                yield from ears.feed(block)
                progress.show((block.at - start).total_seconds() + block.duration_s, connection.info.duration_s)
        except SourceError as error:
            failure = error
    # the caller may work on these for minutes, which the monitor would take for a disk that hangs
    yield from ears.flush()
    if failure:
        raise failure


class _Waiting:
    """Utterances that wait for the recogniser: the newest MOST_WAITING_S of them. Safe for two threads."""

    def __init__(self) -> None:
        self._utterances: deque[Utterance] = deque()
        self._changed = threading.Condition()
        self._dropped = 0

    def put(self, utterance: Utterance) -> None:
        with self._changed:
            self._utterances.append(utterance)
            while sum(waiting.duration_s for waiting in self._utterances) > MOST_WAITING_S:
                self._utterances.popleft()
                self._dropped += 1
                if self._dropped.bit_count() == 1:  # 1, 2, 4, 8: said, and never a flood
                    print_error(
                        f"edgeaudio: the recogniser does not keep up: {self._dropped} of the oldest utterances dropped"
                    )
            self._changed.notify()

    def get(self, timeout_s: float) -> Utterance:
        """Return the oldest. Raises queue.Empty."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._utterances), timeout_s):
                raise queue.Empty
            return self._utterances.popleft()


@contextmanager
def live_utterances(config: SourceConfig, stop: threading.Event) -> Iterator[Iterator[Utterance]]:
    """Read a live stream in a thread, which opens it again whenever it ends; an iterator of its utterances.

    The iterator ends when `stop` is set. It raises what ended the reading, which should not happen.
    """
    end = threading.Event()  # not `stop`: whoever sees that set takes it for Ctrl-C, and says nothing of what failed
    live = _Live(config, stop, end)
    reading = threading.Thread(target=live.read, name="reading", daemon=True)
    reading.start()
    try:
        yield live.utterances()
    finally:
        end.set()
        reading.join(END_S)


class _Live:
    """A live stream: `read` is called in a thread, `utterances` in another."""

    def __init__(self, config: SourceConfig, stop: threading.Event, end: threading.Event) -> None:
        """`stop` ends `utterances`, `end` ends `read`."""
        self._stop = stop
        self._ears = Ears(config.channel)
        self._waiting = _Waiting()
        self._failure: Exception | None = None
        self._reader = Reader(config, on_block=self._on_block, on_status=self._on_status, stop=end, clock=Clock())

    def read(self) -> None:
        """Read until the end event is set."""
        try:
            self._reader.run()
        except Exception as error:  # noqa: BLE001 (raised again in the other thread)
            self._failure = error

    def utterances(self) -> Iterator[Utterance]:
        """Yield utterances until the stop event is set. Raises what ended the reading."""
        while not self._stop.is_set():
            if self._failure is not None:
                raise self._failure
            with suppress(queue.Empty):
                yield self._waiting.get(_TURN_S)

    def _on_block(self, block: Block) -> None:
        for utterance in self._ears.feed(block):
            self._waiting.put(utterance)

    def _on_status(self, status: SourceStatus) -> None:
        if status.state not in _HELD:  # what was said before a hole waits for nothing
            for utterance in self._ears.flush():
                self._waiting.put(utterance)
