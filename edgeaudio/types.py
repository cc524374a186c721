"""Values that the rooms of edgeaudio pass to each other.

Owns: the frozen dataclasses (Block, Scores, Level, Event, ClipReady, SourceStatus, Message, ...), and the names of
states and reasons on the wire.
Does not know: where audio comes from, how it is recognised, where results go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
# channel of a source that is recognised: the mean of all, one of them from 1, or the mean unless they cancel out
Channel = Literal["auto", "mix"] | int
UTTERANCE_RATE = 16_000  # Hz
MAX_MEMBERS = 16  # of a fused model, that readers of events accept; today's have eight at most
POWER_STEP_S = 0.01  # length of each mean square in `Scores.powers`


class SourceState(StrEnum):
    """State of a source, as published in `<source>/status`."""

    CONNECTING = "connecting"
    LISTENING = "listening"
    SILENT = "silent"
    CLIPPING = "clipping"
    HUM = "hum"
    STALLED = "stalled"
    WAITING = "waiting"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    ENDED = "ended"
    OFF = "off"


class Reason(StrEnum):
    """Evidence of why a source is not simply listening."""

    UNAUTHORIZED = "unauthorized"  # 401, 403: the login was refused
    NOT_FOUND = "not_found"  # 404, a missing file, an unknown sound card
    REFUSED = "refused"  # nothing listens on that port
    UNREACHABLE = "unreachable"  # no route to the host or the network
    NAME_NOT_FOUND = "name_not_found"  # the host name does not resolve
    TLS_UNTRUSTED = "tls_untrusted"  # the certificate or its host name failed verification
    CLOCK = "clock"  # a certificate is not valid yet, and this machine's clock is known to be behind
    TIMEOUT = "timeout"  # no answer, or no samples, within the limit
    NO_AUDIO_TRACK = "no_audio_track"  # the stream opened but has no audio
    NO_AUDIO_FOUND = "no_audio_found"  # no audio within the limits of probing; it may come later
    UNSUPPORTED_CODEC = "unsupported_codec"  # no decoder for the audio
    UNSUPPORTED_TRANSPORT = "unsupported_transport"  # RTSP over neither TCP nor UDP, of those that were tried
    SERVER_BUSY = "server_busy"  # 453, 503, 429: no more viewers for now
    INVALID_DATA = "invalid_data"  # the answer is not a stream
    TOO_LARGE = "too_large"  # a limit is exceeded: of a playlist, a response's head, the agent's memory
    DEVICE_BUSY = "device_busy"  # another program holds the sound card
    DEVICE_GONE = "device_gone"  # the sound card was unplugged while it was open
    PLAYLIST_STALE = "playlist_stale"  # the server answers, and its HLS playlist is no longer updated
    END_OF_STREAM = "end_of_stream"  # the sender ended the stream properly
    INTERNAL_ERROR = "internal_error"  # an unexpected exception in the reading or recognition of this source
    CRASHED_THE_AGENT = "crashed_the_agent"  # the process died while this source was being opened
    DIGITAL_SILENCE = "digital_silence"  # every sample is zero: muted, or a dead microphone
    PAUSED = "paused"  # the sender sends nothing while it is quiet
    LOW_LEVEL = "low_level"  # the level stays below the floor
    FULL_SCALE = "full_scale"  # too many samples at the limits of the format
    CHANNELS_CANCEL = "channels_cancel"  # their mean, which is recognised, is almost silent: one is inverted
    MAINS_HUM = "mains_hum"  # most energy is at multiples of 50 or 60 Hz
    SWITCHED_OFF = "switched_off"  # by command
    OUTSIDE_SCHEDULE = "outside_schedule"  # by its listening hours
    AGENT_STOPPED = "agent_stopped"  # by a stop; or `edgeaudio check` ran, and the agent has not since


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples of one source, of any length, at the stream's own rate.

    `epoch` counts the source's connections, gaps and format changes: blocks of different epochs are never joined, and
    within an epoch the `offset`s are contiguous.
    """

    source: str
    epoch: int
    offset: int  # index of the first sample since the epoch began
    at: datetime  # aware UTC time of the first sample
    sample_rate: int  # Hz
    samples: Samples  # float32 in [-1, 1], (n,) or (n, channels)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def n_channels(self) -> int:
        return 1 if self.samples.ndim == 1 else self.samples.shape[1]


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """End of a source's epoch, in order with its Blocks."""

    source: str
    complete: bool = False  # it is the end of a recording


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What subscribers may need to know of a model as one source runs it."""

    labels: tuple[str, ...]  # of `Scores.values`, groups included
    sha256: str  # of the .tflite; of a fused model, of what it combines
    onset_delay_s: float  # the most sound from a beginning to the end of the clip that reports it
    offset_delay_s: float  # and from an end
    longest_step_s: float  # the most sound from the beginning of one clip to that of the next
    models: Mapping[str, tuple[str, ...]]  # labels of all models of the source, this one included, by name


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Result of a model for one clip: a score per label, or none if the clip was below the gate."""

    source: str
    model: str
    at: datetime  # of the clip's first sample
    offset_s: float  # of the clip's first sample, since the epoch began
    duration_s: float
    rms_dbfs: float | None  # None: digital silence
    values: Samples | None  # float32 (n_labels,), 0 to 1; None: below the gate, the model was not run
    powers: Samples | None = None  # mean square of every whole POWER_STEP_S of the clip, (n,); None: below the gate
    epoch: int = 0
    info: ModelInfo | None = None  # the same object for all clips; None: unknown
    # of a fused model: each member's name and scores, float32 (n_labels,); NaN for labels that it does not have
    members: tuple[tuple[str, Samples], ...] = ()

    def members_of(self, index: int) -> tuple[tuple[str, float], ...]:
        """Return a fused model's members that have a label, with their scores. `index`: of the label in `values`."""
        given = ((name, float(values[index])) for name, values in self.members)
        return tuple((name, score) for name, score in given if not isnan(score))


