"""`edgeaudio picture`: the spectrogram of a source as a file.

Owns: which part of a source is drawn, and the file. Does not know: how a source is opened, or how a picture is drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.commands.interrupt import stopped_by_interrupt
from edgeaudio.commands.output_file import output_file
from edgeaudio.commands.progress import Progress
from edgeaudio.commands.source_argument import failure_line, find_source
from edgeaudio.commands.waiting import SENDER_WAIT_S, WaitMonitor
from edgeaudio.console import clock_time
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import replace_file
from edgeaudio.pictures.canvas import require_pillow
from edgeaudio.pictures.drawing import Mark
from edgeaudio.pictures.frequency_axis import Scale
from edgeaudio.pictures.options import ImageFormat, PictureOptions
from edgeaudio.pictures.palettes import PaletteName
from edgeaudio.pictures.picture import Picture
from edgeaudio.pictures.ticks import Begin
from edgeaudio.settings import load_settings
from edgeaudio.terminal import print_out
from edgeaudio.types import Block, Samples

LIVE_S = 10.0
_MEDIA_START = datetime(1970, 1, 1, tzinfo=UTC)  # of a recording: times count from its beginning
_FORMATS: dict[str, ImageFormat] = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".png": "png"}
_MODE = 0o644  # of a new file


@dataclass(frozen=True, slots=True)
class Request:
    """What is drawn, how, and where the file goes."""

    out: Path | None  # a file or a directory; None: the source's name, here
    overwrite: bool
    start_s: float
    length_s: float | None  # None: all of a recording, and LIVE_S of a live source
    channel: int | None  # from 1; None: as in the settings, else the mean power of all
    marks: tuple[Mark, ...]  # times of the recording
    size: tuple[int, int]
    palette: PaletteName
    scale: Scale
    range_db: float | None
    gain_db: float


def picture(target: str, path: Path | None, options: Sequence[str], request: Request) -> int:
    """Draw a source, and print what was written. Raises EdgeaudioError, after drawing what came before the failure."""
    require_pillow()
    config, name = find_source(target, load_settings(path, options))
    file = output_file(request.out, config, name, otherwise="picture", suffixes=_FORMATS, overwrite=request.overwrite)
    width, height = request.size
    look = PictureOptions(
        width=width,
        height=height,
        palette=request.palette,
        scale=request.scale,
        range_db=request.range_db,
        gain_db=request.gain_db,
        image_format=_FORMATS[file.suffix.lower()],
    )
    if request.channel is not None:
        config = replace(config, channel=request.channel)
    try:
        with stopped_by_interrupt() as stop:
            drawn, failure = _listen(config, stop, request, look)
    except SourceError as error:
        raise EdgeaudioError(failure_line(error)) from None
    if drawn.picture.duration_s:
        _write(file, drawn.encoded(request.marks))
        pixels, seconds = f"{width}x{height} pixels", f"{drawn.picture.duration_s:.1f} s of sound"
        print_out(f"{file}: {pixels}, {seconds}, {ceil(file.stat().st_size / 1000)} kB")
    elif failure is None:
        start, end = clock_time(request.start_s), clock_time(drawn.heard_s)
        problem = "make --length longer" if drawn.is_complete else f"it ends at {end}"
        raise EdgeaudioError(f"{config.address}: no sound from {start} on to draw; {problem}")
    if failure is not None:
        raise EdgeaudioError(failure_line(failure))
    return 0


class _Drawn:
    """The part of a source that is drawn, and where it begins."""

    def __init__(self, config: SourceConfig, request: Request, picture: Picture, length_s: float | None) -> None:
        self.picture = picture
        self.heard_s = 0.0  # end of what was read, since the beginning of the source
        self._config = config
        self._start_s = request.start_s
        self._end_s = None if length_s is None else request.start_s + length_s
        self._origin: datetime | None = None  # the beginning of the source
        self._epoch: tuple[int, float] | None = None  # the current one, and when it began
        self._recorded = True

    @property
    def is_complete(self) -> bool:
        return self._end_s is not None and self.heard_s >= self._end_s

    def add(self, block: Block, *, recorded: bool) -> None:
        """Draw what of the block is in the wanted part."""
        rate = block.sample_rate
        if self._origin is None:
            self._origin, self._recorded = (_MEDIA_START if recorded else block.at), recorded
        if self._epoch is None or self._epoch[0] != block.epoch:
            self._epoch = block.epoch, (block.at - self._origin).total_seconds() - block.offset / rate
        # by its offset: times of the clock may drift within an epoch
        begin_s = self._epoch[1] + block.offset / rate
        self.heard_s = max(self.heard_s, begin_s + block.duration_s)
        skipped = max(0, round((self._start_s - begin_s) * rate))
        end = None if self._end_s is None else max(0, round((self._end_s - begin_s) * rate))
        wanted = self._channel(block.samples)[skipped:end]
        if len(wanted):
            self.picture.add(wanted, rate, begin_s + skipped / rate - self._start_s)

    def encoded(self, marks: Sequence[Mark]) -> bytes:
        """Return the picture's file; marks have times of the source."""
        start_s = self._start_s
        shown = [
            Mark(mark.label, mark.begin_s - start_s, None if mark.end_s is None else mark.end_s - start_s)
            for mark in marks
        ]
        begin: Begin = start_s
        if self._origin is not None and not self._recorded:
            begin = self._origin + timedelta(seconds=start_s)
        return self.picture.encoded(marks=shown, begin=begin)

    def _channel(self, samples: Samples) -> Samples:
        channel = self._config.channel
        if not isinstance(channel, int):
            return samples
        wide = samples.reshape(len(samples), -1)
        return wide[:, min(channel, wide.shape[1]) - 1]  # capture refuses a channel that is not there


def _listen(
    config: SourceConfig, stop: threading.Event, request: Request, look: PictureOptions
) -> tuple[_Drawn, SourceError | None]:
    """Return what is drawn, and the failure that ended it early. Raises SourceError if the source cannot be opened."""
    failure = None
    with (
        WaitMonitor(config, stop) as monitor,
        open_source(config, monitor.end, media_start=_MEDIA_START, sender_wait_s=SENDER_WAIT_S) as connection,
        Progress(table_grows=False) as progress,
    ):
        recorded, whole_s = connection.recorded, connection.info.duration_s
        length_s = request.length_s if recorded or request.length_s is not None else LIVE_S
        rest_s = None if whole_s is None else max(0.0, whole_s - request.start_s)
        expected_s = min((value for value in (length_s, rest_s) if value), default=None)
        drawn = _Drawn(config, request, Picture(look, expected_s=expected_s), length_s)
        end_s = whole_s if length_s is None else request.start_s + length_s
        try:
            for block in monitor.listen(connection, None if recorded else end_s):
                drawn.add(block, recorded=recorded)
                progress.show(drawn.heard_s, end_s)
                if drawn.is_complete:
                    break
        except SourceError as error:
            failure = error
    return drawn, failure


def _write(file: Path, content: bytes) -> None:
    try:
        replace_file(file, content, mode=None if file.exists() else _MODE)
    except OSError as error:
        raise EdgeaudioError(f"{file}: cannot be written: {error.strerror}") from None
