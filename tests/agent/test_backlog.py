"""The hand-over between readers and recogniser."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import numpy as np

from edgeaudio.agent.backlog import Backlog, Ended
from edgeaudio.types import Block


def block(source: str, number: int, seconds: float = 1.0) -> Block:
    samples = np.zeros(round(100 * seconds), np.float32)
    return Block(source, 0, 100 * number, datetime.now(UTC), 100, samples)


def test_order_is_kept_over_all_sources():
    backlog = Backlog()
    put = [block("a", 0), block("b", 0), block("a", 1)]
    for each in put:
        backlog.put(each)
    backlog.end("b")
    assert backlog.waiting_s("a") == 2.0
    assert backlog.take(0) == [*put, Ended("b")]
    assert backlog.waiting_s("a") == 0.0
    assert backlog.take(0) == []


def test_the_oldest_of_the_same_source_goes_and_is_counted():
    backlog = Backlog(max_waiting_s=3)
    backlog.put(block("quiet", 0))
    for number in range(5):
        backlog.put(block("busy", number))
    taken = backlog.take(0)
    assert [item.offset for item in taken if isinstance(item, Block) and item.source == "busy"] == [200, 300, 400]
    assert (backlog.dropped_s("busy"), backlog.dropped_s("quiet")) == (2.0, 0.0)


def test_taking_waits_for_the_first():
    backlog = Backlog()
    threading.Timer(0.05, lambda: backlog.put(block("a", 0))).start()
    begin_s = time.monotonic()
    assert len(backlog.take(5)) == 1
    assert time.monotonic() - begin_s < 4
