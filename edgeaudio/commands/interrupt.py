"""Ctrl-C while a source is open: SIGINT sets the stop event that capture polls.

Python's own KeyboardInterrupt would be lost: it is raised in the main thread, most often inside FFmpeg's interrupt
callback, which no exception leaves. While the main thread hangs in a driver, no handler runs at all: a thread receives
the signal through a pipe.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stopped_by_interrupt() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets, and raise KeyboardInterrupt afterwards if it did. Main thread only."""
    stop = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    listener = threading.Thread(target=_await, args=(reading, stop), name="interrupt", daemon=True)
    listener.start()
    wakeup_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    except BaseException:
        if stop.is_set():  # the interrupted call raises one of many errors
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
        signal.set_wakeup_fd(wakeup_before)
        os.close(writing)
        listener.join()
        os.close(reading)
    if stop.is_set():
        raise KeyboardInterrupt


def _await(reading: int, stop: threading.Event) -> None:
    """Set `stop` upon a SIGINT. The interpreter writes the number of each signal into the pipe."""
    while numbers := os.read(reading, 64):
        if signal.SIGINT in numbers:
            stop.set()
