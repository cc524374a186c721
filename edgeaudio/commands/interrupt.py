"""Ctrl-C while a source is open.

Owns: the turning of SIGINT into the stop event that capture asks for. Python's own way, an exception wherever
the program happens to be, gets lost: most of the time that is inside FFmpeg's interrupt callback, and no exception
leaves it. And where the main thread hangs in a driver, it runs no handler at all: a thread hears of the signal then.
Does not know: what is being stopped.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stopped_by_interrupt() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C sets; in the end, raise the KeyboardInterrupt that was held back. Main thread only."""
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
        if stop.is_set():  # what was broken off says so in many ways
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
    """Set `stop` upon a SIGINT. The interpreter writes the number of each signal into the pipe at once."""
    while numbers := os.read(reading, 64):
        if signal.SIGINT in numbers:
            stop.set()
