"""One clip while it is written: from an event's onset until the sound after its offset has come.

Owns: which sound belongs to the clip, the file under its temporary name, the picture, and the record.
Does not know: when sound comes, other clips, what becomes of a finished one.

Sound is written once it is certain to belong to the clip: an event ends before it is reported, and a clip may not hold
what no model has judged. What is not written yet is in the track.

Times are those of the onset, and count the samples from there: a step of the system clock inside a clip moves none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from edgeaudio.clips.record import (
    MAX_GAPS,
    MAX_SECONDS,
    MAX_TEXT,
    SUFFIX,
    ClipRecord,
    Gap,
    Length,
    Origin,
    Sound,
    file_stem,
)
from edgeaudio.errors import EdgeaudioError
from edgeaudio.media.writer import AudioForm, AudioWriter, AudioWriterError
from edgeaudio.sinks.clips.config import ClipsConfig, GrowingPicture
from edgeaudio.slugs import MAX_SLUG_LENGTH, slugify
from edgeaudio.tracks.recognition import Recognition
from edgeaudio.tracks.track import Track
from edgeaudio.types import Event, Scores
from edgeaudio.version import __version__

UNJUDGED_S = 60.0  # of sound after an onset, in which the first scores of every model must come


class ClipDroppedError(EdgeaudioError):
    """A clip that will not be kept, and why; `is_lost`: not because the settings say so."""

    def __init__(self, why: str, *, is_lost: bool) -> None:
        super().__init__(why)
        self.is_lost = is_lost


@dataclass(frozen=True, slots=True)
class FinishedClip:
    """A clip whose sound is complete, under its temporary name."""

    record: ClipRecord
    sound: Path
    picture: bytes  # empty: none
    no_picture: str  # why it has none; empty: it has one, or is to have none
    plot: tuple[float, float] | None  # of the picture, as in ClipReady

    @property
    def record_name(self) -> str:
        """Name of the record's file, in the folder of clips."""
        return Path(self.record.sound.file).stem + SUFFIX


