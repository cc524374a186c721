"""Films as tests see them: an output that keeps what it is given, and files decoded again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from edgeaudio.film.output import FilmFormat, Plane
from edgeaudio.pictures.film_layout import FilmLayout
from edgeaudio.pictures.film_options import FilmLook
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.types import Samples


@dataclass
class KeptFilm:
    """A FilmOutput in memory: the Y of every picture, and the sound at its place."""

    pictures: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    pieces: list[tuple[int, Samples]] = field(default_factory=list)
    form: FilmFormat | None = None
    closed: int = 0

    def open(self, form: FilmFormat) -> KeptFilm:
        self.form = form
        return self

    def picture(self, number: int, planes: tuple[Plane, Plane, Plane]) -> None:
        assert not self.pictures or number > max(self.pictures)
        self.pictures[number] = planes[0].copy()

    def sound(self, position: int, samples: Samples) -> None:
        assert self.form is not None
        assert samples.dtype == np.float32
        assert samples.shape[1] == self.form.channels
        assert position >= self.end
        self.pieces.append((position, samples.copy()))

    def close(self) -> None:
        self.closed += 1

    @property
    def end(self) -> int:
        return self.pieces[-1][0] + len(self.pieces[-1][1]) if self.pieces else 0

    def heard(self) -> Samples:
        """Return all of the sound, with silence in its holes."""
        assert self.form is not None
        whole = np.zeros((self.end, self.form.channels), np.float32)
        for position, samples in self.pieces:
            whole[position : position + len(samples)] = samples
        return whole


@dataclass(frozen=True)
class PlotView:
    """Where the plot is in the pictures of a film of one look."""

    look: FilmLook
    sample_rate: int

    @cached_property
    def layout(self) -> FilmLayout:
        """Where everything is."""
        return FilmLayout(self.look, self.axis)

    @property
    def axis(self) -> FrequencyAxis:
        """The axis of the frequencies."""
        return self.look.axis(self.sample_rate)

    def time_of(self, column: float, at_s: float) -> float:
        """Return the time of a column of the plot in the picture of a time."""
        width = self.layout.scroll_width
        return at_s - (width - column) * self.look.seconds / width

    def lanes(self, y: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the Y of what is above the plot."""
        layout = self.layout
        part = y[layout.scroll_y : layout.scroll_y + layout.lanes_height]
        return part[:, layout.scroll_x : layout.scroll_x + layout.scroll_width]

    def plot(self, y: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return how loud the plot of a picture in grey is, 0 to 255, the lowest row first."""
        layout = self.layout
        top = layout.scroll_y + layout.lanes_height
        part = y[top : top + layout.plot_height, layout.scroll_x : layout.scroll_x + layout.scroll_width]
        return np.rint((235 - part[::-1].astype(np.int64)) * 255 / 219).astype(np.int64)

    def loudest_hz(self, y: NDArray[np.uint8], before_s: float) -> float:
        """Return the loudest frequency of a picture, at a time before its right edge."""
        plot = self.plot(y)
        column = plot.shape[1] - 1 - round(before_s / self.look.seconds * plot.shape[1])
        place = (plot[:, column].argmax() + 0.5) / len(plot)
        return float(self.axis.hz(place))


@dataclass(frozen=True)
class Decoded:
    """A film that was decoded: the Y of its pictures by their time, and its sound, `(n, channels)`."""

    pictures: dict[float, NDArray[np.uint8]]
    sound: NDArray[np.float64]
    sample_rate: int
    codecs: tuple[str, str]

    def at(self, at_s: float) -> NDArray[np.uint8]:
        """Return the picture that is shown at a time."""
        return self.pictures[max(time_s for time_s in self.pictures if time_s <= at_s + 1e-3)]


def decoded(file: Path) -> Decoded:
    """Decode a film."""
    pictures: dict[float, NDArray[np.uint8]] = {}
    pieces: list[NDArray[np.float64]] = []
    with av.open(str(file)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        codecs = video.codec_context.name, audio.codec_context.name
        resampler = av.AudioResampler(format="dblp")
        for frame in container.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                assert frame.time is not None
                plane = frame.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                pictures[frame.time] = rows[:, : plane.width].copy()
            elif isinstance(frame, av.AudioFrame):
                pieces += [made.to_ndarray().astype(np.float64) for made in resampler.resample(frame)]
        rate = audio.codec_context.sample_rate
    return Decoded(pictures, np.concatenate(pieces, axis=1).T, rate, codecs)
