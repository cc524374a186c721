"""Threads of an agent, and the queue of calls by which they and signal handlers reach its main thread.

An exception of any thread is raised again in the main thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue


class AgentThreads:
    """Threads besides the main thread."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | BaseException] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def waiting_calls(self) -> int:
        return self._calls.qsize()

    def spawn(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Start a thread."""

        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 (the main thread raises it again)
                self._calls.put(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        return thread

    def call_in_main(self, call: Callable[[], None]) -> None:
        """Have the main thread make a call. Safe for any thread and for signal handlers."""
        self._calls.put(call)

    def run_next_call(self, timeout_s: float) -> None:
        """Make the oldest call that waits, or wait for one; for the main thread. Raises what a thread raised."""
        try:
            item = self._calls.get(timeout=timeout_s)
        except Empty:
            return
        if isinstance(item, BaseException):
            raise item
        item()

    def join(self, timeout_s: float) -> None:
        """Wait for all threads to end, at most that long together."""
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