class OpenClip:
    """One clip that is being written. `advance` raises OSError if the disk fails, ClipDroppedError to give it up."""

    def __init__(
        self, config: ClipsConfig, folder: Path, track: Track, recognition: Recognition, onset: Event, position: int
    ) -> None:
        """`folder`: of unfinished clips; `position`: of the onset in the track."""
        self.onset = onset
        self.track = track
        self._config = config
        self._folder = folder
        self._recognition = recognition
        self._onset_position = max(track.begin, position)
        self._first = track.back(self._onset_position, config.before_s)
        self._written = self._first
        self._begun = False
        self._offset: Event | None = None
        self._offset_position: int | None = None
        self._score, self._members = onset.score, onset.members  # their scores where that is from
        self._form = AudioForm.of(config.format, track.sample_rate, track.channels)
        slug = f"{onset.source}-{slugify(onset.label)}"[:MAX_SLUG_LENGTH]
        self._stem = file_stem(onset.at, slug, onset.id)
        self._path = folder / f"{self._stem}.{self._form.format}"
        self._writer: AudioWriter | None = None
        self._before_s = 0.0  # from the first sample to the onset, gaps included
        self._origin: tuple[int, int] = (0, 0)
        self._gaps: list[Gap] = []
        self._picture: GrowingPicture | None = None

    @property
    def needed(self) -> int:
        """Position from which on the track is needed."""
        return self._written

    def end(self, offset: Event) -> None:
        """Take the event's offset."""
        rate = self.track.sample_rate
        position = None
        if offset.epoch is not None and offset.offset_s is not None:
            position = self.track.position(offset.epoch, round(offset.offset_s * rate))
        if position is None:  # it ended with the agent or its source
            position = self._onset_position + round(offset.duration_s * rate)
        self._offset, self._offset_position = offset, max(self._onset_position, position)
        if offset.score > self._score:
            self._score, self._members = offset.score, offset.members

    def hear(self, scores: Scores) -> None:
        """Take the scores of one clip of the event's model."""
        # the offset has the highest score, but may come after the clip is finished
        if self._offset is not None or scores.model != self.onset.model or scores.values is None or scores.info is None:
            return
        if self.onset.label in scores.info.labels:
            index = scores.info.labels.index(self.onset.label)
            if (score := float(scores.values[index])) > self._score:
                self._score, self._members = score, scores.members_of(index)

    def advance(self, *, is_last: bool = False) -> FinishedClip | None:
        """Write what has become certain; return the clip if that completes it.

        `is_last`: nothing else will come, so that it ends with what there is.
        """
        judged = self._recognition.judged(self._first, self._onset_position)
        if not self._begun:
            self._first = self._written = judged.begin
        end = min(self._end(is_last=is_last), judged.end)
        if judged.until is None:
            if self.track.end - self._onset_position > UNJUDGED_S * self.track.sample_rate:
                raise ClipDroppedError(
                    "no model of its source has all labels of never_with, or one that has them gave no scores",
                    is_lost=True,
                )
            until = self._written
        else:
            until = min(end, judged.until, self.track.end)
        if is_last:
            end = until
        elif self._offset is None:
            until = min(until, self._recognition.certain(self.onset.model))
        if why := self._recognition.forbidden(self._first, min(end, max(until, self._onset_position + 1))):
            raise ClipDroppedError(why, is_lost=False)
        self._write(until)
        if self._written < end:
            return None
        if self._written <= self._onset_position:
            raise ClipDroppedError("its sound was not judged, or did not come", is_lost=True)
        return self._finish()

    def abort(self) -> None:
        """Remove what was written. Raises nothing."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None
        remove(self._path)

    def _end(self, *, is_last: bool) -> int:
        longest = self._first + round(self._config.longest_s * self.track.sample_rate)
        if self._offset_position is None:
            return min(longest, self.track.end) if is_last else longest
        return min(longest, self.track.ahead(self._offset_position, self._config.after_s))

    def _write(self, until: int) -> None:
        if until <= self._written:
            return
        if self._written < self.track.begin:
            raise ClipDroppedError("its sound had to give way to newer sound", is_lost=True)
        try:
            if self._writer is None:
                # while the gaps are known
                self._before_s = self.track.duration_s(self._first, self._onset_position)
                self._origin = self.track.sample(self._first)
                self._writer = AudioWriter(self._path, self._form)
                if self._config.make_picture is not None:
                    self._picture = self._config.make_picture(self.track.sample_rate)
                self._begun = True
            for position, lost_s in self.track.gaps(max(self._written - 1, self._first), until):
                if len(self._gaps) < MAX_GAPS:
                    at = self._form.position(position - self._first)
                    self._gaps.append(Gap(at=at, lost_s=min(lost_s, MAX_SECONDS)))
            for samples in self.track.read(self._written, until):
                self._writer.write(samples)
        except AudioWriterError as error:
            raise ClipDroppedError(str(error), is_lost=True) from None
        if self._picture is not None:
            self._draw(self._picture, until)
        self._written = until

    def _draw(self, picture: GrowingPicture, until: int) -> None:
        """Add what has been written to the picture."""
        for at, lost_s in self.track.gaps(max(self._written - 1, self._first), until):
            picture.add_gap(at - self._first, lost_s)
        position = self._written - self._first
        for samples in self.track.read(self._written, until):
            picture.add(position, samples)
            position += len(samples)

    def _finish(self) -> FinishedClip:
        if self._writer is None:
            raise ClipDroppedError("no sound of it has come", is_lost=True)
        if self._score < self._config.min_score:
            raise ClipDroppedError(f"its score is {self._score:.2f}", is_lost=False)
        # before the sound is complete: from then on until its record is written, a killed process loses the clip
        picture, no_picture, name = b"", "", None
        if self._picture is not None:
            picture, no_picture = self._encode(self._picture), self._picture.failure
            name = f"{self._stem}.{self._picture.suffix}" if picture else None
        try:
            n_bytes = self._writer.close()
        except AudioWriterError as error:
            raise ClipDroppedError(str(error), is_lost=True) from None
        self._writer = None
        plot = self._picture.plot if self._picture is not None else None
        return FinishedClip(self._record(n_bytes, name), self._path, picture, no_picture, plot)

    def _encode(self, picture: GrowingPicture) -> bytes:
        onset, offset = self._onset_position - self._first, self._offset_position
        if offset is not None:
            offset = None if offset > self._written else offset - self._first
        return picture.encoded(self.onset.label, onset, offset, self._at(-self._before_s))

    def _at(self, after_onset_s: float) -> datetime:
        return self.onset.at + timedelta(seconds=after_onset_s)

    def _record(self, n_bytes: int, picture: str | None) -> ClipRecord:
        config, onset, rate = self._config, self.onset, self.track.sample_rate
        info = self._recognition.info(onset.model)
        offset_position = self._offset_position
        if offset_position is not None and offset_position > self._written:
            offset_position = None
        after_s, end = 0.0, None
        if offset_position is not None:
            after_s = (self._written - offset_position) / rate
            end = self._at(self.track.duration_s(self._onset_position, offset_position))
        epoch, first = self._origin
        return ClipRecord(
            id=onset.id,
            device=config.device,
            source=onset.source,
            label=onset.label[:MAX_TEXT],
            score=min(1.0, self._score),
            members={name[:MAX_TEXT]: min(1.0, score) for name, score in self._members},
            model=onset.model[:MAX_TEXT],
            model_sha256=None if info is None else info.sha256,
            threshold=onset.threshold,
            off_threshold=onset.off_threshold,
            begin=self._at(-self._before_s),
            onset=onset.at,
            end=end,
            before=Length(asked_s=config.before_s, got_s=(self._onset_position - self._first) / rate),
            after=Length(asked_s=config.after_s, got_s=after_s),
            sound=Sound(
                file=self._path.name,
                format=self._form.format,
                bytes=n_bytes,
                sample_rate=self._form.sample_rate,
                channels=self._form.channels,
                count=self._form.count(self._written - self._first),
                onset=self._form.position(self._onset_position - self._first),
                offset=None if offset_position is None else self._form.position(offset_position - self._first),
            ),
            origin=Origin(sample_rate=rate, epoch=epoch, first=first),
            gaps=tuple(self._gaps),
            picture=picture,
            written_by=f"edgeaudio {__version__}",
        )


def remove(path: Path) -> None:
    """Remove a file if it is there and the disk lets it; what stays is removed at the next start."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
