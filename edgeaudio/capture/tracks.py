"""Tracks of an opened source, and the choice of the one that is heard.

Owns: Track and AudioInfo, the choice of the track, discarding the others.
Does not know: decoding, Blocks, connections.
"""

from __future__ import annotations

from dataclasses import dataclass

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container.input import InputContainer
from av.stream import Discard, Stream

from edgeaudio.capture.config import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Reason

# formats without a list of tracks: one may appear at any time
_OPEN_ENDED = frozenset({"mpegts", "flv", "live_flv", "mpeg"})


@dataclass(frozen=True, slots=True)
class Track:
    """One track of an opened source. An audio-only RTSP session does not show the video tracks."""

    index: int
    kind: str  # "audio", "video", "data", ...
    codec: str  # FFmpeg's name; "unknown" without a decoder
    sample_rate: int | None = None  # Hz
    channels: int | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Format of the sound that is heard. Follows the stream when it changes its format."""

    container: str  # FFmpeg's name of the format, "rtsp" for instance
    codec: str
    sample_rate: int  # Hz
    channels: int  # before the choice of one
    duration_s: float | None  # of a recording
    track: int  # index of the track that is heard
    tracks: tuple[Track, ...]


def choose_track(container: InputContainer, config: SourceConfig) -> AudioStream:
    """Return the audio track to hear, FFmpeg's best. Discard all others, so that they are not fetched if possible.

    Raises SourceError if there is none, or no decoder for it.
    """
    if not container.streams.audio:
        raise _no_audio(container, config)
    usable = [stream for stream in container.streams.audio if _context(stream) is not None]
    if not usable:
        detail = "there is no decoder for the audio track"
        raise SourceError(config.name, config.address, Reason.UNSUPPORTED_CODEC, detail)
    best = container.streams.best("audio")
    chosen = best if isinstance(best, AudioStream) and best in usable else usable[0]
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    return chosen


def check_format(config: SourceConfig, sample_rate: int, channels: int) -> None:
    """Raise SourceError for an impossible format, or for one that differs from what a sound card was asked for.

    A header may announce anything, and FFmpeg 9 accepts any number of channels of a card.
    """
    device, asked = config.address.device, config.address.channels
    if asked is not None and channels != asked:
        detail = f"the sound card {device} does not give {asked} channels, but {channels}"
        raise SourceError(
            config.name, config.address, Reason.INVALID_DATA, detail, f"write alsa:{device}?channels={channels}"
        )
    if MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE and 1 <= channels <= MAX_CHANNELS:
        return
    detail = (
        f"announces {channels} channel{'s' if channels != 1 else ''} at {sample_rate} Hz; "
        f"1 to {MAX_CHANNELS} channels at {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz are possible"
    )
    raise SourceError(config.name, config.address, Reason.INVALID_DATA, detail, "")


def may_hold_more(container: InputContainer) -> bool:
    """True if more tracks may appear: the beginning of the stream does not list them."""
    return not _OPEN_ENDED.isdisjoint(container.format.name.split(","))


def _no_audio(container: InputContainer, config: SourceConfig) -> SourceError:
    others = ", ".join(sorted({stream.type for stream in container.streams}))
    only = f", only {others}" if others else ""
    # MPEG-TS lists its tracks
    if not may_hold_more(container) or (container.format.name == "mpegts" and others):
        return SourceError(config.name, config.address, Reason.NO_AUDIO_TRACK, f"no audio track{only}")
    detail = f"no audio came within {config.probe_s:g} s or {config.probe_bytes / 1e6:g} MB{only}"
    hint = "if it begins later, raise probe_s and probe_bytes of this source; else switch it on in the camera"
    return SourceError(config.name, config.address, Reason.NO_AUDIO_FOUND, detail, hint)


def _context(stream: Stream) -> CodecContext | None:
    """Return the stream's decoder; None if there is none, which PyAV's types do not express."""
    context: CodecContext | None = getattr(stream, "codec_context", None)
    return context


def describe(container: InputContainer, chosen: AudioStream) -> AudioInfo:
    """Return the format of `container` and of the track that is heard."""
    context = chosen.codec_context
    return AudioInfo(
        container=container.format.name,
        codec=context.name,
        sample_rate=context.sample_rate,
        channels=context.layout.nb_channels,
        duration_s=None if container.duration is None else container.duration / 1_000_000,
        track=chosen.index,
        tracks=tuple(_track(stream) for stream in container.streams),
    )


def _track(stream: Stream) -> Track:
    context = _context(stream)
    if not isinstance(context, AudioCodecContext):
        return Track(stream.index, stream.type, context.name if context else "unknown", language=stream.language)
    channels = context.layout.nb_channels
    return Track(stream.index, stream.type, context.name, context.sample_rate, channels, stream.language)
