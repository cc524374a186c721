"""A Reader in a thread, watched."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from support.waiting import wait_until

from edgeaudio.capture.admission import Admission
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.reader import Reader
from edgeaudio.clock import Clock
from edgeaudio.types import Block, Reason, SourceState, SourceStatus


class Watched:
    """A Reader in a thread, with all of its Blocks and statuses."""

    def __init__(self, url: str, admission: Admission | None = None, **config: object) -> None:
        self.blocks: list[Block] = []
        self.statuses: list[SourceStatus] = []
        self.stop = threading.Event()
        self.clock = Clock()
        self.began_s = self.clock.monotonic()
        settings = {"open_timeout_s": 2.0, "read_timeout_s": 1.0, **config}
        self.reader = Reader(
            SourceConfig(name="yard", url=url, **settings),  # type: ignore[arg-type]
            on_block=self.blocks.append,
            on_status=self.statuses.append,
            stop=self.stop,
            clock=self.clock,
            admission=admission,
        )
        self.thread = threading.Thread(target=self.reader.run)

    def states(self) -> list[tuple[SourceState, Reason | None]]:
        return [(status.state, status.reason) for status in self.statuses]

    def wait_for(self, state: SourceState, reason: Reason | None = None, after: int = 0) -> int:
        """Wait for a status with `state` at or after position `after`; return the position behind it."""

        def found() -> int:
            states = self.states()
            return next((k + 1 for k in range(after, len(states)) if states[k] == (state, reason)), 0)

        wait_until(found, 12, f"{state} {reason}")
        return found()

    def wait_for_blocks(self, more: int) -> None:
        count = len(self.blocks) + more
        wait_until(lambda: len(self.blocks) >= count)

    def check(self) -> None:
        """Assert what holds for every Reader at any time."""
        counts = self.reader.counts()
        wall_s = self.clock.monotonic() - self.began_s
        coverage = counts.coverage
        assert coverage.heard_s + coverage.lost_s == pytest.approx(coverage.accounted_s, abs=1e-9)
        # up to the last sound, and what is on its way is younger than the limit for a stall
        assert wall_s - 2.0 < coverage.accounted_s <= wall_s
        assert coverage.heard_s <= sum(block.duration_s for block in self.blocks) + 0.1
        order = [(block.epoch, block.offset) for block in self.blocks]
        assert order == sorted(order)
        times = [block.at for block in self.blocks]
        assert times == sorted(times)


@contextlib.contextmanager
def reading(url: str, admission: Admission | None = None, **config: object) -> Iterator[Watched]:
    watched = Watched(url, admission, **config)
    watched.thread.start()
    try:
        yield watched
        watched.check()
    finally:
        began = time.monotonic()
        watched.stop.set()
        watched.thread.join(5)
        assert not watched.thread.is_alive()
        assert time.monotonic() - began < 1.0
    assert watched.reader.counts().coverage.accounted_s == pytest.approx(
        watched.clock.monotonic() - watched.began_s, abs=0.2
    )
