"""Keeps one source connected, for ever: the only place in the project that tries a source again.

Owns: back-off, the source's state as far as its connection goes, its account of seconds heard and
lost, and what one connection remembers for the next.
Does not know: threads (the caller runs `run()` in one of its own), loudness, MQTT.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypedDict

from edgeaudio.backoff import Backoff
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import Connection, open_source
from edgeaudio.capture.coverage import Coverage, CoverageTotals
from edgeaudio.capture.deadline import ConnectionStop
from edgeaudio.capture.errors import SourceError, StoppedError
from edgeaudio.capture.heard_segments import HeardSegments, heard_file
from edgeaudio.capture.internal_errors import InternalErrors
from edgeaudio.capture.live_playlists import MAX_STALE_S, SLACK_S
from edgeaudio.capture.opening import LISTEN_S, SourceMemory, longest_open_s
from edgeaudio.capture.rtsp_setup import Media, RtspSetupStore, Transport
from edgeaudio.capture.tracks import AudioInfo
from edgeaudio.clock import Clock
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Block, Reason, SourceState, SourceStatus

_log = logging.getLogger(__name__)

P = ParamSpec("P")

FIRST_DELAY_S = 1.0
LAST_DELAY_S = 30.0
CLOCK_DELAY_S = 5.0  # the longest while this machine's clock is to blame, which will be set from one moment to the next
JITTER = 0.25  # of the delay, up or down, so that many sources do not return at once
PROVEN_S = 10.0  # of sound, after which a connection counts as good and the delay starts anew
# after a connection was ended for the memory that it took; doubled with each that follows without PROVEN_S of sound
FIRST_LONG_WAIT_S = 60.0
LAST_LONG_WAIT_S = 6 * 3600.0
_PARDON_STEP_S = 0.5
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_RESTING_TURN_S = 5.0


class _Asked(TypedDict, total=False):
    media: Media
    transport: Transport


@dataclass(frozen=True, slots=True)
class ReaderCounts:
    """What a Reader has done since it was made."""

    coverage: CoverageTotals
    connections: int  # that brought sound
    failures: int  # connections that ended, or never came about
    broken_packets: int
    broken_samples: int
    last_progress_s: float  # monotonic; for a watchdog, see Reader.stall_timeout_s
    quiet_s: float  # heard as silence, for the sender sent nothing while it was quiet
    drift_ppm: float | None  # how much faster than ours the sender's clock is; None: not known


@dataclass(frozen=True, slots=True)
class Load:
    """What the present connection of a reader has cost so far."""

    age_s: float
    heard_s: float
    received_bytes: int | None  # where somebody counts them
    cpu_s: float  # of the reader's thread


@dataclass(frozen=True, slots=True)
class Hold:
    """That a source must not be opened now, and why."""

    until: datetime  # as far as that can be told
    wait_s: float  # before it is asked about again
    detail: str


class Admission:
    """Asked before a source is opened, and told how that goes. This one admits always; another may hold sources back.

    All is called in the reader's thread.
    """

    def ask(self) -> Hold | None:
        """None: the source may be opened, and is about to be."""
        return None

    def sounding(self) -> None:
        """The connection has brought its first sound."""

    def proven(self) -> None:
        """The connection has brought PROVEN_S of sound, or a recording all of it."""

    def over(self) -> None:
        """The connection is over, or did not come about."""


class Reader:
    """Reads one source until it is stopped. Make it, then call `run()` in a thread; once.

    `on_block` gets every Block, `on_status` every change of the connection's state; both are called
    in that thread, and an exception from them ends `run`: it is not this source's. Any other ends the
    connection alone. Blocks without sound (silence, clipping, hum) are for others to judge.
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
        ways: RtspSetupStore | None = None,
        admission: Admission | None = None,
    ) -> None:
        """`internal_errors`: those of the source so far, where it had a reader before.

        `runtime_dir`: where what was heard of its live playlists is kept for the next process.
        `ways`: how the camera is best asked, as far as that was remembered.
        """
        self.config = config
        self._on_block = on_block
        self._on_status = on_status
        self._internal_errors = InternalErrors(config) if internal_errors is None else internal_errors
        self._admission = Admission() if admission is None else admission
        self._escaped: Exception | None = None  # raised by on_block or on_status
        self._connection_stop: ConnectionStop | None = None
        self._stop = stop
        self._clock = clock
        self._ways = RtspSetupStore() if ways is None else ways
        self._memory = SourceMemory.of(config, self._ways.recalled, HeardSegments(heard_file(runtime_dir, config)))
        self._learned = self._memory.asking.learned
        self._lock = threading.Lock()  # over what counts() reads
        self._coverage = Coverage(clock.monotonic())
        self._hearing = False
        self._stalled = False  # no sound comes, and the connection is kept
        self._quiet_s = 0.0
        self._drift_ppm: float | None = None
        self._resting = False  # after a recording: nothing is lost
        self._last_progress_s = clock.monotonic()
        self._connections = 0
        self._failures = 0
        self._broken_packets = 0
        self._broken_samples = 0
        self._backoff = Backoff(FIRST_DELAY_S, LAST_DELAY_S)
        self._finished = False  # a recording was heard to its end
        self._heard_s = 0.0
        self._thread = 0  # the kernel's number of the one that runs `run`
        self._connected_s = 0.0  # when the present connection was begun
        self._cpu_s = 0.0  # of the thread, then
        self._long_wait = False  # is due
        self._long_backoff = Backoff(FIRST_LONG_WAIT_S, LAST_LONG_WAIT_S)
        self._pardoned = False
        self._held = False  # back, not to be opened
        self._heard = False  # by the present connection, or the one that just ended
        self._outage = _Outage(clock.monotonic())
        self._since = clock.utc()

    @property
    def stall_timeout_s(self) -> float:
        """The longest time without progress that is still in order, name resolution apart."""
        if self.config.address.is_pushed:
            return LISTEN_S + LAST_DELAY_S  # a sender may come at any time
        read_s = self.config.read_timeout_s
        if self.config.address.is_http:
            read_s = max(read_s, MAX_STALE_S + SLACK_S)  # until a live playlist counts as stale
        return longest_open_s(self.config, None) + read_s + LAST_DELAY_S + 10.0

    def counts(self) -> ReaderCounts:
        """The counts as of now; may be called from any thread."""
        with self._lock:
            if not self._hearing and not self._resting:
                self._coverage.lose(self._clock.monotonic())
            return ReaderCounts(
                self._coverage.totals(),
                self._connections,
                self._failures,
                self._broken_packets,
                self._broken_samples,
                self._last_progress_s,
                self._quiet_s,
                self._drift_ppm,
            )

    def run(self) -> None:
        """Connect, read, wait, and again, until the stop event is set."""
        self._thread = threading.get_native_id()
        last: SourceError | None = None
        while not self._stop.is_set():
            self._progress()
            if (hold := self._admission.ask()) is not None:
                self._held_back(hold)
                continue
            self._held = False
            self._heard = self._finished = False
            self._say(SourceState.CONNECTING, last, detail=self._waits_for)
            try:
                last = self._connect()
            finally:
                self._admission.over()
            if self._heard:
                self._memory.asking.ended(self._heard_s, stalled=last.stalled)
            self._note_learned()
            if self._stop.is_set():
                return
            if not self._finished:
                self._wait(last)
            elif not self.config.loop:
                self._rest(last)

    def end_connection(self, error: SourceError, *, long_wait: bool = False) -> None:
        """End the present connection, if there is one, for that reason. May be called from any thread.

        `long_wait`: what it did must not be seen again soon.
        """
        if (stop := self._connection_stop) is not None:
            self._pardoned = False
            stop.end(error, long_wait=long_wait)

    def pardon(self) -> None:
        """Let the source be tried again as any other: it was not the one. May be called from any thread."""
        self._pardoned = True

    def load(self) -> Load | None:
        """What the present connection has cost; None where there is none. May be called from any thread."""
        if self._connection_stop is None:
            return None
        received, heard_s = self._memory.received, self._heard_s
        return Load(
            age_s=self._clock.monotonic() - self._connected_s,
            heard_s=heard_s,
            received_bytes=None if received is None else received(),
            cpu_s=_cpu_s(self._thread) - self._cpu_s,
        )

    def _connect(self) -> SourceError:
        """Open the source, read it to its end, close it; returns why that is over."""
        stop = ConnectionStop(self._stop)
        self._heard_s = 0.0
        self._memory.received = None
        self._connected_s, self._cpu_s = self._clock.monotonic(), _cpu_s(self._thread)
        self._connection_stop = stop
        ended: SourceError | None = None
        try:
            with open_source(self.config, stop, memory=self._memory, clock=self._clock) as connection:
                self._listen(connection)
        except StoppedError:
            self._require_none_escaped()
        except SourceError as error:
            self._require_none_escaped()
            ended = error.with_traceback(None)  # which would hold FFmpeg's memory as long as the source waits
        except Exception as error:  # noqa: BLE001 (logged, and told as this source's state)
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
        """Raise what on_block or on_status raised, if they did, whatever else closing the connection brought."""
        if self._escaped is not None:
            raise self._escaped

    def _call(self, function: Callable[P, object], *arguments: P.args, **more: P.kwargs) -> None:
        """Call what belongs to others: an exception from it is theirs, and ends `run`."""
        try:
            function(*arguments, **more)
        except Exception as error:
            self._escaped = error
            raise

    def _listen(self, connection: Connection) -> None:
        said: tuple[AudioInfo, bool] | None = None
        epoch: int | None = None
        filled_s = quiet_s = 0.0

        def take(block: Block) -> None:
            nonlocal said, epoch, filled_s, quiet_s
            if said != (connection.info, connection.pauses) or self._stalled:
                self._heard_again(connection, first=said is None)
                said = connection.info, connection.pauses
            if self._heard_s == 0:
                self._call(self._admission.sounding)
            if self._heard_s < PROVEN_S <= self._heard_s + block.duration_s:
                self._call(self._admission.proven)
                self._backoff.reset()
                self._long_backoff.reset()
            self._heard_s += block.duration_s
            now_s = self._clock.monotonic()
            with self._lock:
                self._hearing = True
                self._last_progress_s = now_s
                begin_s = None if block.epoch == epoch else connection.end_s - block.duration_s
                self._coverage.hear(begin_s, connection.end_s, filled_s=connection.filled_s - filled_s, now_s=now_s)
                self._quiet_s += connection.quiet_s - quiet_s
                self._drift_ppm = connection.drift_ppm
            epoch, filled_s, quiet_s = block.epoch, connection.filled_s, connection.quiet_s
            self._call(self._on_block, block)

        connection.on_pause, connection.on_stall = take, self._say_stalled
        try:
            for block in connection:
                take(block)
        finally:
            self._stalled = False
            self._finished = connection.finished and self._heard_s > 0
            if self._finished:
                self._call(self._admission.proven)
            with self._lock:
                self._hearing = False
                self._broken_packets += connection.broken_packets
                self._broken_samples += connection.broken_samples

    def _say_stalled(self, detail: str, wait_s: float) -> None:
        """Tell of a silence that is waited out on the same connection, for so long."""
        self._stalled = True
        self._progress()
        self._since = self._clock.utc()
        error = SourceError(self.config.name, self.config.address, Reason.TIMEOUT, detail, "")
        self._say(SourceState.STALLED, error, wait_s)

    def _heard_again(self, connection: Connection, *, first: bool) -> None:
        info, now_s = connection.info, self._clock.monotonic()
        if self._stalled:
            self._stalled = False
            self._since = self._clock.utc()
        if first:
            self._heard = True
            with self._lock:
                self._connections += 1
            self._since = self._clock.utc()
            self._outage.end(self.config.name, info, now_s)
            self._note_learned()
        self._tell(
            SourceStatus(
                self.config.name,
                SourceState.LISTENING,
                self._since,
                codec=info.codec,
                sample_rate=info.sample_rate,
                channels=info.channels,
                **self._asked(),
                pauses=connection.pauses,
            )
        )

    def _wait(self, error: SourceError) -> None:
        now_s = self._clock.monotonic()
        with self._lock:
            self._failures += 1
        state = SourceState.WAITING
        if error.reason is Reason.INTERNAL_ERROR:
            state = SourceState.FAILED
            self._backoff.exhaust()
        elif error.reason is Reason.PLAYLIST_STALE or (error.stalled and self._heard):
            state = SourceState.STALLED
        if not self._outage.lasts:
            self._since = self._clock.utc()
        self._outage.failed(self.config.name, error, now_s)
        last_s = CLOCK_DELAY_S if error.reason is Reason.CLOCK else LAST_DELAY_S
        delay_s = min(self._backoff.next_s(last_s) * random.uniform(1 - JITTER, 1 + JITTER), last_s)
        if self._long_wait:
            self._wait_long(error)
            return
        self._say(state, error, delay_s)
        self._progress()
        self._stop.wait(delay_s)

    def _wait_long(self, error: SourceError) -> None:
        delay_s = self._long_backoff.next_s()
        self._say(SourceState.WAITING, error, delay_s)
        end_s = self._clock.monotonic() + delay_s
        while not self._pardoned and (left_s := end_s - self._clock.monotonic()) > 0:
            self._progress()
            if self._stop.wait(min(left_s, _PARDON_STEP_S)):
                return
        if self._pardoned:
            self._long_backoff.failures -= 1

    def _held_back(self, hold: Hold) -> None:
        """Wait a while, for the source must not be opened now."""
        if not self._held:
            self._held, self._since = True, self._clock.utc()
        self._tell(
            SourceStatus(
                self.config.name,
                SourceState.QUARANTINED,
                self._since,
                reason=Reason.CRASHED_THE_AGENT,
                detail=hold.detail,
                next_try=hold.until,
            )
        )
        self._stop.wait(min(hold.wait_s, LAST_DELAY_S))

    def _rest(self, end: SourceError) -> None:
        """Wait for the stop event: a recording is heard once. The time is neither heard nor lost."""
        _log.info("source %s: %s", self.config.name, end.detail)
        self._since = self._clock.utc()
        with self._lock:
            self._resting = True
        self._say(SourceState.ENDED, end)
        while not self._stop.wait(_RESTING_TURN_S):
            self._progress()

    @property
    def _waits_for(self) -> str | None:
        """What a connection waits for that nobody is asked for."""
        address = self.config.address
        return f"waiting for a sender to push to {address}" if address.is_pushed else None

    def _say(
        self, state: SourceState, error: SourceError | None, delay_s: float | None = None, detail: str | None = None
    ) -> None:
        self._tell(
            SourceStatus(
                self.config.name,
                state,
                self._since,
                reason=None if error is None else error.reason,
                detail=detail or ("" if error is None else error.explanation),
                next_try=None if delay_s is None else self._clock.utc() + timedelta(seconds=delay_s),
                **self._asked(),
            )
        )

    def _note_learned(self) -> None:
        if self._memory.asking.learned != self._learned:
            self._learned = self._memory.asking.learned
            self._call(self._ways.remember, self._learned)

    def _asked(self) -> _Asked:
        """How an RTSP camera is asked at present."""
        if not self.config.address.is_rtsp:
            return {}
        way = self._memory.asking.way
        return {"media": way.media, "transport": way.transport}

    def _tell(self, status: SourceStatus) -> None:
        self._call(self._on_status, status)

    def _progress(self) -> None:
        with self._lock:
            self._last_progress_s = self._clock.monotonic()


