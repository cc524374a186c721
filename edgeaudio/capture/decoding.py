"""Reader of decoded frames of one track.

Owns: reading and decoding, how much one read brings, what is skipped, and the limit after which a source counts as
stalled.
Does not know: samples, time, Blocks.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator

import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.packet import Packet

from edgeaudio.capture import pipe
from edgeaudio.capture.burst import duration_of
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.errors import FFMPEG_ERRORS, Call, SourceError, classify, undecodable
from edgeaudio.capture.ffmpeg_log import FfmpegLog, recorded
from edgeaudio.capture.http_proxy import HttpProxy
from edgeaudio.capture.opening import SourceMemory, proxied_failure
from edgeaudio.capture.reblock import MAX_FRAMES

# a live HLS list grows by whole segments, 6 to 10 s apart
_HLS_STALL_S = 20.0
# reads of a sound card do not block; a card buffers a third of a second or more
_CARD_POLL_S = 0.02
# longer than it takes to return a packet that is there
_WAIT_S = 0.002
# after which a read does not go on for sound that has not come
OVERDUE_S = 0.25
# of sound, read at once beyond what is wanted, while the reader is behind
_BEHIND_S = 0.5


class FrameReader:
    """Frames of one track, as lists of what each read brought; none is empty.

    Iterate once; ends with the stream, or soon after the stop event. Raises SourceError.
    """

    def __init__(
        self,
        container: InputContainer,
        track: AudioStream,
        config: SourceConfig,
        deadline: Deadline,
        stop: threading.Event,
        memory: SourceMemory,
        proxy: HttpProxy | None,
        monotonic: Callable[[], float],
    ) -> None:
        self.wanted_s = 0.0  # of sound, after which a read ends; 0: with each packet
        self.due_s: float | None = None  # monotonic, when that should have come to a reader that waits; None: no matter
        self.began_s = 0.0  # the present read, monotonic
        self.arrived_s = 0.0  # the last frame, monotonic; it came earlier if it was not waited for
        self.has_waited = False  # for that frame
        self.after_damage = False  # the frames last taken: packets without sound came before them
        self.broken_packets = 0  # could not be decoded, skipped
        self.received = 0  # bytes of packets
        self._container, self._track = container, track
        self._packets: Iterator[Packet[AudioStream]] = container.demux(track)
        self._config = config
        self._deadline = deadline
        self._stop = stop
        self._memory = memory
        self._proxy = proxy
        self._monotonic = monotonic
        self._frames: list[AudioFrame] = []  # of the present read
        self._frames_after_damage = False
        self._next: tuple[list[AudioFrame], float, bool] | None = None  # of the next read, as `_keep` takes them
        self._silent = True  # no frame so far
        self._damage = False  # since the last frame
        self._log = FfmpegLog()  # of the present call
        self._undecoded = 0  # packets since the last frame
        self._codec_error: type[Exception] | None = None  # of the last of them
        self._limit_s = config.read_timeout_s
        # so that no read looks like a pause of the sender, of which the period is up to half
        self.overdue_s = min(OVERDUE_S, config.read_timeout_s / 4)
        if "hls" in container.format.name:
            self._limit_s = max(self._limit_s, _HLS_STALL_S)
        if config.address.path is not None:
            self._limit_s = max(self._limit_s, pipe.STALL_S)

    def __iter__(self) -> Iterator[list[AudioFrame]]:
        self._deadline.limit(self._stall_timeout_s)
        goes_on = True
        while goes_on:
            try:
                goes_on = self._read()
            except SourceError:
                if frames := self.take():  # what came before it is heard first
                    yield frames
                raise
            if frames := self.take():
                yield frames

    def take(self) -> list[AudioFrame]:
        """Return the frames of the present read so far."""
        frames, self._frames = self._frames, []
        self.after_damage = self._frames_after_damage
        return frames

    @property
    def is_damaged(self) -> bool:
        """True if packets without sound have come since the last frame: the sender does not pause."""
        return self._damage or not self._log.is_empty

    def _read(self) -> bool:
        """Read what is wanted; return False at the end, and after the stop event. Raises SourceError."""
        failure: Exception | None = None
        again = ended = False
        with self._deadline, recorded() as log:
            self._log = log
            try:
                ended = not self._fill(log)
            except BlockingIOError:
                again = True
            except FFMPEG_ERRORS as error:
                failure = error.with_traceback(None)  # the traceback would hold this frame, and all that it holds
            except IndexError:
                ended = True  # PyAV ends so if a track appeared while it was reading
        self._damage |= not log.is_empty
        if self._stop.is_set():
            return False
        timed_out = self._deadline.must_end()
        if timed_out and self._silent:
            self._memory.rtsp_setup.toggle_audio_only()
        if timed_out or (failure is not None and not self._is_end(failure)):
            raise self._failure(failure or TimeoutError(), log)
        if again:
            self._stop.wait(_CARD_POLL_S)
            self._packets = self._container.demux(self._track)  # the generator before ended with its exception
            return True
        # FFmpeg skips segments that it cannot get, and ends after the last
        if (ended or failure is not None) and (refused := self._refused) is not None:
            raise refused
        return not ended and failure is None

    def _fill(self, log: FfmpegLog) -> bool:
        """Read packets until there is enough sound, or no time left; return False at the end of the stream."""
        self.began_s = waits_s = self._monotonic()
        sound_s = 0.0
        if self._next is not None:
            sound_s += self._keep(*self._next)
            self._next = None
            if self._is_enough(sound_s):
                return True
        for packet in self._packets:
            now_s = self._monotonic()
            if self._deadline.expired:  # FFmpeg still returns what it had
                return True
            self.received += packet.size
            self._damage |= not log.is_empty
            frames = self._decode(packet)
            log.clear()  # decoders complain of what they repair
            if frames:
                self._deadline.limit(self._stall_timeout_s)
                if self._frames and self._damage:
                    self._next = frames, now_s, now_s - waits_s >= _WAIT_S
                    return True
                sound_s += self._keep(frames, now_s, now_s - waits_s >= _WAIT_S)
                if self._is_enough(sound_s):
                    return True
            elif self._deadline.must_end():  # packets without sound do not extend the limit
                return True
            waits_s = self._monotonic()
        return False

    def _keep(self, frames: list[AudioFrame], arrived_s: float, has_waited: bool) -> float:
        """Add frames to the present read; return the seconds of their sound."""
        self.arrived_s, self.has_waited = arrived_s, has_waited
        if not self._frames:
            self._frames_after_damage = self._damage
        self._damage = False
        self._frames += frames
        return duration_of(frames)

    def _is_enough(self, sound_s: float) -> bool:
        """True if the present read ends with the last packet."""
        if len(self._frames) >= MAX_FRAMES or (
            self.due_s is not None and self.arrived_s >= self.due_s + self.overdue_s
        ):
            return True
        if self.due_s is None or self.has_waited:
            return sound_s >= self.wanted_s
        return sound_s >= self.wanted_s + _BEHIND_S

    def _is_end(self, error: Exception) -> bool:
        """True if FFmpeg ends a complete stream with this error."""
        if isinstance(error, av.error.ExitError):
            # not from this call: FFmpeg remembers until the end of the data that a probe reached its limit
            return not self._silent
        # a body of unknown length that the proxy passed on completely
        return self._proxy is not None and isinstance(error, OSError) and error.errno == errno.EIO and not self._refused

    @property
    def _refused(self) -> SourceError | None:
        return proxied_failure(self._config, self._proxy)

    @property
    def _stall_timeout_s(self) -> float:
        return self._limit_s if self._proxy is None else max(self._limit_s, self._proxy.stall_timeout_s)

    def _decode(self, packet: Packet[AudioStream]) -> list[AudioFrame]:
        try:
            frames = [frame for frame in packet.decode() if frame.samples > 0 and frame.sample_rate > 0]
        except FFMPEG_ERRORS as error:
            self.broken_packets += 1
            self._damage = True
            self._undecoded += 1
            self._codec_error = type(error)
            return []
        if frames:
            self._undecoded = 0
            if self._silent:
                self._silent = False
                self._memory.rtsp_setup.heard()
            if self._proxy is not None:
                self._proxy.sound()
        return frames

    def _failure(self, error: Exception, log: FfmpegLog) -> SourceError:
        timed_out = self._deadline.expired
        if (refused := self._refused) is not None:
            return refused
        if timed_out and self._undecoded:
            return undecodable(self._config, self._undecoded, self._codec_error)
        over_udp = self._memory.rtsp_setup.mode.transport == "udp"
        call = Call(
            opening=False,
            timed_out=timed_out,
            limit_s=self._stall_timeout_s,
            over_udp=over_udp,
            log=log,
            received=self._proxy.received if self._proxy is not None and self._silent else 0,
        )
        return classify(self._config, error, call)
