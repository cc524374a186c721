"""What flows through edgeaudio: the values that its rooms hand to each other.

Owns: the frozen dataclasses (Block, Scores, Level, Event, SourceStatus, Message, ...), and the names of
states and reasons that go out on the wire.
Does not know: where audio comes from, how it is recognised, or where results go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
# which channel of a source is heard: the mean of all, one of them counted from 1, or the mean unless they cancel out
Channel = Literal["auto", "mix"] | int
POWER_STEP_S = 0.01  # of `powers`


class SourceState(StrEnum):
    """How a source is, as published in `<source>/status`."""

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
    """Why a source is not simply listening, told apart by evidence."""

    UNAUTHORIZED = "unauthorized"  # 401, 403: the login was refused
    NOT_FOUND = "not_found"  # 404, a file that is not there, an unknown sound card
    REFUSED = "refused"  # nothing listens on that port
    UNREACHABLE = "unreachable"  # no route to the host or the network
    NAME_NOT_FOUND = "name_not_found"  # the host name does not resolve
    TLS_UNTRUSTED = "tls_untrusted"  # the certificate or its host name failed verification
    CLOCK = "clock"  # a certificate is not valid yet, and this machine's clock is known to be behind
    TIMEOUT = "timeout"  # no answer, or no samples, within the limit
    NO_AUDIO_TRACK = "no_audio_track"  # the stream opened but has no audio
    NO_AUDIO_FOUND = "no_audio_found"  # no audio within the limits of looking for it; it may come later
    UNSUPPORTED_CODEC = "unsupported_codec"  # there is audio, and no decoder for it
    UNSUPPORTED_TRANSPORT = "unsupported_transport"  # RTSP over neither TCP nor UDP, as far as these were tried
    SERVER_BUSY = "server_busy"  # 453, 503, 429: no more viewers for now
    INVALID_DATA = "invalid_data"  # an answer came, and it is not a stream
    TOO_LARGE = "too_large"  # beyond a limit: a playlist, a head of a response, the agent's memory
    DEVICE_BUSY = "device_busy"  # another program holds the sound card
    DEVICE_GONE = "device_gone"  # the sound card went away while it was open
    PLAYLIST_STALE = "playlist_stale"  # the server answers, and its HLS playlist is no longer updated
    END_OF_STREAM = "end_of_stream"  # the sender ended the stream in good order
    INTERNAL_ERROR = "internal_error"  # an exception that nobody expected, in the reading or recognition of this source
    CRASHED_THE_AGENT = "crashed_the_agent"  # the process died while this source was being opened
    DIGITAL_SILENCE = "digital_silence"  # every sample is zero: muted, or a dead microphone
    PAUSED = "paused"  # nothing is sent, as always while it is quiet
    LOW_LEVEL = "low_level"  # the level stays under the floor
    FULL_SCALE = "full_scale"  # too many samples at the limits of the format
    CHANNELS_CANCEL = "channels_cancel"  # their mean, which is recognised, is next to nothing: one is inverted
    MAINS_HUM = "mains_hum"  # most energy is at multiples of 50 or 60 Hz
    SWITCHED_OFF = "switched_off"  # by command
    OUTSIDE_SCHEDULE = "outside_schedule"  # by its listening hours
    AGENT_STOPPED = "agent_stopped"  # in good order; or `edgeaudio check` was there, and the agent has not run since


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A run of consecutive samples of one source, of any length, at the stream's own rate.

    `epoch` counts the source's connections, gaps and format changes: two blocks of different
    epochs are never joined, and within an epoch the `offset`s follow on without a hole.
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


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """A source's epoch is over, in its place among the source's Blocks."""

    source: str
    complete: bool = False  # it was a recording, and this is its end


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model said of one clip: a score per label, or nothing where the clip was too quiet."""

    source: str
    model: str
    at: datetime  # of the clip's first sample
    offset_s: float
    duration_s: float
    rms_dbfs: float | None
    values: Samples | None  # (n_labels,); None: under the level gate, the model was not run
    powers: Samples | None = None  # the clip's
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class ChannelLevel:
    """Loudness of one channel, without its DC."""

    rms_dbfs: float | None  # None: digital silence
    peak_dbfs: float | None
    clipped_ratio: float  # share of samples at full scale
    hum_ratio: float  # share of energy at multiples of the mains frequency, 0 to 1


@dataclass(frozen=True, slots=True)
class Level:
    """Loudness of one measuring interval of a source: the worst of the channels that are heard, before mixing."""

    source: str
    at: datetime  # of its first sample
    duration_s: float
    rms_dbfs: float | None  # of the loudest channel; None: digital silence in all of them
    peak_dbfs: float | None
    clipped_ratio: float  # share of samples at full scale
    hum_ratio: float  # share of energy at multiples of the mains frequency, 0 to 1
    channels: tuple[ChannelLevel, ...] = ()  # each of them, heard or not, where there are two or more
    heard: Channel = "mix"  # the channel that is recognised, from 1, or the mean of all
    cancels: bool = False  # the mean of the channels is next to nothing, though they are not silent


@dataclass(frozen=True, slots=True)
class Event:
    """The beginning (`onset`) or the end (`offset`) of a sound; both carry the same id."""

    id: str
    kind: Literal["onset", "offset"]
    source: str
    model: str
    label: str
    score: float  # onset: the score that began it; offset: the highest while it lasted
    at: datetime  # of the sound: its beginning, or its end
    duration_s: float  # onset: heard so far; offset: in all
    at_error_s: float | None = None  # how far off `at` may be; None: unknown, as of an event that was stored
    test: bool = False  # nothing was heard: somebody tries whether detections arrive
    # where `at` is in the source's Blocks: their epoch, and seconds since it began; None: the Blocks are gone, as of an
    # event that was stored
    epoch: int | None = None
    offset_s: float | None = None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The state of one source, its evidence, and when the next try is due."""

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
    media: Literal["audio", "all"] | None = None  # what an RTSP camera is asked for
    transport: Literal["tcp", "udp"] | None = None  # over which RTSP carries it


@dataclass(frozen=True, slots=True)
class Message:
    """One message to be delivered: an MQTT PUBLISH."""

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message of the outbox."""

    seq: int  # grows with every message; means nothing to another process
    message: Message
    added_at: float  # Unix time


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """How the outbox is, for health."""

    depth: int  # messages
    bytes: int  # of topics and payloads
    oldest_s: float | None  # how long the oldest has been waiting; None: empty
    dropped: int  # since the start, because the bounds were reached
    expired: int  # since the start
    trouble: str | None  # why messages are in memory and not on the disk, in one line; None: they are on the disk
    damaged_file: str | None  # where a damaged database was moved since the start
    damage: str | None  # what was found of it, in one line
