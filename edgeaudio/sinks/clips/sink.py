"""The sink that writes clips.

Owns: which events get a clip, the bounds over all sources, the folder and its retention, and what is logged, counted
and published. Does not know: how a clip is cut (open_clip.py), what is kept (retention.py).

A disk that fails or is full raises, as for any sink: clips that are being written are lost, and the sink is opened
again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from edgeaudio.clips.library import ClipLibrary
from edgeaudio.hub import MAX_S
from edgeaudio.sinks.clips.config import ClipsConfig
from edgeaudio.sinks.clips.errors import ClipsError
from edgeaudio.sinks.clips.folder import ClipFolder
from edgeaudio.sinks.clips.open_clip import FinishedClip, remove
from edgeaudio.sinks.clips.retention import MB, Retention
from edgeaudio.sinks.clips.source_clips import Outcome, SourceClips
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Block, ClipReady, EpochEnd, Event, Level, Scores

log = logging.getLogger(__name__)

MAX_OPEN = 16  # clips that are written at once; an encoder of FLAC takes 7 MB
MAX_BYTES = 128 * 1024 * 1024  # of sound in memory, of all sources
LAST_CLIPS_S = 0.8  # for clips that are being written when the agent stops
RETENTION_S = 0.05  # of each turn
OPEN_RETENTION_S = 20.0


class ClipsSink:
    """Writes the sound around each event."""

    name = "clips"
    accepts = frozenset({Block, EpochEnd, Level, Scores, Event})
    max_s = MAX_S

    def __init__(self, config: ClipsConfig) -> None:
        self._config = config
        self._folder = ClipFolder(config.folder)
        self._retention = Retention(ClipLibrary(config.folder), config.limits, self._folder.free_bytes)
        self._sources: dict[str, SourceClips] = {}
        self._throttle = LogThrottle()
        self.publish: Callable[[object], None] = lambda _item: None
        self.written = 0  # clips
        self.withheld: Counter[str] = Counter()  # clips that the settings forbid, by source
        self.lost = 0  # clips that should have been written

    def open(self) -> None:
        """Make the folder, remove what an earlier process left unfinished, and make room."""
        self._folder.open()
        try:
            self._make_room()
        except BaseException:
            self._folder.close()
            raise

    def handle(self, item: object) -> None:
        """Take sound, scores and events."""
        try:
            self._handle(item)
        except OSError as error:
            raise self._failed(error) from None

    def tick(self) -> None:
        """Finish clips that waited long enough, and remove old ones."""
        try:
            for source in self._sources.values():
                self._keep(source.wait())
            self._bound_memory()
            self._retention.work(RETENTION_S)
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Finish the clips that are being written, as far as there is time."""
        end_s = time.monotonic() + LAST_CLIPS_S
        try:
            for source in self._sources.values():
                for outcome in source.finish():
                    self._keep([outcome])
                    if time.monotonic() > end_s:
                        return
        except OSError as error:
            raise self._failed(error) from None
        finally:
            self._abort()
            self._folder.close()

    def _handle(self, item: object) -> None:
        match item:
            case Block():
                if item.source not in self._sources:
                    self._sources[item.source] = SourceClips(self._config, self._folder.incomplete)
                self._keep(self._sources[item.source].take_block(item))
            case EpochEnd() if item.source in self._sources:
                self._sources[item.source].take_end()
            case Level() if item.source in self._sources:
                self._keep(self._sources[item.source].take_level(item))
            case Scores() if item.source in self._sources:
                self._keep(self._sources[item.source].take_scores(item))
            case Event() if not item.test and self._is_wanted(item):
                self._take_event(item)

    def _is_wanted(self, event: Event) -> bool:
        return not self._config.labels or event.label in self._config.labels

    def _take_event(self, event: Event) -> None:
        source = self._sources.get(event.source)
        if event.kind == "offset":
            if source is not None:
                self._keep(source.take_offset(event))
            return
        try:
            short = self._short_of_room()
        except OSError:
            self._lose(1)
            raise
        if short:
            raise ClipsError(f"{self._lose(1)}: {short}")
        if sum(len(each.clips) for each in self._sources.values()) >= MAX_OPEN:
            self._log_lost(event, f"{MAX_OPEN} clips are being written already")
        elif why := "no sound of it came" if source is None else source.take_onset(event):
            self._log_lost(event, why)

    def _keep(self, outcomes: Iterable[Outcome]) -> None:
        """Put finished clips into the folder, and count the others."""
        for clip, outcome in outcomes:
            event = clip.onset
            if isinstance(outcome, FinishedClip):
                self._put(outcome)
            elif outcome.is_lost:
                self._log_lost(event, str(outcome))
            else:
                self.withheld[event.source] += 1
                what = event.source, event.label, outcome
                log.info("%s: the clip of %s is not kept: %s", *what, extra=_about(event.source))

    def _put(self, clip: FinishedClip) -> None:
        """Put a finished clip into the folder, and publish that. Raises OSError."""
        record = clip.record
        try:
            n_bytes = self._folder.put(clip)
        except OSError:
            remove(clip.sound)
            self.lost += 1
            raise
        self.written += 1
        what = record.source, record.label, record.sound.file
        log.info("%s: a clip of %s is written: %s", *what, extra=_about(record.source))
        if clip.no_picture and self._throttle.is_due(f"picture {clip.no_picture}", time.monotonic()):
            what = record.source, record.label, clip.no_picture
            log.warning("%s: the clip of %s has no picture: %s", *what, extra=_about(record.source))
        folder = self._folder.path
        ready = ClipReady(
            id=record.id,
            source=record.source,
            label=record.label,
            score=record.score,
            model=record.model,
            at=record.onset,
            sound=folder / record.sound.file,
            sound_format=record.sound.format,
            picture=None if record.picture is None else folder / record.picture,
            plot=clip.plot,
        )
        self.publish(ready)
        self._retention.added(n_bytes)

    def _log_lost(self, event: Event, why: str) -> None:
        self.lost += 1
        if self._throttle.is_due(f"{event.source} {why}", time.monotonic()):
            what = event.source, event.label, self.lost, why
            log.warning("%s: the clip of %s is lost, as %d so far: %s", *what, extra=_about(event.source))

    def _make_room(self) -> None:
        """Remove clips if the disk has too little room left. Raises ClipsError if that is not enough."""
        try:
            if self._short_of_room():
                self._retention.run(OPEN_RETENTION_S)
            short = self._short_of_room()
        except OSError as error:
            raise ClipsError(f"clips in {self._config.folder} cannot be removed: {error.strerror or error}") from None
        if short:
            raise ClipsError(short)

    def _short_of_room(self) -> str | None:
        """Return what to do if the disk has too little room left; None: it has enough. Raises OSError."""
        free = self._folder.free_bytes()
        if free >= self._config.limits.min_free_bytes:
            return None
        return (
            f"the disk of {self._config.folder} has {free / MB:.0f} MB left, and clips.min_free_mb keeps "
            f"{self._config.limits.min_free_bytes / MB:g} free; remove something, or lower it"
        )

    def _failed(self, error: OSError) -> ClipsError:
        """Give up what is being written, and return the error for that."""
        lost = self._lose(sum(len(source.clips) for source in self._sources.values()))
        self._abort()
        return ClipsError(f"{lost}: {self._config.folder}: {error.strerror or error}")

    def _lose(self, count: int) -> str:
        self.lost += count
        return f"{self.lost} clips are lost so far"

    def _abort(self) -> None:
        for source in self._sources.values():
            for clip in source.clips:
                clip.abort()
        self._sources.clear()

    def _bound_memory(self) -> None:
        """Drop the oldest sound of the source with the most, beyond MAX_BYTES."""
        while sum(source.bytes for source in self._sources.values()) > MAX_BYTES:
            max(self._sources.values(), key=lambda source: source.bytes).forget_oldest()


def _about(source: str) -> dict[str, str]:
    return {"source": source}
