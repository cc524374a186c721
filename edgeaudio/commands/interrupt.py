"""Ctrl-C while a source is open.

Owns: the turning of SIGINT into the stop event that capture asks for. Python's own way, an exception wherever
the program happens to be, gets lost: most of the time that is inside FFmpeg's interrupt callback, and no exception
leaves it.
Does not know: what is being stopped.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stopped_by_interrupt() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C sets; in the end, raise the KeyboardInterrupt that was held back. Main thread only."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    except BaseException:
        if stop.is_set():  # what was broken off says so in many ways
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if stop.is_set():
        raise KeyboardInterrupt
