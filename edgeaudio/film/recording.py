"""The film of a recording, as fast as it goes.

Owns: which part is shown. Does not know: how it is opened, or what is drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from edgeaudio.capture.errors import SourceError
from edgeaudio.film.film import Film
from edgeaudio.film.time_line import TimeLine
from edgeaudio.types import Block

MEDIA_START = datetime(1970, 1, 1, tzinfo=UTC)  # of a recording: times count from its beginning
HOLE_STEP_S = 1.0


def film_recording(
    blocks: Iterable[Block],
    make: Callable[[TimeLine, Block], Film],
    *,
    start_s: float,
    length_s: float | None,
    on_progress: Callable[[float], None],
    stop: threading.Event,
) -> tuple[Film | None, SourceError | None]:
    """Make the film of Blocks from MEDIA_START on; return it, finished, and the failure that ended it early.

    None: there was no sound in the part that was wanted. `stop` ends it early. Raises EdgeaudioError where the film
    cannot be written.
    """
    time_line = TimeLine(MEDIA_START + timedelta(seconds=start_s), is_live=False, length_s=length_s)
    film: Film | None = None
    failure = None
    try:
        for block in blocks:
            end_s = (block.at - time_line.zero).total_seconds() + block.duration_s
            on_progress(start_s + end_s)
            if end_s <= 0:
                continue
            film = film or make(time_line, block)
            begin_s = end_s - block.duration_s
            _show_hole(film, begin_s if length_s is None else min(begin_s, length_s), stop)
            if stop.is_set():
                break
            film.feed(block)
            if time_line.is_over:
                break
    except SourceError as error:
        failure = error
    except BaseException:
        if film is not None:
            film.abandon()
        raise
    if film is not None:
        film.finish()
    return film, failure


def _show_hole(film: Film, until_s: float, stop: threading.Event) -> None:
    """Make the pictures of a long hole, until `stop` is set; those of a short one come with what follows it."""
    at_s = film.time_line.end_s + HOLE_STEP_S
    while at_s < until_s and not stop.is_set():
        film.without_sound(at_s)
        at_s += HOLE_STEP_S
