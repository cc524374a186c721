"""Runs the live sink while some source is watched or listened to; otherwise it has no thread and no subscription.

Owns: the leases, why one is refused, and when the sink's thread begins and ends.
Does not know: commands, what the sink computes. Used by the main thread alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.hub import Hub
from edgeaudio.sinks.live.config import LiveConfig
from edgeaudio.sinks.live.leases import MAX_SOURCES, Leases
from edgeaudio.sinks.live.sink import LiveSink
from edgeaudio.sinks.mqtt.commands import MAX_LIVE_S

log = logging.getLogger(__name__)

MAX_LABEL = 80  # characters of a label in a refusal


class LiveRunner:
    """The live sink of an agent: `watch` and `listen` begin it.

    Call `look_after` about once a second, and `stop` at the end.
    """

    def __init__(
        self,
        hub: Hub,
        spawn: Callable[[str, Callable[[], None]], threading.Thread],
        on_change: Callable[[], None],
        config: LiveConfig,
        unjudged: Callable[[str], Sequence[str]],
    ) -> None:
        """`spawn` starts a thread; `on_change`: as of SinkRunner.

        `unjudged` returns the labels of `never_with` that no model of a source has.
        """
        self._watched, self._listened = Leases(), Leases()
        self._config = config
        self._unjudged = unjudged
        self._spawn = spawn
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self.runner = SinkRunner(
            LiveSink(self._watched, self._listened, config.never_with, hub.publish), hub, on_change
        )

    def watch(self, source: str, duration_s: float) -> str:
        """Lease a source's live view; 0 ends it. Return why not; empty: it is leased, or ended."""
        return self._lease(self._watched, source, duration_s, "watched live")

    def listen(self, source: str, duration_s: float) -> str:
        """Lease a source's sound; 0 ends it. Return why not; empty: it is leased, or ended."""
        if not self._config.audio:
            return "live sound is switched off in the settings: set live.audio"
        if unjudged := self._unjudged(source):
            return (
                f"no model of {source} has the label {unjudged[0][:MAX_LABEL]!r}, which clips.never_with forbids in "
                "sound: let the source have a model with it, or remove it there"
            )
        return self._lease(self._listened, source, duration_s, "listened to live")

    def _lease(self, leases: Leases, source: str, duration_s: float, how: str) -> str:
        now_s = time.monotonic()
        was_leased = leases.is_leased(source, now_s)
        if not leases.renew(source, duration_s, now_s):
            return (
                f"{MAX_SOURCES} other sources are {how}, and no more may be: wait up to {MAX_LIVE_S} s, or end one "
                "with 0"
            )
        if duration_s and not was_leased:
            log.info("source %s is %s", source, how, extra={"source": source})
        self.look_after(now_s)
        return ""

    def unwatch(self, source: str) -> None:
        """End a source's live view and sound, whoever watches: another source may have its place."""
        now_s = time.monotonic()
        for leases in (self._watched, self._listened):
            leases.renew(source, 0.0, now_s)
        self.look_after(now_s)

    def look_after(self, now_s: float) -> None:
        """Begin or end the thread as the leases require. `now_s`: monotonic."""
        if not (self._watched.is_any_leased(now_s) or self._listened.is_any_leased(now_s)):
            self._end.set()
        elif self._thread is None or not self._thread.is_alive():
            self._end = threading.Event()
            self._thread = self._spawn(f"sink-{self.runner.name}", partial(self.runner.run, self._end))

    def stop(self) -> None:
        """End the thread, if there is one."""
        self._end.set()
