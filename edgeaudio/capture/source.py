"""One connection to one source: an address in, Blocks of one channel out.

Owns: opening, choosing the track, reading and decoding, cutting into Blocks and epochs, closing.
Does not know: retries, states, MQTT. It raises and is done; `retry.py` tries again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.packet import Packet

from edgeaudio.capture.clock import Clock
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.cutter import Cut, Cutter
from edgeaudio.capture.interrupt import Guard
from edgeaudio.capture.options import ffmpeg_call
from edgeaudio.capture.reasons import SourceError, StoppedError, explain
from edgeaudio.capture.samples import one_channel, planes_of
from edgeaudio.capture.timeline import Timeline
from edgeaudio.capture.tracks import choose_track, describe
from edgeaudio.recognise.types import Block, Reason, Samples

# a live HLS list grows by whole segments, 6 to 10 s apart
_HLS_STALL_S = 20.0
# these tell the length of the sound in their header: less means that the file was cut off
_EXACT_LENGTH = {"wav", "w64", "aiff", "au", "caf", "flac", "mov,mp4,m4a,3gp,3g2,mj2"}
_CUT_OFF_S = 0.25

# PyAV raises the last three beside FFmpeg's own
FFMPEG_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError)

# cameras serve few sessions at once, and need a moment to end the one that was refused
_FALLBACK_PAUSE_S = 0.5
# what a camera that refuses to set up audio alone may answer; a login or a path that is wrong
# stays wrong with the full stream
_REFUSALS = {Reason.INVALID_DATA, Reason.TIMEOUT, Reason.END_OF_STREAM}


@dataclass(slots=True)
class SourceMemory:
    """What one connection learned that helps the next one of the same source."""

    full_stream: bool = False  # the camera refuses a session with audio alone
    epoch: int = -1  # of the last Block; epochs count on over connections

    def doubt(self, config: SourceConfig) -> None:
        """Silence for an answer: some cameras refuse audio alone without a word, so try the other way next time."""
        if config.address.scheme in {"rtsp", "rtsps"}:
            self.full_stream = not self.full_stream


def open_source(
    config: SourceConfig,
    stop: threading.Event,
    *,
    memory: SourceMemory | None = None,
    clock: Clock | None = None,
    media_start: datetime | None = None,
) -> Connection:
    """Open `config`'s source: a context manager that yields its Blocks.

    With `media_start`, the UTC time of the first sample, a recording is read as fast as it decodes
    and times are those of the medium. Without it everything is live: a recording (a file, or what
    comes by HTTP) is played at its own speed.

    Raises SourceError with its Reason; StoppedError soon after `stop` is set. Never retries, but for
    one thing: where a camera refuses audio alone, the full stream is asked for, and `memory` says
    so to the next connection.
    """
    memory = SourceMemory() if memory is None else memory
    clock = Clock() if clock is None else clock
    audio_only = config.address.scheme in {"rtsp", "rtsps"} and not memory.full_stream
    guard = Guard(stop)
    try:
        container = _open(config, guard, stop, audio_only=audio_only)
    except SourceError as error:
        if guard.expired:
            memory.doubt(config)
        if not audio_only or error.reason not in _REFUSALS or guard.expired:
            raise
        container = None
    if container is None:
        stop.wait(_FALLBACK_PAUSE_S)
        container = _open(config, guard, stop, audio_only=False)
        memory.full_stream = True
    try:
        return Connection(container, config, guard, stop, memory, clock, media_start)
    except BaseException:
        container.close()
        raise


class Connection:
    """An open source. Iterate once; leave the `with` block to close it.

    The iteration ends where the stream ends, or soon after the stop event; it raises SourceError
    when the source fails or stalls.
    """

    def __init__(
        self,
        container: InputContainer,
        config: SourceConfig,
        guard: Guard,
        stop: threading.Event,
        memory: SourceMemory,
        clock: Clock,
        media_start: datetime | None,
    ) -> None:
        self.broken_samples = 0  # NaN or infinite, replaced by 0
        self.broken_packets = 0  # could not be decoded, skipped
        self.filled_s = 0.0  # lost on the way, filled with silence
        self.end_s = 0.0  # of the last Block: monotonic, or since the start of the medium
        self._container = container
        self._config = config
        self._guard = guard
        self._stop = stop
        self._memory = memory
        self._clock = clock
        self._media_start = media_start
        self._stream = choose_track(container, config)
        self.info = describe(container, self._stream)
        live = media_start is None
        self._paced = live and config.address.scheme in {"file", "http", "https"}
        self._timeline = Timeline(live=live, lossy=config.address.scheme not in {"file", "http", "https"})
        self._cutter = Cutter()
        self._format: tuple[int, int] | None = None
        self._play_start_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Block]:
        heard_s = 0.0
        for frame in self._frames():
            for block in self._take(frame):
                heard_s += block.duration_s
                if not self._pace(heard_s):
                    return
                yield block
        for block in self._blocks(self._cutter.flush()):
            heard_s += block.duration_s
            if not self._pace(heard_s):
                return
            yield block
        if not self._stop.is_set():
            self._check_complete(heard_s)

    # reading

    def _frames(self) -> Iterator[AudioFrame]:
        limit_s = self._config.read_timeout_s
        if "hls" in self.info.container:
            limit_s = max(limit_s, _HLS_STALL_S)
        packets = self._container.demux(self._stream)
        self._guard.limit(limit_s)
        while True:
            packet = self._next_packet(packets, limit_s)
            if self._stop.is_set():
                return
            if self._guard.must_end():  # nothing comes, or nothing in what comes is sound
                self._doubt()
                raise self._failure(TimeoutError(), limit_s)
            if packet is None:
                return
            for frame in self._decode(packet):
                yield frame
                self._guard.limit(limit_s)

    def _next_packet(self, packets: Iterator[Packet[AudioStream]], limit_s: float) -> Packet[AudioStream] | None:
        with self._guard:
            try:
                return next(packets, None)
            except FFMPEG_ERRORS as error:
                failure = error
        if self._stop.is_set():
            return None
        if self._guard.expired:
            self._doubt()
        # outside the handler, so that no traceback holds FFmpeg's message with the login
        raise self._failure(failure, limit_s)

    def _doubt(self) -> None:
        if self._format is None:  # no sound at all on this connection
            self._memory.doubt(self._config)

    def _decode(self, packet: Packet[AudioStream]) -> list[AudioFrame]:
        try:
            return [frame for frame in packet.decode() if frame.samples > 0 and frame.sample_rate > 0]
        except FFMPEG_ERRORS:
            self.broken_packets += 1
            return []

    def _failure(self, error: Exception, limit_s: float) -> SourceError:
        reason, detail = explain(
            error,
            self._config.address,
            opening=False,
            timed_out=self._guard.expired,
            limit_s=limit_s,
            tls_verify=self._config.tls_verify,
            ca_file=self._config.ca_file,
        )
        return SourceError(self._config.name, self._config.address, reason, detail)

    # from frames to Blocks

    def _take(self, frame: AudioFrame) -> Iterator[Block]:
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if (rate, channels) != self._format:
            if self._format is not None:
                yield from self._blocks(self._cutter.flush())
                self._timeline.cut()
            self._format = (rate, channels)
            self.info = replace(self.info, sample_rate=rate, channels=channels)
        try:
            samples, broken = one_channel(planes_of(frame), self._config.channel)
        except IndexError:
            detail = f"channel {self._config.channel} is asked for, and the stream has {channels}"
            raise SourceError(
                self._config.name,
                self._config.address,
                Reason.NO_AUDIO_TRACK,
                detail,
                f"set channel to 1..{channels} or 'mix'",
            ) from None
        self.broken_samples += broken
        pts_s = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        place = self._timeline.place(
            None if pts_s is None else float(pts_s), len(samples), rate, self._arrival_s(samples, rate)
        )
        if place.new_epoch:
            yield from self._blocks(self._cutter.flush())
            self._memory.epoch += 1
            self._cutter = Cutter()
        if place.fill:
            self.filled_s += place.fill / rate
            samples = np.concatenate([np.zeros(place.fill, np.float32), samples])
        yield from self._blocks(self._cutter.add(samples, rate, place.begin_s))

    def _blocks(self, cuts: Iterator[Cut]) -> Iterator[Block]:
        for cut in cuts:
            self.end_s = cut.end_s
            if self._media_start is None:
                at = self._clock.utc(cut.begin_s)
            else:
                at = self._media_start + timedelta(seconds=cut.begin_s)
            yield Block(self._config.name, self._memory.epoch, cut.offset, at, cut.sample_rate, cut.samples)

    # the speed of recordings

    def _arrival_s(self, samples: Samples, rate: int) -> float:
        """When the frame was had: now; for a recording that is played, when it will be due."""
        now_s = self._clock.monotonic()
        if not self._paced:
            return now_s
        if self._play_start_s is None:
            self._play_start_s = now_s
            self._decoded_s = 0.0
        self._decoded_s += len(samples) / rate
        return max(now_s, self._play_start_s + self._decoded_s)

    def _pace(self, heard_s: float) -> bool:
        """Wait until the block is due, if it is; False: stop was asked."""
        if self._paced and self._play_start_s is not None:
            wait_s = self._play_start_s + heard_s - self._clock.monotonic()
            if wait_s > 0:
                return not self._stop.wait(wait_s)
        return not self._stop.is_set()

    # checks

    def _check_complete(self, heard_s: float) -> None:
        if heard_s == 0:
            detail = "the audio track holds no sound"
        elif (
            self._config.address.path is not None
            and self.info.container in _EXACT_LENGTH
            and self.info.duration_s is not None
            and heard_s < self.info.duration_s - _CUT_OFF_S
        ):
            detail = f"cut off after {heard_s:.1f} s of {self.info.duration_s:.1f} s"
        else:
            return
        raise SourceError(self._config.name, self._config.address, Reason.INVALID_DATA, detail, "")


def _open(config: SourceConfig, guard: Guard, stop: threading.Event, *, audio_only: bool) -> InputContainer:
    listens = config.address.scheme == "rtsp+listen"
    limit_s = float("inf") if listens else config.open_timeout_s
    call = ffmpeg_call(
        config.address,
        transport=config.transport,
        tls_verify=config.tls_verify,
        ca_file=config.ca_file,
        open_timeout_s=config.open_timeout_s,
        read_timeout_s=config.read_timeout_s,
        audio_only=audio_only,
    )
    guard.limit(limit_s)
    with guard:
        try:
            return av.open(
                call.file,
                "r",
                format=call.format,
                options=call.options,
                metadata_errors="replace",
                # behind the guard, and what makes PyAV install the callback that the guard uses
                timeout=(None if listens else limit_s, config.read_timeout_s),
            )
        except FFMPEG_ERRORS as error:
            failure = error
    # outside the handler, so that no traceback holds FFmpeg's message with the login
    if stop.is_set():
        raise StoppedError(f"source {config.name}: stopped while opening")
    reason, detail = explain(
        failure,
        config.address,
        opening=True,
        timed_out=guard.expired,
        limit_s=limit_s,
        tls_verify=config.tls_verify,
        ca_file=config.ca_file,
    )
    raise SourceError(config.name, config.address, reason, detail)