@dataclass(frozen=True, slots=True)
class ChannelLevel:
    """Loudness of one channel, without its DC."""

    rms_dbfs: float | None  # None: digital silence
    peak_dbfs: float | None
    clipped_ratio: float  # share of samples at full scale
    hum_ratio: float  # share of energy at multiples of the mains frequency, 0 to 1


@dataclass(frozen=True, slots=True)
class Level:
    """Loudness of one interval of a source: the worst value of the recognised channels, before mixing."""

    source: str
    at: datetime  # of its first sample
    duration_s: float
    rms_dbfs: float | None  # of the loudest channel; None: digital silence in all of them
    peak_dbfs: float | None
    clipped_ratio: float  # share of samples at full scale
    hum_ratio: float  # share of energy at multiples of the mains frequency, 0 to 1
    channels: tuple[ChannelLevel, ...] = ()  # every channel, if there are two or more
    heard: Channel = "mix"  # the channel that is recognised, from 1, or the mean of all
    cancels: bool = False  # the mean of the channels is almost silent, though they are not


@dataclass(frozen=True, slots=True)
class Event:
    """Beginning (`onset`) or end (`offset`) of a sound; both have the same id."""

    id: str
    kind: Literal["onset", "offset"]
    source: str
    model: str
    label: str
    score: float  # onset: the score that began it; offset: the highest while it lasted
    at: datetime  # of the sound: its beginning, or its end
    duration_s: float  # onset: so far; offset: in total
    at_error_s: float | None = None  # error of `at`; None: unknown, as for a stored event
    test: bool = False  # sent to try the delivery, not a sound
    # position of `at` in the source's Blocks: epoch, and seconds since it began; None: unknown, as for a stored event
    epoch: int | None = None
    offset_s: float | None = None
    # in force when it began: score from which it began, and under which it ends; None: unknown, as for a stored event
    threshold: float | None = None
    off_threshold: float | None = None
    # of a fused model: the names and scores of members that have the label, in the clip of `score`
    members: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Sound in which somebody spoke, without a hole."""

    source: str
    epoch: int
    at: datetime  # aware UTC time of the first sample
    offset_s: float  # of the first sample, since the epoch began
    samples: Samples  # float32 `(n,)` at UTTERANCE_RATE

    @property
    def duration_s(self) -> float:
        return len(self.samples) / UTTERANCE_RATE


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in an utterance."""

    id: str  # of the utterance: the same however often it is recognised
    source: str
    at: datetime  # aware UTC time of the utterance's first sample
    duration_s: float
    text: str
    language: str | None  # two letters; None: the recogniser does not say
    confidence: float | None  # 0 to 1; None: the recogniser does not say
    recogniser: str  # its name


