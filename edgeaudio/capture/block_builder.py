"""Blocks of one connection, from its frames.

Owns: epochs, silence in place of what is missing, and the time of each Block.
Does not know: where frames come from, and when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import inf

import numpy as np
from av.audio.frame import AudioFrame

from edgeaudio.capture.burst import duration_of
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.capture.opening import SourceMemory
from edgeaudio.capture.reblock import Chunk, Lengths, Reblocker
from edgeaudio.capture.samples import Joiner, samples_of
from edgeaudio.capture.timeline import MAX_FILL_S, Placement, Timeline
from edgeaudio.capture.tracks import AudioInfo, check_format
from edgeaudio.clock import Clock
from edgeaudio.types import Block, Reason

_CLOCK_NOISE = timedelta(seconds=0.05)
_QUIET = 0.01  # -40 dBFS: softer than speech
_ROUNDED_S = 0.0015  # timestamps in milliseconds


class BlockBuilder:
    """Builder of the Blocks of one connection: frames in, in order."""

    def __init__(
        self,
        config: SourceConfig,
        memory: SourceMemory,
        clock: Clock,
        timeline: Timeline,
        info: AudioInfo,
        *,
        lengths: Lengths,
        recorded: bool,
        media_start: datetime | None,
    ) -> None:
        """`media_start`: the UTC time of a medium's beginning; None: times are those of the clock."""
        self.on_pause_found: Callable[[], None] | None = None  # called when a hole proves to be a pause of the sender
        self.info = info
        self.filled_s = 0.0  # of silence in place of lost sound
        self.quiet_s = 0.0  # of silence for pauses of the sender
        self.end_s = 0.0  # of the last Block: monotonic, or since the start of the medium
        self._config = config
        self._memory = memory
        self._clock = clock
        self._timeline = timeline
        self._lengths = lengths
        self._recorded = recorded
        self._media_start = media_start
        self._joiner = Joiner()
        self._reblocker = self._new_reblocker()
        self._format: tuple[int, int] | None = None  # sample rate and channels of the last frame
        self._last_frame: AudioFrame | None = None
        self._last_at: datetime | None = None  # of the last Block, by the clock
        self._arrived_s = -inf  # the last frame

    @property
    def broken_samples(self) -> int:
        """Samples that were NaN or infinite, replaced by 0."""
        return self._joiner.broken

    @property
    def drift_ppm(self) -> float | None:
        """How much faster the sender's clock is than ours; None: not known yet, or a recording."""
        return None if self._recorded else self._timeline.drift_ppm

    @property
    def epoch_s(self) -> float:
        """Length of the epoch up to the last frame."""
        return 0.0 if self._format is None else self._reblocker.length / self._format[0]

    def begin(self, begin_s: float) -> None:
        """Set the time of the connection's first sample, as far as is known."""
        self._timeline.begin(begin_s)

    def add(self, frames: Sequence[AudioFrame], arrival_s: float, *, after_damage: bool) -> Iterator[Block]:
        """Add frames, the last of which came at `arrival_s`; yield the Blocks that are complete.

        `after_damage`: what came before or among them could not be decoded. Raises SourceError for a format that is
        not supported.
        """
        runs = list(_runs(frames))
        left_s = sum(duration_of(run) for run in runs[1:])  # in the runs that follow
        for run, following in zip(runs, [*runs[1:], []], strict=True):
            # what waited to be read came as it was made, the last of it at `arrival_s`
            came_s = min(arrival_s - left_s, self._arrived_s + duration_of(run)) if following else arrival_s
            self._arrived_s = max(came_s, self._arrived_s)
            yield from self._add(run, self._arrived_s, after_damage=after_damage)
            left_s -= duration_of(following)

    def _add(self, run: list[AudioFrame], arrival_s: float, *, after_damage: bool) -> Iterator[Block]:
        first, n_samples = run[0], sum(frame.samples for frame in run)
        rate, channels = first.sample_rate, first.layout.nb_channels
        if (rate, channels) != self._format:
            check_format(self._config, rate, channels)
            self._check_channel(channels)
            if self._format is not None:
                yield from self.flush()
                self._timeline.cut()
            self._set_format(rate, channels)
            self.info = replace(self.info, sample_rate=rate, channels=channels)
        place = self._timeline.place(
            first.time,
            n_samples,
            rate,
            arrival_s,
            frame_s=run[-1].samples / rate,
            after_quiet=self._was_quiet,
            after_damage=after_damage,
        )
        if self.on_pause_found and place.quiet and place.fill > MAX_FILL_S * rate and self._was_quiet():
            self.on_pause_found()
        self._last_frame = None if self._recorded else run[-1]  # a recording does not pause
        yield from self._fill(place, rate)
        yield from self._blocks(self._reblocker.add(run, n_samples, rate, place.begin_s + place.fill / rate))

    def silence(self, now_s: float) -> Iterator[Block]:
        """Yield the silence that is due while a sender pauses."""
        rate, channels = self._format or (self.info.sample_rate, self.info.channels)
        if self._format is None:  # no frame so far: the format is the announced one
            check_format(self._config, rate, channels)
        if (place := self._timeline.pause(now_s, rate)) is not None:
            self._set_format(rate, channels)
            yield from self._fill(place, rate)

    def flush(self) -> Iterator[Block]:
        """Yield what is held back."""
        yield from self._blocks(self._reblocker.flush())

    def _set_format(self, rate: int, channels: int) -> None:
        self._format = rate, channels
        self._joiner.channels = channels

    def _new_reblocker(self) -> Reblocker[AudioFrame | int]:
        """Return a reblocker whose parts are frames, and numbers of samples of silence."""
        return Reblocker(self._joiner.join, self._lengths)

    def _was_quiet(self) -> bool:
        """True if the last frame was quiet: the sender of a hole after it may have paused."""
        if (frame := self._last_frame) is None:
            return False
        return float(np.abs(samples_of([frame], frame.layout.nb_channels)[0]).max()) < _QUIET

    def _fill(self, place: Placement, rate: int) -> Iterator[Block]:
        """Begin an epoch where the placement says so, and yield Blocks of its silence."""
        if place.new_epoch:
            yield from self.flush()
            self._memory.epoch += 1
            self._reblocker = self._new_reblocker()
        if place.quiet:
            self.quiet_s += place.fill / rate
        else:
            self.filled_s += place.fill / rate
        if place.fill:
            yield from self._blocks(self._reblocker.add([place.fill], place.fill, rate, place.begin_s))

    def _blocks(self, chunks: Iterator[Chunk]) -> Iterator[Block]:
        for chunk in chunks:
            self.end_s = chunk.end_s
            if not self._recorded:
                self._memory.heard_until_s = chunk.end_s
            if self._media_start is None:
                at = self._clock.utc(chunk.begin_s)
                # the two clocks are not read at the same instant: do not let times go back for that
                if self._last_at is not None and timedelta(0) < self._last_at - at < _CLOCK_NOISE:
                    at = self._last_at
                self._last_at = at
            else:
                at = self._media_start + timedelta(seconds=chunk.begin_s)
            chunk.samples.setflags(write=False)  # all subscribers have the same array
            yield Block(self._config.name, self._memory.epoch, chunk.offset, at, chunk.sample_rate, chunk.samples)

    def _check_channel(self, channels: int) -> None:
        config = self._config
        if isinstance(config.channel, int) and config.channel > channels:
            detail = f"channel {config.channel} is asked for, and the stream has {channels}"
            hint = f"set channel to 1..{channels} or 'mix'"
            raise SourceError(config.name, config.address, Reason.NO_AUDIO_TRACK, detail, hint)


def _runs(frames: Sequence[AudioFrame]) -> Iterator[list[AudioFrame]]:
    """Yield runs of frames of one format, without a hole by their timestamps."""
    run: list[AudioFrame] = []
    kind, end_s = (0, 0), inf
    for frame in frames:
        time_s, before = frame.time, kind
        kind = frame.sample_rate, frame.layout.nb_channels
        if run and (kind != before or time_s is None or abs(time_s - end_s) > _ROUNDED_S):
            yield run
            run = []
        run.append(frame)
        end_s = inf if time_s is None else time_s + frame.samples / frame.sample_rate
    if run:
        yield run
