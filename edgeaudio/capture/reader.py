"""Reader of one source: connects, reads, waits and connects again. The only place that retries a source.

Owns: back-off, the state of the connection, what one connection remembers for the next.
Does not know: threads (the caller calls `run` in one of its own), loudness, MQTT.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from edgeaudio.backoff import Backoff
from edgeaudio.capture.admission import Admission, Hold
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import Connection, open_source
from edgeaudio.capture.deadline import ConnectionStop
from edgeaudio.capture.errors import SourceError, StoppedError
from edgeaudio.capture.heard_segments import HeardSegments, heard_file
from edgeaudio.capture.internal_errors import InternalErrors
from edgeaudio.capture.live_playlists import MAX_STALE_S, SLACK_S
from edgeaudio.capture.opening import LISTEN_S, SourceMemory, longest_open_s
from edgeaudio.capture.outage_log import OutageLog
from edgeaudio.capture.reader_counts import Counter, Load, ReaderCounts, thread_cpu_s
from edgeaudio.capture.rtsp_setup import RtspSetupStore
from edgeaudio.capture.status_publisher import StatusPublisher
from edgeaudio.capture.tracks import AudioInfo
from edgeaudio.clock import Clock
from edgeaudio.types import Block, Reason, SourceState, SourceStatus

_log = logging.getLogger(__name__)

P = ParamSpec("P")

FIRST_DELAY_S = 1.0
LAST_DELAY_S = 30.0
CLOCK_DELAY_S = 5.0  # at most, while this machine's clock is to blame: NTP will set it at any moment
JITTER = 0.25  # share of the delay, up or down, so that many sources do not return at once
PROVEN_S = 10.0  # of sound, after which a connection counts as good and the back-off is reset
# after a connection was ended for its use of memory; doubled until one brings PROVEN_S of sound
FIRST_LONG_WAIT_S = 60.0
LAST_LONG_WAIT_S = 6 * 3600.0
_PARDON_STEP_S = 0.5
_RESTING_TURN_S = 5.0


class Reader:
    """Reader of one source until it is stopped. Call `run` once, in a thread of its own.

    `on_block` receives every Block, `on_status` every change of the connection's state; both are called in that thread.
    An exception from them ends `run`; any other ends the connection alone. Blocks without sound (silence, clipping,
    hum) are passed on.
    """

    def __init__(  # noqa: PLR0913 (each is something that its caller owns)
        self,
        config: SourceConfig,
        *,
        on_block: Callable[[Block], None],
        on_status: Callable[[SourceStatus], None],
        stop: threading.Event,
        clock: Clock,
        internal_errors: InternalErrors | None = None,
        runtime_dir: Path | None = None,
        rtsp_store: RtspSetupStore | None = None,
        admission: Admission | None = None,
        last_epoch: int = -1,
        is_behind: Callable[[], bool] = lambda: False,
    ) -> None:
        """`internal_errors`: those of an earlier reader of the source.

        `runtime_dir`: where the heard segments of live playlists are kept for the next process.
        `rtsp_store`: how an RTSP camera was asked before, and where to store what is learned.
        `last_epoch`: that of the last Block of an earlier reader of the source.
        `is_behind`: True while Blocks that were handed on wait to be worked on: live sound comes in larger ones then.
        """
        self.config = config
        self._on_block = on_block
        self._internal_errors = InternalErrors(config) if internal_errors is None else internal_errors
        self._admission = Admission() if admission is None else admission
        self._is_behind = is_behind
        self._escaped: Exception | None = None  # raised by on_block or on_status
        self._connection_stop: ConnectionStop | None = None
        self._stop = stop
        self._clock = clock
        self._rtsp_store = RtspSetupStore() if rtsp_store is None else rtsp_store
        heard = HeardSegments(heard_file(runtime_dir, config))
        self._memory = SourceMemory.of(config, self._rtsp_store.recalled, heard)
        self._memory.epoch = last_epoch
        self._learned = self._memory.rtsp_setup.learned
        self._status = StatusPublisher(
            config, lambda status: self._call(on_status, status), self._memory.rtsp_setup, clock
        )
        self._counter = Counter(clock.monotonic())
        self._outage = OutageLog(config.name, clock.monotonic())
        self._backoff = Backoff(FIRST_DELAY_S, LAST_DELAY_S)
        self._long_backoff = Backoff(FIRST_LONG_WAIT_S, LAST_LONG_WAIT_S)
        self._long_wait = False  # is due
        self._pardoned = False
        self._held = False  # by the admission
        self._thread = 0  # native id of the one that calls `run`
        # of the present connection, or the one that just ended
        self._connected_s = 0.0  # monotonic
        self._cpu_s = 0.0  # of the thread, at that time
        self._heard_s = 0.0
        self._heard = False  # it brought sound
        self._finished = False  # it brought all of a recording
        self._stalled = False  # no sound comes, and the connection is kept

    @property
    def stall_timeout_s(self) -> float:
        """The longest time without progress in normal operation, in seconds, without name resolution."""
        if self.config.address.is_pushed:
            return LISTEN_S + LAST_DELAY_S  # a sender may come at any time
        read_s = self.config.read_timeout_s
        if self.config.address.is_http:
            read_s = max(read_s, MAX_STALE_S + SLACK_S)  # until a live playlist counts as stale
        return longest_open_s(self.config, None) + read_s + LAST_DELAY_S + 10.0

    def counts(self) -> ReaderCounts:
        """Return the counts as of now. May be called from any thread."""
        return self._counter.counts(self._clock.monotonic())

    def run(self) -> None:
        """Connect, read, wait and repeat until the stop event is set."""
        self._thread = threading.get_native_id()
        last: SourceError | None = None
        while not self._stop.is_set():
            self._progress()
            if (hold := self._admission.ask()) is not None:
                self._hold(hold)
                continue
            self._held = False
            self._heard = self._finished = False
            self._status.connecting(last)
            try:
                last = self._connect()
            finally:
                self._admission.over()
            if self._heard:
                self._memory.rtsp_setup.ended(self._heard_s, stalled=last.stalled)
            self._remember_rtsp_mode()
            if self._stop.is_set():
                return
            if not self._finished:
                self._wait(last)
            elif not self.config.loop:
                self._rest(last)

    def end_connection(self, error: SourceError, *, long_wait: bool = False) -> None:
        """End the present connection, if there is one, with `error`. May be called from any thread.

        `long_wait`: wait FIRST_LONG_WAIT_S and more before the next one.
        """
        if (stop := self._connection_stop) is not None:
            self._pardoned = False
            stop.end(error, long_wait=long_wait)

    def pardon(self) -> None:
        """Cancel a long wait: the source was not to blame. May be called from any thread."""
        self._pardoned = True

    def load(self) -> Load | None:
        """Return the cost of the present connection; None if there is none. May be called from any thread."""
        if self._connection_stop is None:
            return None
        received, heard_s = self._memory.received, self._heard_s
        return Load(
            age_s=self._clock.monotonic() - self._connected_s,
            heard_s=heard_s,
            received_bytes=None if received is None else received(),
            cpu_s=thread_cpu_s(self._thread) - self._cpu_s,
        )

    def _connect(self) -> SourceError:
        """Open the source, read it to its end, close it; return why it ended."""
        stop = ConnectionStop(self._stop)
        self._heard_s = 0.0
        self._memory.received = None
        self._connected_s, self._cpu_s = self._clock.monotonic(), thread_cpu_s(self._thread)
        self._connection_stop = stop
        ended: SourceError | None = None
        try:
            with open_source(self.config, stop, memory=self._memory, clock=self._clock) as connection:
                self._listen(connection)
        except StoppedError:
            self._require_none_escaped()
        except SourceError as error:
            self._require_none_escaped()
            ended = error.with_traceback(None)  # the traceback would hold FFmpeg's memory while the source waits
        except Exception as error:  # noqa: BLE001 (logged, and published as this source's state)
            self._require_none_escaped()
            ended = self._internal_errors.note(error, "reading")
        finally:
            self._connection_stop = None
        self._long_wait = stop.long_wait
        if isinstance(stop.error, SourceError):
            return stop.error
        if ended is None:
            detail = "the recording was heard to its end" if self._finished else "the stream ended"
            ended = SourceError(self.config.name, self.config.address, Reason.END_OF_STREAM, detail, "")
        return ended

    def _require_none_escaped(self) -> None:
        """Raise the exception of on_block or on_status, if there was one: it comes before any of the connection."""
        if self._escaped is not None:
            raise self._escaped

    def _call(self, function: Callable[P, object], *arguments: P.args, **more: P.kwargs) -> None:
        """Call a function of the caller: an exception from it ends `run`."""
        try:
            function(*arguments, **more)
        except Exception as error:
            self._escaped = error
            raise

    def _listen(self, connection: Connection) -> None:
        published: tuple[AudioInfo, bool] | None = None

        def take(block: Block) -> None:
            nonlocal published
            if published != (connection.info, connection.pauses) or self._stalled:
                self._listening(connection, first=published is None)
                published = connection.info, connection.pauses
            if self._heard_s == 0:
                self._call(self._admission.sounding)
            if self._heard_s < PROVEN_S <= self._heard_s + block.duration_s:
                self._call(self._admission.proven)
                self._backoff.reset()
                self._long_backoff.reset()
            self._heard_s += block.duration_s
            self._counter.hear(block, connection, self._clock.monotonic())
            self._call(self._on_block, block)

        self._counter.begin()
        connection.on_pause, connection.on_stall = take, self._wait_out
        connection.is_behind = self._is_behind
        try:
            for block in connection:
                take(block)
        finally:
            self._stalled = False
            self._finished = connection.finished and self._heard_s > 0
            if self._finished:
                self._call(self._admission.proven)
            self._counter.end(connection)

    def _wait_out(self, detail: str, wait_s: float) -> None:
        """Publish a silence during which the connection is kept, for that long."""
        self._stalled = True
        self._progress()
        self._status.restart()
        error = SourceError(self.config.name, self.config.address, Reason.TIMEOUT, detail, "")
        self._status.silent(SourceState.STALLED, error, wait_s)

    def _listening(self, connection: Connection, *, first: bool) -> None:
        now_s = self._clock.monotonic()
        if self._stalled or first:
            self._stalled = False
            self._status.restart()
        if first:
            self._heard = True
            self._counter.connected()
            self._outage.end(connection.info, now_s)
            self._remember_rtsp_mode()
        self._status.listening(connection.info, pauses=connection.pauses)

    def _wait(self, error: SourceError) -> None:
        now_s = self._clock.monotonic()
        self._counter.failed()
        state = SourceState.WAITING
        if error.reason is Reason.INTERNAL_ERROR:
            state = SourceState.FAILED
            self._backoff.exhaust()
        elif error.reason is Reason.PLAYLIST_STALE or (error.stalled and self._heard):
            state = SourceState.STALLED
        if not self._outage.lasts:
            self._status.restart()
        self._outage.failed(error, now_s)
        last_s = CLOCK_DELAY_S if error.reason is Reason.CLOCK else LAST_DELAY_S
        delay_s = min(self._backoff.next_s(last_s) * random.uniform(1 - JITTER, 1 + JITTER), last_s)
        if self._long_wait:
            self._wait_long(error)
            return
        self._status.silent(state, error, delay_s)
        self._progress()
        self._stop.wait(delay_s)

    def _wait_long(self, error: SourceError) -> None:
        delay_s = self._long_backoff.next_s()
        self._status.silent(SourceState.WAITING, error, delay_s)
        end_s = self._clock.monotonic() + delay_s
        while not self._pardoned and (left_s := end_s - self._clock.monotonic()) > 0:
            self._progress()
            if self._stop.wait(min(left_s, _PARDON_STEP_S)):
                return
        if self._pardoned:
            self._long_backoff.failures -= 1

    def _hold(self, hold: Hold) -> None:
        """Wait a while: the source must not be opened now."""
        if not self._held:
            self._held = True
            self._status.restart()
        self._status.held(hold)
        self._stop.wait(min(hold.wait_s, LAST_DELAY_S))

    def _rest(self, end: SourceError) -> None:
        """Wait for the stop event: a recording is heard once. That time is neither heard nor lost."""
        _log.info("source %s: %s", self.config.name, end.detail, extra={"source": self.config.name})
        self._status.restart()
        self._counter.rest()
        self._status.silent(SourceState.ENDED, end)
        while not self._stop.wait(_RESTING_TURN_S):
            self._progress()

    def _remember_rtsp_mode(self) -> None:
        learned = self._memory.rtsp_setup.learned
        if learned != self._learned:
            self._learned = learned
            self._call(self._rtsp_store.remember, learned)

    def _progress(self) -> None:
        self._counter.progress(self._clock.monotonic())