@dataclass(frozen=True, slots=True, eq=False)
class LiveColumns:
    """Consecutive columns of a source's spectrogram, while somebody watches: levels of linear bands."""

    source: str
    stream: int  # 32 bits; another after each hole in the sound
    sequence: int  # counts the stream's packets from 0
    at: datetime  # of the middle of the first column's window
    hop_s: float  # from column to column
    low_hz: float  # lower edge of the first band
    high_hz: float  # upper edge of the last band
    floor_db: float  # dBFS of a level of 0, or less
    step_db: float  # dB from one level to the next
    follows_gap: bool  # sound was lost since the columns before
    levels: NDArray[np.uint8]  # (columns, bands), the lowest band first


@dataclass(frozen=True, slots=True)
class LiveScores:
    """What a model may have heard in one clip, while somebody watches."""

    source: str
    model: str
    at: datetime  # of the clip's first sample
    duration_s: float
    scores: Mapping[str, float]  # the best, by label; the highest first


@dataclass(frozen=True, slots=True)
class LiveSound:
    """Consecutive packets of a source's sound in Opus, while somebody listens. Samples are those of 48 kHz."""

    source: str
    stream: int  # 32 bits; another after each hole in the sound
    sequence: int  # counts the stream's messages from 0
    at: datetime  # of the first sample that is to be heard
    position: int  # samples of the stream's packets before these
    pre_skip: int  # samples at the stream's beginning that are not to be heard
    count: int  # samples that the packets add: all of theirs, or fewer at the end of a stream
    follows_gap: bool  # sound was lost or withheld since the packets before
    is_judged: bool  # sent after it was judged, because some sound may not be heard
    packets: tuple[bytes, ...]  # of 20 ms, mono


@dataclass(frozen=True, slots=True)
class ClipReady:
    """A clip that was written. Its files may be removed at any time."""

    id: str  # of its event
    source: str
    label: str
    score: float
    model: str
    at: datetime  # of the event's beginning
    sound: Path
    sound_format: Literal["opus", "flac", "wav"]
    picture: Path | None
    # where the sound begins and ends in the picture, as shares of its width; None: it has gaps, which the file has not
    plot: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """State of one source, its evidence, and when the next attempt is due."""

    source: str
    state: SourceState
    since: datetime
    reason: Reason | None = None
    detail: str = ""  # one line for people, without secrets
    codec: str | None = None
    sample_rate: int | None = None  # Hz
    channels: int | None = None
    pauses: bool = False  # the sender sends nothing while it is quiet
    next_try: datetime | None = None
    media: Literal["audio", "all"] | None = None  # tracks requested from an RTSP camera
    transport: Literal["tcp", "udp"] | None = None  # of RTSP


@dataclass(frozen=True, slots=True)
class Message:
    """One message to deliver: an MQTT PUBLISH."""

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 0
    retain: bool = False
    # MQTT 5 only, and not of a message in the outbox
    content_type: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the packet, or a few more."""
        # 32: fixed header, lengths, packet identifier and an expiry; 8: lengths and types of the content's properties
        n_bytes = len(self.topic.encode()) + len(self.payload) + 32
        if self.content_type:
            n_bytes += len(self.content_type.encode()) + 8
        return n_bytes + sum(len(name.encode()) + len(value.encode()) + 5 for name, value in self.user_properties)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in the outbox."""

    seq: int  # grows with every message; valid in this process only
    message: Message
    added_at: float  # Unix time


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """State of the outbox, for health."""

    depth: int  # messages
    bytes: int  # of topics and payloads
    oldest_s: float | None  # age of the oldest message; None: empty
    dropped: int  # since the start, at the bounds
    expired: int  # since the start
    trouble: str | None  # why messages are kept in memory, in one line; None: they are on the disk
    damaged_file: str | None  # new path of a damaged database, since the start
    damage: str | None  # what is wrong with it, in one line
