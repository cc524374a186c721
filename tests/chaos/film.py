"""Films of clicks and flashes: ten minutes into files, to servers that stall and die, from a program that is killed.

Each second begins with a click and a flash; what is received is decoded, and the largest distance counts.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from support.film_clicks import Seen, feed, planes_of, second_of_sound, seen_in
from support.film_servers import FilmServer, ffmpeg_listener, gst_record_server, nginx_rtmp_server
from support.ports import free_port
from support.waiting import wait_until

from edgeaudio.film.output import FilmFormat, open_output
from edgeaudio.film.push_output import PushOutput

TESTS = Path(__file__).parents[1]
IN_FILES_MS, PUSHED_MS = 20.0, 40.0
CALL_LIMIT_MS = 500.0
START_S = 0.1  # a connection begins with a picture: the sound before it is not sent
_SCRIPT = """
import sys
from support.film_clicks import feed
from edgeaudio.film.output import FilmFormat, open_output
form = FilmFormat(320, 180, 15, 16_000, 1)
feed(open_output(sys.argv[1], form), form, range(100_000))
"""


@dataclass(frozen=True, slots=True)
class Film:
    """One film, or several parts of one that were received."""

    case: str
    length_s: float
    flashes: int
    apart_ms: float  # the largest distance of a click from its flash
    longest_call_ms: float | None
    connections: int | None
    dropped: int | None  # pictures that a server did not take in time
    unsent: int | None  # pictures for which there was no connection
    faults: tuple[str, ...]


def film(folder: Path, *, short: bool = False) -> list[Film]:
    """Run all cases; the servers at the same time."""
    seconds = 10 if short else 600
    rows = [_file(folder / f"{name}", name, seconds) for name in ("film.mkv", "film.mp4")]
    rows.append(_kills(folder, 1 if short else 20))
    if short:
        return rows
    # a process for each: one that decodes holds up no other
    with ProcessPoolExecutor(len(_JOBS), mp_context=multiprocessing.get_context("spawn")) as pool:
        rows += pool.map(_job, [folder] * len(_JOBS), range(len(_JOBS)))
    return rows


def _job(folder: Path, number: int) -> Film:
    name, job = _JOBS[number]
    (folder / name).mkdir()
    return job(folder / name)


def _file(path: Path, case: str, seconds: int) -> Film:
    """As fast as it goes; half of the time there is no sound and no picture: three gaps."""
    form = FilmFormat(320, 180, 15, 44_100, 1)
    output = open_output(str(path), form)
    piece = max(1, seconds // 7)
    heard = [second for second in range(seconds) if second // piece % 2 == 0]
    feed(output, form, heard)
    output.close()
    seen = seen_in(path)
    apart_ms = _apart_ms([seen])
    faults = [f"{case}: {apart_ms:.1f} ms apart"] if apart_ms > IN_FILES_MS else []
    if len(seen.flashes) != len(heard) or abs(seen.flashes[-1] - heard[-1]) > 0.02:
        faults.append(f"{case}: a flash is missing, or not at its time")
    return Film(f"{case}, three gaps", seen.sound_s, len(seen.flashes), apart_ms, None, None, None, None, tuple(faults))


def _kills(folder: Path, times: int) -> Film:
    """SIGKILL at any moment: what is there plays."""
    found: list[Seen] = []
    faults = []
    for index in range(times):
        path = folder / f"killed-{index}.{('mkv', 'mp4')[index % 2]}"
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(path)], cwd=TESTS, env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
        )
        try:
            wait_until(lambda path=path: path.exists() and path.stat().st_size > 20_000, 30)  # type: ignore[misc]
            time.sleep(random.random())
        finally:
            process.kill()
            process.wait(10)
        found.append(seen_in(path))
        if len(found[-1].flashes) < 2:
            faults.append(f"killed, time {index}: {len(found[-1].flashes)} flashes")
    apart_ms = _apart_ms(found)
    if apart_ms > IN_FILES_MS:
        faults.append(f"killed: {apart_ms:.1f} ms apart")
    length_s, flashes = sum(seen.sound_s for seen in found), sum(len(seen.flashes) for seen in found)
    return Film(f"killed {times} times", length_s, flashes, apart_ms, None, None, None, None, tuple(faults))


class _Live:
    """A film as it would be live, whose lower half is noise, so that it needs its bit rate."""

    def __init__(self, url: str) -> None:
        self.form = FilmFormat(320, 180, 30, 48_000, 1)
        output = open_output(url, self.form, bit_rate=4_000_000)
        assert isinstance(output, PushOutput)
        self.output = output
        self.longest_s = 0.0
        self._number = 0
        self._began_s = time.monotonic()
        self._random = np.random.default_rng(0)
        self._second = second_of_sound(self.form)

    def seconds(self, seconds: float) -> None:
        end = self._number + round(seconds * self.form.frame_rate)
        self.until(lambda: self._number >= end, seconds + 60)

    def until(self, condition: Callable[[], object], timeout_s: float = 120.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, self.output.counts
            self._step()

    def resume(self) -> None:
        """Go on now, after a while without pictures, which the film does not have."""
        self._began_s = time.monotonic() - self._number / self.form.frame_rate

    def _step(self) -> None:
        rate = self.form.frame_rate
        second, place = divmod(self._number, rate)
        planes = planes_of(self.form, bright=place == 0)
        planes[0][100:] = self._random.integers(16, 235, planes[0][100:].shape, dtype=np.uint8)
        begin, end = (self.form.sample_rate * n // rate for n in (place, place + 1))
        begin_s = time.monotonic()
        self.output.sound(second * self.form.sample_rate + begin, self._second[begin:end])
        self.output.picture(self._number, planes)
        self.longest_s = max(self.longest_s, time.monotonic() - begin_s)
        self._number += 1
        time.sleep(max(0.0, self._began_s + self._number / rate - time.monotonic()))


Start = Callable[[Path, int, int], AbstractContextManager[FilmServer]]


def _gst(folder: Path, port: int, index: int) -> AbstractContextManager[FilmServer]:
    return gst_record_server(folder / f"film-{index}.mkv", port=port)


def _nginx(folder: Path, port: int, index: int) -> AbstractContextManager[FilmServer]:
    (folder / str(index)).mkdir()
    return nginx_rtmp_server(folder / str(index), port=port)


def _server(folder: Path, case: str, start: Start) -> Film:
    """Three minutes; it stalls for half a minute, goes on, is killed, and comes again after ten seconds."""
    port, parts = free_port(), []
    faults = []
    with start(folder, port, 0) as server:
        live = _Live(server.url)
        live.until(lambda: live.output.is_open)
        live.seconds(90)
        parts.append(seen_in(server.film))
        live.resume()
        server.process.send_signal(signal.SIGSTOP)
        live.until(lambda: not live.output.is_open)
        live.seconds(15)
        server.process.send_signal(signal.SIGCONT)
        live.until(lambda: live.output.is_open)
        live.seconds(30)
        parts.append(seen_in(server.film))
        live.resume()
    live.seconds(10)
    with start(folder, port, 1) as server:
        live.until(lambda: live.output.is_open)
        live.seconds(30)
        live.output.close()
        time.sleep(1.0)
        parts.append(seen_in(server.film))
    for name, seen, at_least in zip(("before", "after the stall", "after its end"), parts, (85, 26, 26), strict=True):
        if len(seen.flashes) < at_least:
            faults.append(f"{case}: {len(seen.flashes)} flashes {name}")
    return _row(case, live, parts, faults)


def _listener(folder: Path, scheme: str, seconds: int) -> Film:
    with ffmpeg_listener(folder / f"{scheme}.mkv", scheme) as server:
        live = _Live(server.url)
        live.until(lambda: live.output.is_open)
        live.seconds(seconds)
        live.output.close()
        server.process.wait(20)
    return _row(f"FFmpeg that listens, by {scheme.upper()}", live, [seen_in(server.film)], [])


_JOBS: tuple[tuple[str, Callable[[Path], Film]], ...] = (
    ("gst", lambda folder: _server(folder, "GStreamer's server, by RTSP", _gst)),
    ("nginx", lambda folder: _server(folder, "nginx, by RTMP", _nginx)),
    ("rtsp", lambda folder: _listener(folder, "rtsp", 60)),
    ("rtmp", lambda folder: _listener(folder, "rtmp", 60)),
)


def _row(case: str, live: _Live, parts: list[Seen], faults: list[str]) -> Film:
    apart_ms = _apart_ms(parts, skip_s=START_S)
    longest_ms = 1000 * live.longest_s
    if apart_ms > PUSHED_MS:
        faults.append(f"{case}: {apart_ms:.1f} ms apart")
    if longest_ms > CALL_LIMIT_MS:
        faults.append(f"{case}: a call took {longest_ms:.0f} ms")
    counts = live.output.counts
    length_s, flashes = sum(seen.sound_s - seen.begin_s for seen in parts), sum(len(seen.flashes) for seen in parts)
    return Film(
        case, length_s, flashes, apart_ms, longest_ms, counts.connections, counts.dropped, counts.unsent, tuple(faults)
    )


def _apart_ms(parts: list[Seen], *, skip_s: float = 0.0) -> float:
    return max(1000 * abs(apart) for seen in parts for apart in seen.apart_s(skip_s=skip_s))
