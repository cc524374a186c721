"""The film of a live source, until it is stopped: a lost source is a gap, and comes back.

Owns: the thread of the reader, how long sound is waited for, and the pictures that a slow machine leaves out.
Does not know: how a source is opened and tried again (capture/reader.py), what is drawn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.reader import Reader
from edgeaudio.clock import STEP_S, Clock
from edgeaudio.film.film import Film
from edgeaudio.film.time_line import TimeLine
from edgeaudio.hub import Hub
from edgeaudio.types import Block, SourceState, SourceStatus

_log = logging.getLogger(__name__)

READER_THREAD = "capture"
TURN_S = 0.1
READ_S = 0.2  # from one read of a live source to the next: reading each packet takes more of the processor
# without sound, before that time counts as a gap: what comes later is left out
LEAST_PATIENCE_S = 2.0
MOST_PATIENCE_S = 30.0
_PATIENCE = 1.5  # times the latest that sound has come lately
_FORGET = 1 / 60  # of that lateness, a second
QUEUE_S = 30.0  # of sound that may wait for this machine
JOIN_S = 2.0
_ZONE_S = 60.0  # from one look at the zone of the clock to the next
_LOOK_S = 2.0  # of film, by which the speed of this machine is judged
_BUSY, _IDLE = 0.9, 0.35  # share of the time


def film_live(
    config: SourceConfig,
    make: Callable[[TimeLine, Block], Film],
    stop: threading.Event,
    *,
    length_s: float | None,
    clock: Clock,
) -> Film | None:
    """Make the film of a live source until `stop` is set or it has its length; return it, finished.

    It begins with the first sound; None: none came. Raises EdgeaudioError where the film cannot be written.
    """
    config = replace(config, read_period_s=READ_S)
    hub = Hub()
    queue = hub.subscribe("film", (Block, SourceStatus), max_s=QUEUE_S, is_paced=True)
    end = threading.Event()
    failures: list[Exception] = []
    reader = Reader(config, on_block=hub.publish, on_status=hub.publish, stop=end, clock=clock)

    def read() -> None:
        try:
            reader.run()
        except Exception as error:  # noqa: BLE001 (raised again in the caller's thread)
            failures.append(error)

    thread = threading.Thread(target=read, name=READER_THREAD, daemon=True)
    thread.start()
    watch = _Watch(config, make, length_s, clock)
    try:
        while not stop.is_set() and not watch.is_over and not failures:
            items = queue.take(TURN_S)
            for item in items:
                watch.take(item)
            if not items:  # else there may be sound that waits for this machine
                watch.turn()
    except BaseException:
        watch.abandon()
        raise
    finally:
        end.set()
        queue.drop_all()
        thread.join(JOIN_S)
    if watch.film is not None:
        watch.film.finish()
    if failures:
        raise failures[0]
    return watch.film


class _Watch:
    """A live film, by the clock."""

    def __init__(
        self, config: SourceConfig, make: Callable[[TimeLine, Block], Film], length_s: float | None, clock: Clock
    ) -> None:
        self.film: Film | None = None
        self.is_over = False
        self._config = config
        self._make = make
        self._length_s = length_s
        self._clock = clock
        self._zero_s = 0.0  # monotonic
        self._zero_utc = clock.utc()  # what the system clock calls it
        self._connected = False
        self._late_s = 0.0  # how much later than it was made sound has come lately
        self._heard_s = 0.0  # when the last came, monotonic
        self._pace = Pace()
        self._zone_s = 0.0

    def take(self, item: object) -> None:
        """Add a Block, or note the state of the source."""
        if isinstance(item, Block) and not self.is_over:
            self._hear(item)
        elif isinstance(item, SourceStatus):
            self._connected = item.state in (SourceState.LISTENING, SourceState.SILENT)
            if item.state is SourceState.ENDED:
                self.is_over = True

    def turn(self) -> None:
        """Decide that there is no sound, where it was waited for long enough."""
        if self.film is None:
            return
        now_s = self._clock.monotonic() - self._zero_s
        self._follow_zone(now_s)
        until_s = now_s - self._patience_s
        if self._length_s is not None:
            until_s = min(until_s, self._length_s)
        with self._pace.of(self.film):
            self.film.without_sound(until_s)
        self.is_over = self.is_over or self.film.time_line.is_over

    def abandon(self) -> None:
        """Finish the film as it is."""
        if self.film is not None:
            self.film.abandon()

    @property
    def _patience_s(self) -> float:
        # a playlist's segments come many seconds apart
        if self._connected and self._config.address.is_http:
            return MOST_PATIENCE_S
        return min(max(LEAST_PATIENCE_S, _PATIENCE * self._late_s), MOST_PATIENCE_S)

    def _hear(self, block: Block) -> None:
        monotonic_s = self._clock.monotonic()
        if self.film is None:
            age_s = (self._clock.utc(monotonic_s) - block.at).total_seconds()
            self._zero_s = monotonic_s - max(age_s, block.duration_s)
            self._zero_utc = self._clock.utc(self._zero_s)
            line = TimeLine(block.at, is_live=True, length_s=self._length_s)
            self.film = self._make(line, block)
        now_s = monotonic_s - self._zero_s
        zero_utc = self._clock.utc(self._zero_s)
        step_s = (zero_utc - self._zero_utc).total_seconds()
        if abs(step_s) >= STEP_S:
            self._zero_utc = zero_utc
            self.film.time_line.expect_step(step_s)
        with self._pace.of(self.film):
            self.film.feed(block, now_s)
        forgotten_s = (monotonic_s - self._heard_s) * _FORGET if self._heard_s else 0.0
        self._late_s = max(self._late_s - forgotten_s, now_s - self.film.time_line.end_s)
        self._heard_s = monotonic_s
        self.is_over = self.film.time_line.is_over

    def _follow_zone(self, now_s: float) -> None:
        """Have the film's clock changed to summer time, and back."""
        if self.film is None or now_s - self._zone_s < _ZONE_S:
            return
        self._zone_s = now_s
        local = datetime.now().astimezone()
        begin = self.film.time_line.zero.astimezone(local.tzinfo)
        if begin.utcoffset() != self.film.utc_offset:
            self.film.rename(begin)


class Pace:
    """How many pictures this machine can make: where it takes longer than they last, each second one, fourth one ..."""

    def __init__(self) -> None:
        self._busy_s = 0.0
        self._begin_s: float | None = None  # of the film
        self._film: Film | None = None
        self._since_s = 0.0

    def of(self, film: Film) -> Pace:
        """Return this, to be used in a `with` block around what makes pictures."""
        self._film = film
        return self

    def __enter__(self) -> None:
        film = self._film
        assert film is not None  # noqa: S101 (`of` was called)
        self._since_s = time.monotonic() - film.waited_s

    def __exit__(self, *_: object) -> None:
        film = self._film
        assert film is not None  # noqa: S101 (`of` was called)
        self._busy_s += time.monotonic() - film.waited_s - self._since_s
        if self._begin_s is None:
            self._begin_s = film.drawn_s
        made_s = film.drawn_s - self._begin_s
        if made_s < _LOOK_S:
            return
        share = self._busy_s / made_s
        self._busy_s, self._begin_s = 0.0, film.drawn_s
        before = film.stride
        if share > _BUSY:
            film.stride = min(film.stride * 2, film.frame_rate)
        elif share < _IDLE and film.stride > 1:
            film.stride //= 2
        if film.stride > before == 1:
            _log.warning(
                "this machine is too slow for %d pictures a second: some are left out, the sound is not; choose a "
                "smaller --size or --fps",
                film.frame_rate,
            )
