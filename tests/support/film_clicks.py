"""Films of clicks and flashes: each second begins with both, and a film shows how far they are apart."""

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
    sound_s: float

    def apart_s(self) -> list[float]:
        """Return for each flash how much later the nearest click is. Raises AssertionError where there are none."""
        assert self.flashes, "the film has no flash"
        assert self.clicks, "the film has no click"
        clicks = np.array(self.clicks)
        return [float(clicks[np.abs(clicks - flash).argmin()] - flash) for flash in self.flashes]


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


def seen_in(path: Path | str, *, file_format: str | None = None) -> Seen:
    """Decode a film with PyAV, as far as it goes."""
    flashes: list[float] = []
    clicks: list[float] = []
    pictures, was_bright, end_s, since_s = 0, False, 0.0, 1.0
    with av.open(str(path), format=file_format) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        for packet in container.demux(video, audio):
            try:
                frames = packet.decode()
            except av.InvalidDataError:  # the last one, of a film that was cut off
                continue
            for frame in frames:
                assert frame.time is not None
                if isinstance(frame, av.VideoFrame):
                    pictures += 1
                    bright = frame.to_ndarray()[: frame.height // 2].mean() > 140
                    if bright and not was_bright:
                        flashes.append(frame.time)
                    was_bright = bright
                elif isinstance(frame, av.AudioFrame):
                    sound = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
                    if frame.format.name == "s32":
                        sound /= 1 << 31
                    if frame.format.is_packed:
                        sound = sound[:: frame.layout.nb_channels]
                    else:
                        sound = sound[: frame.samples]
                    rate = frame.sample_rate
                    for index in np.flatnonzero(sound > 0.25):
                        at = frame.time + index / rate
                        if not clicks or at - since_s > 0.2:
                            clicks.append(float(at))
                        since_s = float(at)
                    end_s = frame.time + frame.samples / rate
    return Seen(tuple(clicks), tuple(flashes), pictures, end_s)
