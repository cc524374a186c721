"""A film that is pushed to an RTSP or RTMP server, for as long as it is made.

Owns: when a connection is tried again, and what is dropped. Does not know: FFmpeg's ways with servers, or processes.

Nothing is encoded while there is no connection. A connection has encoders of its own, so that it begins with a picture
that can be decoded. A server that is too slow has the packets that wait dropped, all of them, and goes on with such a
picture: what it shows is never older than `Limits.queue_s`. Everything happens within the calls of the caller, which
come many times a second.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from edgeaudio.backoff import Backoff
from edgeaudio.film.errors import FilmError
from edgeaudio.film.push_faults import NOT_OPENED, STALLED, PushFault, with_seconds
from edgeaudio.film.push_process import PushProcess
from edgeaudio.film.targets import PushTarget
from edgeaudio.media.film_form import FilmFormat, FilmWriterError, PictureForm, Plane, SoundForm
from edgeaudio.media.film_push_encoder import PushEncoder, WirePacket
from edgeaudio.media.film_wire import PushHead
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Samples

_log = logging.getLogger(__name__)

_JITTER: Final = 0.2
_TURN_S: Final = 0.02
_SETTLED_S: Final = 30.0  # a connection that held so long was a good one


@dataclass(frozen=True, slots=True)
class Limits:
    """Times and sizes of a push."""

    connect_s: float = 20.0  # from the start of the process until the server takes the stream
    stalled_s: float = 10.0  # a server that takes nothing for so long is left
    queue_s: float = 2.0  # that a packet may wait
    queue_bytes: int = 8 << 20  # that may wait
    end_s: float = 3.0  # for the last packets and the goodbye
    first_retry_s: float = 1.0
    last_retry_s: float = 60.0


@dataclass(slots=True)
class PushCounts:
    """What became of a film."""

    connections: int = 0  # that a server took
    pictures: int = 0  # that were encoded and queued
    unsent: int = 0  # pictures for which there was no connection
    dropped: int = 0  # pictures that a server did not take in time


class PushOutput:
    """A FilmOutput that is a server."""

    def __init__(
        self,
        target: PushTarget,
        film_format: FilmFormat,
        sound: SoundForm,
        picture: PictureForm,
        *,
        encoders: Iterable[str],
        limits: Limits | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to connect. Raises FilmError if this build of FFmpeg cannot encode the film."""
        self.counts = PushCounts()
        self._target, self._format, self._sound, self._picture = target, film_format, sound, picture
        self._encoders, self._limits, self._now = tuple(encoders), limits or Limits(), now
        self._backoff = Backoff(self._limits.first_retry_s, self._limits.last_retry_s)
        self._throttle = LogThrottle()
        self._process: PushProcess | None = None
        self._encoder: PushEncoder | None = None
        self._open_since_s: float | None = None
        self._lost_since_s: float | None = None  # since when nothing is sent
        self._retry_s = now()
        self._closed = False
        self._connect()

    @property
    def pid(self) -> int | None:
        """The process that pushes now."""
        return None if self._process is None else self._process.pid

    @property
    def is_open(self) -> bool:
        """True if a server takes the film now."""
        return self._process is not None and self._process.is_open

    def picture(self, number: int, planes: tuple[Plane, Plane, Plane]) -> None:
        """As FilmOutput.picture."""
        self._step()
        if self._encoder is None or not self.is_open:
            self.counts.unsent += 1
            return
        self.counts.pictures += 1
        self._put(lambda encoder: encoder.picture(number, planes))

    def sound(self, position: int, samples: Samples) -> None:
        """As FilmOutput.sound; a connection begins with a picture, and has the sound of that time."""
        if self._encoder is not None and not self.is_open:
            self._encoder.keep(position, samples)
            return
        self._put(lambda encoder: encoder.sound(position, samples))

    def wait_open(self, stop: threading.Event) -> None:
        """Return once a server has taken the stream, or the first attempt has failed, or `stop` is set."""
        while not stop.is_set() and self._lost_since_s is None:
            self._step()
            if self.is_open:
                return
            stop.wait(_TURN_S)

    def close(self) -> None:
        """End the stream: what waits is sent, as far as the server takes it soon. Once is enough."""
        if self._closed:
            return
        self._closed = True
        process = self._process
        if process is not None and process.is_open:
            self._put(PushEncoder.flush)
            deadline_s = self._now() + self._limits.end_s
            while process.waiting_bytes and process.fault is None and self._now() < deadline_s:
                process.step(self._now())
                time.sleep(0.01)
        self._end(self._limits.end_s)
        counts = self.counts
        _log.info(
            "%s: the film has ended: pictures sent %d, dropped %d, without a connection %d; connections %d",
            *(self._target, counts.pictures - counts.dropped, counts.dropped, counts.unsent, counts.connections),
        )

    def _put(self, encode: Callable[[PushEncoder], list[WirePacket]]) -> None:
        """Encode, queue the packets, and write what the pipe takes."""
        process, encoder = self._process, self._encoder
        if process is None or encoder is None or not process.is_open:
            return
        now_s = self._now()
        try:
            packets = encode(encoder)
        except FilmWriterError as error:
            self._end()
            raise FilmError(f"{self._target}: {error}") from None
        for packet in packets:
            process.put(packet.data, is_picture=packet.is_picture, now_s=now_s)
        process.step(now_s)

    def _step(self) -> None:
        """Do what is due: connect, find out how the process gets on, leave a server that stalls."""
        now_s = self._now()
        process = self._process
        if process is None:
            if now_s >= self._retry_s:
                self._connect()
            return
        process.step(now_s)
        limits = self._limits
        if process.fault is not None:
            self._failed(process.fault)
        elif not process.is_open:
            if now_s - process.began_s > limits.connect_s:
                self._failed(with_seconds(NOT_OPENED, limits.connect_s))
        elif process.stalled_s(now_s) > limits.stalled_s:
            self._failed(with_seconds(STALLED, limits.stalled_s))
        else:
            self._opened(now_s)
            if process.oldest_s(now_s) > limits.queue_s or process.waiting_bytes > limits.queue_bytes:
                self._drop(process, now_s)

    def _drop(self, process: PushProcess, now_s: float) -> None:
        dropped = process.drop()
        self.counts.dropped += dropped
        if self._encoder is not None:
            self._encoder.force_key()
        if dropped and self._throttle.is_due("slow", now_s):
            _log.warning(
                "%s: the server or the line is too slow: %d pictures and their sound were dropped (%d in all); "
                "choose a smaller size, fewer pictures a second, or a lower bit rate",
                *(self._target, dropped, self.counts.dropped),
            )

    def _opened(self, now_s: float) -> None:
        if self._open_since_s is None:
            self._open_since_s = now_s
            self.counts.connections += 1
            if self._lost_since_s is None:
                _log.info("%s: the film is sent", self._target)
            else:
                _log.warning(
                    "%s: the film is sent again, after %.1f s; %d pictures had no connection so far",
                    *(self._target, now_s - self._lost_since_s, self.counts.unsent),
                )
            self._lost_since_s = None
        elif now_s - self._open_since_s > _SETTLED_S and self._backoff.failures:
            self._backoff.reset()
            self._throttle.keep_only(())

    def _connect(self) -> None:
        now_s = self._now()
        try:
            encoder = PushEncoder(self._format, self._sound, self._picture, encoders=self._encoders)
            template = encoder.template()
        except FilmWriterError as error:
            raise FilmError(f"{self._target}: {error}") from None
        self._encoder = encoder
        target = self._target
        head = PushHead(target.url, target.container, target.options, encoder.units, template)
        try:
            self._process = PushProcess(head, now_s)
        except OSError as error:  # no memory, no processes: as long as it lasts
            self._failed(PushFault(f"no process can be started: {(error.strerror or 'it failed').lower()}"))

    def _failed(self, fault: PushFault) -> None:
        now_s = self._now()
        if self._process is not None and self._process.is_open:
            self.counts.dropped += self._process.drop()
        self._end()
        if self._lost_since_s is None:
            self._lost_since_s = now_s
        delay_s = self._backoff.next_s() * random.uniform(1 - _JITTER, 1 + _JITTER)
        self._retry_s = now_s + delay_s
        if self._throttle.is_due(fault.words, now_s):
            _log.warning("%s: %s; it is tried again in %.1f s, and for ever", self._target, fault, delay_s)

    def _end(self, patience_s: float = 0.0) -> None:
        process, self._process, self._encoder = self._process, None, None
        self._open_since_s = None
        if process is not None:
            process.end(patience_s)