def _cpu_s(thread: int) -> float:
    """Processor time of one of this process's threads, by the kernel's number of it; 0 where that is not told."""
    try:
        fields = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


class _Outage:
    """Turns a burst of failures into few log lines: the first, changes of reason, and now and then a count."""

    def __init__(self, now_s: float) -> None:
        self.lasts = False
        self._began_s = now_s
        self._throttle = LogThrottle()
        self._reason: Reason | None = None
        self._failures = 0

    def failed(self, source: str, error: SourceError, now_s: float) -> None:
        if not self.lasts:
            self.lasts, self._began_s, self._failures, self._reason = True, now_s, 0, None
        self._failures += 1
        is_new = error.reason is not self._reason
        if is_new:
            self._throttle.keep_only(())
            self._reason = error.reason
        if not self._throttle.is_due(error.reason, now_s):
            return
        if is_new:
            _log.warning("%s", error)
        else:
            minutes = (now_s - self._began_s) / 60
            _log.warning(
                "source %s: still %s after %d tries in %.0f min", source, error.reason, self._failures, minutes
            )

    def end(self, source: str, info: AudioInfo, now_s: float) -> None:
        what = f"{info.codec}, {info.sample_rate} Hz, {info.channels} channel{'s' if info.channels != 1 else ''}"
        if self.lasts:
            away_s = now_s - self._began_s
            _log.info("source %s: heard again after %.1f s and %d tries: %s", source, away_s, self._failures, what)
        else:
            _log.info("source %s: heard: %s", source, what)
        self.lasts = False
