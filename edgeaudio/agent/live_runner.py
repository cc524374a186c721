"""Runs the live sink while some source is watched; otherwise it has no thread and no subscription, and costs nothing.

Owns: the leases, and when the sink's thread begins and ends.
Does not know: commands, what the sink computes. Used by the main thread alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.hub import Hub
from edgeaudio.sinks.live.leases import Leases
from edgeaudio.sinks.live.sink import LiveSink

log = logging.getLogger(__name__)


class LiveRunner:
    """The live sink of an agent. `watch` begins it; call `look_after` about once a second, and `stop` at the end."""

    def __init__(
        self,
        hub: Hub,
        spawn: Callable[[str, Callable[[], None]], threading.Thread],
        on_change: Callable[[], None],
    ) -> None:
        """`spawn` starts a thread; `on_change`: as of SinkRunner."""
        self._leases = Leases()
        self._spawn = spawn
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self.runner = SinkRunner(LiveSink(self._leases, hub.publish), hub, on_change)

    def watch(self, source: str, duration_s: float) -> bool:
        """Lease a source's live view; 0 ends it. Return False if too many others are watched."""
        now_s = time.monotonic()
        was_leased = self._leases.is_leased(source, now_s)
        granted = self._leases.renew(source, duration_s, now_s)
        if granted and duration_s and not was_leased:
            log.info("source %s is watched live", source, extra={"source": source})
        self.look_after(now_s)
        return granted

    def unwatch(self, source: str) -> None:
        """End a source's live view, whoever watches: another source may have its place."""
        self.watch(source, 0.0)

    def look_after(self, now_s: float) -> None:
        """Begin or end the thread as the leases require. `now_s`: monotonic."""
        if not self._leases.is_any_leased(now_s):
            self._end.set()
        elif self._thread is None or not self._thread.is_alive():
            self._end = threading.Event()
            self._thread = self._spawn(f"sink-{self.runner.name}", partial(self.runner.run, self._end))

    def stop(self) -> None:
        """End the thread, if there is one."""
        self._end.set()
