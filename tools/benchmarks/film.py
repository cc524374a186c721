"""What it costs to encode a film: CPU time a second of film, and memory, for a spectrogram of noise that scrolls.

Run as `python -m tools.benchmarks.film FILE|URL [SECONDS]`; a file is replaced, as fast as it goes; a server gets the
film as it would be live, and what the process that pushes used is counted, too. Drawing is not: a ribbon of columns is
made before, and a picture is a piece of it.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from typing import NamedTuple

import numpy as np

from edgeaudio.film.output import FilmFormat, FilmOutput, Plane, open_output
from edgeaudio.film.push_output import PushOutput
from edgeaudio.types import Samples

SIZES = ((1280, 720, 30), (854, 480, 15))
RATE = 48_000
ACROSS_S = 10.0  # until a column has crossed the picture


class Cost(NamedTuple):
    """CPU and memory of what a film was made with."""

    cpu_ms_per_s: float
    memory_mb: float
    kilobits_per_s: float


def ribbon(form: FilmFormat, seconds: int) -> tuple[Plane, Plane, Plane, int]:
    """Return Y, U and V of everything that scrolls by, and the step in pixels from picture to picture."""
    step = max(1, round(form.width / ACROSS_S / form.frame_rate))
    step += step % 2  # U and V have half of the columns
    columns = form.width + step * form.frame_rate * seconds
    noise = np.random.default_rng(0).exponential(1.0, (form.height // 4, columns // 2)).astype(np.float32)
    shades = np.clip(90 + 40 * np.log10(noise + 1e-3), 16, 235).astype(np.uint8)
    luma = np.repeat(np.repeat(shades, 4, axis=0), 2, axis=1)
    half = np.repeat(shades, 2, axis=0)
    return luma, 255 - half, (half // 2 + 64).astype(np.uint8), step


def measure(target: str, form: FilmFormat, seconds: int) -> Cost:
    """Make a film of so many seconds, and return what that took."""
    luma, blue, red, step = ribbon(form, seconds)
    sound = (0.1 * np.random.default_rng(1).standard_normal((RATE, 1))).astype(np.float32)
    output = open_output(target, form, overwrite=True)
    begin_s, used_s = time.monotonic(), time.process_time()
    copied_s = 0.0  # by the measurement, which makes each picture of the ribbon
    for number in range(form.frame_rate * seconds):
        before_s = time.process_time()
        x = number * step
        planes = (
            np.ascontiguousarray(luma[:, x : x + form.width]),
            np.ascontiguousarray(blue[:, x // 2 : (x + form.width) // 2]),
            np.ascontiguousarray(red[:, x // 2 : (x + form.width) // 2]),
        )
        copied_s += time.process_time() - before_s
        _give(output, form, number, planes, sound)
        if isinstance(output, PushOutput):
            time.sleep(max(0.0, begin_s + number / form.frame_rate - time.monotonic()))
    output.close()
    used_s = time.process_time() - used_s - copied_s
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = 0 if isinstance(output, PushOutput) else os.path.getsize(target)  # noqa: PTH202 (a name as it was given)
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - sum(map(_kilobytes, (luma, blue, red)))
    return Cost(
        1000 * (used_s + children.ru_utime + children.ru_stime) / seconds, memory_kb / 1000, size * 8 / seconds / 1000
    )


def _give(
    output: FilmOutput, form: FilmFormat, number: int, planes: tuple[Plane, Plane, Plane], sound: Samples
) -> None:
    begin, end = (RATE * n // form.frame_rate for n in (number, number + 1))
    output.sound(begin, sound[: end - begin])
    output.picture(number, planes)


def _kilobytes(plane: Plane) -> float:
    return plane.nbytes / 1024


def main() -> None:
    """Measure each size, and print a line of it."""
    target, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60
    for width, height, frame_rate in SIZES:
        if child := os.fork():  # each size has a process of its own, for its memory
            os.waitpid(child, 0)
            continue
        cost = measure(target, FilmFormat(width, height, frame_rate, RATE, 1), seconds)
        print(
            f"{width}x{height}, {frame_rate} a second: {cost.cpu_ms_per_s:.0f} ms of CPU a second, "
            f"{cost.memory_mb:.0f} MB, {cost.kilobits_per_s:.0f} kbit/s"
        )
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
