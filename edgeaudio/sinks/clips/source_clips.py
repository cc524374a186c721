"""Clips of one source: its sound in memory, and the clips that are being written from it.

Owns: which track an item belongs to, how long sound is kept, and how long a clip waits for more. Does not know: files,
other sources, what becomes of finished clips.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgeaudio.hub import MAX_S
from edgeaudio.sinks.clips.config import ClipsConfig
from edgeaudio.sinks.clips.open_clip import ClipDroppedError, FinishedClip, OpenClip
from edgeaudio.tracks.heard_channel import HeardChannel
from edgeaudio.tracks.recognition import Recognition
from edgeaudio.tracks.track import Track
from edgeaudio.types import Block, Event, Level, Scores

MEMORY_S = 180.0  # of sound in memory; more than all but models that rest for minutes need
WAIT_S = MAX_S + 2.0  # for results and more sound after an epoch: as long as sound may wait for recognition
MAX_TRACKS = 4

Outcome = tuple[OpenClip, FinishedClip | ClipDroppedError]


@dataclass(slots=True)
class _Part:
    """One track, and what belongs to it."""

    track: Track
    recognition: Recognition
    clips: list[OpenClip] = field(default_factory=list)


class SourceClips:
    """Clips of one source. Methods raise OSError if the disk fails."""

    def __init__(self, config: ClipsConfig, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._parts: list[_Part] = []  # the newest last
        self._channel = HeardChannel(is_strict=True) if config.never_with else None  # None: all channels are kept
        self._ended_s: float | None = None  # monotonic; None: the epoch goes on

    @property
    def clips(self) -> list[OpenClip]:
        """Clips that are being written."""
        return [clip for part in self._parts for clip in part.clips]

    @property
    def bytes(self) -> int:
        """Bytes of sound in memory."""
        return sum(part.track.bytes for part in self._parts)

    def take_block(self, block: Block) -> Iterator[Outcome]:
        """Take the next sound. Where not all may be kept, that is the channel which is judged, once it is known."""
        self._ended_s = None
        heard = block if self._channel is None else self._channel.mixed(block)
        if heard is None:
            return
        block = heard
        if self._parts and self._parts[-1].track.fits(block):
            self._parts[-1].track.add(block)
        else:
            track = Track(block)
            self._parts.append(_Part(track, Recognition(track, self._config.never_with)))
        yield from self._advance()

    def take_level(self, level: Level) -> Iterator[Outcome]:
        """Take which channel is judged. If it is another, clips end with what was judged: what follows it is unlike."""
        if self._channel is not None and self._channel.take_level(level):
            yield from self.finish()
            self._parts.clear()

    def take_end(self) -> None:
        """Note that the epoch has ended; its last results are still to come."""
        self._ended_s = time.monotonic()

    def take_scores(self, scores: Scores) -> Iterator[Outcome]:
        """Take a clip's scores."""
        for part in reversed(self._parts):
            if part.recognition.add(scores):
                for clip in part.clips:
                    clip.hear(scores)
                while self._parts[0] is not part:  # recognition has left the formats before
                    yield from self._finish(self._parts.pop(0))
                break
        yield from self._advance()

    def take_onset(self, onset: Event) -> str | None:
        """Begin a clip; return why not."""
        if onset.epoch is None or onset.offset_s is None:
            return "where it was in the sound is unknown"
        for part in reversed(self._parts):
            position = part.track.position(onset.epoch, round(onset.offset_s * part.track.sample_rate))
            if position is not None:
                clip = OpenClip(self._config, self._folder, part.track, part.recognition, onset, position)
                part.clips.append(clip)
                return None
        return "its sound is no longer in memory, or did not come"

    def take_offset(self, offset: Event) -> Iterator[Outcome]:
        """End the sound of a clip."""
        for clip in self.clips:
            if clip.onset.id == offset.id:
                clip.end(offset)
        yield from self._advance()

    def wait(self) -> Iterator[Outcome]:
        """Finish clips for which nothing else has come for long enough. To be called now and then."""
        if self._ended_s is not None and time.monotonic() - self._ended_s > WAIT_S:
            yield from self.finish()
            self._parts.clear()

    def finish(self) -> Iterator[Outcome]:
        """Finish all clips with what there is."""
        for part in self._parts:
            yield from self._finish(part)

    def forget_oldest(self) -> None:
        """Drop the oldest Block in memory."""
        part = next((part for part in self._parts if part.track.bytes), None)
        if part is not None:
            part.track.forget_oldest()

    def _advance(self) -> Iterator[Outcome]:
        for part in self._parts:
            yield from _advanced(part, is_last=False)
            self._forget(part)
        while len(self._parts) > MAX_TRACKS:
            yield from self._finish(self._parts.pop(0))

    def _finish(self, part: _Part) -> Iterator[Outcome]:
        part.recognition.is_over = True
        yield from _advanced(part, is_last=True)

    def _forget(self, part: _Part) -> None:
        """Drop sound that no clip will need."""
        track = part.track
        oldest = track.end - round(MEMORY_S * track.sample_rate)
        needed = part.recognition.needed()
        if needed is not None:
            needed -= round(self._config.before_s * track.sample_rate)
            oldest = max(oldest, min(needed, *(clip.needed for clip in part.clips), track.end))
        track.forget(oldest)
        part.recognition.forget(track.begin)


def _advanced(part: _Part, *, is_last: bool) -> Iterator[Outcome]:
    for clip in list(part.clips):
        try:
            finished = clip.advance(is_last=is_last)
        except ClipDroppedError as error:
            part.clips.remove(clip)
            clip.abort()
            yield clip, error
            continue
        if finished is not None:
            part.clips.remove(clip)
            yield clip, finished
