"""Films of clicks and flashes: each second begins with both, and a film shows how far they are apart."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from edgeaudio.film.output import FilmFormat, FilmOutput, Plane
from edgeaudio.types import Samples

CLICK_S = 0.004


@dataclass(frozen=True, slots=True)
class Seen:
    """Times in seconds of a film, of the beginning of each click and flash."""

    clicks: tuple[float, ...]
    flashes: tuple[float, ...]
    pictures: int
    begin_s: float  # of the first picture
    sound_s: float  # end of the sound

    def apart_s(self, *, skip_s: float = 0.0) -> list[float]:
        """Return for each flash how much later the nearest click is; not at the end, where the sound was cut off.

        skip_s: so much of the beginning is left out. Raises AssertionError where there are none.
        """
        flashes = [flash for flash in self.flashes if self.begin_s + skip_s <= flash < self.sound_s - 0.2]
        assert flashes, "the film has no flash"
        assert self.clicks, "the film has no click"
        clicks = np.array(self.clicks)
        return [float(clicks[np.abs(clicks - flash).argmin()] - flash) for flash in flashes]


def planes_of(form: FilmFormat, *, bright: bool) -> tuple[Plane, Plane, Plane]:
    """Return a picture: white, or a dark grey with a pattern."""
    half = form.height // 2, form.width // 2
    grey = np.full(half, 128, np.uint8)
    if bright:
        return np.full((form.height, form.width), 235, np.uint8), grey, grey
    rows = 16 + 32 * (np.arange(form.height) // 8 % 2)
    return np.repeat(rows[:, None], form.width, axis=1).astype(np.uint8), grey, grey


def second_of_sound(form: FilmFormat) -> Samples:
    """Return a second that begins with a click."""
    samples = np.zeros((form.sample_rate, form.channels), np.float32)
    length = round(CLICK_S * form.sample_rate)
    samples[:length] = 0.8 * np.sin(np.pi * np.arange(length) / 4)[:, None]
    return samples


def feed(output: FilmOutput, form: FilmFormat, seconds: range | list[int]) -> None:
    """Give an output those seconds, in pieces of a picture: each begins with a click and a flash."""
    for number in steps(form, seconds):
        feed_step(output, form, number)


def steps(form: FilmFormat, seconds: range | list[int]) -> Iterator[int]:
    """Yield the numbers of the pictures in those seconds."""
    for second in seconds:
        yield from range(second * form.frame_rate, (second + 1) * form.frame_rate)


def feed_step(output: FilmOutput, form: FilmFormat, number: int) -> None:
    """Give an output one picture, after its sound."""
    in_second = number % form.frame_rate
    begin, end = (form.sample_rate * n // form.frame_rate for n in (in_second, in_second + 1))
    second = number // form.frame_rate
    output.sound(second * form.sample_rate + begin, second_of_sound(form)[begin:end])
    output.picture(number, planes_of(form, bright=in_second == 0))


def seen_in(path: Path | str) -> Seen:
    """Decode a film with PyAV, as far as it goes."""
    watcher = _Watcher()
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0], container.streams.audio[0]):
            with contextlib.suppress(av.InvalidDataError):  # the last one, of a film that was cut off
                for frame in packet.decode():
                    watcher.see(frame)
    return Seen(tuple(watcher.clicks), tuple(watcher.flashes), watcher.pictures, watcher.begin_s, watcher.sound_s)


class _Watcher:
    def __init__(self) -> None:
        self.clicks: list[float] = []
        self.flashes: list[float] = []
        self.pictures = 0
        self.begin_s = 0.0
        self.sound_s = 0.0
        self._was_bright = False
        self._loud_s = -1.0  # when it was loud last

    def see(self, frame: object) -> None:
        if isinstance(frame, av.VideoFrame):
            assert frame.time is not None
            self.begin_s = self.begin_s if self.pictures else frame.time
            self.pictures += 1
            bright = bool(frame.to_ndarray()[: frame.height // 2].mean() > 140)
            if bright and not self._was_bright:
                self.flashes.append(frame.time)
            self._was_bright = bright
        elif isinstance(frame, av.AudioFrame):
            assert frame.time is not None
            values = frame.to_ndarray().astype(np.float64)
            first = values.reshape(-1)[:: frame.layout.nb_channels] if frame.format.is_packed else values[0]
            loud = np.abs(first) > (0.25 * (1 << 31) if frame.format.name == "s32" else 0.25)
            for at_s in frame.time + np.flatnonzero(loud) / frame.sample_rate:
                if at_s - self._loud_s > 0.2:
                    self.clicks.append(float(at_s))
                self._loud_s = float(at_s)
            self.sound_s = frame.time + frame.samples / frame.sample_rate
