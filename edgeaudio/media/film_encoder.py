"""Encoders of a film: pictures and samples in, packets with their times out.

Owns: which encoder of this build of FFmpeg is used, the times of packets, and silence where no sound came.
Does not know: containers, files, servers.

The wheels of PyAV for x86_64 and aarch64 have x264; others may have OpenH264, or MPEG-4 part 2 alone, which every build
has. x264 runs in its fastest form: a spectrogram that scrolls costs it a tenth of a core at 1280x720 and 30 a second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import Any, Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from edgeaudio.media.film_form import FilmFormat, FilmWriterError, PictureForm, Plane, SoundForm
from edgeaudio.types import Samples

_log = logging.getLogger(__name__)

# the best first; the last is in every build
VIDEO_ENCODERS: Final = ("libx264", "libopenh264", "mpeg4")
H264_ENCODERS: Final = VIDEO_ENCODERS[:-1]
KEY_EVERY_S: Final = 2  # a viewer, and a file that was cut off, can begin there
LATE_S: Final = 2.0  # sound may come so much later than its picture; after that there is silence
_X264: Final = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "crf": "23",
    "forced-idr": "1",
    "x264-params": "scenecut=0",
}
_PIECE: Final = 65_536  # samples of a channel that are encoded at once
_FULL_SCALE: Final = 1 << 23
_BT709, _LIMITED_RANGE = 1, 1  # FFmpeg's numbers: what players assume of large pictures, and all are told
_DEFAULT_BITS_PER_PIXEL: Final = 0.1  # of encoders that have no constant quality


class FilmEncoder:
    """Encoders of one film, or of one connection to a server.

    Every method raises FilmWriterError if FFmpeg cannot encode.
    `video` and `audio` are FFmpeg's streams, for containers to be made from. Not safe for several threads.
    """

    def __init__(
        self,
        film_format: FilmFormat,
        sound: SoundForm,
        picture: PictureForm | None = None,
        *,
        encoders: Iterable[str] = VIDEO_ENCODERS,
        threads: int = 1,
        from_start: bool = True,
        container: OutputContainer | None = None,
    ) -> None:
        """`from_start`: the film begins with its first sample; else where `begin_at` says, and until then is mute.

        `container`: gets the streams, and its head is written. Streams that were copied into it from another one would
        have encoders of their own, which do nothing: FLAC's takes 7 MB.
        """
        self.format = film_format
        self.sound_form = sound
        self.silent_samples = 0  # encoded where no sound came, of the source
        self.late_samples = 0  # that came too late, of the source
        self.pictures = 0  # encoded
        self._next: int | None = 0 if from_start else None  # sample of the source that is encoded next
        self._shown = -1  # the last picture's number
        self._key_due = True
        # nothing is written: a container of that kind makes streams, and opens no file
        self._container = container or av.open("", "w", format="null")
        self.video = self._video(picture or PictureForm(), encoders, threads)
        self.audio = self._audio(sound)
        self._frame: av.VideoFrame | None = None
        self._layout = "mono" if film_format.channels == 1 or sound.channels == 1 else self.audio.layout.name
        self._sample_format = "s32" if sound.codec == "flac" else "flt"

    @property
    def codec(self) -> str:
        """The picture's codec: h264 or mpeg4."""
        return str(self.video.codec.canonical_name)

    def picture(self, number: int, planes: tuple[Plane, Plane, Plane]) -> list[Packet[Any]]:
        """Return packets of a picture, shown from `number / frame_rate` on; numbers that do not grow are left out."""
        if number <= self._shown:
            return []
        packets = self._silence_until(number)
        frame = self._filled(planes)
        frame.pts = number
        frame.time_base = Fraction(1, self.format.frame_rate)
        frame.pict_type = av.video.frame.PictureType.I if self._key_due else av.video.frame.PictureType.NONE
        self._key_due = False
        self._shown = number
        self.pictures += 1
        return packets + self._encoded(lambda: self.video.encode(frame))

    def sound(self, position: int, samples: Samples) -> list[Packet[Any]]:
        """Return packets of samples float32 (n, channels), clipped to [-1, 1]; before `position` there is silence."""
        rows = samples.reshape(len(samples), -1)
        if rows.shape[1] != self.format.channels:
            raise FilmWriterError(f"sound of {rows.shape[1]} channels in a film of {self.format.channels}")
        if self._next is None:
            return []
        packets = self._silence(position - self._next)
        late = min(self._next - position, len(rows)) if position < self._next else 0
        self.late_samples += late
        return packets + self._sounded(rows[late:])

    def begin_at(self, number: int) -> None:
        """Have the sound begin with that picture, of a film that does not begin at its start."""
        self._next = number * self.format.sample_rate // self.format.frame_rate

    def force_key(self) -> None:
        """Make the next picture one that a viewer can begin with."""
        self._key_due = True

    def flush(self) -> list[Packet[Any]]:
        """Return the last packets: the sound is made as long as the pictures. Nothing may be encoded after that."""
        packets: list[Packet[Any]] = []
        if self._next is not None and self._shown >= 0:
            end = (self._shown + 1) * self.format.sample_rate // self.format.frame_rate
            packets = self._silence(end - self._next)
        return packets + self._encoded(self.video.encode) + self._encoded(self.audio.encode)

    def _silence_until(self, number: int) -> list[Packet[Any]]:
        """Return silence for what no sound came for, where the pictures are too far ahead for players to wait."""
        if self._next is None:
            return []
        due = number * self.format.sample_rate // self.format.frame_rate - self._next
        late = int(LATE_S * self.format.sample_rate)
        return self._silence(due - late) if due > 2 * late else []

    def _silence(self, samples: int) -> list[Packet[Any]]:
        packets: list[Packet[Any]] = []
        while samples > 0:
            piece = min(samples, _PIECE)
            packets += self._sounded(np.zeros((piece, self.format.channels), np.float32))
            self.silent_samples += piece
            samples -= piece
        return packets

    def _sounded(self, rows: Samples) -> list[Packet[Any]]:
        packets: list[Packet[Any]] = []
        if self.sound_form.channels < self.format.channels:
            rows = rows.mean(axis=1, dtype=np.float32, keepdims=True)
        for begin in range(0, len(rows), _PIECE):
            piece = rows[begin : begin + _PIECE]
            frame = av.AudioFrame.from_ndarray(
                self._packed(piece),
                format=self._sample_format,
                layout=self._layout,
            )
            frame.sample_rate = self.format.sample_rate
            frame.pts = self._next
            frame.time_base = Fraction(1, self.format.sample_rate)
            assert self._next is not None  # noqa: S101 (for mypy: `sound` and `_silence` know it)
            self._next += len(piece)
            packets += self._encoded(partial(self.audio.encode, frame))
        return packets

    def _packed(self, piece: Samples) -> np.ndarray:
        """Return samples as FFmpeg takes them: interleaved, (1, n * channels)."""
        clipped = np.clip(piece, np.float32(-1), np.float32(1))
        if self._sample_format == "flt":
            return np.ascontiguousarray(clipped, np.float32).reshape(1, -1)
        whole = np.rint(clipped.astype(np.float64) * _FULL_SCALE)
        # 24 bits in the upper ones of 32
        return (np.minimum(whole, _FULL_SCALE - 1).astype(np.int32) << 8).reshape(1, -1)

    def _filled(self, planes: tuple[Plane, Plane, Plane]) -> av.VideoFrame:
        """Return a frame with copies of the planes."""
        frame = self._frame or av.VideoFrame(self.format.width, self.format.height, "yuv420p")
        if self.video.codec.name == "libx264":
            self._frame = frame  # x264 has copied it when `encode` returns; others may hold it
        for plane, given in zip(frame.planes, planes, strict=True):
            room = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
            room[:, : plane.width] = given
        return frame

    def _encoded(self, packets: Callable[[], Iterable[Packet[Any]]]) -> list[Packet[Any]]:
        try:
            return list(packets())
        except (av.FFmpegError, ValueError) as error:
            raise FilmWriterError(f"the film cannot be encoded: {_words(error)}") from None

    def _video(self, picture: PictureForm, encoders: Iterable[str], threads: int) -> VideoStream:
        """Return the stream of the best encoder that can be opened."""
        failures = []
        for name in encoders:
            try:
                stream = self._video_stream(name, picture, threads)
            except (av.FFmpegError, ValueError) as error:
                failures.append(f"{name}: {_words(error)}")
                continue
            if failures:
                _log.info("the picture is encoded by %s, for this build of FFmpeg lacks: %s", name, "; ".join(failures))
            return stream
        raise FilmWriterError(
            f"this build of FFmpeg (PyAV {av.__version__}) cannot encode the film's picture ({'; '.join(failures)}); "
            f"install a build with x264, or write a .mkv file"
        )

    def _video_stream(self, name: str, picture: PictureForm, threads: int) -> VideoStream:
        av.codec.Codec(name, "w")  # before a stream of it is in the container
        form = self.format
        stream = self._container.add_stream(name, rate=form.frame_rate, width=form.width, height=form.height)
        assert isinstance(stream, VideoStream)  # noqa: S101 (for mypy: the name says so)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, form.frame_rate)
        context.gop_size = KEY_EVERY_S * form.frame_rate
        context.max_b_frames = 0
        context.thread_count = threads
        context.flags |= Flags.global_header
        with suppress(AttributeError):
            context.colorspace, context.color_range = _BT709, _LIMITED_RANGE
            context.color_primaries = context.color_trc = _BT709
        options = dict(_X264) if name == "libx264" else {}
        bit_rate = picture.bit_rate
        if name != "libx264" and bit_rate is None:
            pixels = form.width * form.height * form.frame_rate
            bit_rate = min(int(_DEFAULT_BITS_PER_PIXEL * pixels) + 100_000, picture.max_bit_rate or 1 << 30)
        if bit_rate is not None:
            options.pop("crf", None)
            context.bit_rate = bit_rate
        if picture.max_bit_rate is not None and name == "libx264":
            options |= {"maxrate": str(picture.max_bit_rate), "bufsize": str(picture.max_bit_rate)}
        context.options = options
        context.open()
        return stream

    def _audio(self, sound: SoundForm) -> AudioStream:
        try:
            stream = self._container.add_stream(
                sound.codec,
                rate=sound.sample_rate,
                # a channel is a channel: an array of hydrophones has no speakers
                layout={1: "mono", 2: "stereo"}.get(sound.channels, f"{sound.channels} channels"),
            )
            if sound.codec == "flac":
                stream.format = "s32"
            if sound.bit_rate is not None:
                stream.bit_rate = sound.bit_rate
            stream.codec_context.flags |= Flags.global_header
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            raise FilmWriterError(
                f"sound of {sound.sample_rate} Hz cannot be encoded as {sound.codec.upper()}: {_words(error)}"
            ) from None
        return stream


def _words(error: Exception) -> str:
    """Return FFmpeg's words for an error, without names of files."""
    return str(getattr(error, "strerror", None) or error)
