"""One connection to one source: an address in, Blocks of all its channels out.

Owns: when frames are read and become Blocks, bursts and pauses, closing.
Does not know: retries (reader.py), states, MQTT.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Self

from av.audio.frame import AudioFrame
from av.container.input import InputContainer

from edgeaudio.capture.block_builder import BlockBuilder
from edgeaudio.capture.burst import STEADY_S, Burst, duration_of
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.decoding import FrameReader
from edgeaudio.capture.drain import MIN_PERIOD_S, DrainSchedule, Steadiness
from edgeaudio.capture.errors import FFMPEG_ERRORS, PUSHED, SourceError
from edgeaudio.capture.http_proxy import HttpProxy
from edgeaudio.capture.network_probe import rtsp_answers
from edgeaudio.capture.opening import SourceMemory, open_container
from edgeaudio.capture.pauses import PauseWatch
from edgeaudio.capture.pipe import kind_of
from edgeaudio.capture.playback import Arrived, Playback
from edgeaudio.capture.reblock import LIVE, STORED, Lengths
from edgeaudio.capture.recording import is_recording, zero_s
from edgeaudio.capture.timeline import Timeline
from edgeaudio.capture.tracks import AudioInfo, choose_track, describe
from edgeaudio.capture.truncation import cut_off
from edgeaudio.clock import Clock
from edgeaudio.types import Block, Reason

# of sound, read at once while what was handed on waits for its recognition: a packet each would take three times the
# CPU, and many streams that begin together would leave none for recognition
_BEHIND_S = 0.25
_END_SLACK_S = 1.0  # tolerance of the length that an RTSP server announces
_PRIMING_S = (
    0.5  # before a position that is searched for: the first frame after a search may be left out (AAC: 1024 samples)
)


def open_source(
    config: SourceConfig,
    stop: threading.Event,
    *,
    memory: SourceMemory | None = None,
    clock: Clock | None = None,
    media_start: datetime | None = None,
    sender_wait_s: float | None = None,
    begin_s: float = 0.0,
) -> Connection:
    """Open `config`'s source; return a context manager that yields its Blocks.

    With `media_start`, the UTC time of its beginning, a recording is read as fast as it decodes, and times are those of
    the medium. Without it a recording is played at its own speed. Live sound is read as it comes. Its times are always
    those of the clock.

    `sender_wait_s` bounds the wait for the sender of a pushed source, and for the writer of a pipe; None: no limit for
    a pushed source. Pipes, terminals and the like can be read only with `media_start`.

    `begin_s`: sound of a recording before it is not wanted, and left out as far as the format can be searched; times
    stay those of the medium.

    Raises SourceError with its Reason, and StoppedError soon after `stop` is set. Does not retry, except that a camera
    that refuses one RTSP mode is asked in others; `memory` keeps the result for the next connection.
    """
    memory = SourceMemory.of(config) if memory is None else memory
    clock = Clock() if clock is None else clock
    deadline = Deadline(stop)
    kind = None if config.address.path is None else kind_of(config.address.path)
    if media_start is None and kind not in {None, "directory"}:
        detail = f"this is a {kind}: only `score`, `probe` and `transcribe` read one"
        raise SourceError(config.name, config.address, Reason.INVALID_DATA, detail, PUSHED)
    with ExitStack() as closing:
        proxy = closing.enter_context(_proxy(config, memory)) if config.address.is_http else None
        opened = open_container(config, deadline, stop, memory, proxy, sender_wait_s)
        container = opened.container
        if opened.pipe is not None:
            closing.callback(opened.pipe.close)
        closing.callback(container.close)
        connection = Connection(container, config, deadline, stop, memory, clock, media_start, proxy, begin_s=begin_s)
        connection.closing = closing.pop_all()
        return connection


def _proxy(config: SourceConfig, memory: SourceMemory) -> HttpProxy:
    try:
        proxy = HttpProxy(config.address, tls_verify=config.tls_verify, ca_file=config.ca_file, heard=memory.heard)
        memory.received = lambda: proxy.received
        return proxy  # noqa: TRY300 (nothing above raises but HttpProxy)
    except OSError as error:
        detail = f"no port on this machine's loopback is free ({error.strerror})"
    raise SourceError(config.name, config.address, Reason.UNREACHABLE, detail, "")


class Connection:
    """An open source. Iterate once; leave the `with` block to close it.

    The iteration ends at the end of the stream, or soon after the stop event. It raises SourceError when the source
    fails or stalls.
    """

    def __init__(  # noqa: PLR0913 (made in one place)
        self,
        container: InputContainer,
        config: SourceConfig,
        deadline: Deadline,
        stop: threading.Event,
        memory: SourceMemory,
        clock: Clock,
        media_start: datetime | None,
        proxy: HttpProxy | None,
        *,
        begin_s: float,
    ) -> None:
        # called while reading waits: with Blocks that are known only then (the end of a burst, the silence of a
        # pause), and at the beginning of a longer wait
        self.on_pause: Callable[[Block], None] | None = None
        self.on_stall: Callable[[str, float], None] | None = None
        self.is_behind: Callable[[], bool] = lambda: False  # what was yielded is still waiting for its recognition
        self.closing = ExitStack()  # closed with the connection
        self.proxy = proxy  # of HTTP; knows live sound from stored
        self._config = config
        self._stop = stop
        self._memory = memory
        self._clock = clock
        self._track = track = choose_track(container, config)
        self._frames = FrameReader(container, track, config, deadline, stop, memory, proxy, clock.monotonic)
        self.recorded = is_recording(container, config.address, is_live=proxy.is_live if proxy else None)
        self._ended = False  # a recording was read to its end
        self._heard_s = 0.0
        self._media_start = media_start if self.recorded else None  # None: the clock's times
        played = self.recorded and media_start is None
        self._playback = Playback(memory.played_s, stop, clock) if played else None
        self._drain = DrainSchedule(config.read_period_s) if self._may_rest(container) else None
        self._steadiness = Steadiness()
        self._arrived_s = 0.0  # the last frame, monotonic, as far as is known
        self._burst: Burst | None = None  # while it lasts
        self._held: deque[Arrived] = deque()  # what came in it
        self._watch = PauseWatch(
            config,
            memory,
            deadline,
            clock.monotonic(),
            answers=lambda: rtsp_answers(config.address),
        )
        lengths = self._block_lengths
        first_s = zero_s(container, config.address.path)
        if begin_s > 0:
            first_s = first_s or 0.0  # the first frame that is read is not that of the medium
            with suppress(*FFMPEG_ERRORS):  # it cannot be searched: all of it is read
                container.seek(int((first_s + max(0.0, begin_s - _PRIMING_S)) * 1_000_000))
        self.blocks = BlockBuilder(
            config,
            memory,
            clock,
            Timeline(
                live=self._media_start is None,
                lossy=config.address.path is None and not config.address.is_http,
                reliable=config.address.scheme != "udp" and config.transport != "udp",
                may_pause=proxy is None or not proxy.has_live_playlist,
                zero_s=first_s,
            ),
            describe(container, track),
            lengths=lengths,
            recorded=self.recorded,
            media_start=self._media_start,
        )
        self.blocks.on_pause_found = self._watch.paused
        if lengths is STORED:
            self._frames.wanted_s = STORED.min_s
        self._deadline = deadline
        deadline.on_wait = None if self.recorded else self._wait

    @property
    def info(self) -> AudioInfo:
        """What is heard, in the format of the last frame."""
        return self.blocks.info

    @property
    def finished(self) -> bool:
        """True if a recording was heard to its end; an RTSP server may play one, too."""
        length_s = (self.info.duration_s or 0.0) if self._config.address.is_rtsp else 0.0
        # a camera that announces a length goes on after it
        return self._ended or (length_s > 0 and abs(self._heard_s - length_s) <= _END_SLACK_S)

    @property
    def pauses(self) -> bool:
        """True if the sender sends nothing while it is quiet."""
        return self._watch.pauses

    @property
    def broken_packets(self) -> int:
        """Packets that could not be decoded, and were skipped."""
        return self._frames.broken_packets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._deadline.on_wait = None  # breaks a cycle that keeps FFmpeg's memory
        self.closing.close()

    def __iter__(self) -> Iterator[Block]:
        reads = self._arriving()
        if self._playback is not None:
            reads = self._playback.due(reads)
        elif not self.recorded:
            reads = self._after_burst(reads)
        played_s = self._memory.played_s
        for block in self._all_blocks(reads):
            self._heard_s += block.duration_s
            if self._stop.is_set() or (self._playback is not None and not self._playback.wait(self._heard_s)):
                return
            if self._playback is not None:
                self._memory.played_s = played_s + self._heard_s
            yield block
        if not self._stop.is_set():
            self._ended = self.recorded
            self._memory.played_s = 0.0
            self._check_complete(played_s + self._heard_s)

    def _all_blocks(self, reads: Iterator[Arrived]) -> Iterator[Block]:
        try:
            for frames, arrival_s in reads:
                yield from self._add(frames, arrival_s)
                if self._drain is not None and not self._held:
                    yield from self._rest(self._drain)
        except SourceError:
            yield from self.blocks.flush()  # what came before it is heard
            raise
        yield from self.blocks.flush()

    def _add(self, frames: list[AudioFrame], arrival_s: float) -> Iterator[Block]:
        """Yield the Blocks that frames complete, and note whether something was missing before or among them."""
        place = self._place
        yield from self.blocks.add(frames, arrival_s, after_damage=self._frames.after_damage)
        if place != self._place:
            self._steadiness.disturb()

    @property
    def _place(self) -> tuple[float, float, int]:
        """Changes when something is missing in the stream."""
        return self.blocks.filled_s, self.blocks.quiet_s, self._memory.epoch

    def _rest(self, drain: DrainSchedule) -> Iterator[Block]:
        """Rest if a read has ended, after its Blocks; choose how much sound the next one brings."""
        reader = self._frames
        if reader.due_s is not None and reader.arrived_s >= reader.due_s + reader.overdue_s:
            self._steadiness.disturb()
        if not self._steadiness.is_steady or self._watch.pauses:
            reader.wanted_s, reader.due_s = _BEHIND_S if self.is_behind() else 0.0, None
            return
        epoch_s = self.blocks.epoch_s
        rest_s = drain.rest_s(epoch_s, reader.received)
        reader.wanted_s = drain.missing_s(epoch_s)
        reader.due_s = reader.arrived_s + reader.wanted_s
        if rest_s is not None:
            yield from self.blocks.flush()
            if reader.has_waited:
                self._stop.wait(rest_s)

    def _may_rest(self, container: InputContainer) -> bool:
        """True if the socket's buffer may hold what arrives between two reads: sound alone, over TCP."""
        config = self._config
        is_rtsp = config.address.is_rtsp or config.address.is_pushed
        over_tcp = is_rtsp and self._memory.rtsp_setup.mode.transport != "udp"
        return config.read_period_s >= MIN_PERIOD_S and over_tcp and not self.recorded and len(container.streams) == 1

    @property
    def _block_lengths(self) -> Lengths:
        path = self._config.address.path
        # what comes through a pipe may be live
        return STORED if self._media_start is not None and (path is None or kind_of(path) is None) else LIVE

    def _arriving(self) -> Iterator[Arrived]:
        for frames in self._frames:
            yield frames, self._arrival_s(frames)

    def _arrival_s(self, frames: list[AudioFrame]) -> float:
        """Note that a read has brought frames; return when the last of them arrived, as far as is known."""
        reader, duration_s = self._frames, duration_of(frames)
        self._watch.heard(reader.arrived_s)
        if reader.after_damage:
            self._steadiness.disturb()
        arrived_s = self._steadiness.arrival_s(duration_s, reader.arrived_s, has_waited=reader.has_waited)
        if reader.due_s is not None and not reader.has_waited:  # it waited to be read, for an unknown time
            arrived_s = max(self._arrived_s, min(arrived_s, self._arrived_s + duration_s))
        self._arrived_s = arrived_s
        return arrived_s

    def _after_burst(self, reads: Iterator[Arrived]) -> Iterator[Arrived]:
        """Yield what is read once the time of its beginning is known, without what an earlier connection has heard."""
        in_pieces = self._config.address.is_http
        burst = self._burst = Burst(self._clock.monotonic(), in_pieces=in_pieces)
        failure = None
        try:
            for frames, arrival_s in reads:
                self._held.append((frames, arrival_s))
                if self._burst is not burst or burst.add(frames, arrival_s):
                    break
        except SourceError as error:
            failure = error  # what came before it is heard first
        yield from self._released()
        if failure:
            raise failure
        yield from reads

    def _released(self) -> Iterator[Arrived]:
        """Yield what was held until the time of its beginning was known."""
        held, burst = self._held, self._burst
        if burst is not None:
            self._burst, begin_s = None, burst.begin_s
            if self.proxy is not None and self.proxy.live_began_s is not None:
                begin_s = min(begin_s, self.proxy.live_began_s)  # segments may come late
            # a playlist brings nothing twice: an overlap with earlier sound is only apparent
            hears_once = self.proxy is not None and self.proxy.has_live_playlist
            while held and not hears_once and begin_s + duration_of(held[0][0]) <= self._memory.heard_until_s:
                begin_s += duration_of(held.popleft()[0])
            self.blocks.begin(begin_s)
        while held:
            yield held.popleft()

    def _wait(self) -> None:
        """Publish what is due; called about ten times a second while FFmpeg waits."""
        now_s = self._clock.monotonic()
        self._publish(self._unfinished(now_s))
        if self._frames.is_damaged:
            return  # packets come, so the sender does not pause
        wait_s = self._watch.waiting(now_s)
        if wait_s is not None and self.on_stall is not None:
            detail = f"no sound within {self._config.read_timeout_s:g} s; the server answers, so it is waited for"
            self.on_stall(detail, wait_s)
        if self._watch.pauses and not self._held:
            self._publish(self.blocks.silence(now_s))

    def _publish(self, blocks: Iterator[Block]) -> None:
        """Publish Blocks from within a wait, if there is somebody to publish to."""
        if self.on_pause is None:
            return
        for block in blocks:
            self._heard_s += block.duration_s
            self.on_pause(block)

    def _unfinished(self, now_s: float) -> Iterator[Block]:
        """Yield what came in a burst or a read, if nothing has followed for a while."""
        if self._held and now_s - self._held[-1][1] >= STEADY_S:
            for frames, arrival_s in self._released():
                yield from self._add(frames, arrival_s)
        reader = self._frames
        overdue_s = now_s - reader.overdue_s
        is_late = reader.due_s is not None and overdue_s >= reader.due_s
        if self._held or not (is_late or overdue_s >= max(reader.began_s, reader.arrived_s)):
            return
        self._steadiness.disturb()
        if frames := self._frames.take():
            yield from self._add(frames, self._arrival_s(frames))
        self._frames.wanted_s, self._frames.due_s = 0.0, None
        yield from self.blocks.flush()

    def _check_complete(self, heard_s: float) -> None:
        config, info = self._config, self.info
        detail: str | None = None
        if heard_s == 0:
            detail = "the audio track holds no sound"
        elif config.address.path is not None and kind_of(config.address.path) is None:
            detail = cut_off(config.address.path, info.container, self._track, heard_s)
        if detail is not None:
            raise SourceError(config.name, config.address, Reason.INVALID_DATA, detail, "")
